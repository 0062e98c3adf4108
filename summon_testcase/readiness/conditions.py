"""Questions about the process, to commands and to callables; and combinations of questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..clean import LONGEST, shortened
from ..declaration.arguments import perform
from ..errors import FailurePatternSeen, PortInUse
from ..foreign import let_through
from ..scheduling.steps import Steps
from ..unpatched import os, time
from ..wording import describe_exit
from .probe import Probe, Target, never, wider

if TYPE_CHECKING:
    from .output import Observer


class Spawned(Probe):
    """Ready at once: the process runs."""

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        return "its process"

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """Always ready."""
        return None


class Completed(Probe):
    """Ready when the process has exited with an accepted status.

    :param argument: the argument that asks for this, as messages name it.
    :param fine: the accepted statuses.
    """

    def __init__(self, argument: str, fine: frozenset[int]) -> None:
        self._argument, self._fine = argument, fine

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        statuses = " or ".join(str(status) for status in sorted(self._fine, key=abs))
        return f"its end with status {statuses} ({self._argument}=True)"

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """None once the process has ended with an accepted status."""
        if target.exit_code is None:
            return "it still runs"
        return None if target.exit_code in self._fine else describe_exit(target.exit_code)


class Notified(Probe):
    """Ready when the service has sent READY=1."""

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        return "READY=1 on its NOTIFY_SOCKET"

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """None once READY=1 was received."""
        return None if target.notified else "no READY=1 from a process of this service"


class CommandProbe(Probe):
    """Ready when a command, run by the keeper, exits with status 0.

    Each run takes a process, and mostly a connection to the service: the longer runs have failed,
    the longer is the pause between them.
    """

    def __init__(self, argv: tuple[str, ...], timeout: float) -> None:
        self._argv, self._timeout = argv, timeout
        self._since = 0.0
        #: the result of the last run, and the time at which the next one may begin
        self._seen: tuple[int, str] | None = None
        self._due = 0.0

    @property
    def shortest(self) -> float:
        """Seconds between the end of a run and the next one."""
        return min(max(0.005, wider(self._since)), 0.5)

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        return f"{os.path.basename(self._argv[0])} to exit with status 0"

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """None once a run has succeeded; otherwise begins the next run when it is time."""
        done, now = target.probed, time.monotonic()
        if done is not None and done[0] == 0:
            return None
        self._since = self._since or now
        if done is not self._seen:
            # the end of a run is news, and has ended the last pause early
            self._seen, self._due = done, now + self.shortest
        if now >= self._due:
            target.probe(self._timeout, self._argv)
        if done is None:
            return f"{os.path.basename(self._argv[0])} has not answered yet"
        said = f": {done[1]}" if done[1] else ""
        return f"{os.path.basename(self._argv[0])} {describe_exit(done[0])}{said}"


class Until(Probe):
    """Ready when a callable of the user's returns something true; an exception is a refusal.

    While the callable runs, this thread asks no other service.  So the pause after it is four
    times as long as it took.
    """

    def __init__(self, ask: Callable[[], object], argument: str = "until=") -> None:
        self._ask, self._argument = ask, argument
        self._took = 0.0

    @property
    def shortest(self) -> float:
        """Seconds: most of the time is left to other services."""
        return max(0.001, 4 * self._took)

    @property
    def longest(self) -> float:
        """Seconds: the callable may be costly, so the pauses grow with time."""
        return max(0.25, self.shortest)

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        return f"{self._argument} to return true"

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """None once the callable has returned something true.

        :raises StartFailed: if its exception shows that it never will.
        """
        began = time.monotonic()
        try:
            answer = perform(self._argument, self._ask)
            return None if answer else f"{self._argument} returned {answer!r}"
        except Exception as error:
            let_through(error)
            never(self._argument, error)
            return f"{self._argument} raised {type(error).__name__}: {error}"
        finally:
            self._took = time.monotonic() - began


class Meanwhile(Probe):
    """Ready when two questions have been answered yes, the second one at any time.

    :param end: the question whether the process has ended.
    :param question: a question whose answer may be yes for a moment only.
    """

    def __init__(self, end: Probe, question: Probe) -> None:
        self._end, self._question = end, question
        self._refusal: str | None = ""

    @property
    def shortest(self) -> float:
        """Seconds: as the question, until it was answered yes."""
        return math.inf if self._refusal is None else self._question.shortest

    @property
    def longest(self) -> float:
        """Seconds: as the question, until it was answered yes."""
        return math.inf if self._refusal is None else self._question.longest

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        return f"{self._end.describe()}, and {self._question.describe()}"

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """None when both have been answered yes."""
        if self._refusal is not None:
            self._refusal = self._question.look(target, left)
        return self._end.look(target, left) or self._refusal


class NoFailure(Probe):
    """Raises once the output matches ``fails_on=``; refuses while a match may still grow."""

    #: refuses only for the moment in which a match in an unfinished line is held back
    shortest = longest = 0.005

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """:raises FailurePatternSeen: once the output matches."""
        match = self._observer.search(target, left)
        if match is not None:
            said = shortened(match.group(), LONGEST)
            raise FailurePatternSeen(
                f"its output has {said!r}, which fails_on= means to be fatal", matched=match.group()
            )
        return "its output may match fails_on=" if self._observer.holding else None


class AllOf(Probe):
    """Ready when all questions are answered yes, asked in order."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        #: the probes; one that is an AllOf itself is replaced by its members
        self._probes: list[Probe] = [
            each
            for probe in probes
            for each in (probe._probes if isinstance(probe, AllOf) else [probe])
        ]
        self.refusing = self._probes[-1]

    def check(self) -> None:
        """Check all probes."""
        for probe in self._probes:
            probe.check()

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """The first error of its probes, if any."""
        for probe in self._probes:
            error = yield from probe.occupied(name, until)
            if error is not None:
                return error
        return None

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        return ", and ".join(said for probe in self._probes if (said := probe.describe()))

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """None when no probe refuses."""
        for probe in self._probes:
            refusal = probe.look(target, left)
            if refusal is not None:
                self.refusing = probe
                return refusal
        return None

    def astray(self, target: Target) -> str:
        """The first address that one of the probes knows."""
        return next((said for probe in self._probes if (said := probe.astray(target))), "")

    def close(self) -> None:
        """Close all probes."""
        for probe in self._probes:
            probe.close()
