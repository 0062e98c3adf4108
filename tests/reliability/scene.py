"""Functions that several tests of reliability use."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from summon_testcase.output.log import run_directory

from ..another_user import packages_for_all
from ..doubles import held_locks, leased_ports
from ..samples import ROOT, eventually, marked

#: whether tests run in their long form, as by ``make soak``
LONG = os.environ.get("SUMMON_SOAK", "") not in ("", "0")

#: says "up" and lives on without a child; the shell has the marker in its command line
UP = "echo up; read never"


def sh(script: str, mark: str, *arguments: str) -> list[str]:
    """A shell whose command line has the marker; arguments are ``$1`` and so on."""
    return ["/bin/sh", "-c", script, mark, *arguments]


def at_random(limit: float) -> None:
    """Sleep for a random time, at most so many seconds."""
    time.sleep(random.uniform(0, limit))


def threads() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/task"))


class Belongings:
    """Descriptors, threads and the like of this process, to compare them with those of later."""

    def __init__(self) -> None:
        gc.collect()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.threads = threads()
        self.ports = leased_ports()
        self.files = sorted(os.listdir(run_directory()))
        self.locks = held_locks()

    def lost(self) -> dict[str, object]:
        """The things of which there are more now."""
        # the system may list a thread for a moment after Python has joined it
        with suppress(AssertionError):
            eventually(lambda: threads() <= self.threads, "they have ended")
        now = Belongings()
        found: dict[str, object] = {}
        for what in ("descriptors", "threads", "ports", "locks"):
            if getattr(now, what) > getattr(self, what):
                found[what] = getattr(now, what) - getattr(self, what)
        files = [file for file in now.files if file not in self.files]
        if files:
            found["files"] = files
        return found


def forget_log(error: BaseException) -> None:
    """Remove the log that is kept for the reader of an error."""
    error.__traceback__ = None
    report = getattr(error, "report", None)
    if report is not None and os.path.exists(report.log_path):
        os.remove(report.log_path)


def nothing_left(mark: str, seconds: float = 10.0) -> None:
    """Assert that all processes with the marker end."""
    eventually(lambda: not marked(mark), f"{mark}: its processes are gone", seconds)


def run_program(
    source: str,
    place: Path,
    *arguments: str,
    interpreter: str | None = None,
    user: int | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a Python program that can import the package, with a temporary directory of its own.

    :param interpreter: default: this one, under the strictest settings.
    :param user: who runs it.
    """
    strict = [] if interpreter else ["-X", "dev", "-W", "error"]
    return subprocess.run(
        [interpreter or sys.executable, *strict, "-c", source, *arguments],
        env={**os.environ, "TMPDIR": str(place), "PYTHONPATH": os.pathsep.join(import_paths())},
        capture_output=True,
        text=True,
        timeout=timeout,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
    )


def import_paths() -> list[str]:
    """The paths of the package and its dependencies, for other interpreters and users."""
    installed = [path for path in sys.path if path.endswith(("site-packages", ".egg"))]
    return [packages_for_all(), ROOT, *installed]
