"""What stands in for a service in tests."""

from __future__ import annotations

from summon_testcase.errors import AlreadyRunning
from summon_testcase.executors.base import Executor


class Recorder(Executor):
    """A service that only writes down what is done to it."""

    def __init__(
        self,
        label: str,
        events: list[str],
        fails: BaseException | None = None,
        fails_to_stop: BaseException | None = None,
    ) -> None:
        self.label = label
        self.events = events
        self.fails = fails
        self.fails_to_stop = fails_to_stop
        self.up = False

    def start(self) -> Recorder:
        self.events.append(f"start {self.label}")
        if self.up:
            raise AlreadyRunning(f"{self.label} is running")
        if self.fails:
            raise self.fails
        self.up = True
        return self

    def stop(self) -> None:
        if self.up:
            self.events.append(f"stop {self.label}")
        self.up = False
        if self.fails_to_stop:
            raise self.fails_to_stop

    def running(self) -> bool:
        return self.up
