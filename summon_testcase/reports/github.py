"""Tells GitHub Actions: a table in the summary of the step, and an annotation for each failure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from ..clean import encodable, line_of, shortened
from ..foreign import let_through, suppress
from ..unpatched import open, os, switched_on, variable
from .model import BAD

Facts = dict[str, Any]

#: variables of GitHub Actions: whether it runs us, and the file for the summary
ACTIONS, SUMMARY = "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"
#: rows of a table at most, and characters of a message: GitHub refuses more than a mebibyte, and
#: shows ten annotations
_ROWS, _LONGEST, _ANNOTATIONS = 100, 200, 10
#: what means something to HTML or to GitHub's Markdown
_SPELT_OUT = {ord(character): f"&#{ord(character)};" for character in "<>&\"'|`*_[]~$#!@\\"}


def summarize(report: Facts, path: str) -> str:
    """Write a table into the summary, in the place of the one that was written before.

    :param path: of the report's directory.
    :returns: why it could not be written, in words.
    """
    place = variable(SUMMARY)
    if not place:
        return ""
    begin, end = f"<!-- summon_testcase {_cell(path)} -->\n", "<!-- summon_testcase end -->\n"
    text = f"{begin}\n{summary(report, path)}\n{end}"
    try:
        former = ""
        if os.path.exists(place):
            with open(place, encoding="utf-8", errors="surrogateescape") as file:
                former = file.read()
        before, found, after = former.partition(begin)
        after = after.partition(end)[2] if found else ""
        with open(place, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(before + text + after)
    except OSError as error:
        let_through(error)
        return f"{SUMMARY}: {place} cannot be written: {error.strerror}"
    return ""


def summary(report: Facts, path: str) -> str:
    """Two tables in Markdown: of services, and of tests that did not pass."""
    services = sorted(_together(report["services"]), key=lambda row: (-row.bad, -row.slowest))
    lines = ["### Services", "", "| Service | Ready after | Starts | Deaths | Restarts |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for row in services[:_ROWS]:
        ready = f"{row.slowest:.2f} s" if row.was_ready else "never" if row.starts else "attached"
        deaths = f"**{row.deaths}**" if row.deaths else "0"
        cells = (_cell(row.name), ready, str(row.starts), deaths, str(row.restarts))
        lines.append(f"| {' | '.join(cells)} |")
    lines += _more(len(services), "services")
    failed = [test for test in report["tests"] if test["outcome"] in BAD]
    if failed:
        lines += ["", "| Test | Outcome | Message |", "| --- | --- | --- |"]
        for test in failed[:_ROWS]:
            told = (_cell(test["name"]), test["outcome"], _cell(test["message"]))
            lines.append(f"| {' | '.join(told)} |")
        lines += _more(len(failed), "tests")
    lines += ["", f"{len(report['tests'])} tests used these services; the report: {_cell(path)}"]
    return "\n".join(lines) + "\n"


class _Row:
    """Services of one name and one class, which each worker of a parallel runner has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.starts = self.deaths = self.failures = self.restarts = 0
        self.slowest = 0.0
        self.was_ready = False
        #: what went wrong first, in words
        self.reason = ""

    @property
    def bad(self) -> int:
        """How often it failed to start, or died."""
        return self.deaths + self.failures

    def add(self, service: Facts) -> None:
        self.restarts += len(service["restarts"])
        for life in service["lives"]:
            own = not life.get("attached")
            self.starts += own
            if own and life["ready"] is not None:
                self.was_ready = True
                self.slowest = max(self.slowest, life["ready"] - life["starting"])
            # a start is cancelled since another one has failed, which is the one to look at
            if life["failed"] is not None and life["error"] != "cancelled":
                self.failures += 1
                self.reason = self.reason or life["error"]
            if life["died"]:
                self.deaths += 1
                said = f"{life['died']['how']} {life['died']['when']}"
                self.reason = self.reason or f"{service['name']}: {said}".strip()


def _together(services: Iterable[Facts]) -> list[_Row]:
    found: dict[str, list[Facts]] = {}
    for service in services:
        name = ".".join(filter(None, (service["owner"], service["name"])))
        found.setdefault(name, []).append(service)
    rows = {name: _Row(name) for name in found}
    for name, of_name in found.items():
        # what has started them tells of their deaths and restarts, too, if it is in this report
        for service in [each for each in of_name if not _is_attached(each)] or of_name:
            rows[name].add(service)
    return list(rows.values())


def _is_attached(service: Facts) -> bool:
    """Whether a process has only used it, and another one has started it."""
    lives = service["lives"]
    return bool(lives) and all(life.get("attached") for life in lives)


def _cell(text: str) -> str:
    """The first line of a text, so that nothing in it means anything to Markdown."""
    line = shortened(line_of(text.strip().partition("\n")[0]), _LONGEST)
    return line.translate(_SPELT_OUT)


def _more(number: int, what: str) -> list[str]:
    return ["", f"and {number - _ROWS} more {what}"] if number > _ROWS else []


def errors(report: Facts) -> Iterator[str]:
    """A line for each service that died or could not start; GitHub shows it beside the run."""
    rows = [row for row in _together(report["services"]) if row.bad]
    for row in rows[:_ANNOTATIONS]:
        text = "\n".join(map(line_of, shortened(row.reason, 2000).splitlines()))
        yield f"::error title={_escaped(row.name, ':,')}::{_escaped(text)}"


def annotate(report: Facts) -> None:
    """Print the annotations on standard output, if this is GitHub Actions, which reads that.

    It also reads standard error: the standard output of a worker of pytest-xdist goes nowhere.
    """
    if not switched_on(ACTIONS):
        return
    with suppress(OSError, ValueError):  # they may be closed
        stream = sys.__stderr__ if _goes_nowhere(1) else sys.__stdout__
        # a runner may have written half a line, such as its progress, and GitHub reads whole ones
        start = "\n"
        for line in errors(report) if stream is not None else ():
            print(start + encodable(line, stream), file=stream, flush=True)
            start = ""


def _goes_nowhere(fd: int) -> bool:
    facts, null = os.fstat(fd), os.stat(os.devnull)
    return (facts.st_mode, facts.st_rdev) == (null.st_mode, null.st_rdev)


def _escaped(text: str, also: str = "") -> str:
    for character in f"%\r\n{also}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
