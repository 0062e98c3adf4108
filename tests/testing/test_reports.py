"""The report of a failing test shows what services wrote, and which of them died."""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import pickle
import re
import signal
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from summon_testcase import (
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    SummonMixin,
    SummonTestCase,
)
from summon_testcase.system import procfs
from summon_testcase.testing.result_hooks import explained, reported
from summon_testcase.testing.watch import Watch

from ..cases import run, run_bare
from ..doubles import has_lease, members_of
from ..samples import eventually, service


def repl(**options: Any) -> OutputCoordinatedExecutor:
    """A service that answers each line in capitals."""
    return OutputCoordinatedExecutor(service("repl.py", "x"), "> ", **options)


def ask(executor: Any, word: str) -> None:
    executor.sendline(word)
    executor.wait_for_output(word.upper(), timeout=10)


def die(executor: Any, number: int = signal.SIGKILL) -> None:
    """Kill a service without the library's help, and wait until the library knows."""
    os.kill(executor.pid, number)
    eventually(lambda: not executor.running(), "the death")


class ReportTest(unittest.TestCase):
    """What the tests below have in common."""

    def report(self, result: unittest.TestResult, name: str = "test") -> str:
        """The report of the one test of a name that failed."""
        (text,) = (
            text
            for test, text in [*result.errors, *result.failures]
            if name in (getattr(test, "_testMethodName", ""), str(test))
        )
        return text

    def logs_of(self, text: str) -> list[str]:
        """The logs that a report names; they go after the test."""
        paths = re.findall(r"full log: (\S+)", text)
        for path in paths:
            self.addCleanup(Path(path).unlink, missing_ok=True)
        return paths


class OutputTest(ReportTest):
    def test_only_what_was_written_in_the_test(self) -> None:
        """The lines of the failing test are in its report, not those of others; the log is kept."""

        class Case(SummonTestCase):
            talks = repl()
            silent = SimpleExecutor(service("silent.py", "x"))

            def test_1(self) -> None:
                ask(self.talks, "one")

            def test_2(self) -> None:
                ask(self.talks, "two")
                self.fail("on purpose")

            def test_3(self) -> None:
                ask(self.talks, "three")

        text = self.report(run(Case), "test_2")
        self.assertRegex(text, r"on purpose\n\ntalks wrote during this test:\n    \| TWO\n")
        for other in ("ONE", "THREE", "silent"):
            self.assertNotIn(other, text)
        (path,) = self.logs_of(text)
        self.assertEqual(Path(path).read_text().split("> "), ["", "ONE\n", "TWO\n", "THREE\n", ""])

    def test_what_was_written_at_the_end_of_a_test(self) -> None:
        """A line that was written just before a test ended is not taken for the next one's."""
        with tempfile.TemporaryDirectory() as directory:

            class Case(SummonTestCase):
                # the file is there once the line has been written
                server = SimpleExecutor(
                    ["sh", "-c", "while read name; do echo $name; : > $name; done"], cwd=directory
                )

            def passes(case: Any) -> None:
                path = Path(directory, case._testMethodName)
                case.server.sendline(path.name)
                while not path.exists():
                    pass

            def fails(case: Any) -> None:
                case.fail("on purpose")

            for number in range(30):
                setattr(Case, f"test_{number:02}_a", passes)
                setattr(Case, f"test_{number:02}_b", fails)
            result = run(Case)
        self.assertEqual((result.errors, len(result.failures)), ([], 30))
        for _, text in result.failures:
            self.assertNotIn("server wrote", text)

    def test_tests_that_pass_keep_no_log(self) -> None:
        """Nothing is added, and no log is kept, for a test that passes or fails as expected."""
        paths: list[str] = []

        class Case(SummonTestCase):
            talks = repl()

            def test_1(self) -> None:
                ask(self.talks, "one")
                paths.append(self.talks.log_path)

            @unittest.expectedFailure
            def test_2(self) -> None:
                ask(self.talks, "two")
                self.fail("as expected")

            def test_3(self) -> None:
                ask(self.talks, "three")
                self.skipTest("for no reason")

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))
        ((_, text),) = result.expectedFailures
        self.assertNotIn("TWO", text)
        self.assertFalse(os.path.exists(paths[0]))

    def test_wherever_it_fails(self) -> None:
        """In setUp, tearDown, clean-ups and subTests, and for each of several reports."""

        class Case(SummonTestCase):
            talks = repl()

            def tearDown(self) -> None:
                ask(self.talks, "down")
                raise ValueError("tearDown")

            def clean_up(self) -> None:
                ask(self.talks, "clean")
                raise ValueError("clean-up")

            def test(self) -> None:
                self.addCleanup(self.clean_up)
                for word in ("red", "green"):
                    with self.subTest(word):
                        ask(self.talks, word)
                        self.fail(word)

        result = run(Case)
        texts = [text for _, text in [*result.failures, *result.errors]]
        self.assertEqual(len(texts), 4)
        for text, word in zip(texts, ("RED", "GREEN", "DOWN", "CLEAN"), strict=True):
            self.assertIn(f"| > {word}" if word != "RED" else "| RED", text)
            self.assertEqual(text.count("talks wrote during this test"), 1)
            self.logs_of(text)

    def test_of_a_service_for_one_test(self) -> None:
        """A service that is stopped before the report is made is in it, and its log is kept."""

        class Case(SummonTestCase):
            talks = repl(scope="test")
            paths: list[str] = []

            def test_1(self) -> None:
                ask(self.talks, "one")
                self.fail("on purpose")

            def test_2(self) -> None:
                self.paths.append(self.talks.log_path)

        text = self.report(run(Case), "test_1")
        self.assertRegex(text, r"\| (> )?ONE")
        (path,) = self.logs_of(text)
        self.assertIn("ONE", Path(path).read_text())
        self.assertFalse(os.path.exists(Case.paths[0]))

    def test_what_was_written_before_a_stop(self) -> None:
        """Lines of a run that the test ended are there too, those of the next run after them."""

        class Case(SummonTestCase):
            talks = repl()

            def test(self) -> None:
                ask(self.talks, "before")
                self.talks.restart()
                ask(self.talks, "after")
                self.fail("on purpose")

        text = self.report(run(Case))
        self.assertRegex(text, r"\| BEFORE\n(    \|.*\n)*    \| > AFTER\n")
        self.logs_of(text)

    def test_members_of_an_orchestrator(self) -> None:
        """The report shows the members of an orchestrator like other services."""

        class Case(SummonTestCase):
            group = Orchestrator({"inner": repl()})

            def test(self) -> None:
                ask(members_of(self.group)["inner"], "word")
                self.fail("on purpose")

        text = self.report(run(Case))
        self.assertIn("inner wrote during this test:\n    | WORD", text)
        self.logs_of(text)

    def test_an_exception_that_is_raised_again(self) -> None:
        """An exception that several tests raise has the words of one test only."""
        shared = ValueError("shared")

        class Case(SummonTestCase):
            talks = repl()

            def test_1(self) -> None:
                ask(self.talks, "one")
                raise shared

            def test_2(self) -> None:
                ask(self.talks, "two")
                raise shared

        text = self.report(run(Case), "test_2")
        self.assertIn("TWO", text)
        self.assertNotIn("ONE", text)
        self.logs_of(text)

    def test_an_exception_that_cannot_be_written_to(self) -> None:
        """A frozen exception is reported without our words rather than not at all."""

        @dataclasses.dataclass(frozen=True)
        class Frozen(Exception):
            number: int

        class Case(SummonTestCase):
            talks = repl()

            def test(self) -> None:
                ask(self.talks, "word")
                raise Frozen(3)

        with mock.patch("sys.version_info", (3, 12)):
            self.assertIn("Frozen", self.report(run(Case)))

    def test_where_only_messages_are_printed(self) -> None:
        """Under trial, and on Python 3.10, a copy of the exception has the words in its message."""
        watch = mock.Mock(spec=Watch, deaths=[ProcessExited("db: died")])
        watch.text.return_value = "db: died\nweb wrote"
        for error in (OSError(5, "no luck"), KeyError("k"), UnicodeError("u"), ProcessExited("x")):
            with self.subTest(repr(error)):
                error.extra = 1  # type: ignore[union-attr]
                error.__cause__ = ValueError("reason")
                told = explained(error, watch, "message")
                self.assertEqual(str(told), f"db: died\nweb wrote\n\n{error}")
                self.assertIsInstance(told, type(error))
                self.assertEqual(type(told).__qualname__, type(error).__qualname__)
                self.assertEqual((told.args, vars(told)), (error.args, vars(error)))
                self.assertIs(told.__cause__, error.__cause__)
                self.assertEqual(str(pickle.loads(pickle.dumps(told))), str(told))


class ResultTest(ReportTest):
    """The result object of the runner."""

    def test_it_is_left_as_it_was(self) -> None:
        """After the test the result has its own methods again, also those set on the object."""
        result = unittest.TestResult()
        result.addError = add = mock.Mock()  # type: ignore[method-assign]
        watch = Watch([], "label", lambda part: False)
        before = dict(vars(result))
        with reported(self, result, watch):
            self.assertNotEqual(vars(result), before)
            result.addError(self, (ValueError, ValueError("x"), None))
        self.assertEqual(vars(result), before)
        self.assertEqual(add.call_count, 1)

    def test_it_can_be_pickled_meanwhile(self) -> None:
        """Django's parallel runner pickles the result while a test runs."""
        result = unittest.TestResult()
        for name in ("_original_stdout", "_original_stderr"):
            setattr(result, name, None)
        with reported(self, result, Watch([], "label", lambda part: False)):
            copied = pickle.loads(pickle.dumps(result))
        copied.addError(self, (ValueError, ValueError("x"), None))
        self.assertEqual((len(copied.errors), result.errors), (1, []))

    def test_a_stream_of_its_own(self) -> None:
        """Characters that the runner's stream cannot encode are spelt out, whatever stdout is."""

        class Case(SummonTestCase):
            talks = repl()

            def test_1(self) -> None:
                ask(self.talks, "\xe9\u2713")
                self.fail("on purpose")

            def test_2(self) -> None:
                ask(self.talks, "\xe9\u2713")
                self.talks.wait_for_output("never", timeout=0.05)

            def test_3(self) -> None:
                ask(self.talks, "\xe9\u2713")
                self.assertNoOutput(self.talks, "\u2713")

        for encoding, shown in {
            "ascii": "\\xc9\\u2713",
            "latin-1": "\xc9\\u2713",
            "utf-8": "\xc9\u2713",
        }.items():
            stream = io.TextIOWrapper(io.BytesIO(), encoding)
            with mock.patch("linecache.getline", return_value=""):  # of the lines above
                unittest.TextTestRunner(stream).run(
                    unittest.defaultTestLoader.loadTestsFromTestCase(Case)
                )
            stream.seek(0)
            text = stream.read()
            self.assertGreaterEqual(text.count(shown), 4, text)
            self.logs_of(text)

    def test_an_exception_reported_twice(self) -> None:
        """A result that passes a failed subTest on to addFailure has our words once."""

        class Green(unittest.TestResult):
            def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
                if err:
                    self.addFailure(test, err)

        class Case(SummonTestCase):
            talks = repl()

            def test(self) -> None:
                with self.subTest("one"):
                    ask(self.talks, "word")
                    self.fail("on purpose")

        result = Green()
        Case("test").run(result)
        Case.doClassCleanups()
        ((_, text),) = result.failures
        self.assertEqual(text.count("talks wrote during this test"), 1)
        self.logs_of(text)


class DeathTest(ReportTest):
    def test_it_is_named_first(self) -> None:
        """The report begins with the dead service, how it died, and its last lines."""

        class Case(SummonTestCase):
            fine = repl()
            mortal = repl()

            def test(self) -> None:
                ask(self.fine, "well")
                ask(self.mortal, "last words")
                os.kill(self.mortal.pid, signal.SIGKILL)
                raise ConnectionRefusedError(111, "Connection refused")

        text = self.report(run(Case))
        at = [
            text.index(words)
            for words in (
                "mortal: was killed by SIGKILL during",
                "| > LAST WORDS",
                "[Errno 111]",
                "fine wrote during this test",
            )
        ]
        if hasattr(BaseException, "add_note"):
            self.assertEqual(at, sorted(at), text)
        self.assertEqual(min(at), at[0], text)
        self.assertIn("Case.test", text)
        self.logs_of(text)

    def test_it_is_noticed_in_time(self) -> None:
        """A report names a death even if the test fails at that very moment."""

        class Case(SummonTestCase):
            mortal = SimpleExecutor(service("silent.py", "x"), scope="test")

            def test(self) -> None:
                pid = self.mortal.pid
                os.kill(pid, signal.SIGTERM)
                eventually(lambda: procfs.is_alive(pid) is False, "the end")
                self.fail("at once")

        for _ in range(20):
            text = self.report(run(Case))
            self.assertIn("mortal: was killed by SIGTERM during", text)
            self.logs_of(text)

    def test_the_status_is_named(self) -> None:
        """The report of a service that exits by itself has the status, even 0."""
        for status in (0, 3):

            class Case(SummonTestCase):
                mortal = OutputCoordinatedExecutor(
                    ["sh", "-c", f"echo up; read x; exit {status}"], "up"
                )

                def test(self) -> None:
                    self.mortal.sendline()
                    eventually(lambda: not self.mortal.running(), "the end")
                    self.fail("on purpose")

            text = self.report(run(Case))
            self.assertIn(f"mortal: exited with status {status} during", text)
            self.assertEqual("declare one_shot=True" in text, status == 0)
            self.logs_of(text)

    def test_a_command_may_end(self) -> None:
        """A SimpleExecutor may end with status 0; reports of failing tests say so."""

        class Case(SummonTestCase):
            command = SimpleExecutor(["sh", "-c", "read x; exit $x"])

            def end_with(self, status: int) -> None:
                self.command.sendline(str(status))
                eventually(lambda: not self.command.running(), "the end")

            def test_1(self) -> None:
                self.end_with(0)

            def test_2(self) -> None:
                self.fail("on purpose")

            def test_3(self) -> None:
                self.command.restart()
                self.end_with(1)

        result = run(Case)
        self.assertIn("command: exited with status 0\n", self.report(result, "test_2"))
        text = self.report(result, "test_3")
        self.assertIn("ProcessExited: command: exited with status 1 during", text)
        self.assertEqual(len(result.errors), 1)
        self.logs_of(text)

    def test_a_oneshot_may_end(self) -> None:
        """The end of a one-shot is no death."""

        class Case(SummonTestCase):
            once = SimpleExecutor("true", one_shot=True)

            def test_1(self) -> None:
                pass

            test_2 = test_1

        self.assertEqual(run(Case).errors, [])

    def test_a_test_does_not_pass_with_it(self) -> None:
        """If a service dies, the test errors, even if it passed or failed as expected."""

        class Passing(SummonTestCase):
            mortal = repl()

            def test(self) -> None:
                die(self.mortal)

        class Expecting(SummonTestCase):
            mortal = repl()

            @unittest.expectedFailure
            def test(self) -> None:
                die(self.mortal)
                self.fail("as expected")

        for case in (Passing, Expecting):
            result = run(case)
            self.assertEqual((len(result.errors), result.expectedFailures), (1, []))
            self.assertFalse(result.failures)
            text = self.report(result)
            self.assertIn("ProcessExited: mortal: was killed by SIGKILL during", text)
            self.logs_of(text)

    def test_later_tests_error_at_once(self) -> None:
        """Tests of the class after that do not run; each errors with the same cause."""
        ran: list[str] = []

        class Case(SummonTestCase):
            mortal = repl()

            def setUp(self) -> None:
                ran.append(self._testMethodName)

            def test_1(self) -> None:
                ask(self.mortal, "word")
                die(self.mortal)

            def test_2(self) -> None:
                pass

            test_3 = test_2

        class Other(SummonTestCase):
            mortal = repl()

            def test(self) -> None:
                ask(self.mortal, "alive")

        began = time.monotonic()
        result = run(Case, Other)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual((ran, len(result.errors)), (["test_1"], 3))
        for name in ("test_1", "test_2", "test_3"):
            text = self.report(result, name)
            self.assertRegex(text, r"ProcessExited: mortal: was killed by SIGKILL .*Case\.test_1")
        depths = [self.report(result, name).count("File ") for name in ("test_2", "test_3")]
        self.assertNotIn("wrote during this test", self.report(result, "test_3"))
        self.assertEqual(len(set(depths)), 1, "the traceback grows from test to test")
        self.logs_of(text)

    def test_between_two_tests(self) -> None:
        """A death after the end of a test is the error of the next one, which does not run."""

        class Case(SummonTestCase):
            mortal = repl()

            def test_1(self) -> None:
                pass

            def test_2(self) -> None:
                raise AssertionError("it ran")

        Case.setUpClass()
        self.assertEqual(run_bare(Case, "test_1").errors, [])
        die(Case.mortal)
        result = run_bare(Case, "test_2")
        self.assertEqual(result.failures, [])
        text = self.report(result, "test_2")
        self.assertRegex(text, r"mortal: was killed by SIGKILL before .*Case\.test_2")
        self.logs_of(text)
        Case.doClassCleanups()
        self.assertEqual(Case.tearDown_exceptions, [], "it was reported before")

    def test_after_the_last_test(self) -> None:
        """A death that no test has reported is an error of the class."""

        class Case(SummonTestCase):
            mortal = repl()

            def test(self) -> None:
                die(self.mortal)
                self.skipTest("so it cannot be an error of the test")

        result = run(Case)
        self.assertEqual(len(result.skipped), 1)
        ((_, text),) = result.errors
        self.assertRegex(text, r"mortal: was killed by SIGKILL during .*Case\.test")
        self.logs_of(text)

        class Later(SummonTestCase):
            mortal = repl()

            def test(self) -> None:
                pass

            @classmethod
            def tearDownClass(cls) -> None:
                die(cls.mortal)

        ((_, text),) = run(Later).errors
        self.assertIn("mortal: was killed by SIGKILL after the last test", text)
        self.logs_of(text)

    def test_in_the_last_moment_of_a_test(self) -> None:
        """It is a death in that test, which has passed otherwise, and not in the next one."""

        class Case(SummonTestCase):
            first, last = repl(), repl()

            def test_1(self) -> None:
                pass

            def test_2(self) -> None:
                os.kill(self.last.pid, signal.SIGKILL)

            def test_3(self) -> None:
                pass

        class Own(Case):
            first, last = repl(scope="test"), repl(scope="test")

        for _ in range(5):
            result = run(Case)
            self.assertEqual(result.failures, [])
            said = self.report(result, "test_2")
            self.assertRegex(said, r"last: was killed by SIGKILL during .*Case\.test_2")
            self.assertIn("during", self.report(result, "test_3"))
            ((test, said),) = run(Own).errors
            self.assertEqual(test._testMethodName, "test_2")  # type: ignore[attr-defined]
            self.assertRegex(said, r"last: was killed by SIGKILL during .*Own\.test_2")

    def test_in_setupclass(self) -> None:
        """If setUpClass fails because a service died, the error names the death as its cause."""

        class Case(SummonTestCase):
            mortal = repl()

            @classmethod
            def setUpClass(cls) -> None:
                os.kill(cls.mortal.pid, signal.SIGKILL)
                raise ConnectionRefusedError(111, "Connection refused")

            def test(self) -> None:
                pass

        ((_, text),) = run(Case).errors
        died = text.index("mortal: was killed by SIGKILL during setUpClass of")
        self.assertLess(died, text.index("Connection refused"))
        self.logs_of(text)

    def test_two_deaths(self) -> None:
        """All dead services are named."""

        class Case(SummonTestCase):
            one = repl()
            two = repl()

            def test(self) -> None:
                die(self.one)
                die(self.two, signal.SIGABRT)
                self.fail("on purpose")

        text = self.report(run(Case))
        self.assertIn("one: was killed by SIGKILL", text)
        self.assertIn("two: was killed by SIGABRT", text)
        self.logs_of(text)

    def test_async_tests(self) -> None:
        """It is the same with IsolatedAsyncioTestCase."""

        class Case(SummonMixin, unittest.IsolatedAsyncioTestCase):
            mortal = repl()

            async def test(self) -> None:
                die(self.mortal)

        self.assertIn("mortal: was killed by SIGKILL during", text := self.report(run(Case)))
        self.logs_of(text)


class MeantTest(ReportTest):
    """What a test does to a service is not its death."""

    def test_stopped_and_killed_by_the_test(self) -> None:
        """stop() and kill() are no deaths; the next test finds it running, at the same port."""
        for end in ("stop", "kill"):

            class Case(SummonTestCase):
                server = SimpleExecutor(
                    [*service("silent.py"), "{port}"], after=(), expected_exit=-15
                )
                how = end
                ports: list[int] = []

                def test_1(self) -> None:
                    self.ports.append(self.server.port)
                    getattr(self.server, self.how)()
                    self.assertFalse(self.server.running())
                    self.assertEqual(self.server.port, self.ports[0], "who refers to it, can")

                def test_2(self) -> None:
                    self.assertTrue(self.server.running())
                    self.ports.append(self.server.port)

            result = run(Case)
            self.assertEqual((result.errors, result.failures), ([], []))
            self.assertEqual(len(set(Case.ports)), 1)
            self.assertFalse(has_lease(Case.server), "it is given back at the end")

    def test_restarted_by_the_test(self) -> None:
        """stopped(), paused() and restart() are no deaths."""

        class Case(SummonTestCase):
            server = repl()

            def test(self) -> None:
                with self.server.stopped():
                    pass
                with self.server.paused():
                    pass
                self.server.restart()
                ask(self.server, "alive")

            test_2 = test

        self.assertEqual(run(Case).errors, [])

    def test_a_death_that_the_test_expects(self) -> None:
        """A test that lets a service die passes if it then calls stop() or restart()."""
        for way in ("stop", "restart"):

            class Case(SummonTestCase):
                mortal = repl()
                how = way

                def test_1(self) -> None:
                    die(self.mortal)
                    getattr(self.mortal, self.how)()

                def test_2(self) -> None:
                    ask(self.mortal, "alive")

            self.assertEqual(run(Case).errors, [])

    def test_a_group_that_the_test_stops(self) -> None:
        """The members of an orchestrator that a test stopped run again, and stop at the end."""

        class Case(SummonTestCase):
            group = Orchestrator({"inner": repl()})
            pids: list[int] = []

            def test_1(self) -> None:
                self.group.stop()

            def test_2(self) -> None:
                inner: Any = members_of(self.group)["inner"]
                ask(inner, "alive")
                self.pids.append(inner.pid)

        self.assertEqual(run(Case).errors, [])
        with self.assertRaises(ProcessLookupError):
            os.kill(Case.pids[0], 0)

    def test_one_that_cannot_be_started_again(self) -> None:
        """A restart that fails is the error of each later test, and tried once."""
        tries: list[int] = []

        def once(executor: Any) -> bool:
            tries.append(executor.pid)
            return len(set(tries)) == 1

        class Case(SummonTestCase):
            server = SimpleExecutor(service("silent.py", "x"), until=once, timeout=0.3)

            def test_1(self) -> None:
                self.server.kill()

            def test_2(self) -> None:
                raise AssertionError("it ran")

            test_3 = test_2

        result = run(Case)
        self.assertEqual((len(result.errors), result.failures), (2, []))
        for name in ("test_2", "test_3"):
            self.assertIn("server: not ready within 0.3 s", text := self.report(result, name))
        self.assertEqual(len(set(tries)), 2)
        self.logs_of(text)


class RestartTest(ReportTest):
    """The argument restart=."""

    def test_it_is_started_again(self) -> None:
        """With restart=True tests go on, at the same port; reports and the log say so."""

        class Case(SummonTestCase):
            phoenix = OutputCoordinatedExecutor([*service("repl.py"), "{port}"], "> ", restart=True)
            ports: set[int] = set()

            def test_1(self) -> None:
                self.ports.add(self.phoenix.port)
                die(self.phoenix)

            def test_2(self) -> None:
                self.ports.add(self.phoenix.port)
                ask(self.phoenix, "alive")
                self.fail("on purpose")

            def test_3(self) -> None:
                die(self.phoenix)
                self.fail("on purpose")

            def test_4(self) -> None:
                ask(self.phoenix, "alive")

        with self.assertLogs("summon_testcase", logging.WARNING) as logs:
            result = run(Case)
        self.assertEqual((result.errors, len(result.failures)), ([], 2))
        self.assertEqual(len(Case.ports), 1)
        again = r"phoenix: was killed by SIGKILL during .*Case\.test_1; started again before .*2"
        self.assertRegex(self.report(result, "test_2"), again)
        self.assertRegex(logs.output[0], again)
        text = self.report(result, "test_3")
        self.assertIn("phoenix is started again before the next test (restart=)", text)
        self.logs_of(text + self.report(result, "test_2"))

    def test_as_often_as_is_said(self) -> None:
        """With a number, the death after that many restarts ends it."""

        class Case(SummonTestCase):
            phoenix = repl(restart=1)

            def test_1(self) -> None:
                die(self.phoenix)

            test_2 = test_1

            def test_3(self) -> None:
                raise AssertionError("it ran")

        with self.assertLogs("summon_testcase", logging.WARNING):
            result = run(Case)
        self.assertEqual(len(result.errors), 2)
        self.assertRegex(self.report(result, "test_2"), r"SIGKILL during .*test_2")
        self.logs_of(text := self.report(result, "test_3"))
        self.assertRegex(text, r"SIGKILL during .*test_2")

    def test_a_oneshot_that_refers_to_it(self) -> None:
        """Migrations do not run again when the database is started again: it has its data."""
        runs: list[int] = []

        class Case(SummonTestCase):
            db = repl(restart=True)
            migrations = SimpleExecutor(
                "true", one_shot=True, after="db", until=lambda e: runs.append(e.pid) or True
            )
            other = SimpleExecutor("true", one_shot=True, until=lambda e: runs.append(0) or True)

            def test_1(self) -> None:
                die(self.db)

            def test_2(self) -> None:
                self.db.kill()

            def test_3(self) -> None:
                pass

        with self.assertLogs("summon_testcase", logging.WARNING):
            self.assertEqual(run(Case).errors, [])
        self.assertEqual((len(set(runs) - {0}), runs.count(0)), (1, 1))

    def test_the_last_death(self) -> None:
        """After the last test a dead service is not started again; the logger reports the death."""

        class Case(SummonTestCase):
            phoenix = repl(restart=True)

            def test(self) -> None:
                die(self.phoenix)

        with self.assertLogs("summon_testcase", logging.WARNING) as logs:
            self.assertEqual(run(Case).errors, [])
        self.assertIn("phoenix: was killed by SIGKILL during", logs.output[0])


if __name__ == "__main__":
    unittest.main()
