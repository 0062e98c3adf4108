"""A start that takes long says what it is waiting for, to who may be watching."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .steps import Pause, Steps, T

if TYPE_CHECKING:
    from .errors import PortInUse
    from .probes import Probe, View

#: a variable that, set and not ``0``, has slow starts told where there is no terminal
VERBOSE = "SUMMON_VERBOSE"


def switched_on(variable: str) -> bool:
    """Whether a variable of the environment is set, and neither empty nor ``0``."""
    return os.environ.get(variable, "") not in ("", "0")


#: seconds after which something is said, before it is every minute
MOMENTS = (1.0, 5.0, 15.0, 30.0)


def _moments() -> Iterator[float]:
    # no generator: Ctrl-C in one that is being dropped would be lost
    return itertools.chain(MOMENTS, itertools.count(60, 60))


class Remembering:
    """A question that remembers how it was answered last."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.answer: str | None = None

    @property
    def shortest(self) -> float:
        """As the question itself."""
        return self._probe.shortest

    @property
    def longest(self) -> float:
        """As the question itself."""
        return self._probe.longest

    def check(self) -> None:
        """As the question itself."""
        self._probe.check()

    def describe(self) -> str:
        """As the question itself."""
        return self._probe.describe()

    def occupied(self, name: str) -> PortInUse | None:
        """As the question itself."""
        return self._probe.occupied(name)

    def close(self) -> None:
        """As the question itself."""
        self._probe.close()

    def look(self, view: View, left: float = math.inf) -> str | None:
        """Ask, and remember the answer."""
        self.answer = self._probe.look(view, left)
        return self.answer


def telling(name: str, probe: Remembering, steps: Steps[T]) -> Steps[T]:
    """The same steps; what they wait for is written to standard error now and then.

    After 1, 5, 15 and 30 seconds, then every minute; if it is a terminal, or the variable
    :data:`VERBOSE` asks for it.
    """
    began = time.monotonic()
    moments = _moments()
    due = began + next(moments)
    try:
        pause = next(steps)
        while True:
            now = time.monotonic()
            if now >= due:
                _tell(name, probe, now - began)
                due = next(moment for moment in (began + m for m in moments) if moment > now)
            try:
                yield Pause(pause.fds, min(pause.until, due))
            except BaseException as error:
                pause = steps.throw(error)
            else:
                pause = next(steps)
    except StopIteration as end:
        value: T = end.value
        return value


def _tell(name: str, probe: Remembering, seconds: float) -> None:
    stream = sys.stderr
    try:
        if stream is not None and (switched_on(VERBOSE) or stream.isatty()):
            said = probe.answer or probe.describe()
            print(f"summon_testcase: waiting for {name}: {said} ({seconds:.0f} s)", file=stream)
            stream.flush()
    except (OSError, ValueError):
        pass  # closed, or full: a start does not fail for want of listeners
