"""Fixtures for all tests: a directory for temporary files, and a mark for processes.

All temporary files of the suite, those of its subprocesses too, go into one directory.
"""

import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .samples import kill_marked, marker
from .terminal import hear_signals

_PLACE = pytest.StashKey[str]()
#: of the directories for programs, in the one for all temporary files
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Make the directory; its name is short, since unix sockets are put below it."""
    hear_signals()
    config.stash[_PLACE] = tempfile.mkdtemp(prefix="s-")
    # tests also run programs as a user without rights, who must pass through
    os.chmod(config.stash[_PLACE], 0o711)
    os.environ["TMPDIR"] = config.stash[_PLACE]
    tempfile.tempdir = None


def pytest_collection_finish() -> None:
    """Take what has been imported out of all searches for garbage, of which tests make many."""
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the directory, with the logs that failed starts have left for their readers."""
    shutil.rmtree(config.stash[_PLACE], ignore_errors=True)


@pytest.fixture
def mark() -> Iterator[str]:
    """A word in the command line of every process of a test; all of them are killed at the end."""
    word = marker()
    yield word
    kill_marked(word)


@pytest.fixture
def place() -> Iterator[Path]:
    """The directory for temporary files of a test's program, which no other process uses.

    Its name is short, as pytest's are not: services put unix sockets far below it.
    """
    parent = Path(tempfile.gettempdir(), f"p{next(_numbers)}")
    path = parent / "t"
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(parent, ignore_errors=True)
