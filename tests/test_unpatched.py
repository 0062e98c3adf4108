"""Patches in the test process do not reach its services."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .samples import promises

PROGRAM = promises.__file__
PLUGGED = str(Path(promises.__file__).with_name("plugged.py"))
ROOT = str(Path(__file__).parent.parent)


MOMENTS = [
    *((tool, "later") for tool in promises.TOOLS),
    *((tool, "start") for tool in ("freezegun", "pyfakefs", "pytest_subprocess", "mocks")),
    *((tool, "import") for tool in ("freezegun", "pyfakefs", "mocks")),
]


@pytest.mark.parametrize("tool, moment", MOMENTS)
def test_promises_are_kept(tool: str, moment: str) -> None:
    """The tool is active from the first import on, from the first start on, or later."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", PROGRAM, tool, moment],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert done.stdout == "kept\n", done.stderr[-6000:]


def test_under_pytest() -> None:
    """The tools are used as in their documentation: plugins, fixtures, decorated classes."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", PLUGGED],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
