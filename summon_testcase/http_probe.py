"""The question that an HTTP server answers: the one module that imports requests.

requests checks and prepares what is asked.  It sends it, too, for https, and wherever the
answer is not the plain one that :mod:`http_plain` reads in half the time.
"""

from __future__ import annotations

import contextlib
import http
import math
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from . import http_plain
from .addresses import CONNECT_TIMEOUT, at, patience, resolve
from .errors import InvalidArgument, PortInUse
from .probes import TCPProbe, View

if TYPE_CHECKING:
    import requests

#: the statuses that an HTTP probe accepts
Statuses = int | Collection[int] | Callable[[int], bool]


class _Held:
    """What an HTTP probe keeps between looks; no part of its value."""

    def __init__(self) -> None:
        self.session: requests.Session | None = None
        #: sent at each look: to prepare it takes longer than to send it
        self.request: requests.PreparedRequest | None = None
        #: the same in the bytes of HTTP; none for https
        self.plain = b""
        self.tcp: TCPProbe | None = None
        #: whether the kernel tells who listens; None: not tried yet
        self.told: bool | None = None
        #: the pid of the service that was seen listening; 0 if none was
        self.listening = 0


@dataclass(frozen=True)
class HTTPProbe:
    """Ready when a request is answered with an accepted status.

    Redirects are not followed, proxies and netrc of the environment not used.

    :param url: http or https; without a port 80 or 443.
    :param method: of the request.
    :param status: an int, a range or collection of them, or a callable.
    :param headers: added to the request; never shown in messages.
    :param verify: as for requests: False, or the path of a CA bundle.
    :param request_timeout: seconds to wait for the headers of the answer.  It
        holds for each piece of them: a service that dribbles them takes longer.
    :param ask_kernel: False to send requests at once, to whoever answers; see
        :class:`probes.TCPProbe`.
    """

    url: str
    method: str = "GET"
    status: Statuses = field(default=range(200, 400), hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    verify: bool | str = True
    request_timeout: float = 1.0
    ask_kernel: bool = True
    _held: _Held = field(default_factory=_Held, init=False, repr=False, compare=False)

    shortest: ClassVar[float] = 0.0005

    @property
    def longest(self) -> float:
        """Seconds: TLS is dear, and nothing is sent before somebody listens."""
        if not self.ask_kernel or self._held.listening:
            return 0.020 if self._tls() else 0.009
        return self._tcp().longest

    def check(self) -> None:
        """:raises InvalidArgument: for a URL that no request can be sent to."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise InvalidArgument(
                f"url {_shown(self.url)!r} cannot be asked: "
                f"write it like http://127.0.0.1:8000/health"
            )

    def describe(self) -> str:
        """In words: an accepted answer to GET http://127.0.0.1:8000/health."""
        return f"an accepted answer to {self.method} {_shown(self.url)}"

    def occupied(self, name: str) -> PortInUse | None:
        """Whether somebody listens at the URL's host and port already."""
        return self._tcp().occupied(name)

    def look(self, view: View, left: float = math.inf) -> str | None:
        """See :meth:`probes.Probe.look`.

        :raises PortInUse: when another process listens there.
        """
        # Before the port is looked at: the first import of requests takes 100 ms,
        # which is best spent while the service itself is still starting.
        session = self._session()
        tcp = self._tcp()
        if self.ask_kernel and self._held.listening != view.pid:
            # Where only a connection can tell, the request is that connection.
            if self._held.told is None:
                self._held.told = tcp.asks_kernel()
            refusal = tcp.look(view, left) if self._held.told else None
            if refusal is not None:
                return refusal
            self._held.listening = view.pid
        return self._request(session, left)

    def close(self) -> None:
        """Close the session; another look opens a new one."""
        session, self._held.session, self._held.listening = self._held.session, None, 0
        if session is not None:
            session.close()

    def _tcp(self) -> TCPProbe:
        if self._held.tcp is None:
            parts = urlsplit(self.url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            self._held.tcp = TCPProbe(parts.hostname or "", port, self.ask_kernel)
        return self._held.tcp

    def _session(self) -> requests.Session:
        if self._held.session is None:
            import requests

            self._held.session = requests.Session()
            self._held.session.trust_env = False
            with contextlib.suppress(requests.RequestException):
                # while the service starts; what is wrong with it is told when it is sent
                self._prepared(self._held.session)
        return self._held.session

    def _prepared(self, session: requests.Session) -> requests.PreparedRequest:
        if self._held.request is None:
            import requests

            headers = {"Connection": "close", **self.headers}
            request = requests.Request(self.method, self.url, headers=headers)
            prepared = session.prepare_request(request)
            if not self._tls():
                url = prepared.url or ""
                self._held.plain = http_plain.message(self.method, url, prepared.headers)
            self._held.request = prepared
        return self._held.request

    def _tls(self) -> bool:
        return self.url.lower().startswith("https:")

    def _answer(
        self, session: requests.Session, connection: float, answer: float
    ) -> tuple[int, str]:
        """Status and reason.

        :raises requests.RequestException: if there are none.
        """
        import requests

        request = self._prepared(session)
        if self._held.plain:
            tcp = self._tcp()
            try:
                for address in resolve(tcp.host):
                    plain = address, tcp.port, self._held.plain
                    status = http_plain.ask(*plain, connection, answer)
                    if status is not None:
                        return status
            except TimeoutError as error:
                raise requests.exceptions.ReadTimeout from error
        from urllib3.exceptions import InsecureRequestWarning

        with warnings.catch_warnings():
            # verify=False was the user's word; once per look is no news.
            warnings.simplefilter("ignore", InsecureRequestWarning)
            response = session.send(
                request,
                timeout=(connection, answer),
                allow_redirects=False,
                stream=True,
                verify=self.verify,
            )
        with response:
            return response.status_code, response.reason

    def _request(self, session: requests.Session, left: float) -> str | None:
        import requests

        answer = patience(left, self.request_timeout)
        # The limit of the connection holds for the TLS handshake too.
        connection = answer if self._tls() else min(CONNECT_TIMEOUT, answer)
        try:
            code, reason = self._answer(session, connection, answer)
        except requests.exceptions.SSLError as error:
            return f"TLS failed with {_shown(self.url)}: {_one_line(error)}"
        except requests.exceptions.ConnectTimeout:
            return f"no connection to {_shown(self.url)} within {connection:g} s"
        except requests.exceptions.Timeout:
            return f"no answer within {answer:g} s from {_shown(self.url)}"
        except requests.exceptions.ConnectionError as error:
            cause = _cause(error)
            if isinstance(cause, ConnectionRefusedError):
                tcp = self._tcp()
                return f"connection refused by {at(tcp.host, tcp.port)}"
            return f"no answer from {_shown(self.url)}: {_one_line(error)}"
        except (requests.exceptions.RequestException, OSError) as error:
            return f"cannot ask {_shown(self.url)}: {_one_line(error)}"
        if self._accepts(code):
            return None
        return f"HTTP {code} {reason or _phrase(code)}".rstrip() + f" from {_shown(self.url)}"

    def _accepts(self, code: int) -> bool:
        if isinstance(self.status, int):
            return code == self.status
        if isinstance(self.status, Collection):
            return code in self.status
        return bool(self.status(code))


def _shown(url: str) -> str:
    """A URL as messages may show it: without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/@]*@", "//", url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _cause(error: BaseException) -> BaseException:
    """The innermost reason: requests wraps urllib3, which wraps the socket's error."""
    seen = {id(error)}
    while True:
        candidates = [getattr(error, "reason", None), *error.args[::-1], error.__cause__]
        candidates.append(error.__context__)
        inner = next(
            (c for c in candidates if isinstance(c, BaseException) and id(c) not in seen), None
        )
        if inner is None:
            return error
        seen.add(id(inner))
        error = inner


def _one_line(error: BaseException) -> str:
    cause = _cause(error)
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(str(text).split())


def _phrase(code: int) -> str:
    try:
        return http.HTTPStatus(code).phrase
    except ValueError:
        return ""
