"""12: the same class run again and again, with services of its own and with those of a stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

from ..report.results import US, Result, Verdict
from ..report.stats import Table
from ..rounds import Settings, shuffled
from ..worker import ROOT

SAMPLE = "benchmarks.samples.shared"
ATTACHED = f"{US}, SUMMON_ATTACH=1"
FIRST, WHOLE = "class to its first test", "whole process"
WAYS = {US: "0", ATTACHED: "1"}


def run(settings: Settings) -> Result:
    table = Table(
        "A TestCase of one test with PostgreSQL, which has a schema and is reset, and Redis",
        "s",
        base=(US,),
        note="Each run is a process of its own; the schema of the database is cached. The second "
        "row uses the services of a stack that runs already, with a database of its own.",
    )
    result = Result([table])
    if not shutil.which("redis-server"):
        print("attach: skipped: redis-server is not installed")
        result.verdicts.append(Verdict("a stack that runs", "measured", "not installed", False))
        return result
    _summon("up", "-d", f"{SAMPLE}:ShopTest")
    try:
        for way in WAYS.values():
            _one(way)  # modules are compiled, and the schema is made
        for _ in settings.rounds():
            for row in shuffled(list(WAYS)):
                first, whole = _one(WAYS[row])
                table.add(FIRST, row, first)
                table.add(WHOLE, row, whole)
    finally:
        _summon("down")
    own, attached = table.samples(FIRST, US), table.samples(FIRST, ATTACHED)
    result.compare(f"{ATTACHED}: {FIRST}", attached, own, US, 1 / 3)
    return result


def _summon(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "summon_testcase", *words], cwd=ROOT, check=True)


def _one(way: str) -> tuple[float, float]:
    """Run the class in a process of its own: seconds until its test begins, and in all."""
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", SAMPLE],
        cwd=ROOT,
        env={**os.environ, "SUMMON_ATTACH": way},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(ended.stdout)["first"], time.monotonic() - began
