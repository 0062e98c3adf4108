"""The result of a suite: tables, charts, and for each requirement whether it was met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .stats import Table, interval, median, quantile

US = "summon_testcase"


class Verdict(NamedTuple):
    """One requirement, and the value that was measured for it."""

    subject: str
    required: str
    measured: str
    met: bool


class Chart(NamedTuple):
    """Bars, one for each row of a table's groups."""

    name: str
    table: Table
    logarithmic: bool = True


class Result:
    """The result of one suite."""

    def __init__(self, tables: Sequence[Table], charts: Sequence[Chart] = ()) -> None:
        self.tables, self.charts = tables, charts
        self.verdicts: list[Verdict] = []

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
