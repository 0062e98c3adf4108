"""``summon graph``: the references between services, in three languages."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from summon_testcase import DependencyCycle
from summon_testcase.cli.target import UsageError

from ..samples import PATIENCE, ROOT, eventually
from .commands import summon
from .stage import Stage

STACK = """
from unittest import TestCase
from summon_testcase import Orchestrator, SimpleExecutor, SummonMixin

circle = {"a": SimpleExecutor("sleep 1", after="b"), "b": SimpleExecutor("sleep 1", after="a")}
say = 'say "hi"\\\\'
odd = {say: SimpleExecutor("sleep 1"), "b#": SimpleExecutor("sleep 1", after=say)}

class Shop(SummonMixin, TestCase):
    db = SimpleExecutor("sleep 60")
    cache = SimpleExecutor("sleep 60")
    web = SimpleExecutor(["sleep", "60", "{db.pid}"], after=cache)
    front = SimpleExecutor("sleep 60", after=[web, "cache"])
    group = Orchestrator({
        "first": SimpleExecutor("sleep 60"),
        "second": SimpleExecutor(["sleep", "60", "{first.pid}", "{db.pid}"]),
    })
"""
TREE = """\
front
├── cache
└── web
    ├── db
    └── cache
group
├── group.first
│   └── db
└── group.second
    └── group.first  (see above)
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a file with services."""
    monkeypatch.delenv("SUMMON_REPORT", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "stack.py").write_text(STACK)
    return str(tmp_path / "stack.py")


def report(place: Path, **seconds: float) -> str:
    """The directory of a report of a run of these services."""
    services = [
        {
            "owner": owner,
            "name": name,
            "lives": [{"starting": 1.0, "ready": 1.0 + after}, {"starting": 9.0, "ready": None}],
        }
        for name, after in seconds.items()
        for owner, after in (("Shop", after), ("Other", 99.0))
    ]
    place.mkdir()
    (place / "report.json").write_text(json.dumps({"format": 1, "services": services}))
    return str(place)


def test_a_tree(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Below each service is what it refers to; what was shown before is not repeated."""
    assert summon("graph", f"{stack}:Shop") == 0
    assert capsys.readouterr().out == TREE


def test_a_tree_where_there_are_only_ascii_characters(
    stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a terminal of the locale C."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert summon("graph", f"{stack}:Shop") == 0
    sys.stdout.flush()
    assert written.getvalue().splitlines()[:3] == [b"front", b"|-- cache", b"`-- web"]


def test_times_of_the_last_run(
    stack: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are those of the class that was asked for."""
    place = report(tmp_path / "report", db=1.5, web=0.25, second=0.75)
    assert summon("graph", f"{stack}:Shop", "--report", place) == 0
    shown = capsys.readouterr().out
    assert "└── web              ready after 0.25 s\n" in shown
    assert "    ├── db           ready after 1.50 s\n" in shown
    assert "└── group.second     ready after 0.75 s\n" in shown
    assert "├── cache\n" in shown
    monkeypatch.setenv("SUMMON_REPORT", place)
    assert summon("graph", f"{stack}:Shop") == 0
    assert capsys.readouterr().out == shown


def test_times_of_a_run_of_tests(
    stack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report is the one that the run itself has written."""
    tests = tmp_path / "stack.py"
    tests.write_text(tests.read_text() + "\n    def test(self):\n        pass\n")
    place = tmp_path / "report"
    subprocess.run(
        [sys.executable, "-m", "unittest", "-q", "stack.Shop"],
        cwd=tmp_path,
        env={**os.environ, "SUMMON_REPORT": str(place), "PYTHONPATH": ROOT},
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=PATIENCE * 2,
    )
    assert summon("graph", f"{stack}:Shop", "--report", str(place)) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("web", "db", "group.first"):
        assert any(re.fullmatch(rf"\W*{name} +ready after \d.*", line) for line in lines), lines


def test_times_of_a_stack_that_is_up(stage: Stage) -> None:
    """They are newer than those of any report."""
    with stage.start("up", "stack.py", "web") as process:
        eventually(stage.is_up, "it is up")
        lines = stage.summon("graph", "stack.py").splitlines()
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert re.fullmatch(r"web +ready after \d+\.\d\d s", lines[0])
    assert re.fullmatch(r"└── db +ready after \d+\.\d\d s", lines[1])
    assert lines[2:] == ["lone"]


@pytest.mark.parametrize(
    "text", [None, "no json", "[]", '{"services": [{}]}', '{"services": [{"lives": [1]}]}']
)
def test_a_report_that_cannot_be_read(text: str | None, stack: str, tmp_path: Path) -> None:
    """An error of the command line; of SUMMON_REPORT it is none, as the next run writes there."""
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(UsageError, match=r"--report \S+: \S+report.json cannot be read: "):
        summon("graph", f"{stack}:Shop", "--report", str(tmp_path))


def test_a_report_that_is_not_written_yet(
    stack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The graph has no times."""
    monkeypatch.setenv("SUMMON_REPORT", "/no/such/place")
    assert summon("graph", f"{stack}:Shop") == 0
    assert capsys.readouterr().out == TREE


def test_mermaid(stack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names are labels, in which quotes and # have to be spelt out."""
    place = report(tmp_path / "report", **{"b#": 2.0})
    assert summon("graph", f"{stack}:odd", "--mermaid", "--report", place) == 0
    assert capsys.readouterr().out.splitlines() == [
        "flowchart LR",
        '    s0["say #quot;hi#quot;\\"]',
        '    s1["b#35;<br>99.00 s"]',
        "    s1 --> s0",
    ]


def test_dot(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Graphviz can read it, whatever the names are."""
    assert summon("graph", f"{stack}:odd", "--dot") == 0
    text = capsys.readouterr().out
    assert '    "b#" -> "say \\"hi\\"\\\\"\n' in text
    if shutil.which("dot"):
        done = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True)
        assert (done.stderr, done.returncode) == ("", 0)


def test_a_circle_is_an_error(stack: str) -> None:
    """It has no tree."""
    with pytest.raises(DependencyCycle):
        summon("graph", f"{stack}:circle")
