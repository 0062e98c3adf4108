"""Shortens a log for errors and reports: clean text, and not more than a person reads.

- Escape sequences are left out; other control characters are spelt out.
- A line that the service has overwritten, such as a progress bar, shows its last state.
- Several blank lines become one.
- Repeated lines become the first of them, the number of the others, and the last.  Two lines
  count as equal if they differ only in words with a digit: times, ports, most identifiers.
- If that is still too long, lines in the middle are left out, and a line says how many.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..clean import LONGEST, line_of, shortened
from ..errors import SummonError
from ..foreign import let_through, suppress
from ..wording import counted
from .log import Log

#: how many lines of one service a report shows, and an error
LINES, ERROR_LINES = 40, 20
#: bytes of a long log that are read at its beginning, and at its end
_BYTES = 1 << 17
#: how many lines a repeated block may have, such as a traceback
_BLOCK = 64
#: how many later occurrences of a line are tried as the beginning of the next block
_TRIES = 4
#: so many repetitions are shown in full
_FEW = 3
_VARYING = re.compile(r"[\w.:+-]*\d[\w.:+-]*")
#: what servers write when they cannot listen, read or start
_LAST_WORD = re.compile(
    r"address (already )?in use|EADDRINUSE|permission denied|EACCES|operation not permitted"
    r"|cannot assign requested address|EADDRNOTAVAIL|no space left|out of memory"
    r"|no such file or directory|ModuleNotFoundError|ImportError|cannot find module"
    r"|command not found|no such option|unrecogni[sz]ed (option|argument)|unknown option"
    r"|\bfatal\b|\bpanic\b",
    re.IGNORECASE,
)


class Line(NamedTuple):
    """A line that is shown, and how much of the log it stands for.

    :param lines: how many lines; 0 if it stands for bytes that were not read.
    :param size: how many bytes.
    """

    text: str
    lines: int
    size: int


def last_word(lines: Sequence[str]) -> str:
    """The last line that servers write when they cannot go on; empty if there is none."""
    found = next(filter(_LAST_WORD.search, reversed(lines)), "")
    return shortened(found.strip(), LONGEST)


def excerpt(log: Log, start: int) -> list[Line]:
    """The lines from a position to the end; the middle of a long log is not read.

    A report has to come out in any case: if the log cannot be read, it says that.

    :param start: byte offset in the log.
    """
    try:
        return _read(log, start)
    except SummonError as error:
        let_through(error)
        return [Line(f"[{error.message}]", 0, 0)]


def _read(log: Log, start: int) -> list[Line]:
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
    """The texts of some lines; in the place of too many in the middle, how much is left out.

    :param limit: how many texts there may be.
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
        # A single line that repeats also shows its last repetition: often it tells the time.
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
    """The length of a repeated block that begins here, and how often it comes; 1, 1 if none."""
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
    """The lines as they are shown; blank ones become one, and none at either end."""
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
