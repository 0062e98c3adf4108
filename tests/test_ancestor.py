"""The contract of the ancestor, in words of our own: what its users rely on."""

from __future__ import annotations

import tempfile
import time
import unittest
from typing import Any

import pytest

from summon_testcase import (
    HTTPCoordinatedExecutor,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    orchestrated,
)
from summon_testcase.system import ports

from .needs import needs
from .samples import kill_marked, marked, marker, service, text


class AncestorTest(unittest.TestCase):
    def setUp(self) -> None:
        self.mark = marker()
        self.addCleanup(kill_marked, self.mark)

    def assert_nothing_left(self) -> None:
        self.assertEqual(marked(self.mark), [])

    def port(self) -> int:
        port = ports.lease()
        self.addCleanup(ports.release, port)
        return port


class ExecutorsTest(AncestorTest):
    def test_simple_executor_gives_all_output(self) -> None:
        """A plain executor's ``output().read()`` gives everything up to the end."""
        executor = SimpleExecutor('echo -n "foobar"')
        executor.start()
        self.addCleanup(executor.stop)
        self.assertEqual(executor.output().read(), "foobar")

    def test_output_goes_on_after_the_banner(self) -> None:
        """Ready at the banner; ``output()`` begins with the line after it."""
        executor = OutputCoordinatedExecutor(
            'bash -c "sleep 2 && echo foo && echo bar && sleep 100"', "foo"
        )
        executor.start()
        self.addCleanup(executor.stop)
        self.assertEqual(executor.output().readline(), "bar\n")
        self.assertTrue(executor.running())

    @needs("nc", package="netcat-openbsd")
    def test_a_port_is_waited_for(self) -> None:
        """Ready when the port that was given accepts."""
        port = self.port()
        executor = TCPCoordinatedExecutor(
            f'bash -c "sleep 2 && nc -l {port}"', host="localhost", port=port
        )
        executor.start()
        self.addCleanup(executor.stop)
        self.assertTrue(executor.running())

    def test_a_port_that_nobody_opens(self) -> None:
        """Without a listener the start expires, and nothing of the process is left."""
        executor = TCPCoordinatedExecutor(
            f'bash -c "sleep 10; : {self.mark}"', host="localhost", port=self.port(), timeout=2
        )
        with self.assertRaises(TimeoutExpired):
            executor.start()
        self.assertFalse(executor.running())
        self.assert_nothing_left()

    def late(self, seconds: float, timeout: float) -> HTTPCoordinatedExecutor:
        return HTTPCoordinatedExecutor(
            service("late_http.py", "{port}", seconds, "{tmpdir}/state", self.mark),
            url="http://{host}:{port}/",
            timeout=timeout,
        )

    def test_an_accepted_connection_is_no_answer(self) -> None:
        """An HTTP server that accepts at once but answers after 5 s is waited for."""
        with self.late(seconds=5, timeout=30) as executor:
            self.assertIn("answering", text(f"{executor.tmpdir}/state"))
        self.assert_nothing_left()

    def test_an_answer_that_comes_too_late(self) -> None:
        """With ``timeout=1`` that server's start expires, well before it would answer."""
        began = time.monotonic()
        with self.assertRaises(TimeoutExpired):
            self.late(seconds=60, timeout=1).start()
        self.assertLess(time.monotonic() - began, 20)
        self.assert_nothing_left()

    def test_503_is_not_ready(self) -> None:
        """A server that answers 503 is up but not ready; with the first 200 it is."""
        executor = HTTPCoordinatedExecutor(
            service("unready_http.py", "{port}", 3, "{tmpdir}/asked", self.mark),
            url="http://{host}:{port}/health",
        )
        with executor:
            asked = text(f"{executor.tmpdir}/asked").splitlines()
        self.assertEqual(asked, ["GET /health 503"] * 3 + ["GET /health 200"])


class Recorder:
    """A foreign executor that records the calls of its methods."""

    def __init__(self, label: str, events: list[str], fails: bool = False) -> None:
        self.label, self.events, self.fails = label, events, fails

    def start(self) -> None:
        self.events.append(f"start {self.label}")
        if self.fails:
            raise RuntimeError(f"{self.label} does not start")

    def stop(self) -> None:
        self.events.append(f"stop {self.label}")


class OrchestratedTest(AncestorTest):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[str] = []

    def three(self, **b: Any) -> list[Recorder]:
        return [Recorder(c, self.events, **(b if c == "b" else {})) for c in "abc"]

    def test_in_order_and_back(self) -> None:
        """The first is started first and stopped last."""
        with orchestrated(*self.three()):
            self.assertEqual(self.events, ["start a", "start b", "start c"])
        self.assertEqual(self.events[3:], ["stop c", "stop b", "stop a"])

    def test_the_body_raises(self) -> None:
        """All are stopped in reverse when the body raises, and its error comes through."""
        with pytest.raises(ZeroDivisionError):
            with orchestrated(*self.three()):
                raise ZeroDivisionError
        self.assertEqual(self.events[3:], ["stop c", "stop b", "stop a"])

    def test_the_second_does_not_start(self) -> None:
        """If b fails, a is stopped again and c is never started."""
        with pytest.raises(RuntimeError, match="b does not start"):
            with orchestrated(*self.three(fails=True)):
                self.fail("the body ran")
        self.assertEqual(self.events, ["start a", "start b", "stop a"])

    def test_real_processes_in_order(self) -> None:
        """Each process is started when the one before it is ready, the last stopped first."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        record = f"{directory.name}/record"
        script = (
            'trap "echo stop $1 >>$2; exit 0" TERM; sleep 0.1; echo start $1 >>$2; '
            "echo ready; while :; do sleep 0.01; done"
        )
        a, b, c = (
            OutputCoordinatedExecutor(["sh", "-c", script, self.mark, name, record], "ready")
            for name in "abc"
        )
        with orchestrated(a, b, c):
            pass
        expected = [f"start {c}" for c in "abc"] + [f"stop {c}" for c in "cba"]
        self.assertEqual(text(record).splitlines(), expected)
        self.assert_nothing_left()
