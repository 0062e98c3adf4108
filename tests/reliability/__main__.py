"""The long forms, with a table of what was measured: ``make soak COUNT=100``.

``python -m tests.reliability [--count 100] [--jobs 2] [--only matrix|cycles]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .matrix import DEATHS, LATEST, Outcome, play, unprivileged
from .scene import import_paths
from .shapes import available
from .soak import grown

#: start/stop cycles for each repetition of the matrix, and services at once
CYCLES, SERVICES = 100, 500


def matrix(count: int, jobs: int) -> bool:
    """Play all cells ``count`` times; whether nothing was left."""
    users = [False] if unprivileged() else [False, True]
    began, good = time.monotonic(), True
    with ThreadPoolExecutor(jobs) as pool:
        for nobody in users:
            table = Table(count, nobody)
            # all deaths once, then all again: so an early look at the table shows all of them
            played = [(death, pool.submit(attempt, death, nobody)) for death in [*DEATHS] * count]
            for number, (death, future) in enumerate(played, 1):
                table.add(death, *future.result())
                if number % len(DEATHS) == 0:
                    table.tell_progress(number // len(DEATHS))
            table.show()
            good = good and table.good
    if unprivileged():
        print(f"\nnot as another user: {unprivileged()}")
    print(f"\nkill matrix: {time.monotonic() - began:.0f} s\n", flush=True)
    return good


def attempt(death: str, nobody: bool) -> tuple[Outcome | None, str]:
    """The result of one runner, or why there is none."""
    try:
        return play(death, nobody), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


class Table:
    """The results, by death and shape."""

    def __init__(self, count: int, nobody: bool) -> None:
        self.count = count
        self.who = "an unprivileged user" if nobody else f"user {os.getuid()}"
        self.late: dict[str, Counter[str]] = {death: Counter() for death in DEATHS}
        self.survivors: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {death: [] for death in DEATHS}
        self.troubles: list[str] = []

    def add(self, death: str, outcome: Outcome | None, trouble: str) -> None:
        """Add one runner."""
        if outcome is None:
            self.troubles.append(f"{death}: not played: {trouble}")
            return
        self.seconds[death].append(outcome.seconds)
        self.late[death].update(outcome.late)
        self.survivors.update(outcome.survivors)
        if outcome.files:
            self.troubles.append(f"{death}: files left: {outcome.files}")

    @property
    def good(self) -> bool:
        """Whether nothing was left, anywhere."""
        return not (self.troubles or self.survivors or any(self.late.values()))

    def tell_progress(self, rounds: int) -> None:
        """Show the progress on a terminal."""
        left = sum(sum(late.values()) for late in self.late.values())
        said = (
            f"as {self.who}: {rounds} of {self.count}, {left} late, {self.troubles or 'no trouble'}"
        )
        print(said, file=sys.stderr, flush=True)

    def show(self) -> None:
        """Print it."""
        shapes = available()
        played = sum(map(len, self.seconds.values()))
        print(
            f"\nAs {self.who}: {len(DEATHS)} deaths x {len(shapes)} shapes x {self.count} "
            f"repetitions ({played} runners, {played * len(shapes)} services)."
            f"\nProcesses that live {LATEST:g} s after the death of the runner:\n"
        )
        heads = [*shapes, "keepers", "runs", "median", "slowest"]
        print(f"{'':14}" + "".join(f"{head:>{max(len(head), 6) + 1}}" for head in heads))
        for death, late in self.late.items():
            times = sorted(self.seconds[death]) or [0.0]
            others = late["(warden, keepers)"] + late["(known by pid)"]
            cells = [*(str(late[shape]) for shape in shapes), str(others)]
            cells.append(str(len(self.seconds[death])))
            cells += [f"{times[len(times) // 2]:.2f} s", f"{times[-1]:.2f} s"]
            line = "".join(
                f"{cell:>{max(len(head), 6) + 1}}" for cell, head in zip(cells, heads, strict=True)
            )
            print(f"{death:14}{line}")
        total = sum(sum(late.values()) for late in self.late.values())
        lasting = sum(self.survivors.values())
        print(f"\nsurvivors after {LATEST:g} s: {total}; for good: {lasting}")
        for trouble in self.troubles:
            print(trouble)
        sys.stdout.flush()


def cycles(count: int, services: int) -> bool:
    """Start and stop services; whether descriptors, memory and so on are as before."""
    with tempfile.TemporaryDirectory(prefix="k-") as place:
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.soak", str(count), str(services)],
            env={**os.environ, "TMPDIR": place, "PYTHONPATH": os.pathsep.join(import_paths())},
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            check=False,
        )
        left = list(Path(place).iterdir())
    if done.returncode:
        print(f"the soak failed with status {done.returncode}")
        return False
    report = json.loads(done.stdout)
    moments = ["warm", "after", "while they run", "after many"]
    many = report["many"]
    report["while they run"] = many.pop("while they run")
    print(
        f"{report['cycles']} start/stop cycles ({report['ms per cycle']} ms each), then "
        f"{many['services']} services at once with ulimit -n {report['descriptors allowed']} "
        f"(started in {many['seconds to start']} s, stopped in {many['seconds to stop']} s):\n"
    )
    print(f"{'':26}" + "".join(f"{moment:>16}" for moment in moments))
    for who in ("test process", "warden"):
        for what in report["warm"][who]:
            row = "".join(f"{report[moment][who][what]:>16}" for moment in moments)
            print(f"{who + ', ' + what:26}{row}")
    print(
        f"{'temporary files':26}" + "".join(f"{report[moment]['files']:>16}" for moment in moments)
    )
    print(f"temporary files at the end: {len(left)}\n", flush=True)
    return not grown(report) and not left


def main() -> None:
    """Run the forms that the arguments name; exit with 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="repetitions of each cell")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runners at once")
    parser.add_argument("--only", choices=["matrix", "cycles"])
    options = parser.parse_args()
    good = True
    if options.only != "matrix":
        good = cycles(options.count * CYCLES, SERVICES)
    if options.only != "cycles":
        good = matrix(options.count, options.jobs) and good
    sys.exit(0 if good else "something was left: see above")


if __name__ == "__main__":
    main()
