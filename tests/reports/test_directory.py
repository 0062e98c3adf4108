"""Which processes write one report, and under which names its files are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from summon_testcase.reports.directory import Directory
from summon_testcase.reports.logs import Logs
from summon_testcase.reports.model import report

from ..places import linux
from ..samples import ROOT

#: joins when it has read a line, and then tells of its end
JOINS = """
import sys
from summon_testcase.reports.directory import Directory
print("here", flush=True)
sys.stdin.readline()
directory = Directory(sys.argv[1])
directory.join()
directory.append({"at": 0, "event": "end"})
print(len(directory.all_parts()), flush=True)
"""


class Process:
    """One that writes into a report; it has begun, but has not joined yet."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", JOINS, str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTEST_XDIST_TESTRUNUID": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "here\n"

    def join_and_end(self) -> int:
        """How many processes have written into the report, with this one."""
        said, _ = self._process.communicate("go\n", timeout=60)
        return int(said)


@linux
def test_processes_that_live_at_the_same_time_are_one_run(tmp_path: Path) -> None:
    """A worker that has nothing to do with services for long does not end the report of others."""
    first, late = Process(tmp_path), Process(tmp_path)
    assert first.join_and_end() == 1
    assert late.join_and_end() == 2
    for part in Directory(str(tmp_path)).all_parts():
        # the kernel tells only the hundredth of a second in which a process has begun
        os.utime(part, (0, os.stat(part).st_mtime - 1))
    assert Process(tmp_path).join_and_end() == 1


def test_a_forked_child_has_a_part_of_its_own(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    directory.join()
    pid = os.fork()
    if pid == 0:
        directory.join(forked=True)
        os._exit(0)
    os.waitpid(pid, 0)
    parent, child = report(directory)["processes"]
    assert child["label"] == f"{parent['label']}, forked"
    assert (parent["ended"] is None, child["ended"] is None) == (True, False)
    assert directory.alone()


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        ("ShopTest", "web", "ShopTest/web-1.log"),
        ("", "web", "web-1.log"),
        ("test.<locals>.ShopTest", "web", "ShopTest/web-1.log"),
        ("../..", "/etc/passwd", "_../_etc_passwd-1.log"),
        ("Shop Test", "..", "Shop_Test/unnamed-1.log"),
        ("T" * 300, "n\0\n" * 100, "T" * 80 + "/" + "n_" * 40 + "-1.log"),
    ],
)
def test_names_of_logs(tmp_path: Path, owner: str, name: str, expected: str) -> None:
    directory = Directory(str(tmp_path))
    directory.join()
    logs = Logs(directory, str(tmp_path / "logs"))
    assert logs.place(owner, name) == str(tmp_path / "logs" / expected)
    # as another process would, which has a count of its own
    again = Logs(Directory(str(tmp_path)), str(tmp_path / "logs")).place(owner, name)
    assert again == str(tmp_path / "logs" / expected).replace("-1.log", "-2.log")


def test_what_is_said_to_be_ours_outside_the_directory_stays(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "report"
    outside.write_text("of the user")
    (inside / "parts").mkdir(parents=True)
    (inside / "mine").write_text("of the user")
    (inside / "parts" / "files").write_text(f"../outside\n{outside}\nparts/../../outside\n\n")
    Directory(str(inside)).join()
    assert outside.exists() and (inside / "mine").exists()
