"""Chooses the parts of logs that a report shows: whole for failing tests, a little for others."""

from __future__ import annotations

import bisect
import itertools
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ..clean import line_of
from ..foreign import suppress
from ..unpatched import open, os

#: bytes of all excerpts together, as they are written into JSON
TOTAL = 4_000_000
#: bytes at most of what a service wrote during one failing test, and between two marks otherwise
_FAILING, _OTHERS = 262_144, 2_048

#: a beginning and an end, in seconds
_Span = tuple[float, float]


class _Wanted(NamedTuple):
    """What a service wrote between two marks; they are sorted by what matters first.

    :param rank: the lower, the more it matters.
    :param turn: how many of this life came before; so each life gets as many as the others.
    """

    rank: int
    turn: int
    life: int
    begin: int
    end: int


def add_excerpts(report: dict[str, Any], logs: Mapping[int, str], bad: Collection[str]) -> None:
    """Add to each life ``excerpt``: parts of its log, ``[[byte offset, text], …]``.

    A part begins at each mark after which something was written, if there is room for it.

    :param report: to which they are added.
    :param logs: by the identity of a life, the path of its log.
    :param bad: outcomes of tests whose windows are shown whole.
    """
    failing: dict[str, list[_Span]] = {}
    for test in report["tests"]:
        if test["outcome"] in bad or test["ended"] is None:
            until = report["ended"] if test["ended"] is None else test["ended"]
            for service in test["services"]:
                failing.setdefault(service, []).append((test["began"], until))
    spans = {
        service["id"]: _merged(failing.get(service["id"], ())) for service in report["services"]
    }
    lives: list[tuple[dict[str, Any], str]] = []
    wanted: list[_Wanted] = []
    for service in report["services"]:
        for life in service["lives"]:
            path = logs.get(id(life), "")
            wanted += _windows(life, len(lives), path, spans[service["id"]])
            lives.append((life, path))
    kept: list[dict[int, str]] = [{} for _ in lives]
    left = TOTAL
    for want in sorted(wanted):
        for begin, end in _ends(want):
            begin, text = _text(lives[want.life][1], begin, end, whole_lines=begin > want.begin)
            left -= len(json.dumps(text))
            if left < 0:
                break
            kept[want.life][begin] = text
        if left < 0:
            break
    for (life, _), pieces in zip(lives, kept, strict=True):
        life["excerpt"] = [[begin, text] for begin, text in sorted(pieces.items())]


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    """The same times as spans that do not overlap, in their order."""
    merged: list[_Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            begin, end = merged[-1][0], max(end, merged.pop()[1])
        merged.append((begin, end))
    return merged


def _windows(life: dict[str, Any], number: int, path: str, failing: list[_Span]) -> list[_Wanted]:
    """What a service wrote between each two marks.

    :param number: of the life.
    :param failing: when tests ran that failed.
    """
    windows: list[_Wanted] = []
    size = _size(path)
    marks = [[life["starting"], 0], *life["marks"], [float("inf"), size]]
    for (since, begin), (until, end) in itertools.pairwise(marks):
        if end <= begin:
            continue
        # the last one that began before the window's end
        place = bisect.bisect_left(failing, (until, 0.0)) - 1
        if place >= 0 and failing[place][1] > since:
            rank = 0
        elif end == size or begin == 0:
            rank = 1
        else:
            rank = 2
        windows.append(_Wanted(rank, len(windows), number, begin, end))
    return windows


def _ends(want: _Wanted) -> list[tuple[int, int]]:
    """The beginning and the end of a window, or all of it if that is short."""
    most = _OTHERS if want.rank else _FAILING
    if want.end - want.begin <= most:
        return [(want.begin, want.end)]
    return [(want.begin, want.begin + most // 4), (want.end - most * 3 // 4, want.end)]


def _size(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_size if path else 0
    return 0


def _text(path: str, begin: int, end: int, whole_lines: bool) -> tuple[int, str]:
    """What people read between two positions of a log, without the first line if that is cut.

    :param whole_lines: whether the first line may be cut.
    :returns: the position at which the text begins, and the text.
    """
    data = b""
    with suppress(OSError), open(path, "rb") as file:
        file.seek(begin)
        data = file.read(end - begin)
    cut = data.find(b"\n") + 1 if whole_lines else 0
    # NULs are where output was dropped
    text = data[cut:].strip(b"\0").decode("utf-8", "replace")
    return begin + cut, "\n".join(map(line_of, text.split("\n")))
