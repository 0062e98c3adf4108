"""What a test does to its own process does not reach its services."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .services import promises

PROGRAM = promises.__file__
ROOT = str(Path(__file__).parent.parent)


MOMENTS = [
    *((tool, "later") for tool in promises.TOOLS),
    *((tool, "start") for tool in ("freezegun", "pyfakefs", "pytest_subprocess", "mocks")),
    *((tool, "import") for tool in ("freezegun", "pyfakefs", "mocks")),
]


@pytest.mark.parametrize("tool, moment", MOMENTS)
def test_promises_are_kept(tool: str, moment: str) -> None:
    """The tool is active from the first import on, from the first start on, or came later."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", PROGRAM, tool, moment],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert done.stdout == "kept\n", done.stderr[-6000:]
