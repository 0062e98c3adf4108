"""One life of a service: what stays in restarts and after deaths, and goes with its scope."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    FileCoordinatedExecutor,
    NotRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    SummonError,
    SummonTestCase,
    UnixSocketCoordinatedExecutor,
    orchestrated,
)
from summon_testcase.output.log import run_directory

from ..cases import run
from ..doubles import keeper_pid, leased_ports, members_of, reset
from ..reliability.scene import Belongings, forget_log, run_program
from ..samples import eventually, service


def counter(**options: Any) -> OutputCoordinatedExecutor:
    """A service that counts its starts in its directory, and says how many there were."""
    script = 'echo x >>"$0/starts"; echo start $(wc -l <"$0/starts") at "$1"; read x'
    return OutputCoordinatedExecutor(
        ["/bin/sh", "-c", script, "{tmpdir}", "{port}"], r"start (?P<starts>\d+) at", **options
    )


def settled() -> Belongings:
    """What this process has once there are a warden and a block of ports."""
    counter().start().stop()
    return Belongings()


def facts(executor: Any) -> tuple[int, str, int]:
    """What stays, and how many starts there were in it."""
    return executor.port, executor.tmpdir, int(executor.starts)


def die(executor: Any, number: int = signal.SIGKILL) -> None:
    os.kill(executor.pid, number)
    eventually(lambda: not executor.running(), "the death")


class PlainTest(unittest.TestCase):
    """Without a TestCase: from start() to stop()."""

    def setUp(self) -> None:
        before = settled()
        self.addCleanup(lambda: self.assertEqual(before.lost(), {}))

    def test_restarts(self) -> None:
        """restart(), stopped(), kill() and a death keep port, directory and content."""
        with counter() as one:
            port, directory, _ = facts(one)
            logs = {one.log_path}
            one.restart()
            self.assertEqual(facts(one), (port, directory, 2))
            logs.add(one.log_path)
            self.assertEqual(one.match and one.match[0], "start 2 at")
            self.assertNotIn("start 1", "\n".join(one.tail()), "each run has a log of its own")
            with one.stopped():
                self.assertEqual((one.port, one.tmpdir), (port, directory))
                self.assertTrue(os.path.exists(f"{directory}/starts"))
            self.assertEqual(facts(one), (port, directory, 3))
            one.kill()
            self.assertEqual((one.port, one.tmpdir), (port, directory))
            one.start()
            self.assertEqual(facts(one), (port, directory, 4))
            die(one)
            one.start()
            self.assertEqual(facts(one), (port, directory, 5))
            self.assertEqual(len(logs), 2)
        self.assertFalse(os.path.exists(directory))

    def test_a_new_life(self) -> None:
        """stop() takes all away, after kill() too; the next start begins anew."""
        one = counter()
        one.start()
        first = one.tmpdir
        one.stop()
        self.assertFalse(os.path.exists(first))
        one.start()
        self.assertEqual(int(one.starts), 1)
        second = one.tmpdir
        self.assertNotEqual(first, second)
        one.kill()
        self.assertTrue(os.path.exists(second))
        one.stop()
        self.assertFalse(os.path.exists(second))

    def test_nobody_refers_to_it_any_more(self) -> None:
        """One that was killed, and never stopped, keeps nothing longer than it can be used."""
        one = counter().start()
        directory = one.tmpdir
        one.kill()
        del one
        gc.collect()
        self.assertFalse(os.path.exists(directory))

    def test_a_start_that_fails(self) -> None:
        """Of a fresh life nothing is left; one that was ready before goes on."""
        with tempfile.TemporaryDirectory() as place:
            script = 'echo kept >"$0/data"; test -e "$1/ok" && echo ready && read x'
            one = OutputCoordinatedExecutor(
                ["/bin/sh", "-c", script, "{tmpdir}", place, "{port}"], "ready"
            )
            before = Belongings()
            with self.assertRaises(ProcessExited) as caught:
                one.start()
            forget_log(caught.exception)
            self.assertEqual(before.lost(), {})
            Path(place, "ok").touch()
            one.start()
            directory, port = one.tmpdir, one.port
            Path(place, "ok").unlink()
            with self.assertRaises(ProcessExited) as caught:
                one.restart()
            forget_log(caught.exception)
            self.assertEqual(Path(directory, "data").read_text(), "kept\n")
            Path(place, "ok").touch()
            one.start()
            self.assertEqual((one.tmpdir, one.port), (directory, port))
            one.stop()

    def test_an_orchestrator(self) -> None:
        """kill() of all keeps what they have, stop() takes it away."""
        group = Orchestrator({"a": counter(), "b": counter(after=["a"])})
        a, b = members_of(group)["a"], members_of(group)["b"]
        group.start()
        before = facts(a), facts(b)
        group.kill()
        group.start()
        self.assertEqual((facts(a)[:2], facts(b)[:2]), (before[0][:2], before[1][:2]))
        group.kill()
        group.stop()
        self.assertFalse(os.path.exists(before[0][1]) or os.path.exists(before[1][1]))

    def test_a_block_that_raises(self) -> None:
        """It is started again with what it had, and all goes at the end."""
        with counter() as one, self.assertRaises(ZeroDivisionError), one.stopped():
            raise ZeroDivisionError
        with self.assertRaises(KeyboardInterrupt), counter() as one:
            with one.stopped():
                raise KeyboardInterrupt

    def test_a_socket_that_is_left(self) -> None:
        """A server that only binds its socket can be restarted."""
        script = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); "
            "s.listen(); sys.stdin.read()"
        )
        one = UnixSocketCoordinatedExecutor(
            [sys.executable, "-c", script, "{tmpdir}/s"], "{tmpdir}/s", timeout=30
        )
        with one:
            directory = one.tmpdir
            one.restart()
            one.kill()
            one.start()
            self.assertEqual(one.tmpdir, directory)

    def test_a_pid_file_that_is_left(self) -> None:
        """It does not count as that of the next run."""
        script = 'sleep 0.1; echo $$ >"$0/me.pid"; read x'
        one = FileCoordinatedExecutor(["/bin/sh", "-c", script, "{tmpdir}"], "{tmpdir}/me.pid")
        with one:
            one.kill()
            one.start()
            self.assertEqual(int(Path(one.path).read_text()), one.pid)

    def test_the_user_cleans_up(self) -> None:
        """A directory that was removed by somebody is made again."""
        with counter() as one:
            os.unlink(f"{one.tmpdir}/starts")
            os.rmdir(one.tmpdir)
            one.restart()
            self.assertEqual(int(one.starts), 1)

    def test_threads(self) -> None:
        """A restart by two threads at once leaves a life that a stop ends."""
        from ..reliability.test_stop import at_once

        one = counter().start()
        directory = one.tmpdir

        def again() -> None:
            try:
                one.restart()
            except SummonError as error:  # the other's stop came into it
                forget_log(error)

        self.assertEqual(at_once(again, again), [])
        one.stop()
        self.assertFalse(one.running() or os.path.exists(directory))


class OneShotTest(unittest.TestCase):
    """What is meant to end is run once in a life."""

    def test_what_it_refers_to_is_restarted(self) -> None:
        """Nothing brings it to run again but its own restart(), or a new life."""
        with tempfile.TemporaryDirectory() as place:
            runs = f"{place}/runs"

            class Case(SummonTestCase):
                db = counter(restart=True)
                migrate = SimpleExecutor(
                    ["/bin/sh", "-c", f'echo "$0" >>{runs}', "{db.tmpdir}"], one_shot=True
                )

                def test_1(self) -> None:
                    self.db.kill()

                def test_2(self) -> None:
                    die(self.db)

                def test_3(self) -> None:
                    with self.db.stopped(), self.migrate.stopped():
                        pass
                    self.db.restart()
                    self.migrate.stop()

                def test_4(self) -> None:
                    self.db.stop()
                    self.migrate.kill()

                def test_5(self) -> None:
                    assert self.db.running()

            class Again(Case):
                def test_6(self) -> None:
                    self.migrate.restart()

            with self.assertLogs("summon_testcase", logging.WARNING):
                result = run(Case)
            self.assertEqual((result.errors, result.failures), ([], []))
            self.assertEqual(len(Path(runs).read_text().split()), 1)
            result = unittest.TestResult()
            unittest.TestSuite([Again("test_6")]).run(result)
            self.assertEqual((result.errors, result.failures), ([], []))
            first, second, third = Path(runs).read_text().split()
            self.assertNotEqual(first, second, "the second class has a database of its own")
            self.assertEqual(second, third)


class ScopeTest(unittest.TestCase):
    """In a TestCase: as long as the scope."""

    def setUp(self) -> None:
        before = settled()
        self.addCleanup(lambda: self.assertEqual(before.lost(), {}))

    def test_whatever_a_test_does(self) -> None:
        """Port, directory and content are there in the next test; the next class begins anew."""
        seen: list[tuple[int, str, int]] = []

        class Case(SummonTestCase):
            it = counter(restart=True)
            group = Orchestrator({"inner": counter()})

            def setUp(self) -> None:
                seen.append(facts(self.it))

            def test_1(self) -> None:
                self.it.stop()

            def test_2(self) -> None:
                self.it.kill()

            def test_3(self) -> None:
                die(self.it)

            def test_4(self) -> None:
                with self.it.stopped():
                    pass

            def test_5(self) -> None:
                self.it.restart()

            def test_6(self) -> None:
                inner = members_of(self.group)["inner"]
                directory = inner.tmpdir
                self.group.stop()
                assert inner.tmpdir == directory

            def test_7(self) -> None:
                assert int(members_of(self.group)["inner"].starts) == 2
                self.group.kill()
                self.it.stop()

        class Next(Case):
            pass

        with self.assertLogs("summon_testcase", logging.WARNING):
            for case in (Case, Next):
                result = run(case)
                self.assertEqual((result.errors, result.failures), ([], []))
        first, second = seen[:7], seen[7:]
        for each in (first, second):
            self.assertEqual(len({(port, directory) for port, directory, _ in each}), 1)
            self.assertEqual([starts for _, _, starts in each], [1, 2, 3, 4, 5, 6, 6])
        self.assertNotEqual(first[0][1], second[0][1])
        for directory in {directory for _, directory, _ in seen}:
            self.assertFalse(os.path.exists(directory))
            Path(f"{directory}.3.log").unlink()  # that of the run that died

    def test_each_test_has_its_own(self) -> None:
        """With scope="test" nothing is found again."""

        class Case(SummonTestCase):
            it = counter(scope="test")

            def test_1(self) -> None:
                assert int(self.it.starts) == 1
                self.it.restart()
                assert int(self.it.starts) == 2
                self.it.kill()

            def test_2(self) -> None:
                assert int(self.it.starts) == 1

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))

    def test_a_start_again_that_fails(self) -> None:
        """What the life has is given back with the scope."""

        class Case(SummonTestCase):
            it = OutputCoordinatedExecutor(
                [
                    "/bin/sh",
                    "-c",
                    'test -e "$0/once" && exit 3; touch "$0/once"; echo up $1; read x',
                    *("{tmpdir}", "{port}"),
                ],
                "up",
            )

            def test_1(self) -> None:
                self.it.kill()

            def test_2(self) -> None:
                raise AssertionError("it ran")

        result = run(Case)
        (error,) = [text for _, text in result.errors]
        self.assertIn("exited with status 3 before it was ready", error)
        for name in os.listdir(run_directory()):
            if name.endswith(".log") and name in error:
                os.unlink(os.path.join(run_directory(), name))


SOURCE = """
import os, signal, sys
from summon_testcase import *
one = SimpleExecutor(["sh", "-c", "read x", "{tmpdir}"], name="one").start()
two = SimpleExecutor(["sh", "-c", "read x", "{tmpdir}"], name="two").start()
one.kill()
open(one.tmpdir + "/data", "w").close()
print(one.tmpdir, two.tmpdir, flush=True)
"""


class Ticking:
    """No executor: it cannot tell whether it runs."""

    def __init__(self) -> None:
        self.ticks: list[str] = []

    def start(self) -> None:
        self.ticks.append("tick")

    def stop(self) -> None:
        self.ticks.append("tock")


class GroupTest(unittest.TestCase):
    """What a test has stopped as a group is there as a group for the next test."""

    def test_stopped_and_killed(self) -> None:
        clock, once = Ticking(), counter(one_shot=True, expected_exit=1, stdin=None)
        # the one that refers to others is declared before them
        inner = Orchestrator(
            {"web": counter(after="db", until=lambda e: members_of(inner)["db"].running())}
            | {"db": counter()}
        )

        class Case(SummonTestCase):
            group = Orchestrator({"clock": clock, "inner": inner, "once": once})

            def test_1(self) -> None:
                self.group.stop()
                self.assertFalse(self.group.running())

            def test_2(self) -> None:
                self.look(2)
                self.group.kill()

            def test_3(self) -> None:
                self.look(3)
                inner.stop()

            def test_4(self) -> None:
                self.look(4, ticks=3)
                self.group.stop()
                self.assertFalse(any(m.running() for m in members_of(inner).values()))
                self.group.start()

            def test_5(self) -> None:
                self.look(5, ticks=4)

            def look(self, starts: int, ticks: int | None = None) -> None:
                self.assertTrue(inner.running())
                self.assertEqual(int(once.starts), 1)
                self.assertEqual([int(m.starts) for m in members_of(inner).values()], [starts] * 2)
                self.assertEqual(clock.ticks, ["tick", "tock"] * ((ticks or starts) - 1) + ["tick"])

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))
        self.assertEqual(clock.ticks, ["tick", "tock"] * 4)

    def test_a_start_of_its_own(self) -> None:
        """A group that adds to its start has that done again."""
        loaded: list[bool] = []

        class Loaded(Orchestrator):
            def start(self) -> Orchestrator:
                super().start()
                loaded.append(self.running())
                return self

        class Case(SummonTestCase):
            group = Loaded({"one": counter()})

            def test_1(self) -> None:
                self.group.stop()

            def test_2(self) -> None:
                self.assertEqual(loaded, [True, True])
                self.assertTrue(self.group.running())

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))


class TestEndOfTheProcess:
    """However the test process ends, the directories go."""

    @pytest.mark.parametrize(
        "end",
        [
            "",
            "sys.exit(1)",
            "os._exit(0)",
            "os.kill(os.getpid(), signal.SIGKILL)",
            "os.execv('/bin/true', ['true'])",
            "os.fork() or os._exit(0); del one",
        ],
    )
    def test_all_goes(self, end: str, tmp_path: Path) -> None:
        done = run_program(SOURCE + end, tmp_path)
        assert done.stderr == ""
        directories = done.stdout.split()
        assert len(directories) >= 2
        eventually(lambda: not any(map(os.path.exists, directories)), "the directories are gone")
        eventually(lambda: list(tmp_path.iterdir()) == [], "the directory around them is gone")

    # a keeper ignores SIGTERM
    @pytest.mark.parametrize(
        "who, number",
        [("keeper", signal.SIGKILL), ("warden", signal.SIGKILL), ("warden", signal.SIGTERM)],
    )
    def test_keeper_and_warden(self, who: str, number: int) -> None:
        """One that is killed, or asked to end, takes no directory of a life that goes on."""
        one = counter().start()
        try:
            before = facts(one)
            keeper = keeper_pid(one)
            pid = keeper if who == "keeper" else warden_of(keeper)
            os.kill(pid, number)
            eventually(lambda: not os.path.exists(f"/proc/{pid}"), "its end")
            if (who, number) == ("warden", signal.SIGKILL):
                one.restart()  # the keepers go on without it
            else:
                eventually(lambda: not one.running(), "the death")
                one.start()
            assert facts(one) == (*before[:2], 2)
        finally:
            one.stop()
        assert not os.path.exists(before[1])


def warden_of(keeper: int) -> int:
    """The process that forked a keeper."""
    return int(Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_fork() -> None:
    """A child of the test process has no part in the life, and begins its own."""
    with counter() as one:
        directory = one.tmpdir
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            said = "failed"
            try:
                one.stop()
                one.start()
                said = f"{one.tmpdir} {one.starts}"
                one.kill()
                one.stop()
            finally:
                os.write(write, said.encode())
                reset()
                os._exit(0)
        os.waitpid(pid, 0)
        theirs, starts = os.read(read, 4096).decode().split()
        os.close(read)
        os.close(write)
        assert (theirs != directory, starts) == (True, "1")
        assert os.path.exists(directory) and one.running()
        assert one.restart().starts == "2"


def test_orchestrated() -> None:
    """A restart inside the block keeps what it has; nothing is left after it."""
    leased = leased_ports()
    web = SimpleExecutor(service("silent.py", "{db.port}", "{tmpdir}"))
    with orchestrated(db=counter(), web=web) as (db, _):
        before = facts(db)
        db.restart()
        assert facts(db) == (*before[:2], 2)
        db.kill()
        with pytest.raises(NotRunning), db.stopped():
            pass
    assert leased_ports() == leased
