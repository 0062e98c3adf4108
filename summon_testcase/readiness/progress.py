"""A start that takes long says what it is waiting for, to who may be watching."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

from ..clean import visible
from ..foreign import let_through
from ..unpatched import switched_on, time

#: a variable that, set and not ``0``, has slow starts told where there is no terminal
VERBOSE = "SUMMON_VERBOSE"


#: seconds after which something is said, before it is every minute
MOMENTS = (1.0, 5.0, 15.0, 30.0)


def _moments() -> Iterator[float]:
    # no generator: Ctrl-C in one that is being dropped would be lost
    return itertools.chain(MOMENTS, itertools.count(60, 60))


class Progress:
    """What a long wait waits for is written to standard error now and then.

    After 1, 5, 15 and 30 seconds, then every minute; if it is a terminal, or the variable
    :data:`VERBOSE` asks for it.

    :param name: of the service.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()
        self._moments = _moments()
        #: the moment of :func:`time.monotonic` at which something is to be told
        self.due = self._began + next(self._moments)

    def tell(self, refusal: str) -> None:
        """Say what it is waiting for, and set the next moment."""
        now = time.monotonic()
        self.due = next(at for m in self._moments if (at := self._began + m) > now)
        stream = sys.stderr
        try:
            if stream is not None and (switched_on(VERBOSE) or stream.isatty()):
                said = f"waiting for {self._name}: {visible(refusal)} ({now - self._began:.0f} s)"
                print(f"summon_testcase: {said}", file=stream)
                stream.flush()
        except Exception as error:
            # closed, full, or the test's own: a start does not fail for want of listeners
            let_through(error)
