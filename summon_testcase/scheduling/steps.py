"""Waits that many starts and stops can share.

Starting and stopping are generators that yield a :class:`Pause` where a blocking call
would block, and return when they are done.  :func:`run` runs one of them to its end;
:func:`run_all` makes one of many, so that hundreds of services start at the same time
in a process that has no second thread.
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Generator, Iterable
from typing import NamedTuple, Protocol, TypeVar

from .. import unpatched
from ..foreign import let_through
from ..unpatched import time

T = TypeVar("T")


class Asked(Protocol):
    """A question whose answer arrives at a descriptor that many questions share."""

    #: whether an answer has come that nobody has looked at
    fresh: bool

    def fileno(self) -> int:
        """Readable when an answer to one of them has come; -1 while that cannot be told."""

    def pump(self) -> bool:
        """Take in what has come; whether there is something for this one."""


class Pause(NamedTuple):
    """A wait: until one of some descriptors is readable, or a moment has come.

    :param fds: descriptors; those that are negative have been closed.
    :param until: a moment of :func:`time.monotonic`; may be infinite.
    :param asked: questions whose answers end it too.
    """

    fds: tuple[int, ...]
    until: float
    asked: tuple[Asked, ...] = ()


Steps = Generator[Pause, None, T]

#: seconds after which a wait for a descriptor ends without news: what it waits for may
#: have been read, or the descriptor closed, by a signal handler or by another thread
_ALONE, _SHARED = 1.0, 0.05
#: members whose moment has come are let go on for a quarter of the time at most, the rest
#: of which is left to what they wait for; but none waits for longer than this for the others
_REST, _LONGEST_REST = 3, 0.02


def wait(pause: Pause) -> None:
    """Sleep as a pause says, to the precision of the clock where that is possible.

    May return early; who waits for something looks whether it has come.
    """
    seconds = max(0.0, min(pause.until - time.monotonic(), 86400.0))
    every = pause.fds
    if pause.asked:
        if any(question.fresh for question in pause.asked):
            return
        every += tuple({question.fileno() for question in pause.asked})
    from . import greenlets  # not needed to declare a service

    here = greenlets.waiting()
    if not every:
        here.sleep(seconds)
        return
    fds = [fd for fd in every if fd >= 0]
    if seconds > _SHARED:
        alone = (
            len(fds) == len(every) and threading.active_count() == 1 and here is greenlets.Blocking
        )
        seconds = min(seconds, _ALONE) if alone else _SHARED
    if len(fds) <= 8 and max(fds, default=0) < 1024:
        try:
            # poll counts in whole milliseconds; select does not, but refuses high descriptors
            here.select(fds, [], [], seconds)
        except OSError as error:
            let_through(error)
            if error.errno != errno.EBADF:  # closed meanwhile, which is news
                raise
    else:
        poller = here.poll()
        for fd in fds:
            poller.register(fd, unpatched.select.POLLIN)
        # rounded up: a wait of nothing would be a busy loop
        poller.poll(math.ceil(seconds * 1000))


def run(steps: Steps[T]) -> T:
    """Run a start or a stop to its end, in the calling thread.

    An exception that comes while it waits, KeyboardInterrupt above all, is raised inside
    it, so that it can clean up; one that comes between two steps ends it as ``close()``.
    """
    try:
        pause = next(steps)
        while True:
            try:
                wait(pause)
            except BaseException as error:
                pause = steps.throw(error)
            else:
                pause = next(steps)
    except StopIteration as end:
        value: T = end.value
        return value
    except BaseException:
        steps.close()
        raise


class Scheduler:
    """Several starts or stops under way at the same time."""

    def __init__(self) -> None:
        self._pauses: dict[Steps[None], Pause] = {}
        self._due: list[Steps[None]] = []
        #: until then nobody goes on because of the clock
        self._rests_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._pauses or self._due)

    def add(self, steps: Steps[None]) -> None:
        """Take one more; its first step is done by the next :meth:`advance`."""
        self._due.append(steps)

    def pause(self) -> Pause:
        """The wait after which one of them can go on."""
        if self._due:
            return Pause((), 0.0)
        every: list[int] = []
        moments: list[float] = []
        questions: list[Asked] = []
        for fds, until, asked in self._pauses.values():
            every += fds
            moments.append(until)
            questions += asked
        until = max(min(moments, default=0.0), self._rests_until)
        return Pause(tuple(every), until, tuple(questions))

    def advance(self) -> list[tuple[Steps[None], BaseException | None]]:
        """Let those go on that can; those that ended, with the error that ended them."""
        now, used, pauses = time.monotonic(), time.thread_time(), self._pauses
        # of hundreds most stay where they are each time: little may be done for each
        every: set[int] = set()
        question: Asked | None = None
        for fds, _, asked in pauses.values():
            every.update(fds)
            if asked:
                question = asked[0]
        silent = _silent(every)
        if question is not None:
            # what has come for one has come for all
            question.pump()
        due, self._due = self._due, []
        clock, by_clock = now if now >= self._rests_until else -math.inf, False
        for steps, (fds, until, asked) in pauses.items():
            if until <= clock:
                by_clock = True
                due.append(steps)
            elif not silent.issuperset(fds) or (asked and any(one.fresh for one in asked)):
                due.append(steps)
        ended: list[tuple[Steps[None], BaseException | None]] = []
        for steps in due:
            self._pauses.pop(steps, None)
            try:
                self._pauses[steps] = next(steps)
            except StopIteration:
                ended.append((steps, None))
            except Exception as error:
                let_through(error)
                ended.append((steps, error))
        if by_clock:
            used = time.thread_time() - used
            self._rests_until = time.monotonic() + min(_REST * used, _LONGEST_REST)
        return ended

    def cancel(self) -> list[BaseException]:
        """Close all that are under way; the errors of doing so."""
        errors: list[BaseException] = []
        for steps in [*self._pauses, *self._due]:
            try:
                steps.close()
            except Exception as error:
                let_through(error)
                errors.append(error)
        self._pauses.clear()
        self._due.clear()
        return errors


def _silent(fds: set[int]) -> set[int]:
    """Those of some descriptors that are open, and have nothing to read."""
    silent: set[int] = set()
    if not fds:
        return silent
    poller = unpatched.select.poll()
    register, event = poller.register, unpatched.select.POLLIN
    for fd in fds:
        if fd >= 0:
            register(fd, event)
            silent.add(fd)
    for fd, _ in poller.poll(0):
        silent.discard(fd)
    return silent


def run_all(all_steps: Iterable[Steps[None]]) -> Steps[list[BaseException]]:
    """Run several to their ends at the same time; their errors."""
    scheduler = Scheduler()
    errors: list[BaseException] = []
    members = list(all_steps)
    for steps in members:
        scheduler.add(steps)
    try:
        while scheduler:
            errors += [error for _, error in scheduler.advance() if error is not None]
            if scheduler:
                yield scheduler.pause()
    finally:
        errors += scheduler.cancel()
        for steps in members:
            # an interrupt may have come where the scheduler has let go
            steps.close()
    return errors
