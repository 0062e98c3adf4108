"""Part of a log as a report shows it: its first and its last lines, the middle cut out."""

from __future__ import annotations

from .log import Log
from .report import counted

#: what a report shows of one service
LINES, BYTES = 40, 8192

_CHUNK = 1 << 20
#: characters that a terminal, or an XML report, would take for something else
_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0)) if code != ord("\t")
}


def excerpt(log: Log, start: int) -> list[str]:
    """The lines from a position to the end; a line in brackets stands for what was left out.

    :param start: byte offset in the log.
    """
    end = log.size()
    head, tail = log.read(start, end - start if end - start <= BYTES else BYTES // 2), b""
    if start + len(head) < end:
        tail = log.read(end - BYTES // 2, BYTES // 2)
        # whole lines where there are any
        head = head[: head.rfind(b"\n") + 1] or head
        tail = tail[tail.find(b"\n") + 1 :] or tail
    first = head.splitlines(keepends=True)
    last = tail.splitlines(keepends=True)
    if not tail and len(first) > LINES:
        last = first[LINES // 2 :]
    if last:
        first, last = first[: LINES // 2], last[-(LINES // 2) :]
    begin, resume = start + sum(map(len, first)), end - sum(map(len, last))
    left_out = [_left_out(log, begin, resume)] if last and begin < resume else []
    return [*_shown(first), *left_out, *_shown(last)]


def shorten(lines: list[str]) -> list[str]:
    """At most as many lines as an excerpt has, the middle left out."""
    left_out = len(lines) - LINES
    if left_out <= 0:
        return lines
    said = f"[{counted(left_out, 'line')} left out]"
    return [*lines[: LINES // 2], said, *lines[-(LINES // 2) :]]


def _shown(lines: list[bytes]) -> list[str]:
    return [line.rstrip(b"\r\n").decode("utf-8", "replace").translate(_CONTROLS) for line in lines]


def _left_out(log: Log, begin: int, end: int) -> str:
    lines, position = 0, begin
    while position < end:
        data, position = log.take(position, min(_CHUNK, end - position))
        if not data:
            break
        lines += data.count(b"\n")
    what = counted(lines, "line") if lines else counted(end - begin, "byte")
    return f"[{what} left out]"
