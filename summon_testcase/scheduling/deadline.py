"""One monotonic time budget, shared by every wait of a start or a stop."""

from __future__ import annotations

import math

from ..unpatched import time


class Deadline:
    """A budget of seconds that begins when the object is made.

    :param seconds: the budget; None means no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.began = time.monotonic()
        #: the moment of :func:`time.monotonic` at which the budget is spent
        self.at = math.inf if seconds is None else self.began + seconds

    def elapsed(self) -> float:
        """Seconds since the budget began."""
        return time.monotonic() - self.began

    def left(self) -> float:
        """Seconds left, never negative; infinite without a limit."""
        return max(0.0, self.at - time.monotonic())

    def expired(self) -> bool:
        """Whether the budget is spent."""
        return time.monotonic() >= self.at
