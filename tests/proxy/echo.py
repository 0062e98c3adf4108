"""A server that returns what it is sent, for tests that look at single bytes and connections."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from summon_testcase.services import TCPProxy

from ..samples import PATIENCE


class _Echo(socketserver.BaseRequestHandler):
    """Returns all that it reads, and after the end of that the number of bytes."""

    server: Echo

    def handle(self) -> None:
        total = 0
        try:
            while data := self.request.recv(1 << 16):
                total += len(data)
                self.server.heard.append(data)
                self.request.sendall(data)
            self.request.sendall(b"%d" % total)
        except ConnectionResetError:
            self.server.reset.set()


class Echo(socketserver.ThreadingTCPServer):
    """The server; each connection has a thread."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, family: socket.AddressFamily, address: object) -> None:
        self.address_family = family
        #: what it was sent
        self.heard: list[bytes] = []
        #: set when a client has reset a connection
        self.reset = threading.Event()
        super().__init__(address, _Echo)  # type: ignore[arg-type]

    @property
    def to(self) -> str:
        """Its address as a proxy is told."""
        if self.address_family == socket.AF_UNIX:
            return str(self.server_address)
        host, port, *_ = self.server_address
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"


@contextmanager
def echo(
    family: socket.AddressFamily = socket.AF_INET, address: object = ("127.0.0.1", 0)
) -> Iterator[Echo]:
    """A server, for a block."""
    with Echo(family, address) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def connect(proxy: TCPProxy) -> socket.socket:
    """A connection to a proxy."""
    return socket.create_connection((proxy.host, proxy.port), PATIENCE)


def read_all(sock: socket.socket) -> bytes:
    """All that comes until the other side ends."""
    pieces = []
    while data := sock.recv(1 << 16):
        pieces.append(data)
    return b"".join(pieces)


def read(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer if the other side ends before."""
    heard = b""
    while len(heard) < size and (data := sock.recv(size - len(heard))):
        heard += data
    return heard
