"""Command lines that cannot be, and the help."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from summon_testcase.cli.main import main

from .stage import STACK


def said(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> str:
    """What a command writes to standard error, and that it ends with a status."""
    try:
        assert main(words) == status
    except SystemExit as end:  # by argparse
        assert end.code == status
    captured = capsys.readouterr()
    return captured.err or captured.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("dance", "invalid choice: 'dance'"),
        ("up", "the following arguments are required: TARGET"),
        ("up nowhere.py", "summon: nowhere.py does not exist: write module:Class"),
        ("up stack.py wbe", "summon: stack.py has no service 'wbe': it has db, web, lone\n"),
        ("up stack.py --cascade", "--cascade says what --watch restarts: give --watch GLOB, too"),
        ("up stack.py --watch nowhere/*.py", "--watch nowhere/*.py: there is no directory /"),
        ("run stack.py", "nothing to run: write summon run TARGET -- COMMAND"),
        ("wait --timeout soon", "argument --timeout: invalid float value: 'soon'"),
    ],
)
def test_usage(here: Path, capsys: pytest.CaptureFixture[str], words: str, expected: str) -> None:
    pytest.importorskip("watchfiles")
    (here / "stack.py").write_text(STACK)
    told = said(capsys, 2, *words.split())
    assert expected in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "words", ["down", "down stack.py", "ps", "logs", "logs -f", "restart web", "wait --timeout 0"]
)
def test_nothing_to_do(here: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    told = said(capsys, 1, *words.split())
    assert told.startswith("summon: ")
    assert f"runs in {here}: bring one up with summon up TARGET\n" in told


def test_nothing_runs_for_programs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, 1, "ps", "--json") == "[]\n"


def test_watch_without_watchfiles(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "stack.py").write_text(STACK)
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert said(capsys, 2, "up", "stack.py", "--watch", "*.py") == (
        "summon: --watch needs the package watchfiles: pip install 'summon_testcase[watch]'\n"
    )


@pytest.mark.parametrize("command", ["", "up", "run", "down", "ps", "logs", "restart", "wait"])
def test_help_has_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    told = said(capsys, 0, *command.split(), "--help")
    assert f"summon {command or 'up'}" in told[told.index("example") :]


def test_a_command_that_is_not_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "stack.py").write_text(STACK)
    told = said(capsys, 127, *["run", "stack.py", "--", "no-such-program"])
    assert told == "summon: no-such-program: command not found\n"
