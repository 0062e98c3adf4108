"""``summon check``: every service is looked at, and none is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..samples import marked
from .commands import summon

HEAD = "from summon_testcase import *\n"


def check(text: str, place: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit status and the lines for a mapping of executors."""
    path = place / "stack.py"
    path.write_text(f"{HEAD}stack = {{{text}}}\n")
    status = summon("check", f"{path}:stack")
    return status, capsys.readouterr().out.splitlines()


def test_all_errors_are_told_at_once(
    tmp_path: Path, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of references, arguments and programs, of all services, also of groups."""
    status, lines = check(
        f"""
        "fine": SimpleExecutor(["sleep", "60", "{mark}"]),
        "web": SimpleExecutor(["sleep", "60", "{{fnie.pid}}"]),
        "cache": SimpleExecutor("squid -N"),
        "group": Orchestrator({{
            "far": SimpleExecutor("sleep 60", cwd="/no/such/place"),
            "near": SimpleExecutor("no-such-program"),
        }}),
        "lost": SimpleExecutor("haproxy", optional=True),
        """,
        tmp_path,
        capsys,
    )
    assert status == 1
    told = {line.partition(":")[0]: line for line in lines}
    assert "did you mean {fine.pid}?" in told["web"]
    assert "install the Debian package squid" in told["cache"]
    assert "/no/such/place" in told["far"]
    assert "'no-such-program' is not on the PATH" in told["near"]
    assert told["lost"].endswith("(optional=True: its tests are skipped)")
    assert lines[-2] == "5 errors; nothing is wrong with fine"
    assert lines[-1].endswith("apt-get install haproxy squid")
    assert not marked(mark)


def test_a_circle_is_an_error_of_those_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The programs are looked for nevertheless."""
    status, lines = check(
        """
        "a": SimpleExecutor("sleep 60", after="b"),
        "b": SimpleExecutor("sleep 60", after="a"),
        "c": SimpleExecutor("no-such-program"),
        "d": SimpleExecutor("sleep 60"),
        """,
        tmp_path,
        capsys,
    )
    assert status == 1
    assert "a -> b -> a" in lines[0]
    assert "no-such-program" in lines[1]
    assert lines[2:] == ["2 errors; nothing is wrong with d"]


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ('SimpleExecutor("sleep 60")', ["nothing is wrong with one"]),
        (
            'SimpleExecutor("no-such-program", optional=True)',
            ["one: command not found: 'no-such-program' is not on the PATH", "1 error"],
        ),
    ],
)
def test_what_can_be_started_or_is_skipped_is_fine(
    service: str, said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status is 0."""
    status, lines = check(f'"one": {service}', tmp_path, capsys)
    assert status == 0
    assert [line[: len(text)] for line, text in zip(lines, said, strict=True)] == said
