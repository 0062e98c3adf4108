"""Asks an HTTP server whether it is ready: makes the request, and judges the answer.

The asker sends the request by requests, which the test process never imports.
"""

from __future__ import annotations

import functools
import http
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ..declaration.arguments import perform
from ..errors import InvalidArgument
from ..foreign import let_through
from ..unpatched import os
from .asking import BODY, Question, ask, tell
from .paths import UnixSocketProbe
from .probe import never
from .server import ServerProbe
from .tcp import TCPProbe

#: the statuses that an HTTP probe accepts
Statuses = int | Collection[int] | Callable[[int], bool]
#: what a body must be: a pattern that matches somewhere in it, or a callable with the arguments
#: status, headers and body
Answer = re.Pattern[str] | Callable[[int, Mapping[str, str], str], object]


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


@dataclass(eq=False)
class HTTPProbe(ServerProbe):
    """Ready when the answer to a request has an accepted status and body.

    Redirects are not followed; proxies and netrc of the environment are not used.  The other
    arguments are those of :class:`ServerProbe`.

    :param url: http, https or http+unix; without a port 80 or 443.
    :param method: of the request.
    :param status: an int, a range or collection of them, or a callable.
    :param headers: added to the request; never shown in messages.
    :param verify: as for requests: False, or the path of a bundle of certificates.
    :param auth: user and password; never shown in messages.
    :param body: of the request.
    :param answer: see :data:`Answer`; None: any body will do.
    """

    url: str
    method: str = "GET"
    status: Statuses = range(200, 400)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    auth: tuple[str, str] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    answer: Answer | None = None

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
                f"url {self.shown!r} cannot be asked: write it like http://127.0.0.1:8000/health"
            )
        if self.path:
            UnixSocketProbe(self.path).check()

    def describe(self) -> str:
        """In words: an accepted answer to GET http://127.0.0.1:8000/health."""
        return f"an accepted answer to {self.method} {self.shown}"

    @functools.cached_property
    def shown(self) -> str:
        """The URL, without a password."""
        return _without_password(self.url)

    def where(self) -> TCPProbe | UnixSocketProbe:
        """See :meth:`ServerProbe.where`."""
        if self.path:
            return UnixSocketProbe(self.path)
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return TCPProbe(parts.hostname or "", port, self.ask_kernel)

    def prepare(self) -> None:
        """See :meth:`ServerProbe.prepare`."""
        tell("prepare", self._what)

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

    def ask(self, seconds: float, addresses: tuple[str, ...]) -> Question:
        """See :meth:`ServerProbe.ask`."""
        # absolute, since the asker runs in another directory
        verify = os.path.abspath(self.verify) if isinstance(self.verify, str) else self.verify
        limit = 0 if self.answer is None else BODY
        return ask(seconds, "request", self._what, addresses, self.path, verify, limit)

    def judge(self, question: Question) -> str | None:
        """See :meth:`ServerProbe.judge`."""
        code, reason, headers = question.facts
        said = f"HTTP {code} {reason or _phrase(code)}".rstrip() + f" from {self.shown}"
        try:
            accepted = self._accepts(code)
        except Exception as error:
            let_through(error)
            never("status=", error)
            said += f", of which status= raised {type(error).__name__}: {error}"
            accepted = False
        if not accepted:
            # a refused status: the body does not matter
            self._settled = True
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


def _phrase(code: int) -> str:
    try:
        return http.HTTPStatus(code).phrase
    except ValueError as error:
        let_through(error)
        return ""
