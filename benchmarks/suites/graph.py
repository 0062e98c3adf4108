"""5: many services at once, and in an order."""

from __future__ import annotations

import time

from ..peers.groups import ALL, Needs
from ..report.results import US, Budget, Chart, Result, Settings, shuffled
from ..report.stats import Table
from ..worker import WorkerFailed, once

SIZES = (1, 10, 50, 200, 500)
DELAY = 100
SHAPES: dict[str, tuple[int, Needs]] = {
    "diamond of 4": (4, {1: [0], 2: [0], 3: [1, 2]}),
    "chain of 5": (5, {1: [0], 2: [1], 3: [2], 4: [3]}),
}
#: in a process in which nothing was started before
COLD = f"{US}, first of a process"


def run(settings: Settings) -> Result:
    wall = Table(
        f"Many services, each ready {DELAY} ms after its main(): until all are ready",
        "ms",
        base=("floor",),
        note="The floor spawns all that may run with posix_spawn, and asks the kernel each 0.5 ms "
        "who listens. Each run in a fresh process, with ulimit -n 1024; mirakuru in threads with "
        "8192, since 1024 are too few for it from 200 services on.",
    )
    busy = Table("CPU of the test process meanwhile", "ms", base=("floor",))
    budget = Budget(settings.budget)
    cells: list[tuple[str, int, Needs]] = [(f"N = {n}", n, {}) for n in SIZES]
    cells += [(label, count, needs) for label, (count, needs) in SHAPES.items()]
    for _ in settings.rounds():
        for label, count, needs in cells:
            candidates = [(group.name, group, True) for group in ALL] + [
                (COLD, next(group for group in ALL if group.name == US), False)
            ]
            for row, group, warm in shuffled(candidates):
                if count > group.limit or (needs and not group.knows_needs):
                    continue
                if not budget.left((label, row)):
                    wall.remark(label, row, f"stopped after {settings.budget:g} s")
                    continue
                began = time.monotonic()
                try:
                    parameters = {"ground": settings.ground.directory, "group": group.name}
                    parameters |= {"count": count, "delay": DELAY, "warm": warm}
                    parameters |= {"needs": [[k, v] for k, v in needs.items()]}
                    said = once("graph", parameters)
                    wall.add(label, row, said["wall"])
                    busy.add(label, row, said["cpu"])
                except WorkerFailed as error:
                    wall.remark(label, row, str(error)[:90])
                budget.spend((label, row), began)
    result = Result([wall, busy], charts=[Chart("graph", wall)])
    for label, _, _ in cells:
        result.ratio_at_most(f"{label}: until all are ready", wall, label, "floor", 1.3)
    return result
