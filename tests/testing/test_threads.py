"""Tests that run in several threads of one process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import unittest
from collections.abc import Iterable
from pathlib import Path

import testtools

from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor, SummonTestCase
from summon_testcase.testing.pool import holders

from ..doubles import reset
from ..samples import BARE, ROOT

#: seconds that a thread waits for another, however busy the machine
SOON = 60.0


def in_threads(*suites: unittest.TestSuite) -> list[unittest.TestResult]:
    """Run each in a thread of its own, all at the same time."""
    barrier = threading.Barrier(len(suites))
    results = [unittest.TestResult() for _ in suites]

    def run(suite: unittest.TestSuite, result: unittest.TestResult) -> None:
        barrier.wait(SOON)
        suite.run(result)

    threads = [
        threading.Thread(target=run, args=pair) for pair in zip(suites, results, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    return results


def suite_of(case: type[unittest.TestCase], *names: str) -> unittest.TestSuite:
    if names:
        return unittest.TestSuite(map(case, names))
    return unittest.defaultTestLoader.loadTestsFromTestCase(case)


class ThreadsTest(unittest.TestCase):
    def assert_all_right(self, results: Iterable[unittest.TestResult], tests: int) -> None:
        results = list(results)
        for result in results:
            self.assertEqual([text for _, text in result.errors + result.failures], [])
        self.assertEqual(sum(result.testsRun for result in results), tests)
        self.assertEqual(holders, [])

    def test_two_classes_that_inherit_one_declaration(self) -> None:
        """Both have the same service, which lives until the last of them has ended."""
        inside = threading.Barrier(2)
        first_has_ended = threading.Event()
        pids: list[int] = []

        class Base(SummonTestCase):
            shared = OutputCoordinatedExecutor("sh -c 'sleep 0.3; echo up; exec cat'", "up\n")

        class FirstTest(Base):
            def test(self) -> None:
                pids.append(self.shared.pid)
                inside.wait(SOON)

            @classmethod
            def tearDownClass(cls) -> None:
                cls.addClassCleanup(first_has_ended.set)

        class SecondTest(Base):
            def test_1(self) -> None:
                pids.append(self.shared.pid)
                inside.wait(SOON)

            def test_2(self) -> None:
                self.assertTrue(first_has_ended.wait(SOON))
                self.shared.sendline("still there")
                self.assertOutput(self.shared, "still there")
                pids.append(self.shared.pid)

        results = in_threads(suite_of(FirstTest), suite_of(SecondTest))
        self.assert_all_right(results, 3)
        self.assertEqual(len(set(pids)), 1)
        self.assertFalse(Base.shared.running())

    def test_one_class_in_two_threads(self) -> None:
        """Its services live until both are done with it."""
        inside = threading.Barrier(2)

        class SplitTest(SummonTestCase):
            it = SimpleExecutor("sleep 600")

            def test_1(self) -> None:
                inside.wait(SOON)
                self.assertTrue(self.it.running())

            def test_2(self) -> None:
                inside.wait(SOON)
                self.assertTrue(self.it.running())

            test_3 = test_4 = lambda self: self.assertTrue(self.it.running())

        results = in_threads(
            suite_of(SplitTest, "test_1"), suite_of(SplitTest, "test_2", "test_3", "test_4")
        )
        self.assert_all_right(results, 4)
        self.assertFalse(SplitTest.it.running())

    def test_services_of_a_test_are_its_own(self) -> None:
        """A test in another thread that has the same declaration waits for its end."""
        begun = threading.Lock()
        pids: list[int] = []

        class Base(SummonTestCase):
            own = OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\n", scope="test")

            def test_1(self) -> None:
                self.assertTrue(begun.acquire(blocking=False))
                try:
                    pids.append(self.own.pid)
                    self.own.sendline("hello")
                    self.assertOutput(self.own, "hello")
                finally:
                    begun.release()

            test_2 = test_3 = test_1

        class FirstTest(Base):
            pass

        class SecondTest(Base):
            pass

        results = in_threads(*map(suite_of, (FirstTest, SecondTest, SecondTest)))
        self.assert_all_right(results, 9)
        self.assertEqual(len(set(pids)), 9)

    def test_a_start_that_fails(self) -> None:
        """Each class says so."""

        class Base(SummonTestCase):
            it = OutputCoordinatedExecutor("sh -c 'sleep 0.2; exit 3'", "up\n")

            def test(self) -> None:
                raise AssertionError("it has run")

        class FirstTest(Base):
            pass

        class SecondTest(Base):
            pass

        for result in in_threads(suite_of(FirstTest), suite_of(SecondTest)):
            (error,) = result.errors
            self.assertIn("exited with status 3 before it was ready", error[1])
            self.assertEqual(result.failures, [])
        self.assertEqual(holders, [])

    def test_one_result_for_all_threads(self) -> None:
        """The result object has its own methods again; failures show the services' output."""

        class Base(SummonTestCase):
            it = OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\n")

            def test(self) -> None:
                inside.wait(SOON)
                # they share how far its output has been looked at
                with turn:
                    self.it.sendline("what it says")
                    self.assertOutput(self.it, "what it says")
                inside.wait(SOON)
                self.fail("on purpose")

        inside, turn = threading.Barrier(2), threading.Lock()
        result = unittest.TestResult()
        cases = [type(name, (Base,), {}) for name in ("FirstTest", "SecondTest")]
        threads = [threading.Thread(target=case("test").run, args=(result,)) for case in cases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        self.assertEqual(len(result.failures), 2, result.errors)
        for _, said in result.failures:
            self.assertIn("it wrote during this test:\n    | what it says", said)
        self.assertEqual(vars(result).keys(), vars(unittest.TestResult()).keys())
        reset()

    def test_a_concurrent_suite(self) -> None:
        """testtools', with every scope, and classes that share what they inherit."""

        class Base(SummonTestCase):
            of_class = SimpleExecutor("sleep 600")
            of_module = SimpleExecutor("sleep 600", scope="module")
            of_run = SimpleExecutor("sleep 600", scope="run")
            of_test = SimpleExecutor("sleep 600", scope="test")

            def test_1(self) -> None:
                for service in (self.of_class, self.of_module, self.of_run, self.of_test):
                    self.assertTrue(service.running())

            test_2 = test_3 = test_4 = test_1

        cases = [type(f"Case{number}Test", (Base,), {}) for number in range(4)]

        class Part(unittest.TestSuite):
            __hash__ = object.__hash__

        concurrent = testtools.ConcurrentTestSuite(
            unittest.TestSuite(), lambda _: [Part(suite_of(case)) for case in cases]
        )
        stream = io.StringIO()
        result = testtools.TextTestResult(stream)
        result.startTestRun()
        concurrent.run(result)
        result.stopTestRun()
        self.assertTrue(result.wasSuccessful(), stream.getvalue())
        self.assertEqual(result.testsRun, 16)
        for service in (Base.of_class, Base.of_module, Base.of_test):
            self.assertFalse(service.running())
        self.assertTrue(Base.of_run.running())
        (run,) = holders
        run.stop()


PARALLEL = """
import unittest
from summon_testcase import *

class Base(SummonTestCase):
    cat = OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\\n")
    own = SimpleExecutor("sleep 600", scope="test")

    def test_output(self):
        self.cat.sendline("hello")
        self.assertIn("hello", self.cat.wait_for_output("hello")[0])

    def test_running(self):
        assert self.cat.running() and self.own.running()
        with SimpleExecutor("sleep 600") as another:
            assert another.running()

class FirstTest(Base): pass
class SecondTest(Base): pass
del Base

def test_plain():
    with orchestrated(SimpleExecutor("sleep 600"), SimpleExecutor("sleep 600")) as (a, b):
        assert a.running() and b.running()
"""


def test_pytest_run_parallel(tmp_path: Path) -> None:
    """Each test is run by several threads at once."""
    (tmp_path / "test_it.py").write_text(PARALLEL)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "pytest_run_parallel.plugin",
            "--parallel-threads=4",
            "-p",
            "no:cacheprovider",
            ".",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT, **BARE},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
