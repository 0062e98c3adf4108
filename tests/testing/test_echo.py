"""``SUMMON_ECHO=1``: what services write is seen while tests run, whatever a runner captures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from ..programs import assert_nothing_left
from ..samples import PATIENCE, ROOT

TESTS = """
import os, sys, unittest
from summon_testcase import OutputCoordinatedExecutor, SummonMixin

class ShopTest(SummonMixin, unittest.TestCase):
    web = OutputCoordinatedExecutor("echo up; read line; echo got $line; read x", "up", shell=True)

    def test_buys(self):
        print("by the test")
        os.write(2, b"by its libraries")
        self.web.sendline("apples")
        self.web.wait_for_output("got apples")
"""
PYTEST = ["pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"]
RUNNERS = {
    "unittest-buffered": ["unittest", "-b", "test_shop"],
    "pytest": PYTEST,
    "pytest-s": [*PYTEST, "-s"],
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with one test."""
    (tmp_path / "test_shop.py").write_text(TESTS)
    return tmp_path


def environment(place: Path, **more: str) -> dict[str, str]:
    """The variables of a runner; none that ask for colours, or against them."""
    kept = {name: text for name, text in os.environ.items() if "COLOR" not in name}
    kept.pop("PYTEST_XDIST_WORKER", None)
    ours = {"PYTHONPATH": ROOT, "TMPDIR": str(place), "TERM": "xterm"}
    return {**kept, **ours, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **more}


def errors_of(words: list[str], shop: Path, place: Path, **more: str) -> list[str]:
    """The lines on standard error of a runner whose tests pass."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=shop,
        env=environment(place, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_nothing_left(str(place), place)
    return done.stderr.splitlines()


@pytest.mark.parametrize("runner", RUNNERS)
def test_no_capture_swallows_it(runner: str, shop: Path, place: Path) -> None:
    """The lines are on the standard error of the runner, each with the name in front."""
    said = "\n".join(errors_of(RUNNERS[runner], shop, place, SUMMON_ECHO="1"))
    assert "web | up\n" in said and "web | got apples" in said


def test_each_worker_of_xdist_has_its_name_in_front(shop: Path, place: Path) -> None:
    """The services of two workers have the same names."""
    told = {"SUMMON_ECHO": "1", "PYTEST_XDIST_WORKER": "gw0"}
    assert "gw0 web | up" in errors_of(RUNNERS["unittest-buffered"], shop, place, **told)


def test_nothing_is_shown_unless_asked_for(shop: Path, place: Path) -> None:
    """Standard error is what the runner makes of it."""
    said = errors_of(["unittest", "-q", "test_shop"], shop, place, SUMMON_ECHO="0")
    assert [line for line in said if "by its libraries" not in line and "up" in line] == []


def test_a_closed_standard_error_is_no_error(shop: Path, place: Path) -> None:
    """Number 2 may then be any other file."""
    program = "from test_shop import ShopTest\nwith ShopTest.web as web: print(web.tail())"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-c", program],
        cwd=shop,
        env=environment(place, SUMMON_ECHO="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE * 4,
    )
    assert (done.stdout, done.returncode) == ("['up']\n", 0)


@pytest.mark.parametrize(
    ("variables", "front"),
    [
        ({}, "\x1b[36mweb\x1b[0m | "),
        ({"NO_COLOR": "1"}, "web | "),
    ],
    ids=["colours", "NO_COLOR"],
)
def test_in_a_terminal(variables: dict[str, str], front: str, shop: Path, place: Path) -> None:
    """The name is in colour, unless the user or the terminal has none."""
    runner = pexpect.spawn(
        sys.executable,
        ["-m", *PYTEST],
        cwd=str(shop),
        env=environment(place, SUMMON_ECHO="1", **variables),
        timeout=PATIENCE * 4,
        encoding="utf-8",
    )
    try:
        said = runner.read()
    finally:
        runner.close()
    assert f"{front}up\r\n" in said and f"{front}got apples\r\n" in said
    assert "1 passed" in said
