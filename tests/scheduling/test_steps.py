"""Waits that many starts and stops share."""

from __future__ import annotations

import math
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from summon_testcase.scheduling.steps import Pause, Scheduler, Steps, run, run_all, wait

from ..places import require

#: a machine that is busy with other tests is no failure
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: where to read, where to write."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def until(moment: float) -> Pause:
    return Pause((), moment)


class TestWait:
    def test_a_moment_that_has_come(self) -> None:
        """A pause that is over does not wait."""
        wait(until(time.monotonic() - 1))
        wait(until(0.0))

    def test_it_lasts_until_its_moment(self) -> None:
        """It waits for all of the time, also for less than a millisecond of it."""
        for seconds in (0.0003, 0.02):
            moment = time.monotonic() + seconds
            wait(until(moment))
            assert time.monotonic() >= moment

    def test_a_descriptor_ends_it(self, pipe: tuple[int, int]) -> None:
        """A readable descriptor ends even an infinite pause."""
        os.write(pipe[1], b"x")
        wait(Pause((pipe[0],), math.inf))
        wait(Pause((pipe[0],) * 20, math.inf))

    def test_a_descriptor_that_stays_silent(self, pipe: tuple[int, int]) -> None:
        """A silent descriptor does not prolong a pause."""
        for fds in ((pipe[0],), (pipe[0],) * 20):
            wait(Pause(fds, time.monotonic() + 0.01))
            wait(Pause(fds, time.monotonic() - 1))

    @pytest.mark.parametrize("shared", [False, True])
    def test_what_another_may_have_read(self, pipe: tuple[int, int], shared: bool) -> None:
        """Nobody waits for long without looking: a handler or a thread may have read the news."""
        began, done = time.monotonic(), threading.Event()
        other = threading.Thread(target=done.wait, daemon=True)
        if shared:
            other.start()
        wait(Pause((pipe[0],), began + 30))
        done.set()
        assert time.monotonic() - began < 15

    def test_high_descriptors(self, pipe: tuple[int, int]) -> None:
        """Descriptors from 1024 on, which select() refuses, work."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        require(hard > 1100, "no such descriptors here")
        if soft <= 1100:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1200, hard))
        high = 1100
        try:
            os.dup2(pipe[0], high)
            os.write(pipe[1], b"x")
            wait(Pause((high,), math.inf))
            scheduler = Scheduler()
            scheduler.add(once(Pause((high,), math.inf)))
            scheduler.advance()
            assert len(scheduler.advance()) == 1
        finally:
            os.close(high)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def once(pause: Pause) -> Steps[None]:
    yield pause


class TestDrive:
    def test_its_value(self) -> None:
        """What the steps return is returned."""

        def steps() -> Steps[int]:
            for _ in range(3):
                yield until(0.0)
            return 7

        assert run(steps()) == 7

    def test_an_error_comes_through(self) -> None:
        """What the steps raise is raised."""

        def steps() -> Steps[None]:
            yield until(0.0)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(steps())

    @pytest.mark.parametrize("descriptors", [0, 1, 20])
    def test_an_interrupt_is_raised_inside(self, descriptors: int, pipe: tuple[int, int]) -> None:
        """A signal in the middle of a wait is raised at the yield, which may clean up in steps."""
        seen = []

        def steps() -> Steps[None]:
            try:
                yield Pause((pipe[0],) * descriptors, math.inf)
            except KeyboardInterrupt as error:
                seen.append(error)
                yield until(0.0)
                seen.append("cleaned up")
                raise

        def interrupt(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(KeyboardInterrupt):
                run(steps())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert len(seen) == 2 and seen[1] == "cleaned up"

    @pytest.mark.parametrize("together", [False, True])
    def test_the_steps_wait_for_a_change(self, together: bool) -> None:
        """While the quick question has no news, a pause goes on; other steps still have turns."""
        moments = [0.0, 0.0, None, None]
        seen = []

        def steps() -> Steps[None]:
            yield Pause((), 0.0, (), lambda: moments.pop(0))
            seen.append(len(moments))

        run(run_all([steps(), once(until(0.0))]) if together else steps())  # type: ignore[arg-type]
        # of several that wait, each goes on at its moment, and asks itself
        assert seen == [4 if together else 1]

    def test_news_come_before_the_quick_question(self, pipe: tuple[int, int]) -> None:
        """A descriptor that is readable ends a pause; the question is not asked any more."""

        def steps() -> Steps[None]:
            os.write(pipe[1], b"x")
            yield Pause((pipe[0],), math.inf, (), lambda: 1 / 0)

        run(steps())


class TestTogether:
    def test_they_wait_at_the_same_time(self) -> None:
        """A hundred waits of 0.1 s take about 0.1 s, not 10."""
        began = time.monotonic()
        errors = run(run_all(once(until(began + 0.1)) for _ in range(100)))
        assert errors == []
        assert 0.1 <= time.monotonic() - began < 5

    def test_errors_are_collected(self) -> None:
        """One that raises does not keep the others from their ends."""
        ended = []

        def steps(number: int) -> Steps[None]:
            yield until(0.0)
            if number % 2:
                raise ValueError(number)
            yield until(0.0)
            ended.append(number)

        errors = run(run_all(map(steps, range(6))))
        assert ended == [0, 2, 4]
        assert sorted(error.args[0] for error in errors) == [1, 3, 5]

    def test_nothing_together(self) -> None:
        """No steps at all are an end at once."""
        assert run(run_all([])) == []

    @given(st.lists(st.integers(0, 5), max_size=8))
    @unhurried
    def test_each_runs_to_its_end(self, lengths: list[int]) -> None:
        """However many steps each has, all of them are done, once, in their order."""
        done: list[tuple[int, int]] = []

        def steps(who: int, length: int) -> Steps[None]:
            for number in range(length):
                yield until(0.0)
                done.append((who, number))

        assert run(run_all(steps(*pair) for pair in enumerate(lengths))) == []
        for who, length in enumerate(lengths):
            assert [n for w, n in done if w == who] == list(range(length))


class TestCrew:
    def test_only_those_go_on_that_can(self, pipe: tuple[int, int]) -> None:
        """Who waits for a descriptor stays where it is while others go on."""
        scheduler = Scheduler()
        waiting, due = once(Pause((pipe[0],), math.inf)), once(until(0.0))
        scheduler.add(waiting)
        scheduler.add(due)
        assert scheduler.pause() == until(0.0)
        assert scheduler.advance() == []
        assert scheduler.advance() == [(due, None)]
        assert scheduler.advance() == [] and bool(scheduler)
        assert scheduler.pause() == Pause((pipe[0],), math.inf)
        os.write(pipe[1], b"x")
        assert scheduler.advance() == [(waiting, None)]
        assert not scheduler

    def test_the_nearest_moment_counts(self, pipe: tuple[int, int]) -> None:
        """The pause of a scheduler ends with the first of its members'."""
        scheduler = Scheduler()
        for pause in (until(30.0), Pause((pipe[0],), math.inf), until(math.inf)):
            scheduler.add(once(pause._replace(until=pause.until + time.monotonic())))
        scheduler.advance()
        pause = scheduler.pause()
        assert pause.fds == (pipe[0],)
        assert 0 < pause.until - time.monotonic() <= 30

    def test_questions_leave_time_to_those_asked(self, pipe: tuple[int, int]) -> None:
        """Who goes on by the clock does so for a part of the time; news wake at any time."""

        def asking() -> Steps[None]:
            while True:
                yield until(0.0)
                end = time.thread_time() + 0.002
                while time.thread_time() < end:
                    pass

        scheduler = Scheduler()
        waiting = once(Pause((pipe[0],), math.inf))
        scheduler.add(asking())
        scheduler.add(waiting)
        began, used = time.monotonic(), time.thread_time()
        while time.monotonic() < began + 0.3:
            wait(scheduler.pause())
            assert scheduler.advance() == []
        assert time.thread_time() - used < 0.5 * (time.monotonic() - began)
        os.write(pipe[1], b"x")
        assert scheduler.advance() == [(waiting, None)]
        scheduler.cancel()

    def test_cancelled(self) -> None:
        """To cancel closes all, also those that have not begun; their errors are given."""
        cleaned = []

        def steps(who: str) -> Steps[None]:
            try:
                yield until(math.inf)
            finally:
                cleaned.append(who)
                if who == "bad":
                    raise ValueError(who)

        scheduler = Scheduler()
        scheduler.add(steps("good"))
        scheduler.add(steps("bad"))
        scheduler.advance()
        scheduler.add(steps("not begun"))
        errors = scheduler.cancel()
        assert cleaned == ["good", "bad"]
        assert [str(error) for error in errors] == ["bad"]
        assert not scheduler
