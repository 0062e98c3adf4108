"""What a report costs a run: the same class with and without one, in turns."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ..report.results import US, Result, Verdict
from ..report.stats import Table, median
from ..rounds import Settings, shuffled
from ..worker import ROOT

TESTS, SECONDS = 200, 0.02
WITHOUT, WITH = f"{US}, no report", f"{US}, a report"
WHOLE, PROCESSOR = "the run", "of it, at work"
#: what a report may add to the time of a run, and bytes that the page may have
MORE, LIMIT = 0.02, 5_000_000


def run(settings: Settings) -> Result:
    table = Table(
        f"{TESTS} tests of {SECONDS * 1000:.0f} ms, of a class with Redis",
        "s",
        base=(WITHOUT,),
        note="From the start of the process to its end; at work: what the processor spent on it.",
    )
    result = Result([table])
    if not shutil.which("redis-server"):
        print("report: skipped: redis-server is not installed")
        result.verdicts.append(Verdict("a report", "measured", "redis-server not found", False))
        return result
    with tempfile.TemporaryDirectory() as name:
        report = Path(name, "report")
        _one(str(report))  # modules are compiled
        for _ in settings.rounds():
            for row in shuffled([WITHOUT, WITH]):
                whole, processor = _one(str(report) if row == WITH else "")
                table.add(WHOLE, row, whole)
                table.add(PROCESSOR, row, processor)
        size = (report / "report.html").stat().st_size
    # other processes of the machine change the time of a run by more than a report does
    added = median(table.samples(PROCESSOR, WITH)) - median(table.samples(PROCESSOR, WITHOUT))
    share = added / median(table.samples(WHOLE, WITHOUT))
    said = f"{share:.2%}: {added * 1000:.0f} ms (n={settings.runs})"
    result.verdicts.append(
        Verdict("what a report adds to a run", f"at most {MORE:.0%}", said, share <= MORE)
    )
    result.verdicts.append(
        Verdict("size of the page", f"at most {LIMIT} bytes", f"{size} bytes", size <= LIMIT)
    )
    return result


def _one(report: str) -> tuple[float, float]:
    """Run the class in a process of its own: seconds in all, and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.samples.errands", str(TESTS), str(SECONDS)],
        cwd=ROOT,
        env={**os.environ, "SUMMON_REPORT": report},
        timeout=300,
        check=True,
    )
    whole = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return whole, used
