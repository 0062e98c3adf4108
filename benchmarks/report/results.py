"""What a suite finds: tables, charts, and for each requirement whether it was met."""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..services import Ground
from .stats import Table, interval, median, quantile

T = TypeVar("T")
US = "summon_testcase"


@dataclass
class Verdict:
    """One requirement of issue 4, and what was measured."""

    subject: str
    required: str
    measured: str
    met: bool


@dataclass
class Chart:
    """Bars, one for each row of a table's groups."""

    name: str
    table: Table
    logarithmic: bool = True


@dataclass
class Result:
    """What one suite found."""

    tables: list[Table]
    verdicts: list[Verdict] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)

    def at_most(
        self, subject: str, values: Sequence[float], limit: float, unit: str, share: float = 0.5
    ) -> None:
        """Judge a quantile of samples against a number."""
        which = "median" if share == 0.5 else f"p{share * 100:.0f}"
        measured = quantile(values, share) if values else math.nan
        self.verdicts.append(
            Verdict(
                subject,
                f"{which} at most {limit:g} {unit}",
                f"{_number(measured)} {unit} (n={len(values)})",
                measured <= limit,
            )
        )

    def at_least(self, subject: str, values: Sequence[float], limit: float, unit: str) -> None:
        """Judge a median against a number that it must reach."""
        measured = median(values) if values else math.nan
        said = f"{_number(measured)} {unit} (n={len(values)})"
        required = f"median at least {limit:g} {unit}"
        self.verdicts.append(Verdict(subject, required, said, measured >= limit))

    def ratio_at_most(
        self, subject: str, table: Table, group: str, base: str, limit: float, row: str = US
    ) -> None:
        """Judge a ratio of medians of one group; small limits are read as 1/n."""
        self.compare(subject, table.samples(group, row), table.samples(group, base), base, limit)

    def compare(
        self,
        subject: str,
        values: Sequence[float],
        against: Sequence[float],
        base: str,
        limit: float,
    ) -> None:
        """Judge a ratio of medians."""
        required = f"at most {_ratio(limit)} of {base}"
        if not values or not against:
            self.verdicts.append(Verdict(subject, required, "not measured", False))
            return
        ratio = median(values) / median(against)
        low, high = interval(values, against)
        measured = (
            f"{_ratio(ratio)} (95 %: {_ratio(low)} to {_ratio(high)}): "
            f"{_number(median(values))} to {_number(median(against))}"
        )
        self.verdicts.append(Verdict(subject, required, measured, ratio <= limit))


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    if value <= 0:
        return "0"
    return f"{value:.2f}x" if value > 0.3 else f"1/{1 / value:.3g}"


@dataclass
class Settings:
    """How a suite is to be run.

    :param runs: how often everything is measured.
    :param budget: seconds after which a slow peer is not measured again.
    """

    runs: int
    ground: Ground
    budget: float = 300.0

    def rounds(self) -> Iterator[int]:
        """Count the rounds, and tell on a terminal."""
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
        """Charge what passed since a moment of time.monotonic()."""
        self._spent[cell] = self._spent.get(cell, 0) + time.monotonic() - began


def shuffled(things: Sequence[T]) -> list[T]:
    return random.sample(things, len(things))
