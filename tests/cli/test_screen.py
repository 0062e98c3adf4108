"""What a person sees."""

from __future__ import annotations

import io

import pytest

from summon_testcase.cli.screen import Screen, services


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, "\x1b[36mdb     |\x1b[0m up\n"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "db     | up\n"),
        ({"TERM": "dumb"}, "db     | up\n"),
    ],
)
def test_colours(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    Screen(["db"], stream).lines("db", ["up"])
    assert stream.getvalue() == expected


def test_nothing_that_a_terminal_obeys() -> None:
    stream = io.StringIO()
    Screen(["db"], stream).tell("died of \x1b[2J\nand more")
    assert stream.getvalue() == "summon | died of\nsummon | and more\n"


def test_columns_that_nobody_needs_are_left_out() -> None:
    facts = {"a": {"log": "/a.log"}, "longer": {"log": "/b.log"}}
    assert services(facts) == "NAME    LOG\na       /a.log\nlonger  /b.log\n"
