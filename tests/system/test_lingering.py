"""Ports that the connections of a former server keep for a minute."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from summon_testcase import (
    HTTPCoordinatedExecutor,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    TCPCoordinatedExecutor,
    TimeoutExpired,
)
from summon_testcase.system import ports

from ..doubles import death_of, limits_of, redeclare
from ..places import linux
from ..samples import eventually, marked

pytestmark = linux

#: a server that closes each connection first, and so keeps it in TIME_WAIT
SERVER = """
import signal, socket, sys, traceback
port, reuses, otherwise = int(sys.argv[1]), sys.argv[2] == "1", sys.argv[3]
host = sys.argv[4]
server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuses))
try:
    server.bind((host, port))
except OSError:
    if otherwise == "raise":
        raise
    if otherwise == "exit":
        sys.exit("cannot start")
    if otherwise == "wait":
        traceback.print_exc()
        sys.exit(input())
    signal.pause()
server.listen()
print("up", flush=True)
while True:
    client = server.accept()[0]
    client.recv(4096)
    client.sendall(b"HTTP/1.0 204 Fine\\r\\n\\r\\n")
    client.close()
"""


def words(mark: str, reuses: bool = False, otherwise: str = "raise") -> list[str]:
    """The command of the server."""
    how = [str(int(reuses)), otherwise, "{host}"]
    return [sys.executable, "-Sc", SERVER, "{port}", *how, mark]


def use(port: int, host: str = "127.0.0.1") -> None:
    """Make connections that linger after the end of the server."""
    for _ in range(5):
        with socket.create_connection((host, port), 5) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while client.recv(100):
                pass
    eventually(lambda: set(ports.procfs.tcp_states(port)) == {6, 10}, "they are in TIME_WAIT")


def test_restart(mark: str) -> None:
    """The error says why the address is in use."""
    server = TCPCoordinatedExecutor(words(mark), name="web").start()
    port = server.port
    use(port)
    with pytest.raises(ProcessExited) as caught:
        server.restart()
    said = caught.value.message
    assert "web: exited with status 1 before it was ready" in said
    assert f"port {port} was not free, though nobody listened there: " in said
    assert "SO_REUSEADDR" in said and not marked(mark)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("flavour", ["TCP", "HTTP"])
def test_whatever_is_asked(flavour: str, host: str, mark: str) -> None:
    """The same for HTTP, and over IPv6; the request of a probe leaves a connection, too."""
    server = (
        HTTPCoordinatedExecutor(words(mark), url="http://{host}:{port}/", host=host)
        if flavour == "HTTP"
        else TCPCoordinatedExecutor(words(mark), host=host)
    ).start()
    use(server.port, host)
    with pytest.raises(ProcessExited, match=f"port {server.port} was not free, though nobody"):
        server.restart()
    assert not marked(mark)


@pytest.mark.parametrize("otherwise", ["exit", "stay"])
def test_it_does_not_say_so(otherwise: str, mark: str) -> None:
    """If the server does not say why it fails, the error only has what was seen at the start."""
    command = words(mark, otherwise=otherwise)
    server = TCPCoordinatedExecutor(command, name="web", timeout=2).start()
    use(server.port)
    error: Any = ProcessExited if otherwise == "exit" else TimeoutExpired
    with pytest.raises(error, match=r"when it was started port .* SO_REUSEADDR") as caught:
        server.restart()
    assert "lingered" not in caught.value.message


def test_a_port_that_is_given(mark: str) -> None:
    """The error also comes at a first start, and for an executor that does not probe the port."""
    port = ports.lease()
    first = TCPCoordinatedExecutor(words(mark), port=port)
    with first:
        use(port)
    with pytest.raises(ProcessExited, match=f"port {port} was not free"):
        OutputCoordinatedExecutor(words(mark), "up", port=port).start()
    it = SimpleExecutor(words(mark, otherwise="wait"), port=port, name="it")
    with it:
        it.wait_for_output("in use")
        it.sendline("so it ends")
        eventually(lambda: not it.running(), "it has ended")
        death = death_of(it)
        assert death is not None and f"now: port {port} was not free" in death.message
        it.kill()
    ports.release(port)


def test_a_server_that_sets_it(mark: str) -> None:
    """A server with SO_REUSEADDR restarts; other failures do not mention connections."""
    with TCPCoordinatedExecutor(words(mark, reuses=True)) as server:
        use(server.port)
        server.restart()
        assert server.running()
        use(server.port)
        redeclare(server, until=lambda it: False)
        # seconds in which it listens for sure: before that the connections may be in its way
        limits_of(server).timeout = 3
        with pytest.raises(TimeoutExpired) as caught:
            server.restart()
        assert "lingered" not in str(caught.value)


def test_somebody_else_listens(mark: str) -> None:
    """If a process listens at the port, the error is PortInUse."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert ports.lingering(port) == "" and not ports.is_free(port)
        with pytest.raises(ProcessExited) as caught:
            OutputCoordinatedExecutor(words(mark), "up", port=port).start()
        assert "lingered" not in str(caught.value)
    free = ports.lease()
    assert ports.lingering(free) == ""
    ports.release(free)
