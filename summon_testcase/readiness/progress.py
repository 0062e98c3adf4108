"""Tells a user who watches a terminal what a long start is waiting for."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator

from ..clean import visible
from ..foreign import let_through
from ..unpatched import switched_on, time

#: a variable that, if set and not ``0``, has slow starts reported without a terminal, too
VERBOSE = "SUMMON_VERBOSE"


#: seconds after which a line is written; after these, one is written each minute
MOMENTS = (1.0, 5.0, 10.0, 30.0)


def _moments() -> Iterator[float]:
    # not a generator: Ctrl-C that comes while a generator is being dropped would be lost
    return itertools.chain(MOMENTS, itertools.count(60, 60))


class Progress:
    """Writes to standard error, now and then, what a long start is waiting for.

    It writes after 1, 5, 10 and 30 seconds, then every minute, if standard error is a terminal
    or the variable :data:`VERBOSE` is set.

    :param name: the name of the service.
    :param hint: says in words what looks wrong with the service after so many seconds; empty if
        nothing does.
    """

    def __init__(self, name: str, hint: Callable[[float], str] = lambda waited: "") -> None:
        self._name = name
        self._hint = hint
        self._began = time.monotonic()
        self._moments = _moments()
        #: the moment of :func:`time.monotonic` at which the next line is due
        self.due = self._began + next(self._moments)

    def tell(self, refusal: str) -> None:
        """Write what the start is waiting for, and set the next moment."""
        now = time.monotonic()
        self.due = next(at for m in self._moments if (at := self._began + m) > now)
        stream = sys.stderr
        try:
            if stream is not None and (switched_on(VERBOSE) or stream.isatty()):
                waited = now - self._began
                hint = self._hint(waited)
                said = f"waiting for {self._name}: {visible(refusal)} ({waited:.0f} s)"
                print(f"summon_testcase: {said}{hint and f'; {hint}'}", file=stream)
                stream.flush()
        except Exception as error:
            # Standard error may be closed, full, or replaced by the test.  A start must not fail
            # because of that.
            let_through(error)
