"""The base of all questions about readiness.

Each call of :meth:`Probe.look` asks once, and answers None for "ready", or the refusal in words.
The loop in ``wait`` asks again until time is over.  A probe writes ``look``, and overrides other
methods where their defaults do not fit.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Generator
from typing import Protocol, TypeVar

from ..errors import InvalidArgument, PortInUse, StartFailed, SummonError
from ..scheduling.steps import Asked, Steps
from ..system import procfs
from ..unpatched import time

#: The next pause after a costly question takes this share of the time since the first one.  Of
#: the time beyond so many seconds it takes a larger share: a slow service is asked rarely.
_SHARE = 1 / 72
_SOON, _LATER_SHARE = 0.2, 1 / 20
_SHORTEST, _LONGEST = 0.0005, 2.0

V = TypeVar("V")
#: a look as a generator: it yields a refusal wherever it has to wait for an answer
Looking = Generator[str, None, V]


class Target(Protocol):
    """The part of a service that a probe may use."""

    #: the pid of the main process
    pid: int
    #: the pid of the keeper: all processes of the service descend from it, daemons too
    keeper_pid: int
    #: status of the main process once it has ended
    exit_code: int | None
    #: whether no process of the service is alive
    ended: bool
    #: whether it has no keeper any more: it was stopped, or the keeper has died
    gone: bool
    #: whether the service has sent READY=1
    notified: bool
    #: how many messages the keeper has sent
    heard: int
    #: whether there is a message when there is new output
    tells: bool
    #: the errno of the first output that could not be stored; 0 if there was none
    log_errno: int
    #: status and last line of the probe command that ended last
    probed: tuple[int, str] | None

    @property
    def fine(self) -> frozenset[int]:
        """Statuses with which the main process may end before the service is ready."""

    def probe(self, timeout: float, argv: tuple[str, ...]) -> None:
        """Have the keeper run a probe command."""

    def watch(self, position: int) -> None:
        """Ask the keeper for a message when there is output beyond a position in the log."""

    def fileno(self) -> int:
        """A descriptor, readable when there is news; -1 when there never will be any."""

    def pump(self) -> None:
        """Receive messages of the keeper, without blocking."""


def failed(target: Target, outlasts: bool = False) -> bool:
    """Whether a service cannot become ready any more.

    A main process that ends with an accepted status and leaves others alive becomes a daemon.

    :param outlasts: whether it may become ready although no process of it is alive here.
    """
    if target.gone or (target.exit_code is not None and target.exit_code not in target.fine):
        return True
    return target.ended and not outlasts


class Probe:
    """A question with the answers "ready" and "not yet, because"."""

    #: of several questions that are one probe, the one that was refused last; None if it is one
    refusing: Probe | None = None

    @property
    def shortest(self) -> float:
        """Seconds of the shortest pause between looks.

        The pause is the time waited / 72, but not shorter than this and not longer than
        :attr:`longest`.  The default fits a question whose answer changes only by a message of
        the keeper, since each message ends a pause.
        """
        return math.inf

    @property
    def longest(self) -> float:
        """Seconds of the longest pause at the moment; it may grow while a start takes long."""
        return self.shortest

    @property
    def since(self) -> float:
        """The time of the first question that is costly; 0 while questions are cheap.

        From then on the pauses are those of :func:`wider`.
        """
        return 0.0

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Questions to the asker that are under way; an answer to one ends the pause."""
        return ()

    def check(self) -> None:
        """:raises InvalidArgument: if the question can never be answered."""

    def describe(self) -> str:
        """What the start waits for, in words that follow "waited for"."""
        return ""

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Asked once before the service is spawned: does another process answer already?

        :param name: the name of the executor, for the message.
        :param until: the moment of :func:`time.monotonic` at which to give up.
        :returns: the error, which the caller raises; None if the place is free.
        """
        return None
        yield

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """Ask once; never blocks, except for the callable of ``until=``.

        While a question is under way (:attr:`asked`), the last refusal is repeated.

        :param target: the service.
        :param left: seconds until the start is given up; negative if that is overdue.
        :returns: None when ready, else the refusal in words.
        :raises PortInUse: if another process has taken the service's place meanwhile.  The
            error names no executor: the caller adds that.
        """
        raise NotImplementedError

    def still_refused(self) -> bool:
        """Whether a quick question shows that a look would bring the same refusal once more."""
        return False

    def astray(self, target: Target) -> str:
        """Where the service listens instead, if it listens in the wrong place.

        :returns: words that follow its name; empty if no such place is known.
        """
        return ""

    def close(self) -> None:
        """Close what the probe has open; it may be used again."""


class AskingProbe(Probe):
    """A question that others have to answer, so that one look may take several calls."""

    #: the look that is under way
    _under_way: Looking[str | None] | None = None
    #: see :attr:`Probe.since`
    since: float = 0.0

    def looking(self, target: Target, left: float) -> Looking[str | None]:
        """One look, as a generator that yields wherever it has to wait."""
        raise NotImplementedError

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """Go on with the look that is under way, or begin one; see :meth:`Probe.look`."""
        looking, self._under_way = self._under_way, None
        if looking is None:
            looking = self.looking(target, left)
        try:
            refusal = next(looking)
        except StopIteration as end:
            answer: str | None = end.value
            return answer
        self._under_way = looking
        return refusal

    def close(self) -> None:
        """Give up the question that is under way."""
        looking, self._under_way = self._under_way, None
        if looking is not None:
            looking.close()
        self.since = 0.0


def wider(since: float) -> float:
    """Seconds of the pause after a costly question.

    A request takes test process, asker and service a millisecond and more each, and often writes
    a line to the service's log.

    :param since: the time of the first such question.
    """
    asked = time.monotonic() - since
    return min(max(asked * _SHARE, (asked - _SOON) * _LATER_SHARE, _SHORTEST), _LONGEST)


def never(argument: str, error: Exception) -> None:
    """Do nothing for an exception of the user's code that may not come the next time.

    :param argument: the argument in which the user has given the code.
    :raises StartFailed: for an exception that would come each time: a name that does not exist, a
        mistake in the callable itself, an assertion with a message of the user's.
    """
    if isinstance(error, InvalidArgument):
        raise StartFailed(error.message)
    if not _permanent(error):
        return
    raise StartFailed(
        f"{argument} raised {type(error).__name__}: {error}; that is a mistake in it, and no "
        '"not yet"'
    ) from error


def _permanent(error: Exception) -> bool:
    if isinstance(error, (NameError, SyntaxError, ImportError)):
        return True
    frames = [frame.f_globals for frame, _ in traceback.walk_tb(error.__traceback__)]
    package = __name__.partition(".")[0]
    ours = [str(names.get("__name__")).partition(".")[0] == package for names in frames]
    if isinstance(error, AssertionError):
        # the message may be that of assertEqual() or pytest: values that are not equal yet
        said = str(error)
        return bool(said) and not said.startswith("assert ") and "__unittest" not in frames[-1]
    if not isinstance(error, (TypeError, AttributeError)) or isinstance(error, SummonError):
        return False
    # A mistake in the callable itself: no other frame but its own is not ours.  But where None is
    # the culprit, something may just not be there yet.
    return ours.count(False) <= 1 and "NoneType" not in str(error)


def in_use(sentence: str, port: int | None, pid: int | None, executor: str = "") -> PortInUse:
    """The error that names the process which has taken the service's place, if it is known."""
    command = None if pid is None else procfs.command_line(pid)
    if pid is None:
        whose = "the system does not tell by whom"
    else:
        whose = f"by process {pid}" + (f" ({command})" if command else "")
    return PortInUse(
        f"{sentence}: {whose}",
        executor=executor or None,
        port=port,
        owner_pid=pid,
        owner_command=command,
    )
