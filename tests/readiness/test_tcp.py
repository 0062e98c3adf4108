"""TCP probes, asked about real sockets."""

from __future__ import annotations

import os
import socket
import sys
import time

import pytest

from summon_testcase.asker import program
from summon_testcase.errors import InvalidArgument, PortInUse
from summon_testcase.readiness.tcp import TCPProbe
from summon_testcase.scheduling.steps import run
from summon_testcase.system import ports, procfs

from ..places import can_bind, linux, require, root
from .asked import IDLE, LISTENING, ME, Service, both_ways, check, leased, look, occupied, running


@both_ways
@pytest.mark.parametrize(
    ("listens", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("::1", "::1"),
        ("::1", "::"),
        ("::", "127.0.0.1"),
        ("::", "localhost"),
    ],
)
def test_tcp_ready_when_the_service_listens(listens: str, asked: str, ask_kernel: bool) -> None:
    """A listener on a plain, wildcard or dual-stack address is seen, by name too."""
    require(can_bind(listens), f"{listens} does not exist here")
    with leased() as port, running(LISTENING, listens, port) as (service, _):
        assert look(check(TCPProbe(asked, port, ask_kernel)), service) is None


@both_ways
def test_tcp_refusal_names_the_address(ask_kernel: bool) -> None:
    """Without a listener the refusal names host and port, for each address of a name."""
    with leased() as port:
        refusal = look(TCPProbe("127.0.0.1", port, ask_kernel), ME)
        assert refusal == f"connection refused by 127.0.0.1:{port}"
        addresses = {entry[4][0] for entry in socket.getaddrinfo("localhost", None)}
        refusal = look(TCPProbe("localhost", port, ask_kernel), ME)
        assert refusal is not None
        for address in addresses:
            assert f"{address}:{port}" in refusal.replace("[", "").replace("]", "")
        assert occupied(TCPProbe("127.0.0.1", port, ask_kernel), "web") is None


def test_tcp_occupied_is_seen_also_when_time_is_over() -> None:
    """A busy event loop looks too late at an answer that has come in time."""
    with leased() as port, running(LISTENING, "127.0.0.1", port):
        late = TCPProbe("127.0.0.1", port).occupied("web", time.monotonic() - 1)
        assert run(late) is not None


def test_tcp_name_without_address_is_a_refusal() -> None:
    """A host that cannot be resolved is named in the refusal, and occupied by nobody."""
    for host in ("no-such-host.invalid", "two..dots"):
        probe = TCPProbe(host, 80)
        refusal = look(probe, ME)
        assert refusal is not None
        assert refusal.startswith(f"cannot resolve {host!r}: ")
        assert occupied(probe, "web") is None


def test_tcp_bound_is_not_ready() -> None:
    """A port between bind() and listen() is refused."""
    with leased() as port, socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        for ask_kernel in (True, False):
            assert look(TCPProbe("127.0.0.1", port, ask_kernel), ME) is not None


CHILD_LISTENS = """
import os, socket, sys
port = int(sys.argv[1])
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    if os.fork() == 0:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            sock.listen()
            os.write(write, b"!")
            sys.stdin.read()
    else:
        os.wait()
    os._exit(0)
os.read(read, 1)
print("listening", flush=True)
os.waitpid(pid, 0)
"""


@linux
def test_tcp_listener_may_be_a_descendant() -> None:
    """A grandchild of the main process that listens is the service's own."""
    with leased() as port, running(CHILD_LISTENS, port) as (service, _):
        assert look(TCPProbe("127.0.0.1", port), service) is None
        elsewhere = Service(os.getpid(), service.pid)
        assert look(TCPProbe("127.0.0.1", port), elsewhere) is None


@linux
def test_tcp_stranger_is_named() -> None:
    """When another process listens the error names port, pid and command, not readiness."""
    with (
        leased() as port,
        running(LISTENING, "127.0.0.1", port) as (stranger, _),
        running(IDLE) as (service, _),
    ):
        with pytest.raises(PortInUse) as caught:
            look(TCPProbe("127.0.0.1", port), service)
        assert (caught.value.port, caught.value.owner_pid) == (port, stranger.pid)
        assert caught.value.owner_command == procfs.command_line(stranger.pid)
        assert f"127.0.0.1:{port} was taken by another process" in str(caught.value)
        assert f"by process {stranger.pid} (" in str(caught.value)
        assert look(TCPProbe("127.0.0.1", port, ask_kernel=False), service) is None


@both_ways
def test_tcp_occupied_before_the_start(ask_kernel: bool) -> None:
    """A listener from before the start is an error that names the executor, and its owner."""
    with leased() as port, running(LISTENING, "127.0.0.1", port) as (stranger, _):
        error = occupied(TCPProbe("127.0.0.1", port, ask_kernel), "db")
        assert error is not None
        assert str(error).startswith(f"db cannot start: 127.0.0.1:{port} is in use already")
        assert (error.executor, error.port) == ("db", port)
        if sys.platform == "linux":
            assert error.owner_pid == stranger.pid
            assert error.owner_command is not None
        else:
            assert "the system does not tell" in str(error)


AS_NOBODY = """
import os, sys
from dataclasses import dataclass
from summon_testcase.readiness.tcp import TCPProbe
@dataclass
class Service:
    pid: int
    keeper_pid: int
os.setgid(65534)
os.setuid(65534)
print(TCPProbe("127.0.0.1", int(sys.argv[1])).look(Service(os.getpid(), os.getpid())))
"""


@linux
@root
def test_tcp_listener_of_another_user_is_accepted() -> None:
    """A listener whose holder may not be seen counts: services may change their user."""
    with leased() as port, running(LISTENING, "127.0.0.1", port), running(AS_NOBODY, port) as seen:
        assert seen[1] == "None"


def test_tcp_probe_does_not_mistake_itself_for_the_service() -> None:
    """A connection of the probe to itself, by TCP's simultaneous open, is refused.

    Happens on ports of the ephemeral range that nobody listens on.
    """
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = map(int, file.read().split())
    except OSError:
        low, high = 49152, 65535
    middle = (low + high) // 2
    port = next(p for p in range(middle + middle % 2, high, 2) if ports.is_free(p))
    deadline = time.monotonic() + 8
    happened = False
    while not happened and time.monotonic() < deadline:
        with socket.socket() as sock:
            try:
                sock.connect(("127.0.0.1", port))
                happened = sock.getsockname() == sock.getpeername()
            except OSError:
                continue
    require(happened, "this kernel did not connect a socket to itself within 8 s")
    question = program.Question(1, 60, lambda data: None)
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        kind, _ = program.connect_once(question, "127.0.0.1", port, 1)
        assert kind != "accepted"
        if kind == "itself":
            question.close()
            return
    require(False, "the probe was not connected to itself within 8 s")


def test_tcp_full_queue_is_a_refusal_in_time() -> None:
    """A listener that accepts nothing any more is refused within the short timeout."""
    with leased() as port, socket.socket() as sock, socket.socket() as first:
        sock.bind(("127.0.0.1", port))
        sock.listen(0)
        first.connect(("127.0.0.1", port))
        began = time.monotonic()
        with socket.socket() as second:
            second.settimeout(0.2)
            try:
                second.connect(("127.0.0.1", port))
            except TimeoutError:
                queued = False
            else:
                queued = True
            require(not queued, "this system queues more connections than it was told")
        refusal = look(TCPProbe("127.0.0.1", port, ask_kernel=False), ME, left=2)
        assert refusal == f"no connection to 127.0.0.1:{port} within 2 s"
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_tcp_impossible_port(port: int) -> None:
    """A port outside 1 to 65535 is a mistake that the message explains."""
    with pytest.raises(InvalidArgument, match="between 1 and 65535"):
        TCPProbe("127.0.0.1", port).check()


def test_tcp_describes_itself() -> None:
    """The description names the address as declared."""
    assert TCPProbe("127.0.0.1", 5432).describe() == "a connection to 127.0.0.1:5432"
    assert TCPProbe("::1", 5432).describe() == "a connection to [::1]:5432"
