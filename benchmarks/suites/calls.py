"""10: how many calls of functions of the package one TestCase with one service makes."""

from __future__ import annotations

import io
import os
import shutil
import sys
from types import CodeType, FrameType
from typing import Any
from unittest import TestCase, TestLoader, TextTestRunner

from ..report.results import Result, Verdict
from ..report.stats import Table
from ..rounds import Settings
from ..samples.app import ping
from ..worker import Say, once

WHAT = "one redis, one test"
CALLS, FUNCTIONS, DEEPEST = "calls", "different functions", "frames on the stack"
LIMITS = {CALLS: 500, FUNCTIONS: 150, DEEPEST: 15}


def run(settings: Settings) -> Result:
    table = Table(
        "A TestCase with one redis and one test, from setUpClass to tearDownClass",
        "count",
        note="Counted by sys.setprofile while unittest runs it for the second time in a process: "
        "only functions of summon_testcase. The longer redis takes to be ready, the more often we "
        "look at it, and each look is some calls more.",
    )
    result = Result([table])
    if not shutil.which("redis-server"):
        reason = "redis-server is not installed"
        print(f"calls: skipped: {reason}")
        table.remark(WHAT, CALLS, reason)
        required = f"median at most {LIMITS[CALLS]} {CALLS}"
        result.verdicts.append(Verdict(f"a TestCase with {WHAT}", required, reason, False))
        return result
    for _ in settings.rounds():
        for row, count in once(trace_redis, {}).items():
            table.add(WHAT, row, count)
    for row, limit in LIMITS.items():
        result.at_most(f"a TestCase with {WHAT}", table.samples(WHAT, row), limit, row)
    return result


def trace_redis(parameters: dict[str, Any], say: Say) -> None:
    """Worker: run the TestCase to warm up, and once more under the tracer."""
    import summon_testcase as our

    class Redis(our.SummonMixin, TestCase):
        redis = our.TCPCoordinatedExecutor(
            ["redis-server", "--bind", "127.0.0.1", "--save", "", "--port", "{port}"]
        )

        def test_answers(self) -> None:
            self.assertEqual(ping(self.redis.port), b"+PONG\r\n")

    tracer = Tracer(os.path.dirname(our.__file__))
    _run(Redis)
    with tracer:
        _run(Redis)
    say({CALLS: tracer.calls, FUNCTIONS: len(tracer.functions), DEEPEST: tracer.deepest})


def _run(case: type[TestCase]) -> None:
    suite = TestLoader().loadTestsFromTestCase(case)
    told = io.StringIO()
    if not TextTestRunner(told).run(suite).wasSuccessful():
        raise RuntimeError(told.getvalue())


class Tracer:
    """Counts the calls of functions of one package in this thread, while it is entered.

    A generator that goes on counts as one more call.

    :param package: the folder that the package is in.
    """

    def __init__(self, package: str) -> None:
        self._inside = os.path.join(package, "")
        self.calls = 0
        self.functions: set[CodeType] = set()
        #: the most frames of the package that were on the stack at once
        self.deepest = 0
        self._depth = 0

    def __enter__(self) -> None:
        sys.setprofile(self._see)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        if not frame.f_code.co_filename.startswith(self._inside):
            return
        if event == "call":
            self.calls += 1
            self.functions.add(frame.f_code)
            self._depth += 1
            self.deepest = max(self.deepest, self._depth)
        elif event == "return":
            self._depth -= 1
