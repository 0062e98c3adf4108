"""A start that fails, or is refused, ends only what it has begun itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from summon_testcase import AlreadyRunning, Orchestrator, SimpleExecutor, StartFailed, orchestrated

from ..doubles import members_of
from ..places import linux
from ..samples import eventually

SILENT = "sleep 60"
#: seconds that no wait of these tests takes
LONG = 20

pytestmark = linux


class Race:
    """Another thread that starts the same thing when this one has begun to, and is slower.

    :param fails: what this thread raises instead of its start; None if it starts, too.
    """

    def __init__(self, fails: BaseException | None = None) -> None:
        self.fails = fails
        self.it: Any = None
        self.errors: list[BaseException] = []
        self._is_under_way, self._go_on = threading.Event(), threading.Event()
        self._me = threading.current_thread()
        self._other = threading.Thread(target=self._start)

    def _start(self) -> None:
        try:
            self.it.start()
        except BaseException as error:
            self.errors.append(error)

    def lose(self) -> None:
        """Have the other thread begin its start before this one goes on."""
        if threading.current_thread() is self._me and not self._is_under_way.is_set():
            self._other.start()
            assert self._is_under_way.wait(LONG)
            if self.fails is not None:
                raise self.fails

    def hold(self) -> None:
        """Keep the start of the other thread from its end until this one has lost."""
        self._is_under_way.set()
        assert self._go_on.wait(LONG)

    def end(self) -> None:
        """Let the other thread have its way."""
        self._go_on.set()
        self._other.join()


class Service(SimpleExecutor):
    """A service that two threads start."""

    race: Race

    def start(self) -> Any:
        self.race.lose()
        return super().start()

    def ready(self) -> None:
        self.race.hold()


class Native(SimpleExecutor):
    """The same, with the package's own ``start()``."""

    race: Race

    def _check(self, may_appear: bool = False) -> None:
        super()._check(may_appear)
        if self._instance is None:
            self.race.lose()

    def ready(self) -> None:
        self.race.hold()


class Member(SimpleExecutor):
    """A member of the group below."""

    race: Race

    def ready(self) -> None:
        self.race.hold()


class Group(Orchestrator):
    """A group that two threads start."""

    race: Race

    def start(self) -> Any:
        self.race.lose()
        return super().start()


def service(race: Race) -> Any:
    it = Service(SILENT)
    it.race = race
    return it


def native(race: Race) -> Any:
    it = Native(SILENT)
    it.race = race
    return it


def group(race: Race) -> Any:
    it = Group({"one": Member(SILENT)})
    it.race = members_of(it)["one"].race = race
    return it


FORMS: list[Callable[[Any], object]] = [
    lambda it: it.start(),
    lambda it: it.__enter__(),
    lambda it: it.setUp(),
    lambda it: orchestrated(it).start(),
    lambda it: asyncio.run(it.start_async()),
]


@pytest.mark.parametrize("begin", FORMS)
@pytest.mark.parametrize("fails", [None, KeyboardInterrupt(), ZeroDivisionError()])
@pytest.mark.parametrize("make", [service, native, group])
def test_the_start_of_another_thread_goes_on(
    make: Callable[[Race], Any], fails: BaseException | None, begin: Callable[[Any], object]
) -> None:
    """Whether this thread is refused, or fails before it has begun anything."""
    race = Race(fails)
    it = race.it = make(race)
    try:
        with pytest.raises(AlreadyRunning if fails is None else type(fails)):
            begin(it)
    finally:
        race.end()
    assert race.errors == [] and it.running()
    it.stop()


def test_a_start_that_was_stopped_leaves_the_next_one_alone() -> None:
    """Of another task, which has begun before the first one has heard of its end."""

    async def use() -> None:
        may_be_ready = False
        it = SimpleExecutor(SILENT, until=lambda _: may_be_ready)
        first = asyncio.create_task(it.start_async())
        while not it.running():
            await asyncio.sleep(0)
        it.kill()
        second = asyncio.create_task(it.start_async())
        with pytest.raises(StartFailed):
            await first
        may_be_ready = True
        await second
        assert it.running()
        await it.stop_async()

    asyncio.run(use())


def test_what_runs_outlives_an_interrupted_start() -> None:
    """Of a second start only its own beginnings are ended; it has none."""

    class It(SimpleExecutor):
        def _starting(self) -> Any:
            if self.running():
                raise KeyboardInterrupt
            return super()._starting()

    it = It(SILENT)
    with it:
        for begin in FORMS[:4]:
            with pytest.raises(KeyboardInterrupt):
                begin(it)
            assert it.running()
    eventually(lambda: not it.running(), "its end")
