"""Reading a log on while it is written."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from summon_testcase.cli.screen import Following, Screen
from summon_testcase.output.follow import Followed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web-1.log"


def test_line_by_line(path: Path) -> None:
    log = Followed(str(path))
    assert log.lines() == []  # it is not there yet
    with path.open("wb", buffering=0) as file:
        file.write(b"one\r\ntwo\xff\nthr")
        assert log.lines() == ["one", "two\N{REPLACEMENT CHARACTER}"]
        file.write(b"ee\x1b[2J\n10%\r50%\n")
        assert log.lines() == ["three", "50%"]
        assert log.lines() == []
    log.close()


def test_the_rest_can_be_read_when_it_is_removed(path: Path) -> None:
    path.write_bytes(b"begun\n")
    log = Followed(str(path))
    assert log.lines() == ["begun"]
    with path.open("ab", buffering=0) as file:
        os.remove(path)
        file.write(b"bye\nno newline")
    assert log.lines(finished=True) == ["bye", "no newline"]
    log.close()


def test_output_that_was_dropped_is_passed_over(path: Path) -> None:
    """As a keeper does, which makes holes of whole blocks."""
    with path.open("wb", buffering=0) as file:
        file.write(b"x" * 4095 + b"\n")
        file.seek(1 << 20)
        file.write(b"last\n")
    log = Followed(str(path))
    assert log.lines(finished=True) == ["x" * 4095, "last"]
    log.close()


def test_much_is_read_in_parts(path: Path) -> None:
    """So that a service that floods its log leaves time for the others."""
    path.write_bytes(b"line\n" * 300_000)
    log = Followed(str(path))
    first = len(log.lines())
    assert 0 < first < 300_000
    assert first + len(log.lines(finished=True)) == 300_000
    log.close()


def test_a_service_that_is_started_again_has_another_log(tmp_path: Path) -> None:
    stream = io.StringIO()
    following = Following(Screen(["web"], stream))
    one, two = tmp_path / "web-1.log", tmp_path / "web-1.2.log"
    one.write_bytes(b"up\n")
    following.look({"web": str(one)})
    one.write_bytes(b"up\ndown")
    two.write_bytes(b"up again\nand")
    following.look({"web": str(two)})
    following.finish()
    said = ["up", "down", "up again", "and"]
    assert stream.getvalue() == "".join(f"web    | {line}\n" for line in said)
