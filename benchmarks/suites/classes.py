"""10: classes that have a stack of services of their own, and what a stop costs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec

from ..report.results import US, Chart, Result, Verdict
from ..report.stats import Table
from ..rounds import Settings, shuffled
from ..worker import ROOT

CLASSES = 10
WAITS, GOES_ON = US, f"{US}, stop_wait=False"
WAYS = {WAITS: "wait", GOES_ON: "go-on"}
FIRST, END, WHOLE = "first test after", "end of a class", f"{CLASSES} classes"
#: Seconds that a class of this stack took when each of its services was declared by hand, and its
#: database was migrated anew: 2.1 for its start, 0.2 for its test, 2.9 for its stop.
BY_HAND = 5.2


def run(settings: Settings) -> Result:
    table = Table(
        f"{CLASSES} TestCases of one test with PostgreSQL, Redis, a Celery worker and a Flask "
        "application of their own",
        "s",
        base=(WAITS,),
        note="The schema of the database is cached. The first test is timed from the start of the "
        "process; the end of a class from the end of its test to the next class.",
    )
    result = Result([table], charts=[Chart("classes", table, logarithmic=False)])
    missing = [name for name in ("flask", "celery", "redis", "psycopg2") if not find_spec(name)]
    missing += [name for name in ("redis-server",) if not shutil.which(name)]
    if missing:
        said = f"not installed: {', '.join(missing)}"
        print(f"classes: skipped: {said}")
        result.verdicts.append(Verdict("a stack for each class", "measured", said, False))
        return result
    _one("go-on", 1)  # the schema is made, and modules are compiled
    for _ in settings.rounds():
        for row in shuffled(list(WAYS)):
            first, ends, whole = _one(WAYS[row], CLASSES)
            table.add(FIRST, row, first)
            for end in ends:
                table.add(END, row, end)
            table.add(WHOLE, row, whole)
    result.at_most(f"{GOES_ON}: {FIRST}", table.samples(FIRST, GOES_ON), 0.7, "s")
    result.at_most(f"{GOES_ON}: {END}", table.samples(END, GOES_ON), 0.1, "s")
    quarter = CLASSES * BY_HAND / 4
    subject = f"{GOES_ON}: {WHOLE}, to a quarter of a stack declared by hand"
    result.at_most(subject, table.samples(WHOLE, GOES_ON), quarter, "s")
    return result


def _one(way: str, classes: int) -> tuple[float, list[float], float]:
    """Run the suite in a process of its own: seconds to its first test, of each end, and in all."""
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.samples.stack", str(classes), way],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    whole = time.monotonic() - began
    said = json.loads(ended.stdout)
    return said["first"] - began, said["ends"], whole
