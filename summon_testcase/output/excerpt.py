"""Part of a log as errors and reports show it: clean text, and not more than a person reads.

Escape sequences are left out, and other controls spelt out; of a line that was written over (a
progress bar) the last state is shown, of several blank lines one.  Of lines that repeat
themselves the first is shown, how many more there were like it, and the last.  Alike are lines
that differ in nothing but words with a digit in them: times, ports, numbers, most identifiers.
If that is still too long, the first lines and the last are shown, and how much is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..clean import LONGEST, line_of, shortened
from ..foreign import suppress
from ..wording import counted
from .log import Log

#: lines that a report shows of one service, and an error
LINES, ERROR_LINES = 40, 20
#: what is read of a log at its beginning, and at its end
_BYTES = 1 << 17
#: how many lines may repeat themselves together, a traceback
_BLOCK = 64
#: in how many places a line may come again before it begins the next of them
_TRIES = 4
#: repetitions that are shown as they are
_FEW = 3
_VARYING = re.compile(r"[\w.:+-]*\d[\w.:+-]*")


class Line(NamedTuple):
    """A line as it is shown, and what of the log it stands for.

    :param lines: how many; 0 if it stands for bytes that nobody has read.
    :param size: how many bytes.
    """

    text: str
    lines: int
    size: int


def excerpt(log: Log, start: int) -> list[Line]:
    """The lines from a position to the end; of a long log only those at both ends are read.

    :param start: byte offset in the log.
    """
    end = log.size()
    begun = log.begun(start).encode("utf-8", "surrogateescape") if start else b""
    if end - start <= 2 * _BYTES:
        return _folded(begun + log.read(start, end - start))
    # whole lines, where there are any
    head, tail = log.read(start, _BYTES), log.read(end - _BYTES, _BYTES)
    head = head[: head.rfind(b"\n") + 1] or head
    tail = tail[tail.find(b"\n") + 1 :] or tail
    unread = end - start - len(head) - len(tail)
    return [*_folded(begun + head), Line(_left_out(unread, "byte"), 0, unread), *_folded(tail)]


def shorten(lines: Sequence[Line], limit: int = LINES) -> list[str]:
    """The texts of some lines; of too many the first and the last, with what is missing.

    :param limit: how many there may be.
    """
    if len(lines) <= limit:
        return [line.text for line in lines]
    first = limit // 4
    last = len(lines) - (limit - 1 - first)
    missing = lines[first:last]
    if all(line.lines for line in missing):
        said = _left_out(sum(line.lines for line in missing), "line")
    else:
        said = _left_out(sum(line.size for line in missing), "byte")
    return [*(line.text for line in lines[:first]), said, *(line.text for line in lines[last:])]


def _left_out(number: int, what: str) -> str:
    return f"[{counted(number, what)} left out]"


def _folded(data: bytes) -> list[Line]:
    lines = _without_blanks(data)
    keys = [_VARYING.sub("0", line.text) for line in lines]
    folded: list[Line] = []
    at = 0
    while at < len(lines):
        block, times = _repeated(keys, at)
        end = at + block * times
        # of single lines the last one too, which tells until when, and how far, it went on
        last = end - 1 if block == 1 and lines[end - 1].text != lines[at].text else end
        folded += lines[at : at + block]
        more = lines[at + block : last]
        if more:
            number = sum(line.lines for line in more)
            size = sum(line.size for line in more)
            said = "more like this" if block == 1 else f"more lines like these {block}"
            folded.append(Line(f"… {number} {said}", number, size))
            folded += lines[last:end]
        at = end
    return folded


def _repeated(keys: list[str], at: int) -> tuple[int, int]:
    """How many lines are repeated from here on, and how often they are there: 1, 1 if not."""
    again = at
    with suppress(ValueError):
        for _ in range(_TRIES):
            again = keys.index(keys[at], again + 1, at + 1 + _BLOCK)
            block, times = again - at, 1
            while keys[at : at + block] == keys[at + block * times : at + block * (times + 1)]:
                times += 1
            if times > _FEW:
                return block, times
    return 1, 1


def _without_blanks(data: bytes) -> list[Line]:
    """The lines as they are shown, blank ones but where they part others."""
    lines: list[Line] = []
    blank, size = 0, 0
    for line in data.removesuffix(b"\n").split(b"\n"):
        text = shortened(line_of(line.decode("utf-8", "replace")), LONGEST)
        if not text:
            blank, size = blank + 1, size + len(line) + 1
            continue
        if blank and lines:
            lines.append(Line("", blank, size))
        blank, size = 0, 0
        lines.append(Line(text, 1, len(line) + 1))
    return lines
