"""Asks an HTTP server whether it is ready: makes the request, and judges the answer.

The asker sends the request by requests, which the test process never imports.
"""

from __future__ import annotations

import functools
import http
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ..declaration.arguments import perform
from ..errors import InvalidArgument, PortInUse
from ..foreign import let_through
from ..scheduling.steps import Steps
from ..system.addresses import LEAST_TIMEOUT
from ..unpatched import os, time
from ..wording import at
from .asking import BODY, Question, ask, tell
from .paths import UnixSocketProbe
from .probe import AskingProbe, Looking, Target, never, wider
from .tcp import TCPProbe

#: the statuses that an HTTP probe accepts
Statuses = int | Collection[int] | Callable[[int], bool]
#: what a body must be: a pattern that matches somewhere in it, or a callable with the arguments
#: status, headers and body
Answer = re.Pattern[str] | Callable[[int, Mapping[str, str], str], object]

#: the pause before the first request takes this share of the time waited already
_SHARE = 1 / 200
#: seconds that one request may take by default
REQUEST_TIMEOUT = 30.0


class Headers(Mapping[str, str]):
    """The headers of an answer; names are found in upper and lower case."""

    def __init__(self, pairs: Collection[tuple[str, str]]) -> None:
        self._pairs = {name.lower(): value for name, value in pairs}

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return repr(self._pairs)


class _Held:
    """The state of an HTTP probe between looks; it does not count when probes are compared."""

    def __init__(self) -> None:
        self.looking: Looking[str | None] | None = None
        self.question: Question | None = None
        self.tcp: TCPProbe | None = None
        #: the pid of the service when it was seen listening; 0 before that
        self.listening = 0
        #: whether the asker was told of the request in advance
        self.told = False
        #: the time of the first look
        self.began = math.inf
        #: whether the kernel tells who listens; None if it was not asked yet
        self.tells: bool | None = None
        #: the time of the first request; 0 before that
        self.since = 0.0
        #: whether the answer is judged, so that the rest of the body does not matter
        self.settled = False
        #: the refusal of the last request; empty if it was accepted, None before the first
        self.refusal: str | None = None


@dataclass(frozen=True)
class HTTPProbe(AskingProbe):
    """Ready when the answer to a request has an accepted status and body.

    Redirects are not followed; proxies and netrc of the environment are not used.

    :param url: http, https or http+unix; without a port 80 or 443.
    :param method: of the request.
    :param status: an int, a range or collection of them, or a callable.
    :param headers: added to the request; never shown in messages.
    :param verify: as for requests: False, or the path of a bundle of certificates.
    :param request_timeout: seconds that one request may take.
    :param auth: user and password; never shown in messages.
    :param body: of the request.
    :param answer: see :data:`Answer`; None: any body will do.
    :param ask_kernel: False to send requests at once, to whoever answers; see
        :class:`TCPProbe`.
    :param awaits_other: whether another service answers, which may do so already before the
        start.
    """

    url: str
    method: str = "GET"
    status: Statuses = field(default=range(200, 400), hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    verify: bool | str = True
    request_timeout: float | None = None
    auth: tuple[str, str] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    answer: Answer | None = None
    ask_kernel: bool = True
    awaits_other: bool = False
    _held: _Held = field(default_factory=_Held, init=False, repr=False, compare=False)

    @property
    def shortest(self) -> float:
        """Seconds: requests are costly, so the pauses grow while they are refused."""
        return wider(self._held.since) if self._held.since else self._tcp().shortest

    @property
    def longest(self) -> float:
        """Seconds: as the shortest pause, once requests are sent.

        Before that a look is cheap.  The pauses are shorter than those of a TCP probe, since
        after them a request is still to be sent.
        """
        held = self._held
        if held.since:
            return wider(held.since)
        waited = time.monotonic() - held.began
        return min(self._tcp().longest, max(self._tcp().shortest, waited * _SHARE))

    @property
    def asked(self) -> tuple[Question, ...]:
        """See :attr:`Probe.asked`."""
        return self._tcp().asked if self._held.question is None else (self._held.question,)

    @functools.cached_property
    def path(self) -> str:
        """The path of the unix socket in the URL; empty for TCP."""
        parts = urlsplit(self.url)
        return unquote(parts.netloc) if parts.scheme == "http+unix" else ""

    def check(self) -> None:
        """:raises InvalidArgument: for a URL that no request can be sent to."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https", "http+unix") and bool(parts.hostname)
            usable = usable and (parts.scheme == "http+unix" or parts.port != 0)
        except ValueError as error:
            let_through(error)
            usable = False
        if not usable:
            raise InvalidArgument(
                f"url {self._shown!r} cannot be asked: write it like http://127.0.0.1:8000/health"
            )
        if self.path:
            UnixSocketProbe(self.path).check()

    def describe(self) -> str:
        """In words: an accepted answer to GET http://127.0.0.1:8000/health."""
        return f"an accepted answer to {self.method} {self._shown}"

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Whether a process listens at the URL's host and port already."""
        if self.awaits_other:
            return None
        where = UnixSocketProbe(self.path) if self.path else self._tcp()
        return (yield from where.occupied(name, until))

    def astray(self, target: Target) -> str:
        """See :meth:`TCPProbe.astray`."""
        return "" if self.path else self._tcp().astray(target)

    def close(self) -> None:
        """Give up the request that is under way."""
        looking, self._held.looking = self._held.looking, None
        if looking is not None:
            looking.close()
        self._tcp().close()
        self._held.listening, self._held.since, self._held.refusal = 0, 0.0, None

    def _tcp(self) -> TCPProbe:
        if self._held.tcp is None:
            parts = urlsplit(self.url)
            port = 0 if self.path else parts.port or (443 if parts.scheme == "https" else 80)
            self._held.tcp = TCPProbe(parts.hostname or "", port, self.ask_kernel)
        return self._held.tcp

    def looking(self, target: Target, left: float) -> Looking[str | None]:
        """One look, as a generator that yields wherever it has to wait.

        :raises PortInUse: when another process listens there.
        """
        held = self._held
        if not held.told:
            held.told, held.began = True, time.monotonic()
            tell("prepare", self._what)
        addresses: tuple[str, ...] = ()
        refusal: str | None
        if self.path:
            refusal = UnixSocketProbe(self.path).look(target, left)
            if refusal is not None:
                return refusal
        else:
            addresses, said = yield from self._tcp().resolving(left)
            if said:
                return said
            if self.ask_kernel and held.listening != target.pid:
                # where only a connection can tell who listens, the request makes it
                if held.tells is None:
                    held.tells = self._tcp().tells(addresses)
                if held.tells:
                    refusal = yield from self._tcp().looking(target, left)
                    if refusal is not None:
                        return refusal
                held.listening = target.pid
        limit = REQUEST_TIMEOUT if self.request_timeout is None else self.request_timeout
        held.since = held.since or time.monotonic()
        held.question = question = self._ask(max(LEAST_TIMEOUT, min(limit, left)), addresses)
        try:
            refusal = self._silence(question)
            while refusal is not None:
                # there is no answer yet, or more of its body may come
                yield refusal
                if question.pump():
                    question.fresh = held.settled = False
                    refusal = self._refusal(question)
                    held.refusal = refusal or ""
                    if question.over or held.settled:
                        return refusal
                else:
                    refusal = self._silence(question)
                    if question.late():
                        return refusal
            return None
        finally:
            held.question = None
            question.drop()

    @functools.cached_property
    def _shown(self) -> str:
        return _without_password(self.url)

    @functools.cached_property
    def _what(self) -> tuple[object, ...]:
        """The facts of the request, which are the same each time."""
        url = self.url
        if self.path:
            url = urlsplit(url)._replace(scheme="http", netloc="localhost").geturl()
        headers = {"Connection": "close", **self.headers}
        if self.answer is not None:
            # uncompressed, since the pattern is searched in parts of the body as they come
            headers = {"Accept-Encoding": "identity", **headers}
        return self.method, url, tuple(headers.items()), self.body, self.auth

    def _ask(self, seconds: float, addresses: tuple[str, ...]) -> Question:
        # absolute, since the asker runs in another directory
        verify = os.path.abspath(self.verify) if isinstance(self.verify, str) else self.verify
        limit = 0 if self.answer is None else BODY
        return ask(seconds, "request", self._what, addresses, self.path, verify, limit)

    def _silence(self, question: Question) -> str:
        """The refusal while a request has no answer yet."""
        waited = min(time.monotonic(), question.until) - question.began
        # the refusal of the request before says more than the short silence after this one
        short = waited < min(0.5, self.request_timeout or 0.5)
        if self._held.refusal is not None and (short or question.kind == "answer"):
            return self._held.refusal
        return f"no answer within {_seconds(waited)} from {self._shown}"

    def _refusal(self, question: Question) -> str | None:
        question.alive()
        kind, facts, shown = question.kind, question.facts, self._shown
        if kind == "answer":
            return self._judge(question)
        if kind == "late":
            return self._silence(question)
        if kind == "unconnected":
            return f"no connection to {shown} within {_seconds(question.until - question.began)}"
        if kind == "tls":
            return f"TLS failed with {shown}: {facts[0]}"
        if kind == "refused":
            return f"connection refused by {self.path or at(self._tcp().host, self._tcp().port)}"
        if kind == "broken":
            return f"no answer from {shown}: {facts[0]}"
        return f"cannot ask {shown}: {facts[0]}"

    def _judge(self, question: Question) -> str | None:
        code, reason, headers = question.facts
        said = f"HTTP {code} {reason or _phrase(code)}".rstrip() + f" from {self._shown}"
        try:
            accepted = self._accepts(code)
        except Exception as error:
            let_through(error)
            never("status=", error)
            said += f", of which status= raised {type(error).__name__}: {error}"
            accepted = False
        if not accepted:
            # a refused status: the body does not matter
            self._held.settled = True
            return said
        if self.answer is None:
            return None
        body = _text(question.body, Headers(headers).get("Content-Type", ""))
        if isinstance(self.answer, re.Pattern):
            refused = None if self.answer.search(body) else "does not match answer="
        elif question.cut or not question.over:
            # the callable may be looking for something in the rest of the body
            refused = "has not ended"
        else:
            refused = self._called(code, Headers(headers), body)
        if refused is None:
            return None
        beginning = " ".join(body.split())
        beginning = beginning if len(beginning) <= 80 else f"{beginning[:80]}…"
        return f"{said}, but its body {refused}: {beginning!r}"

    def _called(self, code: int, headers: Headers, body: str) -> str | None:
        assert callable(self.answer)
        try:
            accepted = perform("answer=", self.answer, code, headers, body)
        except Exception as error:
            let_through(error)
            never("answer=", error)
            return f"made answer= raise {type(error).__name__}: {error}"
        return None if accepted else f"made answer= return {accepted!r}"

    def _accepts(self, code: int) -> bool:
        if isinstance(self.status, int):
            return code == self.status
        if isinstance(self.status, Collection):
            return code in self.status
        return bool(perform("status=", self.status, code))


def _without_password(url: str) -> str:
    """A URL as messages may show it: without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        let_through(error)
        return re.sub(r"//[^/@]*@", "//", url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _text(body: bytes, content_type: str) -> str:
    """A body as text, in the encoding that its Content-Type names."""
    found = re.search(r"charset=\"?([\w.:-]+)", content_type, re.IGNORECASE)
    try:
        return body.decode(found[1] if found else "utf-8", "replace")
    except (LookupError, UnicodeError) as error:
        # an unknown encoding, or one that is for other things than text (idna)
        let_through(error)
        return body.decode("utf-8", "replace")


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if value < 1 else f"{round(value, 1):g} s"


def _phrase(code: int) -> str:
    try:
        return http.HTTPStatus(code).phrase
    except ValueError as error:
        let_through(error)
        return ""
