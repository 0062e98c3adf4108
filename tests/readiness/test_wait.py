"""The one loop that waits for readiness."""

from __future__ import annotations

import asyncio
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    CommandCoordinatedExecutor,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    NotifyCoordinatedExecutor,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    UnixSocketCoordinatedExecutor,
)
from summon_testcase.readiness.probe import Probe
from summon_testcase.readiness.wait import Verdict, until_ready
from summon_testcase.scheduling.deadline import Deadline

from ..samples import eventually, marked, service

#: seconds within which services must be ready here; long enough to spawn all of them
LIMIT = 6.0


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


class Unread(Silent):
    """A service whose news nobody has taken in."""

    has_said_so = notified = False

    def pump(self) -> None:
        self.notified = self.has_said_so


class Notified(Rarely):
    """Whether the service has said so."""

    def look(self, target: Any, left: float = math.inf) -> str | None:
        return None if target.notified else "not yet"


def test_the_last_look_sees_what_has_come_meanwhile() -> None:
    """Also if it is only a little late, so that there is no other look after it."""
    news, other = os.pipe()
    try:
        deadline = Deadline(0.2)
        service = Unread(news)
        steps = until_ready(service, Notified(math.inf), deadline)  # type: ignore[arg-type]
        next(steps)
        service.has_said_so = True
        while not deadline.expired():
            time.sleep(0.001)
        with pytest.raises(StopIteration) as end:
            next(steps)
        assert end.value.value.verdict is Verdict.READY
    finally:
        os.close(news)
        os.close(other)


def late(how: str, go: Path, place: Path, mark: str) -> SimpleExecutor:
    """A service that becomes ready in one of many ways, or ends, once a file is there."""
    at, done = "{port}" if how in ("tcp", "http") else str(place / f"at-{how}"), place / how
    command = service("ready_when.py", how, go, at, done, mark)
    if how == "tcp":
        return TCPCoordinatedExecutor(command, timeout=LIMIT)
    if how == "http":
        return HTTPCoordinatedExecutor(command, url="http://{host}:{port}/", timeout=LIMIT)
    if how == "unix":
        return UnixSocketCoordinatedExecutor(command, at, timeout=LIMIT)
    if how == "file":
        return FileCoordinatedExecutor(command, at, timeout=LIMIT)
    if how == "notify":
        return NotifyCoordinatedExecutor(command, timeout=LIMIT)
    if how == "command":
        return CommandCoordinatedExecutor(command, ["test", "-e", str(go)], timeout=LIMIT)
    if how == "until":
        return SimpleExecutor(command, until=lambda _: go.exists(), timeout=LIMIT)
    return OutputCoordinatedExecutor(command, "it is ready", timeout=LIMIT)


def test_what_comes_in_time_is_seen_after_it(mark: str, place: Path) -> None:
    """A busy event loop looks too late, and still no service that is ready counts as late."""
    go = place / "go"
    ways = ["output", "flood", "tcp", "http", "unix", "file", "notify", "command", "until"]
    services = {how: late(how, go, place, mark) for how in [*ways, "exit", "never"]}

    async def use() -> list[Any]:
        began = time.monotonic()
        starts = [asyncio.create_task(one.start_async()) for one in services.values()]
        while len(marked(mark)) != len(services):
            assert time.monotonic() < began + LIMIT, "not all of them run yet"
            await asyncio.sleep(0.01)
        # the loop is busy from here on until their time is over
        go.touch()
        eventually(lambda: all((place / how).exists() for how in services), "they have done it")
        time.sleep(max(0.0, began + LIMIT + 0.5 - time.monotonic()))
        return await asyncio.gather(*starts, return_exceptions=True)

    try:
        ends = dict(zip(services, asyncio.run(use()), strict=True))
    finally:
        for one in services.values():
            one.kill()
    exited, never = ends.pop("exit"), ends.pop("never")
    assert {how: end for how, end in ends.items() if isinstance(end, Exception)} == {}
    assert isinstance(exited, ProcessExited) and exited.exit_code == 3
    assert isinstance(never, TimeoutExpired)
