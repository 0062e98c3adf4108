"""8: a whole test suite with real services."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec

from ..report.results import US, Chart, Result, Verdict
from ..report.stats import Table, interval
from ..rounds import Budget, Settings, shuffled
from ..worker import ROOT

CLASSES = 30
WAYS = {
    US: "on_summon",
    "mirakuru in setUpClass": "on_mirakuru",
    "Popen and sleep(1)": "by_hand",
    "floor": "bare",
}
SUITES = {
    "redis": ("Redis", ("redis-server",)),
    "redis, gunicorn and nginx": ("Shop", ("redis-server", "nginx")),
}
#: Debian's nginx is in a directory that is only on root's PATH
_PATH = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"


def run(settings: Settings) -> Result:
    table = Table(
        f"A suite of {CLASSES} TestCases with two tests each, run by unittest",
        "s",
        base=("mirakuru in setUpClass",),
        note="Each TestCase has services of its own. The floor starts with Popen and asks in a "
        "loop that never sleeps.",
    )
    budget = Budget(settings.budget)
    for _ in settings.rounds():
        for label, (case, programs) in SUITES.items():
            for row in shuffled(list(WAYS)):
                missing = [p for p in programs if not shutil.which(p, path=_PATH)]
                missing += [p for p in ("gunicorn", "mirakuru") if not find_spec(p)]
                if missing:
                    table.remark(label, row, f"not installed: {', '.join(missing)}")
                elif budget.left((label, row)):
                    began = time.monotonic()
                    _run(table, label, row, case)
                    budget.spend((label, row), began)
                else:
                    table.remark(label, row, f"stopped after {settings.budget:g} s")
    result = Result([table], charts=[Chart("real", table, logarithmic=False)])
    for label in SUITES:
        for base in ("mirakuru in setUpClass", "Popen and sleep(1)"):
            ours, theirs = table.samples(label, US), table.samples(label, base)
            said = "not measured"
            if ours and theirs:
                low, high = interval(ours, theirs)
                ratio = table.median(label, US) / table.median(label, base)
                said = f"{ratio:.3f} (95 %: {low:.3f} to {high:.3f})"
            subject = f"{CLASSES} TestCases with {label}"
            result.verdicts.append(
                Verdict(subject, f"ratio to {base}, reported", said, bool(ours and theirs))
            )
    return result


def _run(table: Table, label: str, row: str, case: str) -> None:
    with tempfile.TemporaryDirectory(prefix="summon-bench-") as directory:
        with open(os.path.join(directory, "test_all.py"), "w") as stream:
            stream.write(f"from benchmarks.samples import {WAYS[row]} as way\n")
            for number in range(CLASSES):
                stream.write(f"class Test{number:02}(way.{case}): pass\n")
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "unittest", "test_all"],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": ROOT, "PATH": _PATH},
            capture_output=True,
            text=True,
            timeout=300,
        )
        took = time.monotonic() - began
    if ended.returncode == 0 and f"Ran {2 * CLASSES} tests" in ended.stderr:
        table.add(label, row, took)
    else:
        table.remark(label, row, "failed: " + " ".join(ended.stderr.split())[-90:])
