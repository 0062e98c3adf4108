"""Ports under a race: the short form of ``port_races.py``; who has a port is named."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from summon_testcase import HTTPCoordinatedExecutor, PortInUse, TCPCoordinatedExecutor
from summon_testcase.system import ports

from ..places import linux
from ..samples import marked
from .port_races import races
from .scene import LONG, UP, Belongings, sh


def test_no_collision_and_no_stranger() -> None:
    """Real servers in parallel processes: each gets a port of its own and answers itself."""
    workers, starts = (8, 1000) if LONG else (4, 15)
    found = races(workers, starts, disturbers=2)
    print(found)
    assert found["ready"] == workers * starts, found
    assert (found["collisions"], found["strangers"], found["other failures"]) == (0, 0, 0)
    assert found["outgoing connections"]


@linux
def test_the_owner_is_named(mark: str) -> None:
    """Who has the port is named by pid and command line, whatever asks for readiness."""
    script = (
        "import signal, socket\n"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "signal.pause()"
    )
    command = [sys.executable, "-S", "-c", script, "the-owner"]
    before = Belongings()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            port = int(owner.stdout.readline())
            for it in (
                TCPCoordinatedExecutor(sh(UP, mark), port=port, name="it"),
                TCPCoordinatedExecutor(sh(UP, mark), host="localhost", port=port, name="it"),
                HTTPCoordinatedExecutor(
                    sh(UP, mark), url=f"http://127.0.0.1:{port}/health", name="it"
                ),
            ):
                with pytest.raises(PortInUse) as caught:
                    it.start()
                assert (caught.value.owner_pid, caught.value.port) == (owner.pid, port)
                assert "the-owner" in str(caught.value.owner_command)
                assert f"by process {owner.pid} (" in caught.value.message
                assert not marked(mark)
        finally:
            owner.kill()
    assert not before.lost().get("ports")


def test_a_port_that_is_bound_only() -> None:
    """{port} is never a port that another process has bound, even without listening."""
    with socket.socket() as bound:
        port = ports.lease()
        ports.release(port)
        bound.bind(("127.0.0.1", port))
        assert not ports.is_free(port)
        for _ in range(200):
            other = ports.lease()
            assert other != port
            ports.release(other)
