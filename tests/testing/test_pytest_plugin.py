"""The plugin of pytest in real runs of pytest, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..programs import assert_nothing_left
from ..samples import PATIENCE, ROOT


class Project:
    """A directory with tests, for runs of pytest in it.

    :param path: the directory.
    :param place: where temporary files of the runs go.
    """

    def __init__(self, path: Path, place: Path) -> None:
        self._path, self._place = path, place

    def write(self, **files: str) -> None:
        """Write modules, by their names without ``.py``."""
        for name, text in files.items():
            (self._path / f"{name}.py").write_text(text)

    def run(self, *options: str, status: int = 0) -> str:
        """Run pytest with the plugin that is installed, and no other; what it prints.

        With ``no:summon`` among the options it loads all others that it finds.
        """
        plugin = [] if "no:summon" in options else ["-p", "summon"]
        autoload = {} if "no:summon" in options else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            [*PYTEST, *plugin, f"--basetemp={self._path / 'base'}", *options],
            cwd=self._path,
            env={**environment(), **autoload, "PYTHONPATH": ROOT, "TMPDIR": str(self._place)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE * 6,
        )
        assert done.returncode == status, done.stdout
        assert_nothing_left(str(self._place), self._place)
        return done.stdout


PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]


def environment() -> dict[str, str]:
    """Variables without those that change what pytest loads and prints."""
    kept = {name: text for name, text in os.environ.items() if "COLOR" not in name}
    return {name: text for name, text in kept.items() if not name.startswith(("PYTEST", "SUMMON"))}


@pytest.fixture
def project(tmp_path: Path, place: Path) -> Project:
    """An empty directory."""
    return Project(tmp_path, place)


ASKS = """
import os

def test_asks():
    assert os.environ.get("SUMMON_REPORT", "") == {report!r}
    assert os.environ.get("SUMMON_ECHO", "") == {echo!r}
    assert os.environ.get("SUMMON_ATTACH", "") == {attach!r}
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["alone", "xdist"])
def test_options_set_the_variables(
    workers: tuple[str, ...], project: Project, tmp_path: Path
) -> None:
    """Of this process, and of workers; a directory is meant as the user sees it."""
    project.write(test_asks=ASKS.format(report=str(tmp_path / "seen"), echo="1", attach="1"))
    project.run(*workers, "--summon-report=seen", "--summon-echo", "--summon-attach")


IN_PROCESS = """
import os, pytest
assert pytest.main(["-p", "no:cacheprovider", "-p", "summon", "--summon-echo", "test_asks.py"]) == 0
assert "SUMMON_ECHO" not in os.environ
"""


def test_variables_end_with_the_run(project: Project) -> None:
    """What runs pytest in its own process has its variables as before."""
    project.write(
        test_asks=ASKS.format(report="", echo="1", attach=""),
        test_in_process=f"def test():\n    exec({IN_PROCESS!r})",
    )
    project.run("test_in_process.py")


UNUSED = """
import sys

def test_is_not_there():
    assert not [name for name in sys.modules if name.startswith("summon_testcase")]
"""


def test_a_run_that_uses_none_of_it_imports_none_of_it(project: Project) -> None:
    """Nothing but one module of functions."""
    project.write(test_unused=UNUSED)
    project.run()


def test_it_can_be_left_out(project: Project) -> None:
    """By the name that the entry point gives it."""
    project.write(test_unused=UNUSED)
    assert "unrecognized arguments" in project.run("-p", "no:summon", "--summon-echo", status=4)
