"""After many starts and stops, also at the same time, all is as before.

``make soak COUNT=100`` does 10,000 cycles, and 500 services under ``ulimit -n 1024``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .scene import run_program
from .soak import grown

CYCLES, SERVICES = 150, 80


def test_all_is_as_it_was(tmp_path: Path) -> None:
    """Descriptors, threads, children, zombies, files, memory: of the test process, the warden."""
    source = "from tests.reliability.soak import main; main()"
    done = run_program(source, tmp_path, str(CYCLES), str(SERVICES), timeout=300)
    assert (done.stderr, done.returncode) == ("", 0)
    report = json.loads(done.stdout)
    assert grown(report) == []
    assert report["descriptors allowed"] < 2 * SERVICES
    # one for each service
    during = report["many"]["while they run"]["test process"]["descriptors"]
    assert during == report["warm"]["test process"]["descriptors"] + SERVICES
    assert os.listdir(tmp_path) == []
