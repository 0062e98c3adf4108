"""``summon env``: what a shell, or a program, needs to find the services of a stack that is up."""

from __future__ import annotations

import json
import subprocess

from ..samples import eventually
from .stage import Stage


def test_of_a_stack_that_is_up(stage: Stage) -> None:
    """A shell can read them, and so can a program; what is stopped has none."""
    with stage.start("up", "stack.py") as process:
        eventually(stage.is_up, "it is up")
        lines = stage.summon("env", "stack.py:StackTest")
        script = 'eval "$0"; echo "$DATABASE $SUMMON_DB_PORT"'
        shown = subprocess.run(["sh", "-c", script, lines], capture_output=True, text=True)
        url, port = shown.stdout.split()
        assert (url, shown.stderr) == (f"tcp://127.0.0.1:{port}", "")
        found = json.loads(stage.summon("env", "--json"))
        assert found["DATABASE"] == found["SUMMON_DB_URL"] == url
        assert "stack.py:Other" in stage.summon("env", "stack.py:Other", status=1)
        process.terminate()
        process.communicate(timeout=15)


def test_without_a_stack(stage: Stage) -> None:
    """It says how to see them nevertheless."""
    said = stage.summon("env", "stack.py", status=1)
    assert said.count("\n") == 1
    assert "bring one up with summon up TARGET" in said
    assert "summon run stack.py -- env" in said


def test_quotes_and_names_that_no_shell_has(stage: Stage) -> None:
    """A value may be any text; a name that is none for a shell is in the JSON only."""
    stack = stage.here / "stack.py"
    odd = '"A": "it\'s $HOME\\n`ls`", "a-b": "1"'
    stack.write_text(stack.read_text().replace('"DATABASE": self.url', odd))
    with stage.start("up", "stack.py", "db") as process:
        eventually(stage.is_up, "it is up")
        with stage.start("env", stderr=subprocess.PIPE) as env:
            lines, complaints = env.communicate(timeout=30)
        assert complaints == "'a-b' is no name for a shell: take --json\n"
        shown = subprocess.run(["sh", "-c", f'{lines}\nprintf %s "$A"'], capture_output=True)
        assert shown.stdout == b"it's $HOME\n`ls`"
        assert json.loads(stage.summon("env", "--json"))["a-b"] == "1"
        process.terminate()
        process.communicate(timeout=15)


def test_a_value_is_never_spelt_out(stage: Stage) -> None:
    """A shell would take what it is spelt as for the value."""
    stack = stage.here / "stack.py"
    odd = stack.read_text().replace('"DATABASE": self.url', '"A": "caf\u00e9", "B": "plain"')
    stack.write_text(odd, encoding="utf-8")
    with stage.start("up", "stack.py", "db") as process:
        eventually(stage.is_up, "it is up")
        status, lines = stage.redirected("", "env", PYTHONIOENCODING="ascii")
        assert (status, "export B=plain\n" in lines, "export A=" in lines) == (0, True, False)
        assert "the value of A cannot be written in ascii: take --json\n" in lines
        process.terminate()
        process.communicate(timeout=15)
