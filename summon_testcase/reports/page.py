"""``report.html``: one file that shows what happened, in any browser, without a server.

The page is ``browser/page.html`` with the style, the scripts and the data of ``report.json`` put
into it.  It loads nothing, and it allows the browser to load nothing but pictures beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator
from typing import Any

#: put together in this order; functions may use what later scripts declare
_SCRIPTS = (
    *("data", "text", "logs", "head", "run", "lanes", "drawing", "moving", "tests", "detail"),
    *("tabs", "start", "graph", "search", "notes", "issue", "begin"),
)
#: bytes that the page may have at most; many places that keep reports show no larger ones
LIMIT = 5_000_000
#: how many characters of each life's log the page has: the first number with which it fits
_LENGTHS = (100_000, 30_000, 10_000, 3_000, 1_000, 300)
#: logs of services that failed, or that failing tests used, may be that many times longer
_MORE = 8
#: what JSON may have in it, but not HTML's <script>, or UTF-8
_UNSAFE = re.compile("[<>&\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
#: what a test is in the page, between its process and its services: a list, since thousands of
#: tests would repeat these names
_TEST = ("name", "began", "ended", "outcome", "message")
_GOOD = {"passed", "skipped", "expected failure"}


def page(report: dict[str, Any]) -> str:
    """The page, as HTML.

    :param report: what is in ``report.json``.  A life's ``excerpt`` is a list of parts of its log,
        ``[[byte offset, text], …]``.  To show what was written during a test the page takes whole
        parts, so a part should begin at each mark.  What lies between two parts is left out.
    :returns: at most 5 MB of text, which can be encoded as UTF-8 whatever the logs contain.
    """
    style, frame = _file("page.css"), _file("page.html")
    script = "\n".join(_file(f"{name}.js") for name in _SCRIPTS)
    pieces = {
        "style": style,
        "script": script,
        "style-hash": _hash(style),
        "script-hash": _hash(script),
    }
    room = LIMIT - sum(len(text.encode()) for text in (*pieces.values(), frame))
    pieces["data"] = _data(report, room)
    # in one go: the data may contain what looks like the place for another piece
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda found: pieces[found[1]], frame)


def _file(name: str) -> str:
    content = pkgutil.get_data(__package__, f"browser/{name}")
    assert content is not None  # the package's loader reads files
    return content.decode()


def _hash(text: str) -> str:
    """How the page's policy tells its own style and script from what logs may smuggle in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(report: dict[str, Any], room: int) -> str:
    """The data, of so many bytes: with as much of the logs as fits, or else with fewer tests."""
    without = _as_json(_shortened(report, 0))
    if len(without.encode()) > room:
        return next(
            (data for data in _with_fewer_tests(report) if len(data.encode()) <= room), "{}"
        )
    for length in _LENGTHS:
        data = _as_json(_shortened(report, length))
        if len(data.encode()) <= room:
            return data
    return without


def _with_fewer_tests(report: dict[str, Any]) -> Iterator[str]:
    bad = [test for test in report.get("tests", ()) if test["outcome"] not in _GOOD]
    for most in (len(bad), 1_000, 0):
        left_out = len(report.get("tests", ())) - len(bad[:most])
        yield _as_json(_shortened({**report, "tests": bad[:most], "left_out": left_out}, 0))


def _as_json(data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shortened(report: dict[str, Any], length: int) -> dict[str, Any]:
    """The report with at most so many characters of each log, and with its tests as lists.

    The lists refer to processes and to sets of services by their places: ids are long, and most
    tests have the same services as the one before.
    """
    tests = report.get("tests", ())
    wanted = {
        service
        for test in tests
        if test["outcome"] not in _GOOD
        for service in test.get("services", ())
    }
    services = [
        {**service, "lives": list(_lives(service, length, service["id"] in wanted))}
        for service in report.get("services", ())
    ]
    processes, known = _places(report.get("processes", ())), _places(services)
    sets: dict[tuple[int, ...], int] = {}
    rows = []
    for test in tests:
        used = tuple(known[service] for service in test.get("services", ()) if service in known)
        rows.append(
            [
                processes.get(test["process"]),
                *(test.get(name) for name in _TEST),
                sets.setdefault(used, len(sets)),
            ]
        )
    return {**report, "services": services, "tests": rows, "service_sets": list(sets)}


def _places(things: Iterable[dict[str, Any]]) -> dict[str, int]:
    return {thing["id"]: place for place, thing in enumerate(things)}


def _lives(service: dict[str, Any], length: int, wanted: bool) -> Iterator[dict[str, Any]]:
    for life in service["lives"]:
        telling = wanted or life.get("died") or life.get("failed") is not None
        whole = life.get("excerpt") or []
        kept = _last(whole, length * _MORE if telling else length)
        if len(kept) < len(whole):
            # what tells when the rest was written would take much room, too
            since = kept[0][0] if kept else float("inf")
            marks = [mark for mark in life["marks"] if mark[1] >= since]
            life = {**life, "marks": marks, "shortened": True}
        yield {**life, "excerpt": kept}


def _last(parts: Iterable[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    """The last parts; together they have at most so many characters."""
    kept: list[tuple[int, str]] = []
    for offset, text in reversed(list(parts)):
        if most <= 0:
            break
        if len(text) > most:
            cut = text.find("\n", len(text) - most) + 1 or len(text) - most
            offset, text = offset + len(text[:cut].encode(errors="replace")), text[cut:]
            most = 0
        kept.append((offset, text))
        most -= len(text)
    return kept[::-1]
