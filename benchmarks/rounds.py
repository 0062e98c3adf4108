"""How often a suite measures, in which order, and how long a slow peer may take."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from .services import Ground

T = TypeVar("T")


class Settings(NamedTuple):
    """How a suite is to be run.

    :param runs: how often everything is measured.
    :param budget: seconds after which a slow peer is not measured again.
    """

    runs: int
    ground: Ground
    budget: float = 300.0

    def rounds(self) -> Iterator[int]:
        """Count the rounds, and show the count on a terminal."""
        for number in range(self.runs):
            if sys.stderr.isatty():
                print(f"\rround {number + 1} of {self.runs}  ", end="", file=sys.stderr)
            yield number
        if sys.stderr.isatty():
            print("\r" + " " * 30 + "\r", end="", file=sys.stderr)


class Budget:
    """Keeps slow peers from taking all day: each cell may take so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._spent: dict[object, float] = {}

    def left(self, cell: object) -> bool:
        return self._spent.get(cell, 0) < self._seconds

    def spend(self, cell: object, began: float) -> None:
        """Charge the time since a moment of time.monotonic() to a cell."""
        self._spent[cell] = self._spent.get(cell, 0) + time.monotonic() - began


def shuffled(things: Sequence[T]) -> list[T]:
    return random.sample(things, len(things))
