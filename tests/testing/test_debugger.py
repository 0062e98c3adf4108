"""pytest --pdb: the debugger comes before tearDown, and finds the services alive."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pexpect

from ..samples import BARE, ROOT

PROGRAM = """
from summon_testcase import *

class DebuggedTest(SummonTestCase):
    own = OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\\n", scope="test")
    shared = OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\\n")

    def ask(self, service):
        service.sendline("hello")
        return service.wait_for_output("hello", timeout=60)[0]

    def setUp(self):
        self.addCleanup(self.ask, self.own)

    def tearDown(self):
        with open("pids", "a") as file:
            print(self.own.pid, self.ask(self.own), self.ask(self.shared), file=file)

    def test_1_passes(self):
        self.ask(self.own)

    def test_2_fails(self):
        self.ask(self.own)
        self.fail("on purpose")

    def test_3_passes(self):
        self.ask(self.own)
"""


def debugged(tests: str, place: Path) -> Any:
    """A run of pytest --pdb at a terminal, which stops in the debugger."""
    (place / "test_it.py").write_text(PROGRAM)
    return pexpect.spawn(
        sys.executable,
        ["-m", "pytest", "--pdb", "-p", "no:cacheprovider", tests],
        cwd=str(place),
        env={**os.environ, "PYTHONPATH": ROOT, "TERM": "dumb", **BARE},
        timeout=60,
        encoding="utf-8",
    )


def test_services_live_until_tear_down(tmp_path: Path) -> None:
    """Each test has its own all the time, also in tearDown; nothing is left at the end."""
    child = debugged("test_it.py", tmp_path)
    try:
        child.expect_exact("(Pdb) ")
        assert child.before is not None and "own wrote during this test" in child.before
        child.sendline("self.own.running(), self.ask(self.own), self.ask(self.shared)")
        child.expect_exact("(True, 'hello', 'hello')")
        child.expect_exact("(Pdb) ")
        child.sendline("c")
        child.expect_exact("1 failed, 2 passed in")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    lines = [line.split() for line in (tmp_path / "pids").read_text().splitlines()]
    assert [words for _, *words in lines] == [["hello", "hello"]] * 3
    pids = {int(pid) for pid, *_ in lines}
    assert len(pids) == 3
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()


def test_the_debugger_is_quit(tmp_path: Path) -> None:
    """Nothing is left behind."""
    child = debugged("test_it.py::DebuggedTest::test_2_fails", tmp_path)
    try:
        child.expect_exact("(Pdb) ")
        child.sendline("print('pid:', self.own.pid)")
        child.expect(r"pid: (\d+)")
        pid = child.match[1]
        child.expect_exact("(Pdb) ")
        child.sendline("q")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert not Path(f"/proc/{pid}").exists()
