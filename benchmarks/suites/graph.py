"""5: many services at once, and in an order."""

from __future__ import annotations

import resource
import time
from typing import Any

from ..peers.groups import ALL, Needs, named
from ..report.results import US, Chart, Result
from ..report.stats import Table
from ..rounds import Budget, Settings, shuffled
from ..services import BEFORE, Ground, TooEarly, Watchdog
from ..worker import Say, WorkerFailed, once

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
                    said = once(start_many, parameters)
                    wall.add(label, row, said["wall"])
                    busy.add(label, row, said["cpu"])
                except WorkerFailed as error:
                    wall.remark(label, row, str(error)[:90])
                budget.spend((label, row), began)
    result = Result([wall, busy], charts=[Chart("graph", wall)])
    for label, _, _ in cells:
        result.ratio_at_most(f"{label}: until all are ready", wall, label, "floor", 1.3)
    return result


def start_many(parameters: dict[str, Any], say: Say) -> None:
    """Worker: start so many in a process that may open so many files, and stop them."""
    files = named(parameters["group"]).files
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    ground = Ground(parameters["ground"])
    needs = dict(parameters["needs"])
    if parameters["warm"]:
        _start(ground, parameters["group"], 1, 0, {})
    else:
        import summon_testcase  # noqa: F401
    say(_start(ground, parameters["group"], parameters["count"], parameters["delay"], needs))


def _start(
    ground: Ground, name: str, count: int, delay: float, needs: dict[int, list[int]]
) -> dict[str, float]:
    services = [ground.service("tcp", delay, life=300) for _ in range(count)]
    group = named(name)()
    try:
        with Watchdog(120):
            used, began = time.process_time_ns(), time.monotonic_ns()
            group.start(services, needs)
            end = time.monotonic_ns()
            used = time.process_time_ns() - used
        if not all(0 < ground.stamp(service, BEFORE) <= end for service in services):
            raise TooEarly("returned before all were ready")
        group.stop()
    finally:
        for service in services:
            ground.clear(service)
    return {"wall": (end - began) / 1e6, "cpu": used / 1e6}
