"""Samples, their medians, and ratios of medians."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import Any


def quantile(values: Iterable[float], share: float) -> float:
    """A quantile, between the samples if it falls there."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: Iterable[float]) -> float:
    return quantile(values, 0.5)


def interval(
    values: Sequence[float], base: Sequence[float], rounds: int = 1000
) -> tuple[float, float]:
    """Bootstrap 95 % interval of the ratio of two medians."""
    chance = random.Random(1)
    ratios = []
    for _ in range(rounds):
        below = median(chance.choices(base, k=len(base)))
        if below > 0:
            ratios.append(median(chance.choices(values, k=len(values))) / below)
    return (quantile(ratios, 0.025), quantile(ratios, 0.975)) if ratios else (math.nan, math.nan)


class Table:
    """Samples by what was measured (a group) and who was measured (a row).

    :param base: rows that ratios are against: the first that the group has.
    """

    def __init__(self, title: str, unit: str, base: Sequence[str] = (), note: str = "") -> None:
        self.title, self.unit, self.base, self.note = title, unit, tuple(base), note
        self.cells: dict[str, dict[str, list[float]]] = {}
        self.remarks: dict[tuple[str, str], str] = {}

    def add(self, group: str, row: str, value: float) -> None:
        self.cells.setdefault(group, {}).setdefault(row, []).append(value)

    def remark(self, group: str, row: str, text: str) -> None:
        """Note why a cell has no sample, or fewer, or is odd in another way."""
        self.cells.setdefault(group, {}).setdefault(row, [])
        self.remarks[group, row] = text

    def samples(self, group: str, row: str) -> list[float]:
        return self.cells.get(group, {}).get(row, [])

    def median(self, group: str, row: str) -> float:
        """The median of a cell; nan if it is empty."""
        values = self.samples(group, row)
        return median(values) if values else math.nan

    def summary(self) -> dict[str, dict[str, dict[str, Any]]]:
        """All figures of each cell."""
        out: dict[str, dict[str, dict[str, Any]]] = {}
        for group, rows in self.cells.items():
            base = next((rows[row] for row in self.base if rows.get(row)), [])
            for row, values in rows.items():
                told: dict[str, Any] = {"n": len(values)}
                if (group, row) in self.remarks:
                    told["remark"] = self.remarks[group, row]
                if values:
                    told["median"] = median(values)
                    told["p90"] = quantile(values, 0.9)
                    told["max"] = max(values)
                if values and base and median(base) > 0:
                    told["ratio"] = told["median"] / median(base)
                    told["ratio95"] = interval(values, base)
                out.setdefault(group, {})[row] = told
        return out
