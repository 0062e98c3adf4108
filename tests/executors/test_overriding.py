"""What a subclass overrides is what is called; and hooks for those that only add to a start."""

from __future__ import annotations

import logging
import os
import signal
import sys
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from summon_testcase import (
    AlreadyRunning,
    Executor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    SpawnFailed,
    StartFailed,
    StopFailed,
    SummonTestCase,
    TCPCoordinatedExecutor,
    orchestrated,
)

from ..cases import run
from ..doubles import has_instance, has_lease, reset
from ..reliability.scene import Belongings, run_program
from ..samples import PATIENCE, alive, eventually, meets, service

SILENT = service("silent.py", "x")


class Noting:
    """A mixin that notes what is called of it."""

    def start(self) -> Any:
        self.calls.append("start")  # type: ignore[attr-defined]
        super().start()  # type: ignore[misc]
        self.calls.append("started")  # type: ignore[attr-defined]
        return self

    def stop(self) -> None:
        self.calls.append("stop")  # type: ignore[attr-defined]
        super().stop()  # type: ignore[misc]
        self.calls.append("stopped")  # type: ignore[attr-defined]


START, STOP = ["start", "started"], ["stop", "stopped"]


class Mine(Noting, SimpleExecutor):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments or (SILENT,), **options)
        self.calls: list[str] = []


class Direct(SimpleExecutor):
    def start(self) -> Any:
        self.calls = ["start"]
        super().start()
        self.calls.append("started")
        return self

    def stop(self) -> None:
        self.calls.append("stop")
        super().stop()
        self.calls.append("stopped")


class Flavoured(Noting, TCPCoordinatedExecutor):
    def __init__(self) -> None:
        super().__init__([sys.executable, "-m", "http.server", "--bind", "{host}", "{port}"])
        self.calls: list[str] = []


class Grouped(Noting, Orchestrator):
    def __init__(self) -> None:
        super().__init__({"inner": SimpleExecutor(SILENT)})
        self.calls: list[str] = []


class Without(SimpleExecutor):
    """A service that is elsewhere, if the environment says so."""

    def __init__(self) -> None:
        super().__init__("a-program-that-is-not-installed")
        self.calls: list[str] = []

    def start(self) -> Any:
        self.calls += START
        return self

    def stop(self) -> None:
        self.calls += STOP


class Own(Executor):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> Any:
        self.calls += START
        return self

    def stop(self) -> None:
        self.calls += STOP


def patched() -> Any:
    it: Any = SimpleExecutor(SILENT)
    it.calls = []
    start, stop = it.start, it.stop
    it.start = lambda: (it.calls.append("start"), start(), it.calls.append("started"), it)[-1]
    it.stop = lambda: (it.calls.append("stop"), stop(), it.calls.append("stopped"))
    return it


KINDS = [Mine, lambda: Direct(SILENT), Flavoured, Grouped, Without, Own, patched]
NAMES = ["mixin", "direct", "flavour", "orchestrator", "without super", "own", "instance"]
every = pytest.mark.parametrize("kind", KINDS, ids=NAMES)


@every
class TestEverywhere:
    def test_in_a_block(self, kind: Any) -> None:
        with kind() as it:
            assert it.calls == START
        assert it.calls == START + STOP

    def test_orchestrated(self, kind: Any) -> None:
        with orchestrated(it=kind(), other=SimpleExecutor(SILENT)) as (it, _):
            assert it.calls == START
        assert it.calls == START + STOP

    def test_an_orchestrator(self, kind: Any) -> None:
        it = kind()
        outer = Orchestrator([Orchestrator([it])])
        outer.start()
        assert it.calls == START
        outer.stop()
        assert it.calls == START + STOP

    @pytest.mark.parametrize("scope", ["test", "class", "module", "run"])
    def test_in_a_testcase(self, kind: Any, scope: Any) -> None:
        class Case(SummonTestCase):
            it = kind()
            it.scope = scope

            def test(self) -> None:
                assert self.it.calls == START

        result = run(Case)
        reset()
        assert (result.errors, result.failures) == ([], [])
        assert Case.it.calls == START + STOP

    def test_what_a_test_stops(self, kind: Any) -> None:
        class Case(SummonTestCase):
            it = kind()

            def test_1(self) -> None:
                self.it.stop()
                del self.it.calls[:]

            def test_2(self) -> None:
                pass

        result = run(Case)
        assert (result.errors, result.failures) == ([], [])
        calls = [call for call in Case.it.calls if call in (START[0], STOP[0])]
        if kind in (Without, Own):  # nobody knows that it was stopped
            assert calls == ["stop"]
        else:
            assert calls in (["start", "stop"], ["stop", "start", "stop"])


class TestRestarts:
    @pytest.mark.parametrize("kind", [Mine, Flavoured, patched])
    def test_restart_and_stopped(self, kind: Any) -> None:
        """Both are called, and port and directory stay."""
        with kind() as it:
            directory = it.tmpdir
            del it.calls[:]
            it.restart()
            assert it.calls == STOP + START
            with it.stopped():
                assert it.calls == STOP + START + STOP
            assert it.calls == (STOP + START) * 2
            assert it.tmpdir == directory
        assert not os.path.exists(directory)

    def test_kill_restart_and_stopped_of_its_own(self) -> None:
        """The methods that build on others call what is overridden."""

        class It(SimpleExecutor):
            calls: list[str] = []

            def kill(self) -> None:
                self.calls.append("kill")
                super().kill()

            def stopped(self) -> Any:
                self.calls.append("stopped")
                return super().stopped()

        it = It(SILENT)
        group = Orchestrator([it])
        group.start()
        it.restart()
        assert it.calls == ["stopped"]
        group.kill()
        assert it.calls == ["stopped", "kill"]
        group.stop()

    def test_a_revival(self) -> None:
        """A start again after a death is a start."""

        class Case(SummonTestCase):
            it = Mine(restart=True)

            def test_1(self) -> None:
                os.kill(self.it.pid, signal.SIGKILL)
                eventually(lambda: not self.it.running(), "the death")

            def test_2(self) -> None:
                assert self.it.calls == START + STOP + START

        logging.disable(logging.WARNING)
        try:
            result = run(Case)
        finally:
            logging.disable(logging.NOTSET)
        assert (result.errors, result.failures) == ([], [])
        assert Case.it.calls == (START + STOP) * 2

    def test_patched_classes(self) -> None:
        """A mock in the place of a method of this package is called too."""
        with mock.patch.object(SimpleExecutor, "start") as start:
            with mock.patch.object(SimpleExecutor, "stop") as stop:
                with orchestrated(SimpleExecutor(SILENT)):
                    start.assert_called_once_with()
                stop.assert_called_once_with()

    def test_the_end_of_the_process(self, tmp_path: Path) -> None:
        """What nobody stopped is stopped by its own stop()."""
        source = """
from summon_testcase import SimpleExecutor
class It(SimpleExecutor):
    def stop(self):
        super().stop()
        print("mine")
It(["sleep", "100"]).start()
"""
        done = run_program(source, tmp_path)
        assert (done.stdout, done.stderr) == ("mine\n", "")

    def test_no_others_wait_for_hooks(self, tmp_path: Path) -> None:
        """An overridden start blocks; one with hooks waits beside others."""
        script = ["/bin/sh", "-c", f"{meets(tmp_path, 8)}; echo ready; read x"]

        class Hooked(OutputCoordinatedExecutor):
            def ready(self) -> None:
                self.output()

        services = {f"s{n}": Hooked(script, "ready", timeout=PATIENCE) for n in range(8)}
        with orchestrated(**services):
            assert all(service.running() for service in services.values())


class TestFailures:
    @pytest.mark.parametrize(
        "begin",
        [
            lambda it: it.__enter__(),
            lambda it: orchestrated(it).start(),
            lambda it: Orchestrator({"it": it, "b": SimpleExecutor(SILENT)}).start(),
        ],
    )
    def test_what_is_added_fails(self, begin: Any) -> None:
        """A process that was ready before is ended: a failed start leaves nothing."""
        pids = []

        class It(SimpleExecutor):
            def start(self) -> Any:
                super().start()
                pids.append(self.pid)
                assert self.tmpdir
                raise ZeroDivisionError

        SimpleExecutor(SILENT).start().stop()
        before = Belongings()
        with pytest.raises(ZeroDivisionError):
            begin(It(SILENT))
        assert not any(map(alive, pids))
        assert before.lost() == {}

    @pytest.mark.parametrize("kind", [Mine, Grouped, Flavoured, patched])
    def test_what_runs_already(self, kind: Any) -> None:
        """That it does is the error, and no reason to end it."""
        it = kind()
        with it:
            for begin in (it.start, it.__enter__, orchestrated(it).start):
                with pytest.raises(AlreadyRunning):
                    begin()
                assert it.running()
        assert not it.running()

    def test_a_group_that_fails_in_what_is_added(self) -> None:
        """All members are ended, also at the beginning of a block."""
        inner = SimpleExecutor(SILENT)

        class It(Orchestrator):
            def start(self) -> Any:
                super().start()
                raise ZeroDivisionError

        for begin in (It([inner]).__enter__, orchestrated(It([inner])).start):
            with pytest.raises(ZeroDivisionError):
                begin()
            assert not inner.running()

    def test_in_a_testcase(self) -> None:
        pids = []

        class It(SimpleExecutor):
            def start(self) -> Any:
                super().start()
                pids.append(self.pid)
                raise ZeroDivisionError

        class Case(SummonTestCase):
            it = It(SILENT)

            def test_1(self) -> None:
                pass

        result = run(Case)
        assert "ZeroDivisionError" in result.errors[0][1]
        assert not any(map(alive, pids))


class Hooked(OutputCoordinatedExecutor):
    """Writes the file that its command names."""

    def __init__(self, **options: Any) -> None:
        script = 'cat "$0"; read x'
        super().__init__(
            ["/bin/sh", "-c", script, "{tmpdir}/config", "{port}"], r"port (\d+)\n", **options
        )
        self.calls: list[str] = []

    def prepare(self) -> None:
        self.calls.append("prepare")
        assert not self.running()
        Path(self.tmpdir, "config").write_text(f"port {self.port}\n")

    def ready(self) -> None:
        self.calls.append("ready")
        assert self.running() and self.match

    def cleanup(self) -> None:
        self.calls.append("cleanup")
        assert not self.running()
        assert os.path.exists(f"{self.tmpdir}/config") and self.port
        assert not has_instance(self) or "port" in self.tail()[0]


RUN = ["prepare", "ready", "cleanup"]


class TestHooks:
    def test_in_their_order(self) -> None:
        """Around each run, also in a restart, and after a kill or a death."""
        with Hooked() as it:
            assert it.match and int(it.match[1]) == it.port
            assert it.calls == RUN[:2]
            it.restart()
            assert it.calls == RUN + RUN[:2]
            it.kill()
            assert it.calls == RUN * 2
            it.start()
            os.kill(it.pid, signal.SIGKILL)
            eventually(lambda: not it.running(), "the death")
            it.start()
            assert it.calls == RUN * 3 + RUN[:2]
        assert it.calls == RUN * 4
        it.stop()
        assert it.calls == RUN * 4

    def test_orchestrated_and_in_a_testcase(self) -> None:
        with orchestrated(it=Hooked(), other=SimpleExecutor(SILENT)) as (it, _):
            assert it.calls == RUN[:2]
        assert it.calls == RUN

        class Case(SummonTestCase):
            it = Hooked()
            other = SimpleExecutor([*SILENT, "{it.port}"])

            def test(self) -> None:
                assert self.it.calls == RUN[:2]

        result = run(Case)
        assert (result.errors, result.failures) == ([], [])
        assert Case.it.calls == RUN

    def test_at_the_end_of_the_process(self, tmp_path: Path) -> None:
        source = """
from summon_testcase import SimpleExecutor
class It(SimpleExecutor):
    def cleanup(self):
        print("cleaned", self.tmpdir != "")
It(["sleep", "100"]).start()
"""
        done = run_program(source, tmp_path)
        assert (done.stdout, done.stderr) == ("cleaned True\n", "")

    @pytest.mark.parametrize("error", [ZeroDivisionError("mine"), OSError(5, "mine")])
    @pytest.mark.parametrize("hook", ["prepare", "ready"])
    @pytest.mark.parametrize("way", ["start", "orchestrated"])
    def test_one_that_fails(self, hook: str, error: Exception, way: str) -> None:
        """Its error is that of the start, which leaves nothing; cleanup() follows prepare()."""
        Hooked().start().stop()
        before = Belongings()
        it = Hooked()
        setattr(it, hook, mock.Mock(side_effect=error))
        it.cleanup = mock.Mock()  # type: ignore[method-assign]
        with pytest.raises(type(error)) as caught:
            it.start() if way == "start" else orchestrated(it).start()
        assert caught.value is error
        assert not it.running()
        assert it.cleanup.call_count == (hook == "ready")
        assert before.lost() == {}

    @pytest.mark.parametrize("where", ["prepare", "until", "ready", "cleanup"])
    @pytest.mark.parametrize("way", ["start", "orchestrated"])
    def test_ctrl_c(self, where: str, way: str) -> None:
        """Leaves nothing; cleanup() follows prepare(); and it can be started again."""
        Hooked().start().stop()
        before = Belongings()
        due = [where]

        class It(Hooked):
            def prepare(self) -> None:
                interrupted("prepare")
                super().prepare()

            def ready(self) -> None:
                super().ready()
                interrupted("ready")

            def cleanup(self) -> None:
                super().cleanup()
                interrupted("cleanup")

        def interrupted(place: str) -> bool:
            if due == [place]:
                due.clear()
                signal.raise_signal(signal.SIGINT)
            return True

        it = It(until=lambda e: interrupted("until"))
        block = it if way == "start" else orchestrated(other=SimpleExecutor(SILENT), it=it)
        with pytest.raises(KeyboardInterrupt), block:
            assert where == "cleanup"
        assert not it.running()
        assert it.calls.count("cleanup") == (where != "prepare")
        assert before.lost() == {}
        with it:
            assert it.running()

    def test_a_start_that_fails(self) -> None:
        """cleanup() is called, and the error tells of one that fails too."""
        it = Hooked(timeout=30, fails_on="port")
        it.cleanup = mock.Mock(side_effect=ZeroDivisionError("mine"))  # type: ignore[method-assign]
        with pytest.raises(StartFailed) as caught:
            it.start()
        assert "and in cleanup(): ZeroDivisionError: mine" in str(caught.value)
        assert caught.value.report and not os.path.exists(it.tmpdir if has_lease(it) else "")
        os.unlink(caught.value.report.log_path)
        assert it.cleanup.call_count == 1

    def test_cleanups_that_fail(self) -> None:
        """All are called, all services are stopped, and nothing is left."""
        Hooked().start().stop()
        before = Belongings()
        members = [Hooked(), Hooked()]
        for it in members:
            it.cleanup = mock.Mock(side_effect=ZeroDivisionError("mine"))  # type: ignore[method-assign]
        group = Orchestrator(members)
        group.start()
        with pytest.raises(StopFailed, match="2 services did not stop"):
            group.stop()
        assert [it.cleanup.call_count for it in members] == [1, 1]  # type: ignore[attr-defined]
        members[0].start()
        with pytest.raises(ZeroDivisionError):
            members[0].stop()
        assert not members[0].running()
        assert before.lost() == {}

    def test_a_program_that_is_made(self, tmp_path: Path) -> None:
        """What prepare() makes need not be there before."""
        program = tmp_path / "program"

        class It(OutputCoordinatedExecutor):
            def prepare(self) -> None:
                program.write_text("#!/bin/sh\necho up\nread x\n")
                program.chmod(0o755)

        with It(str(program), "up") as it:
            assert it.running()
            program.unlink()
            it.restart()

    def test_a_port_in_a_file(self) -> None:
        """A TCP executor may be told its port by prepare() alone."""

        class It(HTTPCoordinatedExecutor):
            def prepare(self) -> None:
                handler = f"s.SimpleHTTPRequestHandler, port={self.port}, bind='127.0.0.1'"
                source = f"import http.server as s\ns.test({handler})\n"
                Path(self.tmpdir, "server.py").write_text(source)

        with It([sys.executable, "{tmpdir}/server.py"], url="http://{host}:{port}/") as it:
            assert it.running()

    def test_no_program(self) -> None:
        """An error of ours in a start with hooks is the one that it was."""
        with pytest.raises(SpawnFailed):
            with mock.patch.object(Hooked, "_launch", side_effect=OSError(5, "theirs")):
                Hooked().start()


async def _later(*arguments: Any) -> Any:
    """Nobody awaits it."""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["start", "stop"])
def test_a_coroutine_in_a_block(method: str) -> None:
    """It is true, and no error, but nothing has been done."""
    with pytest.raises(InvalidArgument, match=rf"{method}\(\) of It returned a coroutine"):
        with type("It", (SimpleExecutor,), {method: _later})(SILENT) as it:
            assert method == "stop"
    if method == "stop":
        it.kill()


class ForkTest(unittest.TestCase):
    def test_a_fork_cleans_nothing_up(self) -> None:
        with Hooked() as it:
            pid = os.fork()
            if pid == 0:
                try:
                    it.stop()
                finally:
                    os._exit(len(it.calls))
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 2)
