"""Runs programs in an interpreter of their own, and checks that they leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .samples import PATIENCE, ROOT, eventually, marked, processes_with

#: a Python that finds fault with all that it can
STRICT = [sys.executable, "-X", "dev", "-W", "error"]
PREAMBLE = f"""
import glob, os, signal, sys, threading, time
sys.path[:0] = [{ROOT!r}]
from summon_testcase import *
from tests.samples import *
MARK = os.environ["MARK"]


def silent(**options):
    return SimpleExecutor(service("silent.py", MARK), **options)


def shapes():
    \"\"\"Services that are hard to get rid of, all of them up.\"\"\"
    family = SimpleExecutor(service("family.py", MARK), until=lambda e: len(e.tail()) == 4)
    daemon = FileCoordinatedExecutor(
        service("daemon.py", "{{tmpdir}}/it.pid", MARK), path="{{tmpdir}}/it.pid")
    deaf = OutputCoordinatedExecutor(service("deaf.py", MARK), "deaf", stop_timeout=0.2)
    bare = OutputCoordinatedExecutor(
        ["sh", "-c", 'setsid env -i "$@" & echo up; wait', MARK, *service("silent.py", MARK)],
        "up")
    group = Orchestrator([family, daemon, deaf, bare])
    group.start()
    return group


def stop(group):
    \"\"\"Stop what does not stop politely, and remove the logs that are kept for that.\"\"\"
    try:
        group.stop()
    except (StopFailed, ProcessExited):
        for log in glob.glob(os.environ["TMPDIR"] + "/summon-*/*.log"):
            os.remove(log)


def say(*words):
    print(*words, flush=True)
"""


@contextmanager
def program(
    source: str, mark: str, place: Path, before: str = "", within: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A Python that runs some source after the preamble, under the strictest settings.

    :param before: source that runs before the preamble.
    :param within: the beginning of a command that runs the interpreter.
    """
    command = [*within, *STRICT, "-c", before + PREAMBLE + source]
    with subprocess.Popen(
        command,
        # not an argument: the mark in an argument would make the program look like a service
        env={**os.environ, "TMPDIR": str(place), "MARK": mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(source: str, mark: str, place: Path, before: str = "") -> list[str]:
    """The lines of output of a program that exits with 0, and writes nothing to standard error."""
    with program(source, mark, place, before) as process:
        said, complaints = process.communicate(timeout=PATIENCE * 4)
    assert (complaints, process.returncode) == ("", 0)
    return said.splitlines()


def assert_nothing_left(mark: str, place: Path) -> None:
    """Check that no process of the program, its keepers or its warden is left, and no file."""
    eventually(lambda: not marked(mark), "its processes are gone")
    eventually(lambda: not marked(str(place)), "its warden is gone")
    eventually(lambda: not os.listdir(place), f"its files are gone from {place}")


def line(process: subprocess.Popen[str]) -> list[str]:
    """The words of the next line of output of a program."""
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        assert process.stderr is not None
        raise AssertionError(f"it has ended: {process.stderr.read()}")
    return said.split()


def run_module(place: Path, *words: str, cwd: Path, **environment: str) -> str:
    """What ``python -m`` prints, once it has ended well and left nothing behind.

    :param place: an empty directory for its temporary files.
    :param words: the module and its arguments.
    :param environment: more variables for it.
    """
    done = subprocess.run(
        [*STRICT, "-m", *words],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": ROOT,
            # what PostgreSQL has made for one of them serves the others
            "SUMMON_CACHE_DIR": tempfile.gettempdir(),
            "TMPDIR": str(place),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE * 8,
    )
    assert done.returncode == 0, done.stdout
    eventually(lambda: not processes_with(str(place)), "its processes are gone")
    assert_nothing_left(str(place), place)
    return done.stdout


@contextmanager
def running(script: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python that runs a script, and its first line of output; it is killed with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()
