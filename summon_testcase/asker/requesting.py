"""HTTP requests, sent by requests over connections that end with their question."""

from __future__ import annotations

import functools
import gc
import http.client
import socket
import threading
import time
import warnings
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from .program import PIECE, Question

# urllib3 would warn at each request of verify=False, which the user has chosen
warnings.simplefilter("ignore")

# The garbage collector need not look at imported modules, which stay: that would delay answers.
gc.freeze()

#: letters of headers that an answer has at most; headers beyond that are left out
_HEADERS = 16384


class _Current(threading.local):
    """The request that this thread is sending."""

    #: sends the requests of this thread; a Session would add redirects, cookies and proxies
    adapter: _Adapter | None = None
    question: Question
    #: the numeric addresses of the host; empty if a resolver must be asked
    addresses: tuple[str, ...] = ()
    #: the path of a unix socket to connect to instead; empty for TCP
    path: str = ""


_current = _Current()


class _Final(http.client.HTTPResponse):
    """The final answer; interim ones (102, 103) are skipped."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            while self.fp.readline(65537).strip():
                pass


class _Direct:
    """A connection to the address or unix socket of the question."""

    host: str
    port: int
    wrapped = False
    response_class: Any = _Final

    def _new_conn(self) -> socket.socket:
        question, path = _current.question, _current.path
        addresses = _current.addresses
        if not addresses and not path:
            host = self.host.strip("[]")
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        return question.reach(addresses, self.port, path, self.wrapped)


class _Plain(_Direct, HTTPConnection):
    pass


class _Secure(_Direct, HTTPSConnection):
    wrapped = True


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    #: URL and verify of the last request, and the pool of its connections
    _asked: tuple[object, object] = None, None
    _last: Any = None

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: bool | str | None, *rest: Any, **more: Any
    ) -> Any:
        # kept, since most requests repeat the last one, and finding the pool takes a tenth of one
        if self._asked != (request.url, verify):
            self._last = super().get_connection_with_tls_context(request, verify, *rest, **more)
            self._asked = request.url, verify
        return self._last

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


@functools.lru_cache(maxsize=1024)
def prepared(
    method: str = "GET",
    url: str = "http://localhost/",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
    auth: tuple[str, str] | None = None,
) -> requests.PreparedRequest:
    """A request, kept for the next time: preparing one takes longer than sending it."""
    asked = requests.Request(method, url, headers=dict(headers), data=body, auth=auth)
    with requests.Session() as session:
        session.trust_env = False
        return session.prepare_request(asked)


def request(
    question: Question,
    what: tuple[Any, ...],
    addresses: tuple[str, ...],
    path: str,
    verify: bool | str,
    limit: int,
) -> None:
    """Send a request; tell the answer, or why there is none.

    :param what: method, URL, headers, body, and user and password.
    :param addresses: the numeric addresses of the host; empty to ask a resolver.
    :param path: the path of a unix socket; empty for TCP.
    :param verify: as for requests.
    :param limit: how many bytes of the body are wanted; 0 for no headers either.
    """
    _current.question, _current.addresses, _current.path = question, addresses, path
    adapter = _current.adapter
    if adapter is None:
        adapter = _current.adapter = _Adapter()
    try:
        response = adapter.send(
            prepared(*what), stream=True, timeout=question.left(), verify=verify
        )
        with response:
            if question.over:
                # give_up() has ended the connection, which http.client takes for an end of headers
                raise TimeoutError("timed out")
            _tell(question, response, limit)
    except Exception as error:
        question.tell(*_refusal(question, error))


def _tell(question: Question, response: requests.Response, limit: int) -> None:
    headers: list[tuple[str, str]] = []
    size = 0
    for pair in response.headers.items() if limit else ():
        size += sum(map(len, pair))
        if size < _HEADERS:
            headers.append(pair)
    heard = response.status_code, response.reason or "", tuple(headers)
    at, over = 0, not limit
    while True:
        piece = b"" if over else _read(question, response, min(PIECE, limit - at))
        # if the length is known we need not read up to the end of the connection
        raw: Any = response.raw
        left = raw.length_remaining if hasattr(raw, "read1") else raw._fp.length
        over = over or not piece or at + len(piece) >= limit or left == 0
        question.tell("answer", *heard, at, piece, over, not piece and bool(left))
        at += len(piece)
        if over:
            return


def _read(question: Question, response: requests.Response, size: int) -> bytes:
    """The next part of the body; empty at its end, or when the question's time is over."""
    raw: Any = response.raw
    try:
        if hasattr(raw, "read1"):
            return bytes(raw.read1(size, decode_content=True))
        # read() of urllib3 1 waits for the whole size; that of http.client below it does not
        return bytes(raw._fp.read1(size))
    except Exception:
        if question.over or time.monotonic() >= question.end:
            return b""
        raise


def _refusal(question: Question, error: Exception) -> tuple[str, ...]:
    if not isinstance(error, (requests.RequestException, HTTPError, OSError, ValueError)):
        return "cannot", f"{type(error).__name__}: {error}"
    cause = _cause(error)
    if question.over or time.monotonic() >= question.end or isinstance(cause, TimeoutError):
        return "late" if question.connected else "unconnected", ""
    if isinstance(error, requests.exceptions.SSLError):
        return "tls", _one_line(cause)
    if isinstance(cause, ConnectionRefusedError):
        return "refused", ""
    if isinstance(error, requests.exceptions.ConnectionError):
        return "broken", _one_line(cause)
    return "cannot", _one_line(cause)


def _cause(error: BaseException) -> BaseException:
    """The innermost reason: requests wraps urllib3, which wraps the socket's error."""
    seen = {id(error)}
    while True:
        candidates = [getattr(error, "reason", None), *error.args[::-1], error.__cause__]
        # Urllib3 1 first tries a method that http.client has not any more; the error of that is
        # suppressed and says nothing.
        candidates.append(None if error.__suppress_context__ else error.__context__)
        inner = next(
            (c for c in candidates if isinstance(c, BaseException) and id(c) not in seen), None
        )
        if inner is None:
            return error
        seen.add(id(inner))
        error = inner


def _one_line(cause: BaseException) -> str:
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    words = " ".join(str(text).split())
    return f"not HTTP, but {words}" if type(cause) is http.client.BadStatusLine else words
