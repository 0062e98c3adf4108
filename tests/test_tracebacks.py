"""The traceback of an error shows the user's lines, under each runner."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
import traceback
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import summon_testcase
from summon_testcase import (
    Executor,
    HTTPCoordinatedExecutor,
    Orchestrator,
    SimpleExecutor,
    SummonError,
    TCPCoordinatedExecutor,
    orchestrated,
)

from .samples import BARE

PACKAGE = Path(summon_testcase.__file__).resolve().parent

TESTS = """
    import os, signal, sys, unittest
    from summon_testcase import *

    def bad(name):
        return OutputCoordinatedExecutor([sys.executable, "-c", "exit(3)"], "never", name=name)

    def helper(executor):
        return executor.start()  # the user's line

    class DeclaredTest(SummonTestCase):
        web = bad("web")
        def test_declared(self): ...

    class WrittenTest(unittest.TestCase):
        def test_with(self):
            with bad("with"):  # the user's line
                pass
        def test_start(self):
            helper(bad("start"))
        def test_orchestrated(self):
            with orchestrated(SimpleExecutor("sleep 100"), bad("group")):  # the user's line
                pass
        @orchestrated(bad("decorated"))
        def test_decorated(self): ...
        def test_restart(self):
            with SimpleExecutor("sleep 100", name="again") as again:
                again._command = ("/bin/no-such-program",)
                again.restart()  # the user's line
        def test_stopped(self):
            with SimpleExecutor("sleep 100", name="again") as again:
                with again.stopped():  # the user's line
                    again._command = ("/bin/no-such-program",)
        def test_argument(self):
            SimpleExecutor("sleep 1", timeout=-1)  # the user's line
        def test_wait(self):
            with SimpleExecutor("sleep 100", name="waits") as waits:
                waits.wait_for_output("never", timeout=0.01)  # the user's line

    class RunningTest(SummonTestCase):
        runs = SimpleExecutor("sleep 100")
        def test_asserts(self):
            self.assertOutput(self.runs, "never", timeout=0.01)  # the user's line
        def test_dies(self):
            os.kill(self.runs.pid, signal.SIGKILL)
            while self.runs.running(): ...
"""
#: how each runner is called, and how many frames of ours it may show in all
RUNNERS = {
    "unittest": (["unittest", "test_it"], 11),
    "pytest": (["pytest", "-c", os.devnull, "-p", "no:cacheprovider", "test_it.py"], 3),
    "nose2": (["nose2", "test_it"], 17),
    "trial": (["twisted.trial", "test_it"], 17),
    "zope": (["zope.testrunner", "--test-path", ".", "--tests-pattern", "^test_it$"], 17),
    "testtools": (["testtools.run", "test_it"], 17),
}


def printed(command: list[str], **env: str) -> str:
    """The output of a runner for these tests."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "test_it.py").write_text(textwrap.dedent(TESTS))
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **BARE, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return done.stdout


def ours(said: str) -> int:
    """How many frames of ours a text has."""
    return len(re.findall(rf"{PACKAGE.name}/[\w/]+\.py", said))


def lines(error: BaseException) -> list[str]:
    """The functions in a traceback, ours by the module."""
    return [
        frame.name if PACKAGE not in Path(frame.filename).parents else Path(frame.filename).stem
        for frame in traceback.extract_tb(error.__traceback__)
    ]


class RunnersTest(unittest.TestCase):
    def test_what_each_shows(self) -> None:
        """The user's lines, and next to none of ours."""
        for name, (command, most) in RUNNERS.items():
            with self.subTest(name):
                said = printed(command)
                self.assertLessEqual(ours(said), most, said)
                self.assertEqual(len(re.findall(r"\S .*# the user's line", said)), 8, said)
                for word in ("web", "with", "start", "group", "decorated"):
                    self.assertIn(f"{word}: exited with status 3 before it was ready", said)
                self.assertNotIn("entries are hidden", said)

    def test_all_of_them(self) -> None:
        """With SUMMON_DEBUG=1 nothing is left out."""
        for name in ("unittest", "pytest", "trial"):
            self.assertGreater(ours(printed(RUNNERS[name][0], SUMMON_DEBUG="1")), 50, name)


class Failing(Executor):
    """An executor of the user's."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def start(self) -> Failing:
        raise self.error

    def stop(self) -> None:
        pass


class ErrorsTest(unittest.TestCase):
    def caught(self, kind: type[BaseException], executor: Executor) -> BaseException:
        # assertRaises() would take the traceback away
        try:
            with orchestrated(executor):
                pass
        except kind as error:
            return error
        raise AssertionError("it did not fail")

    def test_of_a_start(self) -> None:
        """Next to the user's line there is one of ours."""
        with mock.patch.dict(os.environ, SUMMON_DEBUG="0"):
            error = self.caught(SummonError, SimpleExecutor("false", one_shot=True))
        self.assertEqual(lines(error), ["caught", "tracebacks"])
        with mock.patch.dict(os.environ, SUMMON_DEBUG="1"):
            error = self.caught(SummonError, SimpleExecutor("false", one_shot=True))
        self.assertGreater(len(lines(error)), 6)

    def test_of_a_declaration(self) -> None:
        """The error of a refused declaration shows the user's line, too."""
        wrong: list[Callable[[], object]] = [
            lambda: SimpleExecutor("redis-server 'unclosed"),
            lambda: TCPCoordinatedExecutor("redis-server", port=-1),
            lambda: HTTPCoordinatedExecutor("x {port}", url="nowhere"),
            lambda: orchestrated("redis-server"),
            lambda: Orchestrator({"db": "redis-server"}),  # type: ignore[dict-item]
            lambda: TCPCoordinatedExecutor("x {port}").url_for("/"),
        ]
        for declare in wrong:
            with mock.patch.dict(os.environ, SUMMON_DEBUG="0"):
                try:
                    declare()
                except SummonError as error:
                    self.assertEqual(lines(error)[1], "<lambda>")
                    self.assertEqual(len(lines(error)), 3, lines(error))
                else:
                    self.fail("it was accepted")

    def test_with_variables(self) -> None:
        """repr() works in an unfinished constructor, as ``unittest --locals`` needs it."""
        for kind in (TCPCoordinatedExecutor, HTTPCoordinatedExecutor, Orchestrator):
            try:
                kind(3, name=3)  # type: ignore[call-arg, arg-type]
            except (SummonError, TypeError) as error:
                shown = traceback.TracebackException.from_exception(error, capture_locals=True)
                self.assertIn(f"<{kind.__name__}", "".join(shown.format()))
            else:
                self.fail("it was accepted")
            self.assertIn(kind.__name__, str(kind.__new__(kind)))

    def test_of_the_users_own_executors(self) -> None:
        """An error of the user's own start() keeps that line; foreign errors keep all lines."""
        error = self.caught(SummonError, Failing(SummonError("mine")))
        self.assertEqual(lines(error), ["caught", "tracebacks", "start"])
        for kind in (KeyError, KeyboardInterrupt):
            error = self.caught(kind, Failing(kind("mine")))
            self.assertEqual(lines(error)[-1], "start")
            self.assertGreater(len(lines(error)), 4)

    def test_of_what_led_to_it(self) -> None:
        """The cause of an error is shown without frames of ours too."""

        def broken(_: object) -> bool:
            raise NameError("mine")

        executor = SimpleExecutor("sleep 100", until=broken, timeout=0.1)
        error = self.caught(SummonError, executor)
        self.assertEqual(lines(error), ["caught", "tracebacks"])
        if error.__cause__ is not None:
            self.assertEqual(lines(error.__cause__), ["broken"])


if __name__ == "__main__":
    unittest.main()
