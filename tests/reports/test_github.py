"""What GitHub Actions shows: text of any kind means nothing to it, and there is never too much."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from summon_testcase.reports import github

from ..samples import ROOT

NASTY = "a|b `c` <script> *d* @all %0A\x1b[31m ::error::no"


def service(name: str, **life: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("ready", "failed", "died"))
    lives = [{"starting": 1.0, "error": "", **nothing, **life}]
    return {"owner": "ShopTest", "name": name, "lives": lives, "restarts": []}


def report(*services: dict[str, Any], messages: tuple[str, ...] = ()) -> dict[str, Any]:
    tests = [{"name": "test", "outcome": "failed", "message": message} for message in messages]
    return {"services": services, "tests": tests}


def test_no_text_breaks_the_table() -> None:
    made = github.summary(report(service(NASTY), messages=(f"{NASTY}\nmore",)), "report")
    (of_service,) = (line for line in made.splitlines() if line.startswith("| ShopTest."))
    (of_test,) = (line for line in made.splitlines() if line.startswith("| test |"))
    assert (of_service.count("|"), of_test.count("|")) == (6, 4)
    assert not set("<`*@\x1b\r") & set(of_service + of_test)
    assert "more" not in made


def test_no_text_breaks_an_annotation() -> None:
    died = {"at": 2.0, "how": f"was killed\n::error::{NASTY}", "when": "100%"}
    (line,) = github.errors(report(service("we,b:1", ready=2.0, died=died)))
    assert line.startswith("::error title=ShopTest.we%2Cb%3A1::we,b:1: was killed%0A::error::a|b")
    assert line.endswith("100%25")
    assert not set("\x1b\r\n") & set(line)


def test_uses_are_no_starts() -> None:
    """Of a service that another process has started; what this tells of it is told once."""
    died = {"at": 2.0, "how": "was killed by SIGKILL", "when": "during a test"}
    own, attached = service("db", ready=1.5, died=died), service("db", ready=1.1, died=died)
    attached["lives"][0]["attached"] = True
    row = "| ShopTest.db | {} | {} | **1** | 0 |"
    assert row.format("0.50 s", 1) in github.summary(report(own, attached, attached), "report")
    assert row.format("attached", 0) in github.summary(report(attached), "report")


def test_an_annotation_is_a_line_of_its_own(tmp_path: Path) -> None:
    """Also behind the progress of a runner, whose line has not ended."""
    script = (
        "import sys\n"
        "from summon_testcase.reports import github\n"
        "print('.F. [100%]', end='', flush=True)\n"
        f"github.annotate({report(*(service(n, failed=2.0, error='no') for n in 'ab'))!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": ROOT, "GITHUB_ACTIONS": "true"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [f"::error title=ShopTest.{name}::no" for name in "ab"]
    assert done.stdout.splitlines() == [".F. [100%]", *lines], done


def test_only_what_failed_itself_is_annotated() -> None:
    """The other starts were cancelled because of it, and would be ten before it."""
    others = [service(f"s{number}", failed=2.0, error="cancelled") for number in range(10)]
    guilty = service("db", failed=2.0, error="db: exited with status 3")
    lines = list(github.errors(report(*others, guilty)))
    assert lines == ["::error title=ShopTest.db::db: exited with status 3"]


def test_there_is_never_too_much() -> None:
    services = [service(f"s{number}", failed=2.0, error="no " * 5_000) for number in range(500)]
    made = report(*services, messages=("long " * 5_000,) * 5_000)
    assert len(github.summary(made, "report")) < 100_000
    assert len("\n".join(github.errors(made))) < 30_000


def test_a_table_is_written_once_for_each_report(tmp_path: Path) -> None:
    place = tmp_path / "summary"
    place.write_text("before\n")
    with mock.patch.dict(os.environ, {"GITHUB_STEP_SUMMARY": str(place)}):
        assert github.summarize(report(service("web")), "one") == ""
        assert github.summarize(report(service("web")), "two") == ""
        place.write_text(place.read_text() + "after\n")
        assert github.summarize(report(service("redis")), "one") == ""
        text = place.read_text()
        assert text.startswith("before\n") and text.endswith("after\n")
        assert (text.count("ShopTest.web"), text.count("ShopTest.redis")) == (1, 1)
        place.unlink()
        place.mkdir()
        assert "cannot be written" in github.summarize(report(), "one")
