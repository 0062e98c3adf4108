"""``summon run``: a command while services are up."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from summon_testcase.cli import run
from summon_testcase.stacks.registry import Registration

from ..samples import PATIENCE, eventually
from .stage import Stage, ended

#: prints the variables that are ours
SHOW = """
import json, os
names = ("SUMMON_", "DATABASE")
print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(names)}))
"""


def test_the_command_has_the_variables_of_the_services(stage: Stage) -> None:
    words = ["run", "stack.py", "web", "--report", "out", "--", sys.executable, "-c", SHOW]
    said = stage.summon(*words)
    env = json.loads(said)
    assert env["SUMMON_REPORT"] == str(stage.here / "out")
    assert "web" in (stage.here / "out" / "report.html").read_text()
    port = env["SUMMON_DB_PORT"]
    assert env["SUMMON_DB_HOST"] == "127.0.0.1"
    assert env["SUMMON_DB_URL"] == env["DATABASE"] == f"tcp://127.0.0.1:{port}"
    # the file of the stack, by which tests and commands find it
    assert os.path.dirname(env["SUMMON_ATTACH"]) == str(stage.runtime / "summon_testcase")
    assert not any(name.startswith(("SUMMON_WEB_", "SUMMON_LONE")) for name in env)


def test_its_status_is_that_of_the_command(stage: Stage) -> None:
    words = ["run", "stack.py", "lone", "--", "sh", "-c", "kill -USR1 $$"]
    assert stage.summon(*words, status=128 + signal.SIGUSR1) == ""


def test_commands_in_it_mean_its_stack(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the same target runs twice in the directory."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(stage.runtime))
    monkeypatch.chdir(stage.here)
    file = os.path.realpath("stack.py")
    other = Registration(how="up", target="stack.py", file=file, name="StackTest")
    try:
        restart, ps = (" ".join(stage.command(*w)) for w in (("restart", "lone"), ("ps",)))
        script = f"{restart} && {ps} && cd / && {ps}"
        said = stage.summon("run", "stack.py", "lone", "--", "sh", "-c", script)
    finally:
        other.remove()
    assert "lone was restarted\n" in said
    assert said.count(f"stack.py in {stage.here} (pid ") == 2
    assert f"(pid {os.getpid()})" not in said  # that of the other one


def test_ctrl_c_goes_to_the_command(stage: Stage) -> None:
    """Its services go on until it has ended."""
    script = "trap 'echo caught; exit 5' INT; echo begun; while :; do sleep 0.05; done"
    with stage.terminal("run", "stack.py", "lone", "--", "sh", "-c", script) as terminal:
        terminal.expect("begun")
        terminal.sendintr()
        terminal.expect("caught")
        ended(terminal, 5)


def test_sigterm_is_passed_on(stage: Stage) -> None:
    script = "trap 'echo asked; exit 6' TERM; echo begun; while :; do sleep 0.05; done"
    with stage.start("run", "stack.py", "lone", "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=15)[0] == "asked\n"
    assert process.returncode == 6


def test_what_is_ignored_is_so_in_the_command(stage: Stage) -> None:
    """As under nohup, or in the background of a script; a handler would be reset in it."""
    signals = "HUP INT QUIT TERM"
    inner = f"for each in {signals}; do kill -$each $$ $PPID; done; echo lives"
    words = stage.command("run", "stack.py", "lone", "--", "sh", "-c", inner)
    done = subprocess.run(
        ["sh", "-c", f"trap '' {signals}; exec \"$@\"", "sh", *words],
        cwd=stage.here,
        env=stage.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "lives\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_services_stop_kills_them(stage: Stage, number: int) -> None:
    (stage.here / "deaf.py").write_text(
        "from summon_testcase import OutputCoordinatedExecutor\n"
        "class Deaf:\n"
        "    it = OutputCoordinatedExecutor(\n"
        "        'trap \"touch asked\" TERM; echo up; sleep 600 & while :; do wait; done', 'up',\n"
        "        shell=True, stop_timeout=600)\n"
    )
    with stage.start("run", "deaf.py", "--", "true") as process:
        eventually((stage.here / "asked").exists, "its stop has begun")
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE)[0] == ""
    assert process.returncode == 128 + number


#: a command that does not end when it is asked to
DEAF = ["sh", "-c", "trap '' TERM; touch deaf; while :; do sleep 0.1; done"]


def test_a_command_that_outlives_its_stack_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "_GRACE", 0.2)
    before = signal.getsignal(signal.SIGTERM)
    command = run._Command(DEAF)
    try:
        command.start(os.environ)
        eventually((tmp_path / "deaf").exists, "it is deaf")
    finally:
        command.end()
    assert command.status == 128 + signal.SIGKILL
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_while_the_command_outlives_its_stack(stage: Stage) -> None:
    """It kills at once."""
    with stage.start("run", "stack.py", "lone", "--", *DEAF) as process:
        eventually((stage.here / "deaf").exists, "it is deaf")
        with stage.start("down") as down:
            eventually(lambda: not stage.stack(), "its services are gone")
            # the first one may come a moment too early, and is then for the command
            for _ in range(2):
                process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1.5)
            assert process.wait(PATIENCE) == 128 + signal.SIGTERM
            assert "is down" in down.communicate(timeout=PATIENCE)[0]


@pytest.mark.parametrize(
    ("text", "mode", "status", "said"),
    [
        ("echo no\n", 0o755, 126, "./it: is no program and has no #! line"),
        ("#!/no/such/shell\n", 0o755, 127, "./it: the interpreter that its first line names"),
        ("#!/\n", 0o755, 126, "./it: cannot be executed: Permission denied"),
        ("#!/bin/sh\n", 0o644, 126, "./it: may not be executed: set its x permission"),
        (None, 0, 127, "./it: command not found"),
    ],
    ids=["no #! line", "no interpreter", "a directory as interpreter", "no x", "no file"],
)
def test_what_cannot_be_executed(
    stage: Stage, text: str | None, mode: int, status: int, said: str
) -> None:
    it = stage.here / "it"
    if text is not None:
        it.write_text(text)
        it.chmod(mode)
    told = stage.summon("run", "stack.py", "lone", "--", "./it", status=status)
    assert told.startswith(f"summon: {said}") and told.count("\n") == 1


def test_a_directory_is_no_command(stage: Stage) -> None:
    told = stage.summon("run", "stack.py", "lone", "--", "/", status=126)
    assert told == "summon: /: is a directory\n"


def test_a_start_that_fails(stage: Stage) -> None:
    (stage.here / "broken.py").write_text(
        "from summon_testcase import SimpleExecutor\n"
        "class Broken:\n"
        "    it = SimpleExecutor('no-such-server')\n"
    )
    said = stage.summon("run", "broken.py", "--", "echo", "never", status=1)
    assert "summon: it: no-such-server is not installed" in said or "no-such-server" in said
    assert "never" not in said


def test_killed_by_sigkill(stage: Stage) -> None:
    with stage.start(
        "run", "stack.py", "lone", "--", "sh", "-c", "echo $$; exec sleep 600"
    ) as process:
        assert process.stdout is not None
        command = int(process.stdout.readline())
        process.kill()
        process.wait()
    os.kill(command, signal.SIGKILL)
    stage.summon("ps", status=1)


def test_uses_are_marked_in_the_report(stage: Stage) -> None:
    """Services of the stack are there once for each process that uses them, and started once."""
    (stage.here / "shared.py").write_text(
        "from summon_testcase import SimpleExecutor, SummonTestCase\n"
        "class SharedTest(SummonTestCase):\n"
        "    db = SimpleExecutor('sleep 600', scope='run', shared=True)\n"
        "    def test(self): pass\n"
    )
    stage.env["GITHUB_STEP_SUMMARY"] = str(stage.here / "summary")
    tests = [sys.executable, "-m", "unittest", "shared"]
    stage.summon("run", "shared.py", "--report", "out", "--", *tests)
    made = json.loads((stage.here / "out" / "report.json").read_text())
    lives = [life for service in made["services"] for life in service["lives"]]
    assert sorted(life["attached"] for life in lives) == [False, True]
    summary = (stage.here / "summary").read_text()
    assert re.search(r"\| SharedTest\.db \| [\d.]+ s \| 1 \| 0 \| 0 \|", summary), summary
