"""The page that shows a run: its text here, and what a person does with it in a real browser."""

from __future__ import annotations

import json
import re
from typing import Any

from summon_testcase.reports.page import LIMIT, page


def data(html: str) -> Any:
    """The data as a browser reads it: to the next end of a script, whatever that is in."""
    found = re.search('id="data">(.*?)</script', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def service(**more: Any) -> dict[str, Any]:
    return {"id": "s1", "process": "p1", "name": "web", "lives": [], **more}


def life(*parts: tuple[int, str]) -> dict[str, Any]:
    return {"starting": 0.0, "excerpt": parts, "marks": [(0.0, 0)]}


def ended(outcome: str = "passed", services: tuple[str, ...] = ("s1",)) -> dict[str, Any]:
    facts = {"id": "t1", "process": "p1", "name": "test_it", "began": 1.0, "ended": 2.0}
    return {**facts, "outcome": outcome, "message": "", "services": services}


def test_any_text_comes_back_as_it_was() -> None:
    text = "</script><!--<script>{{script}}&amp;"
    text += "\x00\x1b[31m\x7f\x85\ufeff\ufffe\u2028\ud800é🐘\udcff\r\n"
    html = page({"services": [service(lives=[life((0, text))])], "tests": []})
    html.encode()
    assert data(html)["services"][0]["lives"][0]["excerpt"] == [[0, text]]


def test_the_browser_runs_our_script_only() -> None:
    html = page({})
    assert "default-src 'none'" in html
    assert html.count("sha256-") == 2
    assert "{{" not in html


def test_it_is_never_too_large() -> None:
    lines = "".join(f"{number} wrote a line\n" for number in range(100_000))
    lives = [life((0, lines)), life((0, "a\n"), (2, lines), (2 + len(lines), "the last line\n"))]
    services = [service(id=f"s{number}", lives=lives) for number in range(20)]
    html = page({"services": services, "tests": [ended(), ended("failed", services=("s3",))]})
    assert LIMIT / 5 < len(html.encode()) <= LIMIT
    kept = [[life["excerpt"] for life in service["lives"]] for service in data(html)["services"]]
    assert kept[0][1][-1] == [2 + len(lines), "the last line\n"]
    assert re.match(r"\d+ wrote a line\n", kept[0][1][-2][1])
    assert len(kept[3][0][0][1]) > 5 * len(kept[4][0][0][1]) > 0


def test_tests_that_passed_are_left_out_last() -> None:
    tests = [{**ended(), "name": "test_" + "long" * 50} for _ in range(30_000)]
    html = page({"services": [], "tests": [*tests, ended("error")]})
    assert len(html.encode()) <= LIMIT
    assert data(html)["left_out"] == 30_000
    assert [test[4] for test in data(html)["tests"]] == ["error"]
