"""Tells now and then what a long start is waiting for."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from ..unpatched import time

#: seconds after which it is told; after these, each minute
MOMENTS = (1.0, 5.0, 10.0, 30.0)


class Progress:
    """Tells after 1, 5, 10 and 30 seconds, then every minute, what a start is waiting for.

    :param told: called with the seconds since the start began, and the last refusal in words.
    """

    def __init__(self, told: Callable[[float, str], object]) -> None:
        self._told = told
        self._began = time.monotonic()
        # not a generator: Ctrl-C that comes while a generator is being dropped would be lost
        self._moments = itertools.chain(MOMENTS, itertools.count(60.0, 60.0))
        #: the moment of :func:`time.monotonic` at which it has to be told next
        self.due = self._began + next(self._moments)

    def tell(self, refusal: str) -> None:
        """Tell what the start is waiting for, and set the next moment."""
        now = time.monotonic()
        self.due = next(at for m in self._moments if (at := self._began + m) > now)
        self._told(now - self._began, refusal)
