"""Starts and stops as generators, so that one thread can run hundreds at the same time.

Where a blocking call would block, such a generator yields a :class:`Pause`; it returns when it
is done.  :func:`run` runs one generator to its end; :func:`run_all` combines many into one.
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable, Generator, Iterable
from typing import NamedTuple, Protocol, TypeVar

from .. import unpatched
from ..foreign import let_through, suppress
from ..unpatched import time

T = TypeVar("T")


class Asked(Protocol):
    """A question to the asker; all questions share one descriptor for their answers."""

    #: whether an answer has come that the probe has not looked at
    fresh: bool

    def fileno(self) -> int:
        """A descriptor, readable when an answer to any question has come; -1 for none."""

    def pump(self) -> bool:
        """Receive answers without blocking; whether one is for this question."""


class Pause(NamedTuple):
    """A wait: until one of some descriptors is readable, or a moment has come.

    :param fds: descriptors; those that are negative have been closed.
    :param until: a moment of :func:`time.monotonic`; may be infinite.
    :param asked: questions whose answers end the wait, too.
    :param again: may be called when the moment has come: it returns the next one if nothing has
        changed, and None if the steps have to go on.  So many short waits can be one pause.
    """

    fds: tuple[int, ...]
    until: float
    asked: tuple[Asked, ...] = ()
    again: Callable[[], float | None] | None = None


Steps = Generator[Pause, None, T]

#: Seconds after which a wait for a descriptor ends without news: a signal handler or another
#: thread may have read the news, or closed the descriptor.
_ALONE, SHARED = 1.0, 0.05
#: Members whose pause is over take a quarter of the time at most: for three times as long as they
#: took the scheduler rests, 0.02 s at most, and leaves the processor to the services.
_REST, _LONGEST_REST = 3, 0.02


def nothing() -> Steps[None]:
    """Steps that are done at once."""
    return
    yield


def wait(pause: Pause) -> None:
    """Sleep as a pause says, as precisely as the system allows, and on while nothing has changed.

    May return early: the caller looks whether its event has come.
    """
    every = pause.fds
    if pause.asked:
        if any(question.fresh for question in pause.asked):
            return
        every += tuple({question.fileno() for question in pause.asked})
    from . import greenlets  # not needed to declare a service

    here = greenlets.waiting()
    whole = min(every, default=0) >= 0
    fds = every if whole else tuple(fd for fd in every if fd >= 0)
    until: float | None = pause.until
    while until is not None:
        seconds = max(0.0, min(until - time.monotonic(), 86400.0))
        if every and seconds > SHARED:
            alone = whole and threading.active_count() == 1 and here is greenlets.Blocking
            seconds = min(seconds, _ALONE) if alone else SHARED
        if not every:
            here.sleep(seconds)
        elif len(fds) <= 8 and max(fds, default=0) < 1024:
            try:
                # select() waits for less than a millisecond, which poll() cannot; it refuses
                # descriptors from 1024 on, for which poll() is used
                here.select(fds, [], [], seconds)
            except OSError as error:
                let_through(error)
                if error.errno != errno.EBADF:  # a descriptor was closed meanwhile: that is news
                    raise
        else:
            poller = here.poll()
            for fd in fds:
                poller.register(fd, unpatched.select.POLLIN)
            # rounded up to a whole millisecond: otherwise the caller's loop would be busy
            poller.poll(math.ceil(seconds * 1000))
        # before its end a pause ends with news
        until = pause.again() if pause.again and time.monotonic() >= until else None


def run(steps: Steps[T]) -> T:
    """Run a start or a stop to its end, in the calling thread.

    An exception that comes during a pause, KeyboardInterrupt above all, is raised inside the
    generator, so that it can clean up.  If it comes between two steps the generator is closed.

    What is in the :data:`background` goes on meanwhile.
    """
    try:
        pause = next(steps)
        while True:
            try:
                wait(background.beside(pause) if background.members else pause)
                if background.members:
                    background.advance()
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
        #: until this time no member goes on only because its pause is over
        self._rests_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._pauses or self._due)

    def add(self, steps: Steps[None]) -> None:
        """Add one; the next :meth:`advance` runs its first step."""
        self._due.append(steps)

    def pause(self) -> Pause:
        """The pause after which at least one member can go on."""
        if self._due:
            return Pause((), 0.0)
        every: list[int] = []
        moments: list[float] = []
        questions: list[Asked] = []
        for fds, until, asked, _ in self._pauses.values():
            every += fds
            moments.append(until)
            questions += asked
        until = max(min(moments, default=0.0), self._rests_until)
        # what has changed for one of several, only its steps find out
        again = next(iter(self._pauses.values())).again if len(self._pauses) == 1 else None
        return Pause(tuple(every), until, tuple(questions), again)

    def advance(self) -> list[tuple[Steps[None], BaseException | None]]:
        """Run the next step of each member that can go on.

        :returns: the members that have ended, each with the error that ended it, or None.
        """
        now, used, pauses = time.monotonic(), time.thread_time(), self._pauses
        # of hundreds of members most wait on, so that this loop must do little for each
        every: set[int] = set()
        question: Asked | None = None
        for fds, _, asked, _ in pauses.values():
            every.update(fds)
            if asked:
                question = asked[0]
        # those that are open and have nothing to read
        silent = every - {-1}
        if silent:
            poller = unpatched.select.poll()
            for fd in silent:
                poller.register(fd, unpatched.select.POLLIN)
            for fd, _ in poller.poll(0):
                silent.discard(fd)
        if question is not None:
            # one pump() receives the answers for all questions
            question.pump()
        due, self._due = self._due, []
        clock, by_clock = now if now >= self._rests_until else -math.inf, False
        for steps, (fds, until, asked, _) in pauses.items():
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
        """Close all members; the errors of closing them."""
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
            # Ctrl-C may have come when the scheduler had dropped these steps already
            steps.close()
    return errors


class Background:
    """Stops that nobody waits for: they go on whenever :func:`run` waits for something else.

    Their steps raise no errors of their own.
    """

    def __init__(self) -> None:
        self._scheduler = Scheduler()
        #: those that are under way
        self.members: list[Steps[None]] = []
        #: Held for one step.  Whoever finds it held goes on without: another thread takes the step,
        #: or it has been interrupted by a signal handler that has led here.
        self._lock = threading.Lock()

    def __contains__(self, steps: object) -> bool:
        """Whether some steps have neither come to their end nor been given up."""
        return steps in self.members

    def add(self, steps: Steps[None]) -> None:
        """Add one; the next :meth:`advance` runs its first step."""
        self.members.append(steps)
        self._scheduler.add(steps)

    def beside(self, pause: Pause) -> Pause:
        """A pause that also ends when one of these can go on."""
        if self._lock.locked():
            return pause
        with self._lock:
            fds, until, asked, _ = self._scheduler.pause()
        return Pause(pause.fds + fds, min(pause.until, until), pause.asked + asked)

    def advance(self) -> None:
        """Run the next step of each that can go on, without waiting."""
        if not self.members or self._lock.locked():
            return
        with self._lock:
            try:
                ended = [steps for steps, _ in self._scheduler.advance()]
            except BaseException:
                self.cancel()
                raise
            self.members = [steps for steps in self.members if steps not in ended]

    def cancel(self) -> None:
        """After Ctrl-C: close all of them, so that they end what they were stopping at once."""
        members, self.members, self._scheduler = self.members, [], Scheduler()
        for steps in members:
            with suppress(ValueError):  # another thread takes a step of it, and goes on with it
                steps.close()

    def forget(self) -> None:
        """In a forked child: drop all of them, which are the parent's."""
        self.members, self._scheduler, self._lock = [], Scheduler(), threading.Lock()


#: the stops that nobody waits for
background = Background()
