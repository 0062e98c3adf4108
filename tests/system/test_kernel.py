"""Questions to the operating system about listeners and processes."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from summon_testcase.system import netlink, procfs

from ..places import can_bind, linux, require
from ..programs import running
from ..samples import ROOT

pytestmark = linux


@contextmanager
def listening(
    host: str, family: int = socket.AF_INET, v6only: int | None = None
) -> Iterator[tuple[int, int]]:
    """Port and inode of a listener in this process."""
    require(family == socket.AF_INET or can_bind(host), "no IPv6 here")
    with socket.socket(family) as sock:
        if v6only is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        sock.bind((host, 0))
        sock.listen()
        yield sock.getsockname()[1], os.fstat(sock.fileno()).st_ino


def test_listener_is_named_by_its_inode() -> None:
    """A listener is found by its exact address, and gone when it is closed."""
    with listening("127.0.0.1") as (port, inode):
        assert netlink.listener("127.0.0.1", port) == inode
        assert netlink.listener("127.0.0.2", port) == 0
    assert netlink.listener("127.0.0.1", port) == 0


def test_wildcard_listener_answers_for_each_address() -> None:
    """A listener on 0.0.0.0 is found under 127.0.0.1."""
    with listening("0.0.0.0") as (port, inode):
        assert netlink.listener("127.0.0.1", port) == inode


def test_dual_stack_listener_answers_an_ipv4_question() -> None:
    """A listener on :: without V6ONLY is found under 127.0.0.1, ::1 and ::ffff:127.0.0.1."""
    with listening("::", socket.AF_INET6, v6only=0) as (port, inode):
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            assert netlink.listener(host, port) == inode


def test_v6only_listener_does_not_answer_an_ipv4_question() -> None:
    """A listener on :: with V6ONLY is found under ::1 alone."""
    with listening("::", socket.AF_INET6, v6only=1) as (port, inode):
        assert netlink.listener("::1", port) == inode
        assert netlink.listener("127.0.0.1", port) == 0


def test_mapped_address_finds_an_ipv4_listener() -> None:
    """::ffff:127.0.0.1 means 127.0.0.1."""
    with listening("127.0.0.1") as (port, inode):
        assert netlink.listener("::ffff:127.0.0.1", port) == inode


def test_bound_socket_does_not_listen() -> None:
    """A socket between bind() and listen() is no listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert netlink.listener("127.0.0.1", sock.getsockname()[1]) == 0


def test_connection_is_no_listener() -> None:
    """The port of an outgoing connection is not taken for a listener's."""
    with listening("127.0.0.1") as (port, _), socket.create_connection(("127.0.0.1", port)) as sock:
        assert netlink.listener("127.0.0.1", sock.getsockname()[1]) == 0


def test_name_is_refused() -> None:
    """A host name is a mistake of the caller, not a free port."""
    with pytest.raises(ValueError, match="localhost"):
        netlink.listener("localhost", 80)


def test_stale_answer_is_not_taken_for_the_next() -> None:
    """An answer left in the queue by an interrupted question is passed over."""
    diag = netlink.SockDiag()
    try:
        with listening("127.0.0.1") as (port, inode):
            before, after = netlink._question("127.0.0.1", port)
            diag._socket.send(before + (77).to_bytes(4, sys.byteorder) + after)
            assert diag.listener("127.0.0.1", 1) == 0
            diag._socket.send(before + (78).to_bytes(4, sys.byteorder) + after)
            assert diag.listener("127.0.0.1", port) == inode
    finally:
        diag.close()


def test_descriptor_is_not_inherited() -> None:
    """A program that is exec'ed does not get the netlink socket."""
    diag = netlink.SockDiag()
    assert not os.get_inheritable(diag.fileno())
    diag.close()
    diag.close()


def test_threads_do_not_mix_answers_up() -> None:
    """Questions of several threads each get their own answer."""
    wrong = []

    def ask(port: int, expected: int) -> None:
        for _ in range(300):
            answer = netlink.listener("127.0.0.1", port)
            if answer != expected:
                wrong.append((port, expected, answer))

    with listening("127.0.0.1") as one, listening("127.0.0.1") as two:
        questions = [one, two, (1, 0)]
        threads = [threading.Thread(target=ask, args=question) for question in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


FORKING = """
import os, socket
from summon_testcase.system import netlink, procfs
with socket.socket() as mine, socket.socket() as yours:
    ports = {}
    for sock in (mine, yours):
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        ports[sock.getsockname()[1]] = os.fstat(sock.fileno()).st_ino
    def right(port):
        return all(netlink.listener("127.0.0.1", port) == ports[port] for _ in range(2000))
    here, there = ports
    ok = right(here)
    inherited = netlink._shared.diag.fileno()
    child = os.fork()
    if child == 0:
        closed = not os.path.exists(f"/proc/self/fd/{inherited}")
        os._exit(0 if closed and right(there) else 1)
    ok = right(here) and ok
    status = os.waitpid(child, 0)[1]
print(ok and status == 0)
"""


def test_forked_child_asks_on_a_socket_of_its_own() -> None:
    """Parent and forked child ask at the same time, and both get their own answers."""
    with running(FORKING) as (_, line):
        assert line == "True"


def test_no_answer_where_netlink_is_refused() -> None:
    """Without netlink the answer is None; the refusal is asked for only once."""
    script = """
import resource
from summon_testcase.system import netlink, procfs
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
full = netlink.listener("127.0.0.1", 1)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
later = netlink.listener("127.0.0.1", 1)
print(full, later)
"""
    with running(script) as (_, line):
        assert line == "None 0"


SPAWNING = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""


@pytest.mark.parametrize("listed", [True, False])
def test_family_is_known(listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children and grandchildren descend from this process, and this one from neither."""
    require(not listed or procfs._children_are_listed(), "this kernel has no lists of children")
    monkeypatch.setattr(procfs, "_children_are_listed", lambda: listed)
    with running(SPAWNING) as (process, line):
        child, grandchild = process.pid, int(line)
        assert procfs.parent_of(grandchild) == child
        assert procfs.parent_of(child) == os.getpid()
        family = procfs.descendants(os.getpid())
        assert {child, grandchild} <= set(family)
        assert family.index(child) < family.index(grandchild)
        assert procfs.descendants(child) == [grandchild]
        assert procfs.descends_from(grandchild, os.getpid())
        assert not procfs.descends_from(os.getpid(), grandchild)
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def test_child_of_another_thread_is_known() -> None:
    """What a thread forked is in the list of that thread, not of the main one."""
    done = threading.Event()
    forked: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()

    def fork() -> None:
        with subprocess.Popen(["/bin/sleep", "60"]) as process:
            forked.put(process)
            done.wait()
            process.kill()

    thread = threading.Thread(target=fork)
    thread.start()
    try:
        assert forked.get(timeout=10).pid in procfs.descendants(os.getpid())
    finally:
        done.set()
        thread.join()


def test_name_with_brackets_does_not_mislead(tmp_path: Path) -> None:
    """A program called ") R 1 (" has the parent that it has."""
    program = tmp_path / ") R 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as process:
        try:
            assert procfs.parent_of(process.pid) == os.getpid()
            assert process.pid in procfs.descendants(os.getpid())
        finally:
            process.kill()


INTERRUPTED = """
import signal, socket, sys
from summon_testcase.system import netlink

heard, here = [], False

def handler(*_):
    global here
    here = True
    heard.append(netlink.listener("127.0.0.1", port))
    here = False

def interrupt(frame, event, arg):
    if frame.f_code.co_filename == netlink.__file__ and not here:
        signal.raise_signal(signal.SIGUSR1)

signal.signal(signal.SIGUSR1, handler)
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    inode = netlink.listener("127.0.0.1", port)
    sys.setprofile(interrupt)
    told = [netlink.listener("127.0.0.1", port) for _ in range(3)]
    sys.setprofile(None)
    told.append(netlink.listener("127.0.0.1", port))
netlink.forget()
print(inode != 0, set(told) == set(heard) == {inode}, len(heard) > 20)
"""


def test_a_signal_handler_asks_too() -> None:
    """A signal handler may ask at any moment of a question: both get their answers."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True True True\n", "")


def test_dead_process_has_neither_parent_nor_command() -> None:
    """A reaped process is unknown; a zombie is known, but not alive."""
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not procfs.is_alive(process.pid)
    process.wait()
    assert not procfs.is_alive(process.pid)
    assert procfs.parent_of(process.pid) is None
    assert procfs.descendants(process.pid) == []
    assert procfs.command_line(process.pid) is None


def test_only_single_processes_are_alive() -> None:
    """0 and negative numbers are no processes, and neither is a number beyond all."""
    assert procfs.is_alive(os.getpid())
    for number in (0, -1, 2**70):
        assert not procfs.is_alive(number)


def test_socket_has_a_holder() -> None:
    """The holder of a listener is found among given processes, and among all."""
    with listening("127.0.0.1") as (_, inode), running("print()\ninput()") as (other, _):
        assert procfs.socket_holder(inode, [other.pid, os.getpid()]) == os.getpid()
        assert procfs.socket_holder(inode, [other.pid, 2**30]) is None
        assert procfs.any_socket_holder(inode) == os.getpid()
    assert procfs.any_socket_holder(inode) is None


def test_command_line_is_one_short_line() -> None:
    """A command is shown quoted, on one line, and not beyond 200 characters."""
    with running("print()\ninput()", "two words", "x" * 500) as (process, _):
        text = procfs.command_line(process.pid)
    assert text is not None
    assert len(text) == procfs.COMMAND_LENGTH
    assert "\n" not in text
    assert "'two words' xxx" in text
