"""``stop_wait=False``: services that end while the next class runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
import warnings
from pathlib import Path
from typing import Any

from summon_testcase import (
    Defaults,
    InvalidArgument,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    SummonTestCase,
    TCPCoordinatedExecutor,
)
from summon_testcase.scheduling.steps import background

from ..cases import run
from ..doubles import Recorder, keeper_pid, leased_ports, reset
from ..samples import BARE, PATIENCE, ROOT, alive, eventually, kill_marked, marked, marker, service


class FarewellTest(unittest.TestCase):
    """What the tests below have in common."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        #: services end once this file is there
        self.go = self.directory / "go"
        self.mark = marker()
        self.addCleanup(kill_marked, self.mark)
        self.addCleanup(reset)
        self.addCleanup(self.go.touch)

    def lingering(self, *words: str, status: int = 0, **options: Any) -> OutputCoordinatedExecutor:
        command = service("lingers.py", self.go, status, *words, self.mark)
        options = {"stop_timeout": PATIENCE * 2, "stop_wait": False, **options}
        return OutputCoordinatedExecutor(command, "up\n", **options)

    def silent(self, *words: str, **options: Any) -> SimpleExecutor:
        return SimpleExecutor(service("silent.py", *words, self.mark), **options)

    def case(self, name: str, **attributes: Any) -> Any:
        """A class with a test that does nothing, unless it has another one."""
        attributes.setdefault("test", lambda case: None)
        return type(name, (SummonTestCase,), attributes)

    def assert_passed(self, result: unittest.TestResult) -> None:
        self.assertEqual((result.errors, result.failures), ([], []))

    def assert_all_is_over(self) -> None:
        reset()
        self.assertEqual((marked(self.mark), leased_ports()), ([], 0))


class NextClassTest(FarewellTest):
    def test_it_begins_while_the_last_services_end(self) -> None:
        """These keep port, directory and what they need; at most one life is a former one."""
        test = self

        class One(SummonTestCase):
            summon = Defaults(stop_wait=False, stop_timeout=PATIENCE * 2)
            db = self.silent("{port}")
            worker = self.lingering("{port}", "{tmpdir}", "{db.port}")
            pid = keeper = db_pid = port = 0
            directory = ""

            def test(self) -> None:
                One.pid, One.db_pid = self.worker.pid, self.db.pid
                One.keeper = keeper_pid(self.worker)
                One.port, One.directory = self.worker.port, self.worker.tmpdir

        class Two(One):
            def test(self) -> None:
                test.assertTrue(alive(One.pid) and alive(One.db_pid), "neither has ended")
                test.assertTrue(self.db.running() and self.worker.pid != One.pid)
                test.assertNotEqual(self.worker.port, One.port)
                test.assertNotEqual(self.worker.tmpdir, One.directory)
                test.assertTrue(os.path.isdir(One.directory))
                test.assertEqual(leased_ports(), 4)
                test.go.touch()
                eventually(lambda: not alive(One.keeper), "it has ended, and that was told")
                test.assertTrue(alive(One.db_pid), "nothing has been waited for since")

            def test_next(self) -> None:
                eventually(lambda: not alive(One.db_pid), "it was asked before this test")

        class Three(One):
            def test(self) -> None:
                test.assertFalse(alive(One.db_pid) or os.path.exists(One.directory))

        self.assert_passed(run(One, Two, Three))
        self.assert_all_is_over()

    def test_one_former_life_at_most(self) -> None:
        """A third start waits for the end of the first life; the end of a scope waits for none."""
        test = self

        class Case(SummonTestCase):
            it = self.lingering()
            pids: list[int] = []

            def test(self) -> None:
                self.pids.append(self.it.pid)

        class Other(SummonTestCase):
            it = self.silent()

            def test(self) -> None:
                test.assertEqual([alive(pid) for pid in Case.pids], [True, True])
                # later than the next start would be if it did not wait
                threading.Timer(0.3, test.go.touch).start()

        class Third(Case):
            def test(self) -> None:
                test.assertFalse(alive(self.pids[0]))

        self.assert_passed(run(Case, type("Second", (Case,), {}), Other, Third))

    def test_only_what_is_not_waited_for_and_what_it_needs(self) -> None:
        """The other services of the class are stopped at its end, in the usual order."""
        test = self

        class One(SummonTestCase):
            cache = self.silent("{port}")
            worker = self.lingering("{cache.port}")
            web = self.silent("{cache.port}")
            pids: dict[str, int] = {}

            def test(self) -> None:
                One.pids = {name: getattr(self, name).pid for name in ("cache", "worker", "web")}

        def after(case: Any) -> None:
            left = {name for name, pid in One.pids.items() if alive(pid)}
            self.assertEqual(left, {"cache", "worker"})
            test.go.touch()

        self.assert_passed(run(One, self.case("Two", it=self.silent(), test=after)))
        self.assert_all_is_over()

    def test_what_shares_its_port(self) -> None:
        """A start that finds its own port taken by a former life waits for its end."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        ran: list[int] = []

        def server(**options: Any) -> TCPCoordinatedExecutor:
            command = service("lingers.py", self.go, 0, port, self.mark)
            return TCPCoordinatedExecutor(command, port=port, **options)

        two = self.case("Two", it=server(), test=lambda case: ran.append(case.it.port))
        # it ends only because its time is over, which is told
        one = self.case("One", it=server(stop_wait=False, stop_timeout=0.3))
        two.tearDownClass = classmethod(lambda cls: self.go.touch())
        ((_, text),) = run(one, two).errors
        self.assertIn("it did not end within 0.3 s", text)
        self.assertEqual(ran, [port])

    def test_a_group(self) -> None:
        """Its members end in their order, as one former life."""
        test = self

        class One(SummonTestCase):
            group = Orchestrator(
                {"db": self.silent("{port}"), "inner": Orchestrator([self.lingering("{db.port}")])}
            )
            counts: list[int] = []

            def test(self) -> None:
                test.assertTrue(self.group.running())
                self.counts.append(len(marked(test.mark)))

            @classmethod
            def tearDownClass(cls) -> None:
                if len(cls.counts) == 2:
                    test.go.touch()

        self.assert_passed(run(One, type("Two", (One,), {})))
        self.assertEqual(One.counts, [2, 4])
        self.assert_all_is_over()

    def test_what_cannot_lead_two_lives(self) -> None:
        """A custom executor that is needed until the end is waited for, and all with it."""
        events: list[str] = []
        custom = Recorder("custom", events)
        self.go.touch()
        worker = self.lingering(after=(custom,))

        class One(SummonTestCase):
            it, its = custom, worker

            def test(self) -> None:
                events.append("test")

        two = self.case("Two", test=lambda case: events.append("two"))
        self.assert_passed(run(One, two))
        self.assertEqual(events, ["start custom", "test", "stop custom", "two"])
        self.assertEqual(marked(self.mark), [])

    def test_a_stop_of_a_subclass(self) -> None:
        """It is called on the service itself, which is waited for."""
        stopped: list[object] = []

        class Own(OutputCoordinatedExecutor):
            def stop(self, *arguments: Any, **options: Any) -> None:
                super().stop(*arguments, **options)
                stopped.append(self)

        it = Own(service("lingers.py", self.go, 0, self.mark), "up\n", stop_wait=False)
        self.go.touch()
        self.assert_passed(run(self.case("One", it=it)))
        self.assertEqual(stopped, [it])

    def test_a_clean_up_of_a_subclass(self) -> None:
        """It is called once for each life, and sees that life."""
        seen: list[tuple[str, str]] = []

        class Cleaned(OutputCoordinatedExecutor):
            def ready(self) -> None:
                seen.append(("ready", self.tmpdir))

            def cleanup(self) -> None:
                assert os.path.isdir(self.tmpdir)
                seen.append(("cleanup", self.tmpdir))

        it = Cleaned(service("lingers.py", self.go, 0, self.mark), "up\n", stop_wait=False)
        self.go.touch()
        self.assert_passed(run(self.case("One", it=it), self.case("Two", it=it)))
        it.stop()
        reset()
        directories = {place for _, place in seen}
        self.assertEqual(len(directories), 2)
        both = [(what, place) for place in directories for what in ("ready", "cleanup")]
        self.assertEqual(sorted(seen), sorted(both))

    def test_a_service_of_one_test(self) -> None:
        """The next test begins while it ends."""
        test = self

        class Case(SummonTestCase):
            worker = self.lingering(scope="test")
            pids: list[int] = []

            def tearDown(self) -> None:
                self.pids.append(self.worker.pid)

            def test_1(self) -> None:
                pass

            def test_2(self) -> None:
                test.assertTrue(alive(self.pids[0]))
                test.go.touch()

            def test_3(self) -> None:
                test.assertFalse(alive(self.pids[0]))

        self.assert_passed(run(Case))

    def test_a_service_of_a_wider_scope(self) -> None:
        """It is stopped only once those of narrower scopes, which may need it, have ended."""
        left: list[list[int]] = []

        class Needed(SimpleExecutor):
            def cleanup(self) -> None:
                left.append(marked(word))

        word = marker()
        deaf = service("deaf.py", self.mark, word)

        class Case(SummonTestCase):
            db = Needed(service("silent.py", self.mark))
            options: Any = {"stop_timeout": 0.2, "stop_wait": False, "scope": "test"}
            worker = OutputCoordinatedExecutor(deaf, "deaf", after="db", **options)

            def test(self) -> None:
                left.append(marked(word))

        ((_, text),) = run(Case).errors
        self.assertIn("it did not end within 0.2 s", text)
        self.assertEqual([len(pids) for pids in left], [1, 0])


class InATestTest(FarewellTest):
    def test_what_a_test_stops_is_stopped(self) -> None:
        """stop(), restart() and stopped() wait as always."""
        test = self
        self.go.touch()

        class Case(SummonTestCase):
            it = self.lingering()

            def test(self) -> None:
                for end in (self.it.stop, self.it.kill):
                    pid = self.it.pid
                    end()
                    test.assertFalse(alive(pid))
                    self.it.start()
                pid, directory = self.it.pid, self.it.tmpdir
                self.it.restart()
                test.assertFalse(alive(pid))
                test.assertEqual(directory, self.it.tmpdir)
                with self.it.stopped():
                    test.assertEqual(marked(test.mark), [])

        self.assert_passed(run(Case))

    def test_after_the_scope(self) -> None:
        """The executor is that of a stopped service, and stop() does no harm to the former life."""
        it = self.lingering("{tmpdir}")

        def test(case: Any) -> None:
            case.seen.append((case.it.pid, case.it.tmpdir))

        case = self.case("Case", it=it, test=test, seen=[])
        self.assert_passed(run(case))
        ((pid, directory),) = case.seen
        self.assertFalse(it.running())
        it.stop()
        self.assertTrue(alive(pid) and os.path.isdir(directory))
        with it:
            self.assertTrue(it.running() and alive(pid))
            self.go.touch()
        self.assert_all_is_over()
        self.assertFalse(os.path.exists(directory))

    def test_what_a_test_has_killed(self) -> None:
        """Its port and its directory are given back."""
        it = self.lingering("{port}")
        self.assert_passed(run(self.case("Case", it=it, test=lambda case: case.it.kill())))
        self.assert_all_is_over()

    def test_a_group_that_a_test_has_killed(self) -> None:
        """Its members have given back their ports when it is over."""
        group = Orchestrator({"one": self.lingering("{port}"), "two": self.silent("{port}")})
        self.assert_passed(run(self.case("Case", it=group, test=lambda case: case.it.kill())))
        self.assert_all_is_over()

    def test_ctrl_c_in_a_clean_up(self) -> None:
        """What ends in the background is killed, as in any stop."""

        class Interrupted(OutputCoordinatedExecutor):
            def cleanup(self) -> None:
                raise KeyboardInterrupt

        go = self.directory / "first"
        it = Interrupted(service("lingers.py", go, 0, "it"), "up\n", stop_wait=False)
        one = self.case("One", it=it, other=self.lingering())

        def test(case: Any) -> None:
            go.touch()
            with self.assertRaises(KeyboardInterrupt):
                eventually(lambda: background.advance() or not background.members, "an interrupt")
            self.assertEqual(marked(self.mark), [])

        self.assert_passed(run(one, self.case("Two", test=test)))

    def test_without_a_testcase(self) -> None:
        """It has no meaning, as a warning says; a wrong value is refused."""
        self.go.touch()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with self.lingering(name="it"):
                pass
        self.assertEqual(marked(self.mark), [])
        self.assertIn(
            "it: stop_wait=False has a meaning in a TestCase only", str(warned[0].message)
        )
        with self.assertRaisesRegex(InvalidArgument, "stop_wait=0"):
            self.silent(stop_wait=0)


class ErrorTest(FarewellTest):
    def test_what_went_wrong_is_an_error_at_the_next_boundary(self) -> None:
        """Once, where the next class ends; it says of which class the service was."""
        self.go.touch()
        one = self.case("One", it=self.lingering(status=3))

        def test(case: Any) -> None:
            eventually(lambda: not alive(pid), "it has ended")

        pid = 0

        def remember(case: Any) -> None:
            nonlocal pid
            pid = case.it.pid

        one.test = remember
        others = [self.case(name, it=self.silent(), test=test) for name in ("Two", "Three")]
        result = run(one, *others)
        ((where, text),) = result.errors
        self.assertIn("Two", str(where))
        self.assertIn("StopFailed: it: exited with status 3", text)
        self.assertIn("it was not waited for at the end of One (stop_wait=False)", text)

    def test_a_worker_that_does_not_end(self) -> None:
        """It is killed after its time, as always."""
        deaf = OutputCoordinatedExecutor(
            service("deaf.py", self.mark), "deaf", stop_timeout=0.2, stop_wait=False
        )

        def ended(case: Any) -> None:
            eventually(lambda: len(marked(self.mark)) == 1, "it is killed")

        result = run(self.case("One", it=deaf), self.case("Two", it=self.silent(), test=ended))
        ((_, text),) = result.errors
        self.assertIn("it did not end within 0.2 s of SIGTERM and was killed", text)


class ProcessTest(FarewellTest):
    """What the end of the test process means for a farewell."""

    def program(self, body: str, status: int = 0) -> subprocess.Popen[str]:
        """A process that runs a class with a lingering service, and then some code."""
        script = f"""
            import os, signal, sys, unittest
            from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor, SummonTestCase
            from summon_testcase.testing import farewells
            from tests.cases import run
            from tests.samples import alive, service

            MARK, GO = os.environ["MARK"], os.environ["GO"]

            class One(SummonTestCase):
                db = SimpleExecutor(service("silent.py", MARK), stop_wait=False)
                worker = OutputCoordinatedExecutor(
                    service("lingers.py", GO, {status}, MARK),
                    "up\\n", after="db", stop_wait=False, stop_timeout=30,
                )
                def test(self):
                    One.pids = [self.db.pid, self.worker.pid]

            assert run(One).wasSuccessful()
            assert all(map(alive, One.pids))
        """
        program = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(body)],
            env={
                **os.environ,
                **{"PYTHONPATH": ROOT, "TMPDIR": str(self.directory)},
                **{"MARK": self.mark, "GO": str(self.go)},
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(program.communicate)
        self.addCleanup(program.kill)
        return program

    def left(self) -> list[str]:
        """What is there of the services: processes, and directories."""
        own = [name for name in os.listdir(self.directory) if name != "go"]
        return [*map(str, marked(self.mark)), *own]

    def test_its_end_waits(self) -> None:
        """And says what went wrong."""
        program = self.program("print('end', flush=True)", status=3)
        assert program.stdout is not None
        self.assertEqual(program.stdout.readline(), "end\n")
        self.assertEqual(len(marked(self.mark)), 2)
        self.go.touch()
        _, said = program.communicate(timeout=PATIENCE)
        self.assertEqual(program.returncode, 0)
        self.assertIn("RuntimeWarning: worker: exited with status 3", said)
        self.assertEqual([name for name in self.left() if not name.startswith("summon-")], [])

    def test_the_end_of_a_runner(self) -> None:
        """unittest and pytest wait, and count what went wrong in the last class as an error."""
        script = f"""
            import os
            from summon_testcase import OutputCoordinatedExecutor, SummonTestCase
            from tests.samples import service

            class OnlyTest(SummonTestCase):
                worker = OutputCoordinatedExecutor(
                    service("lingers.py", {str(self.go)!r}, 3, "x"), "up\\n", stop_wait=False
                )

                def test(self):
                    pass

                test_too = test
        """
        self.go.touch()
        path = self.directory / "test_only.py"
        path.write_text(textwrap.dedent(script))
        env = {**os.environ, **BARE, "PYTHONPATH": ROOT, "TMPDIR": str(self.directory)}
        for runner in ("unittest", "pytest"):
            with self.subTest(runner):
                done = subprocess.run(
                    [sys.executable, "-m", runner, path.name],
                    cwd=self.directory,
                    env=env,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                )
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode, 1, said)
                self.assertIn("worker: exited with status 3", said)
                self.assertIn("at the end of OnlyTest (stop_wait=False)", said)
                self.assertRegex(said, r"\(errors=1\)|2 passed, 1 error")

    def test_ctrl_c_at_its_end(self) -> None:
        """It kills what is waited for."""
        program = self.program(
            """
            def at_the_end(number, frame):
                while frame is not None:
                    if frame.f_code.co_name == "_at_exit":
                        print("interrupted", flush=True)
                        signal.setitimer(signal.ITIMER_REAL, 0)
                        raise KeyboardInterrupt
                    frame = frame.f_back

            signal.signal(signal.SIGALRM, at_the_end)
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            """
        )
        said, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual(said, "interrupted\n")
        self.assertEqual(self.left(), [])

    def test_its_sudden_end(self) -> None:
        """Nothing lives on, whatever has ended it."""
        for body, number in {
            "os._exit(3)": 0,
            "print('up', flush=True); signal.pause()": signal.SIGKILL,
            "print('up', flush=True); signal.pause()  # by itself": signal.SIGTERM,
        }.items():
            with self.subTest(body):
                program = self.program(body)
                assert program.stdout is not None
                if number:
                    self.assertEqual(program.stdout.readline(), "up\n")
                    program.send_signal(number)
                program.communicate(timeout=PATIENCE)
                eventually(lambda: not self.left(), "all is gone")

    def test_a_forked_child(self) -> None:
        """It neither waits for what its parent stops, nor ends it."""
        program = self.program(
            """
            child = os.fork()
            if not child:
                sys.exit(5 if farewells.under_way() else 4)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
            assert all(map(alive, One.pids))
            print("end", flush=True)
            """
        )
        assert program.stdout is not None
        self.assertEqual(program.stdout.readline(), "end\n")
        self.go.touch()
        self.assertEqual(program.communicate(timeout=PATIENCE), ("", ""))
        self.assertEqual((program.returncode, self.left()), (0, []))
