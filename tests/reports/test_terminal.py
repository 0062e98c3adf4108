"""What the log and the terminal tell of events."""

from __future__ import annotations

from pathlib import Path

from ..reliability.scene import run_program

LOGS = """
import logging, sys
from summon_testcase import SimpleExecutor
with SimpleExecutor("sleep 100"):
    print("logging" in sys.modules)
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message).9s")
with SimpleExecutor("sleep 100", name="db"):
    pass
"""


def test_what_nobody_can_see_is_not_logged(mark: str, tmp_path: Path) -> None:
    """As long as nobody has imported logging, a start does without it."""
    done = run_program(LOGS.replace("import logging, sys", "import sys"), tmp_path, mark)
    assert done.stdout == "False\n"
    assert "NameError" in done.stderr
    done = run_program(LOGS, tmp_path, mark)
    said = ["db: start", "db: ready", "db: stopp"]
    assert done.stderr.splitlines() == [f"INFO summon_testcase {words}" for words in said]
