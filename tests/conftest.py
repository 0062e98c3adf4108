"""All temporary files of the suite, those of its subprocesses too, go into one directory."""

import os
import shutil
import tempfile

import pytest

from .terminal import hear_signals

_PLACE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Make it; the name is short, since unix sockets are put below it."""
    hear_signals()
    config.stash[_PLACE] = tempfile.mkdtemp(prefix="s-")
    # the user of a test that has no privileges must pass through
    os.chmod(config.stash[_PLACE], 0o711)
    os.environ["TMPDIR"] = config.stash[_PLACE]
    tempfile.tempdir = None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it, with the logs that failed starts have left for their readers."""
    shutil.rmtree(config.stash[_PLACE], ignore_errors=True)
