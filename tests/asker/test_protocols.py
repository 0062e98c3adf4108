"""What servers answer in their own protocols, byte by byte; real ones are in tests/readiness."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from summon_testcase.asker import program
from summon_testcase.asker.protocols import PROTOCOLS, Talk, Unready, converse, shown


def pg(kind: bytes, body: bytes) -> bytes:
    """A message of PostgreSQL."""
    return kind + struct.pack("!I", len(body) + 4) + body


def my(number: int, body: bytes) -> bytes:
    """A packet of MySQL."""
    return len(body).to_bytes(3, "little") + bytes([number]) + body


def frame(class_id: int, method: int) -> bytes:
    """A frame of AMQP."""
    body = struct.pack("!HH", class_id, method) + b"\0\x09" + b"properties"
    return struct.pack("!BHI", 1, 0, len(body)) + body + b"\xce"


INFO = b'INFO {"server_id":"x"}\r\n'
STARTING = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
GREETING = my(0, b"\n10.11.19-MariaDB\0rest")
DENIED = b"\xff\x15\x04#28000Access denied"

READY = [
    ("redis", b"+PONG\r\n"),
    ("memcached", b"VERSION 1.6.18\r\n"),
    ("memcached", b"CLIENT_ERROR unauthenticated\r\n"),
    ("nats", INFO + b"PING\r\nPONG\r\n"),
    ("nats", INFO + b"-ERR 'Authorization Violation'\r\n"),
    ("smtp", b"220-hello\r\n220 there\r\n250-SIZE 1\r\n250 HELP\r\n"),
    ("smtp", b"220\r\n250\r\n"),
    ("ssh", b"be nice\r\nSSH-2.0-OpenSSH_9.2\r\n"),
    ("postgresql", pg(b"R", bytes(4)) + pg(b"S", b"a\0b\0") + pg(b"N", b"") + pg(b"Z", b"I")),
    ("postgresql", pg(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0")),
    ("postgresql", pg(b"E", b"SFATAL\0C28000\0Mno such role\0\0")),
    ("mysql", GREETING + my(2, b"\0\0\0\2\0\0\0") + my(1, b"\1")),
    ("mysql", GREETING + my(2, b"\xfecaching_sha2_password\0") + my(4, b"\0") + my(1, b"\1")),
    ("mysql", GREETING + my(2, DENIED)),
    ("amqp", frame(10, 10)),
    ("mqtt", b"\x20\2\0\0"),
    ("mqtt", b"\x20\2\0\5"),
]
REFUSED = [
    ("redis", b"-LOADING Redis is loading the dataset in memory\r\n", "'-LOADING Redis is"),
    ("redis", b"-NOAUTH Authentication required.\r\n", "'-NOAUTH "),
    ("redis", b"-MASTERDOWN Link with MASTER is down\r\n", "'-MASTERDOWN "),
    ("memcached", b"ERROR\r\n", "'ERROR'"),
    ("nats", INFO + b"-ERR 'Secure Connection - TLS Required'\r\n", "TLS Required"),
    ("smtp", b"421 come back later\r\n", "'421 come back later'"),
    ("smtp", b"220 hello\r\n554 go away\r\n", "'554 go away'"),
    ("ssh", b"SSH-1.5-old\r\n", "'SSH-1.5-old'"),
    ("postgresql", pg(b"E", STARTING), "'the database system is starting up'"),
    (
        "postgresql",
        pg(b"R", bytes(4)) + pg(b"E", "C3D000\0Mgibt es nicht: »postgres«\0".encode()),
        "'gibt es nicht: »postgres«'",
    ),
    ("mysql", my(0, b"\xff\x6a\x04Host 'x' is not allowed"), "is not allowed"),
    ("mysql", GREETING + my(2, b"\xff\x10\x04#08004Too many connections"), "'Too many conn"),
    ("mysql", GREETING + my(2, b"\0") + my(1, b"\xff\x1d\x04#08S01Shutdown"), "'Shutdown'"),
    ("amqp", frame(10, 50), r"\\xce"),
    ("amqp", frame(10, 10)[:-1] + b"x", r"x'"),
    ("mqtt", b"\x20\2\0\3", "CONNACK with the code 3"),
]
GARBAGE = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n",
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x46",
    "zeros": bytes(100_000),
    "ones": b"\xff" * 100_000,
    "a line without an end": b"S" * 100_000,
    "lines without an end": b"220-x\r\n" * 20_000,
    "messages without an end": pg(b"N", b"") * 20_000,
    "a long message": b"R\x7f\xff\xff\xff" + bytes(100_000),
}


@contextmanager
def server(says: bytes) -> Iterator[socket.socket]:
    """A connection to a server that says this, whatever it is told, and closes it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(60)

    def speak() -> None:
        try:
            theirs.sendall(says)
            theirs.shutdown(socket.SHUT_WR)
        except BrokenPipeError:  # nobody wants to hear all of it
            pass

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield ours
    finally:
        ours.close()
        speaker.join()
        theirs.close()


def ask(protocol: str, says: bytes, user: str = "", password: str = "") -> None:
    """Ask once; raises as the protocol does."""
    with server(says) as sock:
        PROTOCOLS[protocol](Talk(sock, user, password))


@pytest.mark.parametrize(("protocol", "says"), READY)
def test_ready(protocol: str, says: bytes) -> None:
    """A whole answer is ready, and no part of it is, wherever the server hangs up."""
    ask(protocol, says)
    for size in range(len(says)):
        with pytest.raises(EOFError):
            ask(protocol, says[:size])


@pytest.mark.parametrize(("protocol", "says", "words"), REFUSED)
def test_refused(protocol: str, says: bytes, words: str) -> None:
    """The answer of a server that is not ready is told in its words."""
    with pytest.raises(Unready, match=words):
        ask(protocol, says)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_garbage(protocol: str, garbage: str) -> None:
    """A server with another protocol is not ready, and is not listened to for ever."""
    with pytest.raises((Unready, EOFError)) as caught:
        ask(protocol, GARBAGE[garbage])
    assert len(str(caught.value)) < 500


def test_every_protocol_is_tested() -> None:
    assert {protocol for protocol, _ in READY} == set(PROTOCOLS)
    assert {protocol for protocol, _, _ in REFUSED} == set(PROTOCOLS)


def test_password_of_redis() -> None:
    """It is sent before the question, which an accepted password does not answer."""
    ask("redis", b"+OK\r\n+PONG\r\n", "me", "secret")
    with pytest.raises(EOFError):
        ask("redis", b"+OK\r\n", "", "secret")
    with pytest.raises(Unready, match="'-WRONGPASS "):
        ask("redis", b"-WRONGPASS invalid username-password pair\r\n", "", "secret")


def test_what_is_shown() -> None:
    """Words as they are, other bytes escaped; a TLS alert is named."""
    assert shown(b"-ERR no\r\n") == "'-ERR no'"
    assert shown("gibt's nicht: ä\n".encode()) == '"gibt\'s nicht: ä"'
    assert shown(b"\xff\x00" * 1000) == repr(b"\xff\x00" * 40)[1:]
    assert shown(GARBAGE["a TLS alert"]).endswith(" (a TLS alert: it expects TLS)")


def test_reset_within_the_call_that_connects() -> None:
    """It is what a reset a moment later is: the server has accepted, and hung up.

    The kernel gives that answer about once in a million connections, which no test can wait for.
    """
    told: list[tuple[Any, ...]] = []

    class Reset(program.Question):
        def connect(self, *args: Any, **options: Any) -> Any:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

        def tell(self, kind: str, *facts: Any) -> None:
            told.append((kind, *facts))

    question = Reset(1, 60, lambda data: None)
    converse(question, "redis", ("127.0.0.1",), 1, "", "", "")
    assert told == [("broken", "it closed the connection")]
    assert program.connect_once(question, "127.0.0.1", 1, 1) == ("accepted", "")
