"""Command lines that cannot be, and the help."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from summon_testcase.cli.main import main

from .stage import STACK, Stage


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
        ("wait --timeout soon", "argument --timeout: 'soon' is no number of seconds, such as 30"),
        ("wait --timeout nan", "argument --timeout: 'nan' is no number of seconds, such as 30"),
        ("wait --timeout=-1", "argument --timeout: '-1' is no number of seconds, such as 30"),
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


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_as_if_nobody_reads(stage: Stage, closed: str) -> None:
    """The command it runs, and the stack in the background, have nothing closed either."""
    kept = "nothing is wrong with db, web, lone\n" if closed == "2>&-" else ""
    assert stage.redirected(closed, "check", "stack.py") == (0, kept)
    assert stage.redirected(closed, "check", "nowhere.py")[0] == 2
    script = "exec 8>&1 9>&2 && exit 7"
    command = ["run", "stack.py", "lone", "--", "sh", "-c", script]
    assert stage.redirected(closed, *command)[0] == 7
    status, told = stage.redirected(closed, "up", "-d", "stack.py", "lone")
    assert (status, "stopping" in told, stage.is_up()) == (0, False, True)
    assert stage.redirected(closed, "down")[0] == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_standard_output_on_a_disk_that_is_full(stage: Stage) -> None:
    """What a script would take for an answer has the status of an error."""
    complaint = (1, "summon: standard output cannot be written: No space left on device\n")
    for words in ("--help", "check stack.py", "doctor --json", "graph stack.py"):
        assert stage.redirected(">/dev/full", *words.split()) == complaint, words
    assert stage.redirected("2>/dev/full", "check", "nowhere.py") == (2, "")
    status, told = stage.redirected(">/dev/full", "up", "stack.py", "lone")
    assert (status, told) == complaint
    assert stage.redirected("", "up", "-d", "stack.py")[0] == 0
    for words in ("ps", "ps --json", "env", "env --json", "logs web", "restart lone", "down"):
        assert stage.redirected(">/dev/full", *words.split()) == complaint, words
    assert stage.stack() == {}


OWN = """
import errno
from summon_testcase import Executor, Orchestrator, SimpleExecutor

class Own(Executor):
    def __init__(self, **raises):
        self.raises = raises
    def start(self):
        self.say("start")
    def stop(self):
        self.say("stop")
    def env(self):
        self.say("env")
        return {}
    def running(self):
        self.say("running")
        return True
    def say(self, what):
        if what in self.raises:
            raise self.raises[what]

class Prepares(SimpleExecutor):
    def prepare(self):
        raise BrokenPipeError("as it should")

pipe = {"it": Own(start=BrokenPipeError(errno.EPIPE, "as it should"))}
terminal = {"it": Own(start=OSError(errno.EIO, "as it should"))}
exits = {"it": Own(start=SystemExit(0))}
prepares = {"it": Prepares("sleep 600")}
inner = {"group": Orchestrator({"it": Own(start=KeyError("as it should"))})}
stops = {"it": Own(stop=ValueError("as it should"))}
tells = {"it": Own(env=BrokenPipeError("as it should"), running=KeyError("not this one"))}
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pipe", "it: start() raised BrokenPipeError: [Errno 32] as it should"),
        ("terminal", "it: start() raised OSError: [Errno 5] as it should"),
        ("exits", "start() raised SystemExit: 0"),
        ("prepares", "it: prepare() raised BrokenPipeError: as it should"),
        ("inner", "it: start() raised KeyError: 'as it should'"),
        ("stops", "it: stop() raised ValueError: as it should"),
        ("tells", "it: env() raised BrokenPipeError: as it should"),
    ],
)
def test_what_code_of_the_user_raises_is_told(stage: Stage, name: str, expected: str) -> None:
    """In a sentence; it is not taken for a terminal, or a pipe, that is gone."""
    (stage.here / "own.py").write_text(OWN)
    said = stage.summon("run", f"own:{name}", "--", "true", status=1)
    assert re.fullmatch(
        rf"summon: {re.escape(expected)} \({stage.here}/own\.py, line \d+\)\n", said
    )


def test_what_code_of_the_user_raises_in_the_background(stage: Stage) -> None:
    """It is told to whoever asks."""
    (stage.here / "own.py").write_text(OWN)
    stage.summon("up", "-d", "own:tells")
    assert "it: env() raised BrokenPipeError: as it should" in stage.summon("env", status=1)
    assert "it    running" in stage.summon("ps")
    stage.summon("down")
    stage.summon("up", "-d", "own:stops")
    assert "it: stop() raised ValueError: as it should" in stage.summon("down", status=1)
