"""A service that hangs is named like one that died; and values that a restart has made stale."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import unittest
from typing import Any

import pytest

from summon_testcase import (
    CommandCoordinatedExecutor,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    NotifyCoordinatedExecutor,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    SummonTestCase,
    TCPCoordinatedExecutor,
    UnixSocketCoordinatedExecutor,
    orchestrated,
)
from summon_testcase.readiness.tcp import TCPProbe

from ..cases import run
from ..samples import service
from .test_reports import ReportTest

HTTP = [sys.executable, "-m", "http.server", "--bind", "{host}", "{port}"]


def web(**options: Any) -> Any:
    return HTTPCoordinatedExecutor(HTTP, url="http://{host}:{port}/", timeout=2, **options)


def answers(executor: Any) -> bool:
    import requests

    return requests.get(executor.url, timeout=0.3).ok


ASK = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=0.3)"

QUESTIONS: dict[str, Any] = {
    "again": True,
    "function": answers,
    "command": [sys.executable, "-c", ASK, "{url}"],
}


def freeze(executor: Any) -> None:
    os.kill(executor.pid, signal.SIGSTOP)


class AliveTest(ReportTest):
    def said(self, text: str) -> None:
        self.logs_of(text)
        self.assertRegex(
            text, r"web: did not answer within \S+ s when it was asked (during|before)"
        )
        self.assertIn("last answer: ", text)

    def test_a_server_that_hangs(self) -> None:
        """However it is asked, the report of the test names it, and later ones do so at once."""
        for name, question in QUESTIONS.items():
            with self.subTest(name):

                class Case(SummonTestCase):
                    web = web(alive=question)
                    ran: list[int] = []

                    def test_1(self) -> None:
                        self.ran.append(1)

                    def test_2(self) -> None:
                        self.ran.append(2)
                        freeze(self.web)

                    def test_3(self) -> None:
                        self.ran.append(3)

                    test_4 = test_5 = test_3

                began = time.monotonic()
                result = run(Case)
                took = time.monotonic() - began
                self.assertEqual((len(result.errors), result.failures), (4, []))
                self.assertEqual(Case.ran, [1, 2])
                for number in range(2, 6):
                    text = self.report(result, f"test_{number}")
                    self.said(text)
                    self.assertIn("during AliveTest", text)
                # a service that hangs is waited for once, not in each test
                self.assertLess(took, 2 * 4)
                self.assertFalse(Case.web.running())

    def test_it_makes_a_test_fail(self) -> None:
        """The failure of a client is a consequence: the service that hangs is its cause."""

        class Case(SummonTestCase):
            web = web(alive=True)

            def test(self) -> None:
                freeze(self.web)
                answers(self.web)

        text = self.report(run(Case))
        self.said(text)
        self.assertIn("ReadTimeout", text)

    def test_it_is_started_again(self) -> None:
        """With restart= the next test finds it well."""

        class Case(SummonTestCase):
            web = web(alive=True, restart=True)
            seen: list[Any] = []

            def test_1(self) -> None:
                self.seen.append(self.web.port)
                freeze(self.web)

            def test_2(self) -> None:
                self.seen.append(self.web.port)
                assert answers(self.web)

        with self.assertLogs("summon_testcase", logging.WARNING) as logs:
            result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))
        self.assertEqual(len(set(Case.seen)), 1)
        self.logs_of("\n".join(logs.output))
        self.assertIn("did not answer within 2 s", logs.output[0])

    def test_before_the_first_test(self) -> None:
        """A service that setUpClass has broken is noticed before a test runs."""

        class Case(SummonTestCase):
            web = web(alive=True)

            @classmethod
            def setUpClass(cls) -> None:
                freeze(cls.web)

            def test(self) -> None:
                raise AssertionError("it ran")

        text = self.report(run(Case))
        self.said(text)
        self.assertNotIn("it ran", text)

    def test_a_moment_of_weakness(self) -> None:
        """It is asked again while there is time; an exception is a refusal."""
        calls: list[int] = []

        def unsteady(executor: Any) -> bool:
            calls.append(1)
            if len(calls) % 3 == 1:
                raise ConnectionError("not now")
            return len(calls) % 3 == 0

        class Case(SummonTestCase):
            web = web(alive=unsteady)

            def test(self) -> None:
                pass

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))
        self.assertGreaterEqual(len(calls), 6)

    def test_a_mistake(self) -> None:
        """A mistake in the function itself is an error at once."""

        class Case(SummonTestCase):
            web = HTTPCoordinatedExecutor(
                HTTP,
                url="http://{host}:{port}/",
                alive=lambda e: undefined,  # type: ignore[name-defined]  # noqa: F821
            )

            def test(self) -> None:
                pass

        began = time.monotonic()
        text = self.report(run(Case))
        self.assertIn("web: alive= raised NameError", text)
        self.assertLess(time.monotonic() - began, 8)

    def test_what_is_not_running_is_not_asked(self) -> None:
        """A service that a test has stopped is started again; a death is reported as ever."""
        calls: list[int] = []

        class Case(SummonTestCase):
            it = SimpleExecutor(service("silent.py", "x"), alive=lambda e: calls.append(1) or True)

            def test_1(self) -> None:
                self.it.stop()

            def test_2(self) -> None:
                assert self.it.running()

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))
        self.assertTrue(calls)

    def test_ways_to_ask_again(self) -> None:
        """A connection, a unix socket, a probe command; a probe of ours."""
        listens = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); "
            "s.listen(); sys.stdin.read()"
        )

        class Case(SummonTestCase):
            tcp = TCPCoordinatedExecutor(HTTP, alive=True)
            unix = UnixSocketCoordinatedExecutor(
                [sys.executable, "-c", listens, "{tmpdir}/s"], "{tmpdir}/s", alive=True
            )
            command = CommandCoordinatedExecutor(HTTP, "test 0 = 0", alive=True)

            def test_1(self) -> None:
                os.unlink(self.unix.path)

        text = self.report(run(Case), "test_1")
        self.logs_of(text)
        self.assertIn("unix: did not answer", text)
        self.assertNotIn("tcp: did not", text)
        self.assertNotIn("command: did not", text)

        class Other(SummonTestCase):
            it = TCPCoordinatedExecutor(HTTP, timeout=2, alive=TCPProbe("127.0.0.1", 1))

            def test_1(self) -> None:
                raise AssertionError("it ran")

        text = self.report(run(Other), "test_1")
        self.logs_of(text)
        self.assertIn("it: did not answer", text)
        self.assertIn("waited for: a connection to 127.0.0.1:1", text)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda **o: SimpleExecutor("sleep 1", alive=True, **o), "alive=True asks again"),
        (
            lambda **o: OutputCoordinatedExecutor("x", "up", alive=True, **o),
            "alive=True asks again",
        ),
        (lambda **o: FileCoordinatedExecutor("x", "up", alive=True, **o), "alive=True asks again"),
        (lambda **o: NotifyCoordinatedExecutor("x", alive=True, **o), "alive=True asks again"),
        (lambda **o: SimpleExecutor("sleep 1", alive=5, **o), "alive=5: write a function"),
        (lambda **o: SimpleExecutor("sleep 1", alive=False, **o), "alive=False: write a function"),
        (lambda **o: SimpleExecutor("sleep 1", alive=b"x", **o), "alive=b'x': write a function"),
        (lambda **o: SimpleExecutor("sleep 1", alive="", **o), "alive= is empty"),
        (lambda **o: SimpleExecutor("sleep 1", alive="'", **o), "alive= cannot be split"),
    ],
)
def test_what_cannot_be_asked(make: Any, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make(name="it")
    assert f"it: {said}" in str(caught.value)


PORT_0 = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
    "print('port', s.getsockname()[1], flush=True); sys.stdin.read()"
)


def queue() -> OutputCoordinatedExecutor:
    """A server that chooses its port itself."""
    return OutputCoordinatedExecutor([sys.executable, "-c", PORT_0], r"port (?P<port>\d+)\n")


class StaleTest(ReportTest):
    def test_a_port_told_by_a_banner(self) -> None:
        """The report of a failing test names a service that has an old port of another one."""

        class Case(SummonTestCase):
            queue = queue()
            web = SimpleExecutor(service("silent.py", "{queue.port}"))
            other = SimpleExecutor(service("silent.py", "{web.name}"))

            def test_1(self) -> None:
                with self.queue.stopped():
                    pass
                raise ValueError("refused")

            def test_2(self) -> None:
                self.web.restart()
                raise ValueError("something else")

        with self.assertLogs("summon_testcase", logging.WARNING) as logs:
            result = run(Case)
        stale = (
            r"web was started with \{queue\.port\} = \d+, which is \d+ since queue was started "
            r"again: restart\(\) web too, or have queue listen at \{port\}"
        )
        self.assertRegex(self.report(result, "test_1"), stale)
        self.assertRegex(logs.output[0], stale)
        self.assertNotIn("was started with", self.report(result, "test_2"))
        self.assertNotIn("other was", self.report(result, "test_1"))

    def test_in_an_orchestrator(self) -> None:
        """Without a report the logger says so; a leased port does not change."""
        silent = service("silent.py", "{queue.port}")
        leased = SimpleExecutor(service("silent.py", "{port}"))
        with orchestrated(queue=queue(), web=SimpleExecutor(silent)) as (it, _):
            with self.assertLogs("summon_testcase", logging.WARNING):
                it.restart()
        # the same for members of a group
        group = Orchestrator({"web": SimpleExecutor(silent)})
        with orchestrated(queue=queue(), group=group) as (it, _):
            with self.assertLogs("summon_testcase", logging.WARNING) as logs:
                it.restart()
        self.assertRegex(logs.output[0], r"web was started with \{queue\.port\}")
        with orchestrated(queue=leased, web=SimpleExecutor(silent)) as (it, _):
            with (
                self.assertNoLogs("summon_testcase", logging.WARNING)
                if hasattr(self, "assertNoLogs")
                else unittest.mock.MagicMock()
            ):
                it.restart()
