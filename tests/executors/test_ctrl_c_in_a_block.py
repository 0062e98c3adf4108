"""Ctrl-C in a block, and what else has to arrive: a failure of the stop does not take its place."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from summon_testcase import (
    Executor,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    StopFailed,
    SummonTestCase,
    orchestrated,
)
from summon_testcase.testing.fixtures import Stack

from ..cases import run
from ..places import linux

pytestmark = linux


def stubborn() -> Any:
    """A service that has to be killed."""
    script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    return OutputCoordinatedExecutor(["sh", "-c", script], "up", name="it", stop_timeout=0.1)


class Own(Executor):
    """An object of the user's own whose stop fails."""

    def start(self) -> Any:
        return self

    def stop(self) -> None:
        raise ValueError("it: it did not end within 0.1 s")


WAYS: list[Any] = [
    pytest.param(stubborn, id="with"),
    pytest.param(Own, id="own"),
    pytest.param(lambda: orchestrated(it=stubborn()), id="orchestrated"),
    pytest.param(lambda: Orchestrator([Orchestrator({"it": Own()})]), id="nested"),
]

#: what a runner, the caller of a program, a generator and an event loop wait for
ERRORS = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


def raised_by_a_handler() -> None:
    """Raise a TimeoutError as a test that limits its time does."""

    def handler(number: int, frame: object) -> None:
        raise TimeoutError("it took too long")

    former = signal.signal(signal.SIGUSR1, handler)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, former)


def said(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, None))


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("make", WAYS)
def test_it_leaves_the_block(
    make: Callable[[], Any], kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Unchanged, with the failure as a note, which is logged, too."""
    error = kind()
    with pytest.raises(kind) as caught:
        with make():
            raise error
    assert caught.value is error
    assert "it: it did not end within 0.1 s" in said(error)
    assert "it: it did not end within 0.1 s" in caplog.text


@pytest.mark.parametrize("make", WAYS)
def test_what_a_handler_raises_leaves_the_block(make: Callable[[], Any]) -> None:
    with pytest.raises(TimeoutError, match="it took too long") as caught:
        with make():
            raised_by_a_handler()
    assert "it: it did not end within 0.1 s" in said(caught.value)


@pytest.mark.parametrize("make", WAYS)
def test_any_other_error_is_followed_by_that_of_the_stop(make: Callable[[], Any]) -> None:
    with pytest.raises((StopFailed, ValueError)) as caught:
        with make():
            raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)


@pytest.mark.parametrize("make", WAYS)
def test_a_task_that_is_cancelled(make: Callable[[], Any]) -> None:
    """It is cancelled then, so that limits of time of asyncio are kept."""

    async def use() -> None:
        async with make():
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(use())


def test_a_function_that_is_decorated() -> None:
    @orchestrated(stubborn())
    def use() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()


class Broken(SimpleExecutor):
    """Its clean-up fails, and so does a start once it is spoilt."""

    spoilt = False

    def prepare(self) -> None:
        if self.spoilt:
            raise ZeroDivisionError

    def cleanup(self) -> None:
        if self.spoilt:
            raise ZeroDivisionError


@contextmanager
def spoilt() -> Iterator[Broken]:
    it = Broken("sleep 60").start()
    with it.stopped():
        it.spoilt = True
        yield it


def test_a_block_in_which_it_is_stopped() -> None:
    """At the end of which it cannot be started again."""
    with pytest.raises(KeyboardInterrupt), spoilt():
        raise KeyboardInterrupt
    with pytest.raises(TimeoutError, match="it took too long"), spoilt():
        raised_by_a_handler()
    with pytest.raises(ZeroDivisionError), spoilt():
        raise TimeoutError


def test_a_start_whose_clean_up_fails() -> None:
    """Ctrl-C in what a subclass adds to it."""

    class It(Broken):
        def start(self) -> Any:
            super().start()
            self.spoilt = True
            raise KeyboardInterrupt

    for begin in (It("sleep 60").__enter__, orchestrated(It("sleep 60")).start):
        with pytest.raises(KeyboardInterrupt):
            begin()


def test_a_test_with_a_service_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Also where warnings are errors, as in this suite."""

    class Case(SummonTestCase):
        it = stubborn()
        it.scope = "test"

        def test(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Case)
    assert "it: it did not end within 0.1 s" in caplog.text


def test_a_fixture_that_cannot_start() -> None:
    """Neither does a failure to stop what had started hide why: Ctrl-C, or an error."""
    for error in (KeyboardInterrupt(), ZeroDivisionError()):

        class Kind:
            it = stubborn()

            def __init__(self, error: BaseException = error) -> None:
                raise error

        with pytest.raises(type(error)) as caught:
            Stack(Kind, {}, "session").hold(object(), "stack", ["it"], "test")
        assert caught.value is error
