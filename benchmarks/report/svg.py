"""A chart of bars, written by hand."""

from __future__ import annotations

import math
from html import escape

from .stats import Table
from .text import number

_WIDTH, _LEFT, _RIGHT, _BAR = 760, 210, 70, 15
_COLOURS = ("#4878a8", "#c8a24a", "#8f6bb0", "#b5605a", "#7a7a7a", "#5aa6a6")
_OURS = "#3a9a50"


def bars(table: Table, logarithmic: bool = True) -> str:
    """The medians of a table, a block for each group, our own rows in green."""
    medians = {
        group: {row: told["median"] for row, told in rows.items() if told["n"]}
        for group, rows in table.summary().items()
    }
    values = [v for rows in medians.values() for v in rows.values() if v > 0]
    if not values:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>\n'
    low = 10 ** math.floor(math.log10(min(values) / 2))
    high = 10 ** math.ceil(math.log10(max(values)))
    room = _WIDTH - _LEFT - _RIGHT

    def length(value: float) -> float:
        if not logarithmic:
            return room * value / max(values)
        return room * math.log(max(value, low) / low) / math.log(high / low)

    rows_in_all = sum(len(rows) for rows in medians.values())
    height = 56 + rows_in_all * _BAR + len(medians) * 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="18" font-size="13">{escape(table.title)}</text>',
    ]
    scale = f"{table.unit}, medians" + (", logarithmic" if logarithmic else "")
    parts.append(f'<text x="8" y="34" fill="#666">{escape(scale)}</text>')
    if logarithmic:
        tick = low
        while tick <= high:
            x = _LEFT + length(tick)
            parts.append(f'<path d="M{x:.1f} 44V{height - 8}" stroke="#ddd"/>')
            parts.append(f'<text x="{x:.1f}" y="40" fill="#666">{number(tick)}</text>')
            tick *= 10
    names = [row for rows in medians.values() for row in rows]
    known = [row for row in dict.fromkeys(names) if not row.startswith("summon_testcase")]
    y = 56
    for group, rows in medians.items():
        y += 18
        parts.append(f'<text x="8" y="{y}" font-weight="bold">{escape(group)}</text>')
        y += 8
        for row, value in sorted(rows.items(), key=lambda item: item[1]):
            ours = row.startswith("summon_testcase")
            colour = _OURS if ours else _COLOURS[known.index(row) % len(_COLOURS)]
            wide = max(1.0, length(value))
            parts.append(
                f'<text x="{_LEFT - 6}" y="{y + 10}" text-anchor="end">{escape(row)}</text>'
                f'<rect x="{_LEFT}" y="{y + 2}" width="{wide:.1f}" height="{_BAR - 4}" '
                f'fill="{colour}"/>'
                f'<text x="{_LEFT + wide + 4:.1f}" y="{y + 10}">{number(value)}</text>'
            )
            y += _BAR
    return "\n".join([*parts, "</svg>"]) + "\n"
