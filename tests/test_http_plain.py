"""The request that an HTTP probe writes itself, beside the one that requests would send."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from summon_testcase import http_plain
from summon_testcase.http_probe import HTTPProbe

from .services import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
VIEW = SimpleNamespace(pid=1, keeper_pid=1)

Behaviour = Callable[[socket.socket], None]


@contextmanager
def answering(behave: Behaviour, family: int = socket.AF_INET) -> Iterator[tuple[int, list[bytes]]]:
    """A server that keeps the head of each request; its port, and those heads."""
    heads: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                head = b""
                while b"\r\n\r\n" not in head and (more := peer.recv(65536)):
                    head += more
                if not head:
                    return
                heads.append(head)
                try:
                    behave(peer)
                except OSError:
                    pass  # the probe has closed it already

    with socket.create_server(("", 0), family=family) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield port, heads
        finally:
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            socket.create_connection((host, port)).close()
            thread.join(10)
            assert not thread.is_alive()


def says(*pieces: bytes) -> Behaviour:
    """A server that writes its answer in pieces, and closes the connection."""

    def behave(peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            peer.sendall(piece)

    return behave


def asked(port: int, connection: float = 5.0, answer: float = 5.0) -> tuple[int, str] | None:
    """Ask for / there."""
    request = http_plain.message("GET", f"http://127.0.0.1:{port}/", {"Connection": "close"})
    return http_plain.ask("127.0.0.1", port, request, connection, answer)


def understood(head: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The request line, and the headers without regard to order and case."""
    first, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in rest)
    assert len(headers) == len(rest), "a header is there twice"
    return first, {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize(
    "path", ["", "/", "/health?deep=1&x=a%20b", "/a b/ü?q=ü#part", "?only=query", "//twice/../up"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "user:pass%20word@127.0.0.1"])
@pytest.mark.parametrize("headers", [{}, {"X-Token": "ü", "User-Agent": "me"}, {"host": "shop"}])
def test_what_requests_sends(method: str, path: str, host: str, headers: dict[str, str]) -> None:
    """Request line and headers are those that requests would have sent."""
    with answering(says(OK)) as (port, heads):
        url = f"http://{host}:{port}{path}"
        probe = HTTPProbe(url, method=method, headers=headers, ask_kernel=False)
        assert probe.look(VIEW) is None  # type: ignore[arg-type]
        probe.close()
        with requests.Session() as session:
            session.trust_env = False
            session.request(method, url, headers={"Connection": "close", **headers}, timeout=5)
    ours, theirs = heads
    assert understood(ours) == understood(theirs)


def test_ipv6() -> None:
    """The address stands in brackets where HTTP wants them, not where a socket wants none."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("there is no IPv6 here")
    with answering(says(OK), socket.AF_INET6) as (port, heads):
        probe = HTTPProbe(f"http://[::1]:{port}/", ask_kernel=False)
        assert probe.look(VIEW) is None  # type: ignore[arg-type]
        probe.close()
    assert understood(heads[0])[1][b"host"] == b"[::1]:%d" % port


@given(st.lists(st.integers(1, len(OK) - 1), max_size=4))
def test_pieces(cuts: list[int]) -> None:
    """The answer may come in any pieces."""
    edges = [0, *sorted(cuts), len(OK)]
    pieces = [OK[a:b] for a, b in itertools.pairwise(edges)]
    with answering(says(*pieces)) as (port, _):
        assert asked(port) == (200, "OK")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\nbody", (503, "Service Unavailable")),
        (b"HTTP/1.1 418\r\nX: y\r\n\r\n", (418, "")),
        (b"HTTP/1.1 200 \r\n\r\n", (200, "")),
        (b"HTTP/1.1 299 Caf\xe9\r\n\r\n", (299, "Caf\xe9")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nnever: ended\r\n", None),
        (b"HTTP/1.1 200 OK\n\n", None),
        (b"HTTP/2 200\r\n\r\n", None),
        (b"HTTP/1.1 20 OK\r\n\r\n", None),
        (b"HTTP/1.1 2000 OK\r\n\r\n", None),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", None),
        (b"", None),
    ],
)
def test_answers(answer: bytes, expected: tuple[int, str] | None) -> None:
    """Status and reason of a common answer; None, hence requests, for all others."""
    with answering(says(answer)) as (port, _):
        assert asked(port) == expected


def test_headers_without_end() -> None:
    """Who sends headers for ever is not read for ever."""
    sent_all = []

    def behave(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(2000):
            peer.sendall(b"X: " + b"y" * 9000)
        sent_all.append(True)

    with answering(behave) as (port, _):
        assert asked(port) is None
    assert not sent_all


def test_others_are_asked_by_requests() -> None:
    """What is not the common answer is read by requests: here the 200 after a 100."""
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" + OK
    with answering(says(answer)) as (port, heads):
        probe = HTTPProbe(f"http://127.0.0.1:{port}/", ask_kernel=False)
        assert probe.look(VIEW) is None  # type: ignore[arg-type]
        probe.close()
        assert len(heads) == 2


def test_silence_is_waited_for_once() -> None:
    """Who does not answer in time is not asked by requests a second time."""
    go = threading.Event()
    with answering(lambda peer: go.wait(10) and None) as (port, heads):
        url = f"http://127.0.0.1:{port}/"
        probe = HTTPProbe(url, ask_kernel=False, request_timeout=0.2)
        assert probe.look(VIEW) == f"no answer within 0.2 s from {url}"  # type: ignore[arg-type]
        probe.close()
        go.set()
        eventually(lambda: len(heads) == 1, "the request was read")
    assert len(heads) == 1


def test_nobody() -> None:
    """A refused connection is told by requests."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert asked(bound.getsockname()[1]) is None


def test_tls_from_the_first_byte() -> None:
    """Nothing is sent in the clear to a URL of https."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        first: list[bytes] = []

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                first.append(peer.recv(1))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        probe = HTTPProbe(f"https://127.0.0.1:{server.getsockname()[1]}/", ask_kernel=False)
        assert probe.look(VIEW) is not None  # type: ignore[arg-type]
        probe.close()
        thread.join(10)
    assert first == [b"\x16"]  # a TLS handshake


def test_what_cannot_be_written() -> None:
    """A header beyond Latin-1 is left to requests, which says so."""
    assert http_plain.message("GET", "http://127.0.0.1/", {"X": "\u2713"}) == b""
