"""For tests that run a program as a user without rights."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import certifi
import idna
import pexpect
import ptyprocess
import requests
import urllib3

import summon_testcase

#: a user that has no name here, and no rights
NOBODY = 65534


def interpreter_for_all() -> str | None:
    """A Python that every user may run; None if there is none."""
    for program in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin")):
        if program and _reachable(program):
            return program
    return None


def _reachable(program: str) -> bool:
    way = [Path(program), Path(os.path.realpath(program))]
    return all(
        os.stat(folder).st_mode & stat.S_IXOTH for path in way for folder in (path, *path.parents)
    )


@functools.cache
def packages_for_all() -> str:
    """A directory with the package and its dependencies, which every user may read.

    The checkout, or the environment of these tests (tox's), may be for their owner only.
    """
    place = tempfile.mkdtemp(prefix="k-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.chmod(place, 0o755)
    for module in (summon_testcase, pexpect, ptyprocess, requests, urllib3, idna, certifi):
        assert module.__file__
        shutil.copytree(
            Path(module.__file__).parent,
            Path(place, module.__name__),
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    return place
