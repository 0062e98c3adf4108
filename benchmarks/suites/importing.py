"""7: what an import costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

from ..report.results import Result
from ..report.stats import Table
from ..rounds import Settings, shuffled
from ..worker import ROOT

OURS, BASE = "summon_testcase", "unittest, pexpect"
CANDIDATES = (OURS, BASE, "requests", "mirakuru", "xprocess", "testing.postgresql")
_TIMED = """
import sys, time
began = time.perf_counter_ns()
import {modules}
took = time.perf_counter_ns() - began
print(took, int("requests" in sys.modules))
"""


def run(settings: Settings) -> Result:
    wall = Table(
        "Import in a fresh interpreter",
        "ms",
        base=(BASE,),
        note="python -S, so that no .pth file has imported anything before.",
    )
    told = Table("The same, by the sum that -X importtime tells", "ms", base=(BASE,))
    dragged: list[float] = []
    candidates = [c for c in CANDIDATES if all(find_spec(m.strip()) for m in c.split(","))]
    for modules in candidates:
        _python(f"import {modules}")  # writes the bytecode that the measured imports use
    for _ in settings.rounds():
        for modules in shuffled(candidates):
            took, requests = _python(_TIMED.format(modules=modules)).stdout.split()
            wall.add("import", modules, int(took) / 1e6)
            if modules == OURS:
                dragged.append(float(requests))
            said = _python(f"import {modules}", "-X", "importtime").stderr
            nothing = _python("pass", "-X", "importtime").stderr
            told.add("import", modules, (_self_times(said) - _self_times(nothing)) / 1e3)
    result = Result([wall, told])
    result.ratio_at_most("import summon_testcase", wall, "import", BASE, 1.2)
    result.ratio_at_most("import summon_testcase, -X importtime", told, "import", BASE, 1.2)
    result.at_most("requests imported (1) or not (0)", dragged, 0, "", share=1)
    return result


def _python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((ROOT, sysconfig.get_path("purelib")))
    return subprocess.run(
        [sys.executable, "-S", *options, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    )


def _self_times(said: str) -> int:
    """The sum of the first column, in microseconds."""
    return sum(int(number) for number in re.findall(r"import time:\s+(\d+) \|", said))
