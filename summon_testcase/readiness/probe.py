"""What all questions about readiness have in common.

A probe asks once each time and answers None, "ready", or the refusal in words; who asks
again, and for how long, is not its business.  It writes :meth:`Probe.look`, and the rest where
the defaults are not true of it.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

from ..errors import InvalidArgument, PortInUse, StartFailed, SummonError
from ..scheduling.steps import Asked, Steps
from ..system import procfs
from ..unpatched import time

#: share of the time since the first costly question that the next pause takes, and of what is
#: more than so many seconds of it: a service that is slow is asked rarely
_SHARE = 1 / 72
_SOON, _LATER_SHARE = 0.2, 1 / 20
_SHORTEST, _LONGEST = 0.0005, 2.0

V = TypeVar("V")
#: a look that yields a refusal wherever it must wait for an answer
Looking = Generator[str, None, V]


class Target(Protocol):
    """What a probe may know of the service."""

    @property
    def pid(self) -> int:
        """The main process."""

    @property
    def keeper_pid(self) -> int:
        """The ancestor of everything that the service spawned, daemons too."""

    @property
    def exit_code(self) -> int | None:
        """Status of the main process once it has ended."""

    @property
    def fine(self) -> frozenset[int]:
        """Statuses with which the main process may end before the service is ready."""

    @property
    def ended(self) -> bool:
        """Whether nothing of the service is alive."""

    @property
    def gone(self) -> bool:
        """Whether nobody keeps it any more: it was stopped, or its keeper has died."""

    @property
    def notified(self) -> bool:
        """Whether it has sent READY=1."""

    @property
    def heard(self) -> int:
        """How many news there have been."""

    @property
    def log_errno(self) -> int:
        """Why output could not be stored; 0 if all was."""

    @property
    def probed(self) -> tuple[int, str] | None:
        """Status and last line of the probe command that ended last."""

    def probe(self, timeout: float, argv: tuple[str, ...]) -> None:
        """Have a probe command run beside the service."""

    def watch(self, position: int) -> None:
        """Ask for news of output beyond a position in the log."""

    def fileno(self) -> int:
        """Readable when there is news; -1 once there never will be."""

    def pump(self) -> None:
        """Take in the news; never blocks."""


class Probe:
    """A question with the answers "ready" and "not yet, because"."""

    @property
    def shortest(self) -> float:
        """Seconds of the shortest pause between looks.

        The pause is the time waited / 72, within these limits.  The default is for a question
        whose answer only news of the service can change: they end each pause.
        """
        return math.inf

    @property
    def longest(self) -> float:
        """Seconds of the longest pause, as of now: it may grow as a question gets dearer."""
        return self.shortest

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What is being asked since the last look, whose answer calls for the next one."""
        return ()

    def check(self) -> None:
        """:raises InvalidArgument: if the question can never be answered."""

    def describe(self) -> str:
        """What is waited for, to follow "waited for"."""
        return ""

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Asked once before the service is spawned: does somebody answer already?

        :param name: the executor, for the message.
        :param until: the moment at which nobody is interested any more.
        :returns: the error to raise, not raised yet.
        """
        return None
        yield

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """Ask once; never blocks, but for ``until=``.

        While a question is :attr:`asked` the answer to the last one stands.

        :param target: the service.
        :param left: seconds until nobody is interested any more.
        :returns: None when ready, else the refusal in words.
        :raises PortInUse: when somebody else took the service's place meanwhile;
            it names no executor, which the caller knows.
        """
        raise NotImplementedError

    def astray(self, target: Target) -> str:
        """Where the service can be reached, if that is elsewhere.

        :returns: words to follow its name; empty where it is not known.
        """
        return ""

    def close(self) -> None:
        """Give back what the probe holds; it may be used again."""


class Held(Protocol):
    """Where a probe keeps the look that is under way."""

    looking: Looking[str | None] | None


def go_on(
    held: Held,
    begin: Callable[[Target, float], Looking[str | None]],
    target: Target,
    left: float,
) -> str | None:
    """Go on with the look that is under way, or begin one."""
    looking, held.looking = held.looking, None
    if looking is None:
        looking = begin(target, left)
    try:
        refusal = next(looking)
    except StopIteration as end:
        answer: str | None = end.value
        return answer
    held.looking = looking
    return refusal


def wider(since: float) -> float:
    """Seconds of the pause after a question that is not cheap.

    A request costs three processes a millisecond and more, and the service a line of its log.

    :param since: when the first one was put.
    """
    asked = time.monotonic() - since
    return min(max(asked * _SHARE, (asked - _SOON) * _LATER_SHARE, _SHORTEST), _LONGEST)


def never(argument: str, error: Exception) -> None:
    """Pass by an exception of the user's code that may be gone next time.

    :param argument: what the code was given as.
    :raises StartFailed: for one that says the same each time: a name that does not exist, a
        mistake in the callable itself, an assertion that the user has worded.
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
        # assertEqual() and pytest word what is just not equal yet
        said = str(error)
        return bool(said) and not said.startswith("assert ") and "__unittest" not in frames[-1]
    if not isinstance(error, (TypeError, AttributeError)) or isinstance(error, SummonError):
        return False
    # of the callable itself, whose frame is the only one that is not ours; but None is what
    # many things are before they are there
    return ours.count(False) <= 1 and "NoneType" not in str(error)


def in_use(sentence: str, port: int | None, pid: int | None, executor: str = "") -> PortInUse:
    """The error that says who has what the service needs, as far as that is known."""
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
