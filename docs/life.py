"""Draws the life of a service, which ``architecture.rst`` shows.

``python3 docs/life.py`` writes ``docs/life.svg`` anew; both are committed.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_suffix(".svg")

#: the processes, from left to right
LANES = ("test process", "warden", "keeper", "service")
#: A phase: its name, its rooms, and its lines.  A line is either something that the test process
#: does by itself, or a message: the lane that sends it, the lane that gets it, and its words.
Line = str | tuple[int, int, str]
PHASES: tuple[tuple[str, str, tuple[Line, ...]], ...] = (
    (
        "declare",
        "declaration, executors",
        ("Executor(command, …): the arguments are checked; nothing runs",),
    ),
    (
        "plan",
        "orchestration, scheduling",
        ("{db.port} and after= make a graph; a circle is an error",),
    ),
    (
        "lease, fill in",
        "system, declaration, supervision",
        (
            "lease a port, name the files, make the probes",
            "Probe.occupied(): does somebody else answer there already?",
            "fill the templates in: a Launch",
        ),
    ),
    (
        "spawn",
        "supervision, keeper",
        (
            "an Instance begins",
            (0, 1, "keep, and a channel"),
            (1, 2, "fork"),
            (0, 2, "launch: command, environment, directory"),
            (2, 3, "exec, on a pseudo-terminal"),
            (2, 0, "up: its process id"),
        ),
    ),
    (
        "wait",
        "readiness, output, asker",
        (
            (3, 2, "output: to the log, on disk"),
            (2, 0, "news: output, READY=1, exited"),
            "Probe.look(Target): None means ready, else a refusal in words",
            "… again after a pause, or at once when there is news",
        ),
    ),
    (
        "use",
        "executors, output, testing",
        (
            (0, 2, "send(), signal(), paused()"),
            (2, 3, "input, signals"),
            "wait_for_output() reads the log",
        ),
    ),
    (
        "stop",
        "supervision, keeper",
        (
            (0, 2, "stop: which signal, and how long it may take"),
            (2, 3, "stop signal, later SIGKILL"),
            (2, 0, "gone: how it ended, who had to be killed"),
        ),
    ),
    (
        "give back",
        "supervision, system",
        ("the port and the files go; a log that an error has named stays",),
    ),
)

_WIDTH, _LEFT, _LINE, _HEAD = 940, 210, 22, 34
_LANE_AT = (370, 540, 670, 870)
_INK, _FAINT, _RULE, _BOX = "#222", "#777", "#ddd", "#dbe6f0"


def text(x: float, y: float, said: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(said)}</text>'


def message(y: float, start: int, end: int, said: str) -> list[str]:
    """An arrow between two lanes, with the words of the message above it."""
    begin, tip = _LANE_AT[start], _LANE_AT[end]
    way = 1 if tip > begin else -1
    return [
        text((begin + tip) / 2, y - 4, said, ' class="on" text-anchor="middle"'),
        f'<path d="M{begin} {y}H{tip}" stroke="{_INK}"/>',
        f'<path d="M{tip} {y}l{-7 * way} -4v8z" fill="{_INK}"/>',
    ]


def picture() -> str:
    """The picture as SVG."""
    rules, lines = [], []
    y = _HEAD + 8
    for name, rooms, told in PHASES:
        height = max(len(told), 2) * _LINE + 10
        rules.append(f'<path d="M0 {y}H{_WIDTH}" stroke="{_RULE}"/>')
        lines.append(text(10, y + 19, name, ' font-weight="bold"'))
        lines.append(text(10, y + 36, rooms, ' class="room"'))
        at = y + _LINE
        for line in told:
            if isinstance(line, str):
                lines.append(text(_LEFT, at - 3, line, ' class="on"'))
            else:
                lines += message(at, *line)
            at += _LINE
        y += height
    lanes = []
    for at, name in zip(_LANE_AT, LANES, strict=True):
        lanes.append(f'<path d="M{at} {_HEAD}V{y}" stroke="#bbb" stroke-dasharray="3 3"/>')
        lanes.append(f'<rect x="{at - 55}" y="6" width="110" height="24" rx="4" fill="{_BOX}"/>')
        lanes.append(text(at, 22, name, ' text-anchor="middle" font-weight="bold"'))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" '
        f'height="{y}" font-family="sans-serif" font-size="12" fill="{_INK}">\n'
        f"<style>.room {{ fill: {_FAINT}; font-size: 11px }} "
        ".on { paint-order: stroke; stroke: white; stroke-width: 4px }</style>\n"
        f'<rect width="{_WIDTH}" height="{y}" fill="white"/>\n'
    )
    return head + "\n".join([*rules, *lanes, *lines]) + "\n</svg>\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
