"""The one loop that waits for readiness."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

from summon_testcase.readiness.probe import Probe
from summon_testcase.readiness.wait import Verdict, until_ready
from summon_testcase.scheduling.deadline import Deadline


class Silent:
    """A service that lives and says nothing."""

    exit_code = None
    fine = frozenset({0})
    gone = ended = False
    heard = 0

    def __init__(self, news: int) -> None:
        self.news = news

    def fileno(self) -> int:
        return self.news

    def pump(self) -> None:
        pass


class Rarely(Probe):
    """A question that is asked again after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @property
    def shortest(self) -> float:
        return self.seconds

    def look(self, target: Any, left: float = math.inf) -> str | None:
        return "not yet"


@pytest.mark.parametrize("seconds", [0.001, 2.0, math.inf])
def test_no_pause_outlasts_the_deadline(seconds: float) -> None:
    """However rarely it is asked, as what has refused for long is."""
    news, other = os.pipe()
    try:
        for limit in (0.5, 60.0):
            deadline = Deadline(limit)
            steps = until_ready(Silent(news), Rarely(seconds), deadline)  # type: ignore[arg-type]
            assert next(steps).until <= deadline.at
            steps.close()
        with pytest.raises(StopIteration) as end:
            next(until_ready(Silent(news), Rarely(seconds), Deadline(0)))  # type: ignore[arg-type]
        assert end.value.value.verdict is Verdict.EXPIRED
    finally:
        os.close(news)
        os.close(other)


class Disturbed(Rarely):
    """A question during which another thread takes in what the keeper says."""

    looks = 0

    def look(self, target: Any, left: float = math.inf) -> str | None:
        self.looks += 1
        target.heard += self.looks == 1
        return "not yet"


def test_news_that_another_thread_takes_in() -> None:
    """They are a reason to ask again at the end of the pause, which nobody will wake."""
    news, other = os.pipe()
    try:
        probe = Disturbed(math.inf)
        steps = until_ready(Silent(news), probe, Deadline(60))  # type: ignore[arg-type]
        next(steps)
        next(steps)
        assert probe.looks == 2
        next(steps)
        assert probe.looks == 2
        steps.close()
    finally:
        os.close(news)
        os.close(other)
