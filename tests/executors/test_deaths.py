"""A service that died in a block, of ``with`` or of ``orchestrated``, is an error of the block."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    FileCoordinatedExecutor,
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    SummonError,
    SummonTestCase,
    TCPCoordinatedExecutor,
    orchestrated,
)
from summon_testcase.system import netlink, ports

from ..cases import run
from ..doubles import members_of
from ..reliability.scene import Belongings
from ..samples import alive, eventually, service


def serving() -> TCPCoordinatedExecutor:
    """A server that exits with 0 when it gets a line."""
    source = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); "
        "sys.stdin.readline()"
    )
    return TCPCoordinatedExecutor([sys.executable, "-c", source, "{port}"], name="it")


def dying(name: str = "it", **options: Any) -> OutputCoordinatedExecutor:
    """A service that exits with the status that a test sends."""
    script = "echo up; read status; echo ending; exit $status"
    return OutputCoordinatedExecutor(["/bin/sh", "-c", script], "up", name=name, **options)


def end(it: Any, status: int) -> None:
    it.sendline(str(status))
    eventually(lambda: not it.running(), "the death")


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    """No process, port or file is left but logs that errors have named."""
    dying().start().stop()
    ports.release(ports.lease())
    netlink.listener("127.0.0.1", 1)
    before = Belongings()
    yield
    found = before.lost()
    for name in found.pop("files", []):  # type: ignore[attr-defined]
        from summon_testcase.output.log import run_directory

        assert name.endswith(".log")
        Path(run_directory(), name).unlink()
    assert found == {}


WAYS: list[Any] = [
    pytest.param(lambda it: it, id="with"),
    pytest.param(lambda it: orchestrated(it), id="orchestrated"),
    pytest.param(lambda it: orchestrated(it=it), id="mapping"),
    pytest.param(lambda it: Orchestrator([Orchestrator({"it": it})]), id="nested"),
]


def test_a_daemon_that_was_ready_before_its_starter_ended() -> None:
    """The daemon has died, and not the process that started it and has ended as expected."""
    script = "setsid sh -c 'echo $$ >$0; sleep 1000' $0 & read line"
    path = "{tmpdir}/it.pid"
    with pytest.raises(ProcessExited) as caught:
        with FileCoordinatedExecutor(["sh", "-c", script, path], path, name="it") as it:
            assert it.exit_code is None
            it.sendline()
            eventually(lambda: it.exit_code == 0, "the starter has ended")
            assert it.running()
            os.killpg(int(Path(it.path).read_text()), signal.SIGKILL)
            eventually(lambda: not it.running(), "the death")
    assert caught.value.message == (
        "it: exited with status 0, and what it left running has ended before it was stopped"
    )


@pytest.mark.parametrize("way", WAYS)
class TestBlocks:
    def test_it_ended(self, way: Callable[[Any], Any]) -> None:
        """The error is as that of a death in a TestCase."""
        it = dying()
        with pytest.raises(ProcessExited) as caught:
            with way(it):
                end(it, 3)
        assert "it: exited with status 3 before it was stopped" in str(caught.value)
        assert "| ending" in str(caught.value)
        assert caught.value.exit_code == 3

    def test_a_server_that_ended(self, way: Callable[[Any], Any]) -> None:
        """The end of a server is a death even with status 0."""
        it = serving()
        with pytest.raises(ProcessExited, match="it: exited with status 0 before it was stopped"):
            with way(it):
                end(it, 0)

    def test_at_the_last_moment(self, way: Callable[[Any], Any]) -> None:
        """Killed, and not waited for."""
        for _ in range(20):
            it = dying()
            with pytest.raises(ProcessExited, match="it: was killed by SIGKILL before it was stop"):
                with way(it):
                    os.kill(it.pid, signal.SIGKILL)

    def test_a_server_at_the_last_moment(self, way: Callable[[Any], Any]) -> None:
        """The keeper knows that it had ended before the stop, though the test process does not."""
        it = serving()
        with pytest.raises(ProcessExited, match="it: exited with status 0 before it was stopped"):
            with way(it):
                pid = it.pid
                it.sendline()
                eventually(lambda: not alive(pid), "the death")

    def test_ended_by_the_test(self, way: Callable[[Any], Any]) -> None:
        """What the test stops, kills or restarts has not died."""
        for method in ("stop", "kill", "restart"):
            it = dying()
            with way(it):
                getattr(it, method)()
        it = dying()
        with way(it):
            end(it, 3)
            it.restart()

    def test_what_is_meant_to_end(self, way: Callable[[Any], Any]) -> None:
        """A one-shot, and a program that only writes, may end with 0, at any time."""
        with way(SimpleExecutor(service("exits.py", 0, 0, "x"), one_shot=True)):
            pass
        for it in (dying(), SimpleExecutor(["/bin/sh", "-c", "read x"])):
            with way(it):
                end(it, 0)
            for _ in range(10):  # so that it also ends just when its state is read
                with way(it):
                    it.sendline("0")
        it = SimpleExecutor(["/bin/sh", "-c", "read x; exit 3"])
        with pytest.raises(ProcessExited):
            with way(it):
                end(it, 0)

    def test_beside_an_error(self, way: Callable[[Any], Any]) -> None:
        """An exception that leaves the block stays the same, and names the death."""
        for error in (ConnectionRefusedError("mine"), KeyboardInterrupt()):
            it = dying()
            with pytest.raises(type(error)) as caught:
                with way(it):
                    end(it, 3)
                    raise error
            assert caught.value is error
            said = "".join(traceback.format_exception(type(error), error, None))
            assert said.count("it: exited with status 3 before it was stopped") == 1
            if sys.version_info < (3, 11):
                assert isinstance(error.__cause__, ProcessExited)

    def test_beside_an_error_that_tells_it(self, way: Callable[[Any], Any]) -> None:
        """An error of ours that the service has ended is not told twice."""
        it = dying()
        with pytest.raises(ProcessExited) as caught:
            with way(it):
                it.sendline("3")
                it.wait_for_output("never", timeout=30)
        said = "".join(traceback.format_exception(ProcessExited, caught.value, None))
        assert said.count("exited with status 3 before") == 1


def test_at_once() -> None:
    """A service that fails just when it is ready, since spawned, leaves nothing running."""
    said = set()
    for number in range(30):
        try:
            with SimpleExecutor("sleep wrong") as it:
                if number % 2:
                    eventually(lambda: not it.running(), "it has ended")
        except SummonError as error:
            said.add(error.message.partition(" before it ")[0].partition(" when it ")[0])
    assert said == {"sleep: exited with status 1"}


def test_an_orchestrator_is_stopped() -> None:
    """stop() says it too, once."""
    it = dying()
    group = Orchestrator({"it": it, "other": dying("other")})
    group.start()
    end(it, 3)
    with pytest.raises(ProcessExited, match="exited with status 3"):
        group.stop()
    group.stop()


def test_several() -> None:
    """The first death is raised, and names the others, and a stop that failed."""
    a, b = dying("a"), dying("b")
    deaf = OutputCoordinatedExecutor(
        ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"],
        "up",
        name="deaf",
        stop_timeout=0.3,
    )
    with pytest.raises(ProcessExited) as caught:
        with orchestrated(a=a, b=b, deaf=deaf):
            end(a, 1)
            end(b, 2)
    assert caught.value.message.startswith("a: exited with status 1")
    assert "and died: b: exited with status 2" in str(caught.value)
    assert "and while stopping: deaf: it did not end within 0.3 s" in str(caught.value)


def test_the_plain_stop() -> None:
    """Outside of a block it does nothing for one that is not running."""
    it = dying().start()
    end(it, 3)
    it.stop()


def test_frozen_errors() -> None:
    """An exception that takes no attributes passes as it is."""

    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    it = dying()
    with pytest.raises(Frozen):
        with it:
            end(it, 3)
            raise Frozen


def test_in_a_testcase() -> None:
    """If a test stops a group of its TestCase, a death in it is reported once."""

    class Case(SummonTestCase):
        group = Orchestrator({"it": dying()})

        def test(self) -> None:
            end(members_of(self.group)["it"], 3)
            self.group.stop()

    result = run(Case)
    assert (result.errors, result.failures) == ([], [])


def test_a_block_in_a_test() -> None:
    """A block of the test's own is told as anywhere."""

    class Case(SummonTestCase):
        other = dying()

        def test(self) -> None:
            with dying("mine") as it:
                end(it, 3)

    result = run(Case)
    ((_, said),) = result.errors
    assert "ProcessExited: mine: exited with status 3 before it was stopped" in said
