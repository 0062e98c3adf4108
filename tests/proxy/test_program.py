"""What passes the proxy is what was sent, and its ends and errors are those of the two sides."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from summon_testcase.services import TCPProxy

from ..places import can_bind, linux, require
from ..samples import PATIENCE, eventually
from .echo import Echo, connect, echo, read, read_all


@pytest.fixture(scope="module")
def target() -> Iterator[Echo]:
    """A server that returns what it is sent."""
    with echo() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(target: Echo) -> Iterator[TCPProxy]:
    """A proxy in front of it."""
    with TCPProxy(to=target.to) as it:
        yield it


def reset(sock: socket.socket) -> None:
    """Close a socket so that the other side reads a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def assert_silent(proxy: TCPProxy, sock: socket.socket) -> None:
    """Nothing arrives, not even an end, though the proxy has seen all that has come by now."""
    with proxy.delay(0):
        pass  # it takes what has come in its order
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(1)


def assert_ends(sock: socket.socket, said: bytes, by_reset: bool) -> None:
    """All that comes is something, or nothing if it ends by a reset, and the end."""
    sock.settimeout(PATIENCE)
    if by_reset:
        with pytest.raises(ConnectionResetError):
            read_all(sock)
    else:
        assert read_all(sock) == said


def test_passes_on_both_ways(proxy: TCPProxy) -> None:
    """As it comes, without waiting for more."""
    with connect(proxy) as client:
        for word in (b"a", b"bc", b"d" * 1000):
            client.sendall(word)
            assert read(client, len(word)) == word


def test_half_closed(proxy: TCPProxy) -> None:
    """The end of what the client sends is passed on, and what comes after it arrives."""
    with connect(proxy) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"hello5"


def test_large(proxy: TCPProxy) -> None:
    """Each byte of 32 MB, and in its place, at the same time in both directions."""
    data = os.urandom(1 << 20) * 32
    with connect(proxy) as client:
        sender = threading.Thread(
            target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR))
        )
        sender.start()
        assert read_all(client) == data + b"%d" % len(data)
        sender.join()


def test_many_connections(proxy: TCPProxy, target: Echo) -> None:
    """More than a process may usually have files open."""
    clients = [connect(proxy) for _ in range(600)]
    try:
        for number, client in enumerate(clients):
            client.sendall(b"%4d" % number)
        assert [read(client, 4) for client in clients] == [b"%4d" % n for n in range(600)]
    finally:
        for client in clients:
            client.close()


def test_a_client_that_resets(proxy: TCPProxy, target: Echo) -> None:
    """The target reads a reset, too."""
    target.reset.clear()
    client = connect(proxy)
    client.sendall(b"x")
    assert read(client, 1) == b"x"
    reset(client)
    assert target.reset.wait(PATIENCE)


class TestOneConnection:
    """With the other side in the hands of the test."""

    @pytest.fixture
    def listener(self) -> Iterator[socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            yield listener

    @pytest.fixture
    def proxied(self, listener: socket.socket) -> Iterator[TCPProxy]:
        with TCPProxy(to=f"127.0.0.1:{listener.getsockname()[1]}") as it:
            yield it

    def test_a_target_that_resets_or_ends(self, listener: socket.socket, proxied: TCPProxy) -> None:
        """The client reads the same."""
        with connect(proxied) as client:
            there, _ = listener.accept()
            reset(there)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with connect(proxied) as client:
            there, _ = listener.accept()
            with there:
                there.sendall(b"bye")
                there.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"bye"
                client.sendall(b"and you")
                client.close()
                assert read_all(there) == b"and you"

    def test_nobody_reads(self, listener: socket.socket, proxied: TCPProxy) -> None:
        """The sender has to wait, as without a proxy, and nothing is lost."""
        data = os.urandom(1 << 20) * 64
        sent = 0
        with connect(proxied) as client:
            there, _ = listener.accept()
            client.settimeout(0.3)
            with there, pytest.raises(TimeoutError):
                while sent < len(data):
                    sent += client.send(data[sent:])

    def test_what_was_sent_arrives_after_the_sender_is_gone(
        self, listener: socket.socket, proxied: TCPProxy
    ) -> None:
        """Also if the other side is slow to read."""
        data = os.urandom(1 << 18)
        with connect(proxied) as client:
            there, _ = listener.accept()
            client.sendall(data)
        with there:
            assert read_all(there) == data

    def test_nobody_is_there(self, listener: socket.socket, proxied: TCPProxy) -> None:
        """The connection is reset, the log says why, and later ones meet a target that came."""
        place = listener.getsockname()
        listener.close()
        # perhaps before connect() has seen that it is connected
        with pytest.raises(ConnectionResetError), connect(proxied) as client:
            client.recv(1)
        said = f"no connection to 127.0.0.1:{place[1]}: Connection refused"
        proxied.wait_for_output(said, timeout=PATIENCE)
        with socket.create_server(place) as again, connect(proxied):
            again.settimeout(PATIENCE)
            again.accept()[0].close()

    @pytest.mark.parametrize("end", [socket.socket.close, reset])
    def test_the_end_of_the_target_is_held(
        self, listener: socket.socket, proxied: TCPProxy, end: Callable[[socket.socket], None]
    ) -> None:
        """A fault that holds what the target sends holds its end, too, and its reset."""
        for fault in (proxied.limit(0), proxied.delay(1000)):
            with connect(proxied) as client:
                there, _ = listener.accept()
                with fault:
                    there.sendall(b"bye")
                    end(there)
                    assert_silent(proxied, client)
                assert_ends(client, b"bye", end is reset)
        with connect(proxied) as client, proxied.delay(0.1):
            there, _ = listener.accept()
            began = time.monotonic()
            end(there)
            assert_ends(client, b"", end is reset)
            assert time.monotonic() - began >= 0.1

    def test_the_end_of_the_client_is_held(
        self, listener: socket.socket, proxied: TCPProxy
    ) -> None:
        """Where nothing passes; a delay is one of answers."""
        for end in (socket.socket.close, reset):
            client = connect(proxied)
            there, _ = listener.accept()
            with there, proxied.limit(0):
                with proxied.delay(1000):
                    end(client)
                    assert_silent(proxied, there)
                assert_silent(proxied, there)
                client = connect(proxied)
                there_too, _ = listener.accept()
            with there_too, proxied.delay(1000):
                end(client)
                assert_ends(there_too, b"", end is reset)

    def test_a_refusal_of_the_target_is_held(
        self, listener: socket.socket, proxied: TCPProxy
    ) -> None:
        """Since the proxy has accepted the connection by then."""
        listener.close()
        with proxied.limit(0):
            client = connect(proxied)
            proxied.wait_for_output("no connection to", timeout=PATIENCE)
            assert_silent(proxied, client)
        with client:
            assert_ends(client, b"", True)

    @linux
    def test_closes_what_it_has_opened(self, listener: socket.socket, proxied: TCPProxy) -> None:
        """Whichever way a connection ends, no descriptor of it stays."""

        def descriptors() -> int:
            return len(os.listdir(f"/proc/{proxied.pid}/fd"))

        before = descriptors()
        for end in (reset, socket.socket.close):
            for mine in (True, False):
                client = connect(proxied)
                there, _ = listener.accept()
                first, second = (client, there) if mine else (there, client)
                end(first)
                second.close()
        # less if one for the question whether it is ready was still open
        eventually(lambda: descriptors() <= before, "all are closed")


def test_ipv6() -> None:
    """On both sides."""
    require(can_bind("::1"), "there is IPv6")
    with echo(socket.AF_INET6, ("::1", 0)) as server:
        with TCPProxy(to=server.to, host="::1") as it, connect(it) as client:
            client.sendall(b"x")
            assert read(client, 1) == b"x"


def test_names(target: Echo) -> None:
    """On both sides; of several addresses one that answers is taken."""
    port = target.server_address[1]
    with TCPProxy(to=f"localhost:{port!s}", host="localhost") as it, connect(it) as client:
        client.sendall(b"x")
        assert read(client, 1) == b"x"


def test_a_unix_socket(tmp_path: Path) -> None:
    """As a target."""
    with echo(socket.AF_UNIX, str(tmp_path / "s")) as server:
        with TCPProxy(to=server.to) as it, connect(it) as client:
            client.sendall(b"x")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"x1"
