"""4: how long stop() takes."""

from __future__ import annotations

import random
import time
from typing import Any

from ..peers.contenders import ALL
from ..peers.groups import ALL as GROUPS
from ..report.results import US, Result
from ..report.stats import Table, median
from ..rounds import Settings, shuffled
from ..services import EXIT, PID, READY, Watchdog

#: milliseconds between the signal and the end of the process
ENDS = (0, 50, 200)
MANY = 10


def run(settings: Settings) -> Result:
    taken = Table(
        "stop(): from the call to the return, less the time that the process takes to end",
        "ms",
        base=("mirakuru", "floor"),
    )
    for _ in settings.rounds():
        for ends in ENDS:
            for contender in shuffled([c for c in ALL if "loop" not in c.name]):
                _stop_one(settings, contender, ends, taken)
    many = _many(settings)
    result = Result([taken, many])
    at_once = taken.samples(_label(0), US)
    result.at_most("stop of a process that ends at once", at_once, 3, "ms")
    result.at_most("stop of a process that ends at once", at_once, 5, "ms", share=0.9)
    for ends in ENDS[1:]:
        values = taken.samples(_label(ends), US)
        result.at_most(f"stop beyond the {ends} ms that the process takes", values, 3, "ms")
    ours = many.samples("beyond the slowest", US)
    slowest = median(many.samples("in all", "the slowest alone"))
    result.at_most(f"stop of {MANY} at once, beyond the slowest ({slowest:.0f} ms)", ours, 10, "ms")
    return result


def _label(ends: int) -> str:
    return f"ends after {ends} ms" if ends else "ends at once"


def _stop_one(settings: Settings, contender: Any, ends: int, table: Table) -> None:
    ground = settings.ground
    kind = "tcp" if "tcp" in contender.kinds else "banner"
    service = ground.service(kind, 0, exit_ms=ends)
    try:
        with Watchdog(60):
            one = contender(service)
            one.start()
            time.sleep(random.uniform(0.001, 0.020))
            began = time.monotonic_ns()
            one.stop()
            end = time.monotonic_ns()
        if not ground.stamp(service, EXIT):
            raise RuntimeError("it was killed, not asked to end")
        table.add(_label(ends), contender.name, (end - began) / 1e6 - ends)
    except Exception as error:
        table.remark(_label(ends), contender.name, f"{type(error).__name__}: {error}"[:90])
    ground.clear(service)


def _many(settings: Settings) -> Table:
    """Stop ten services, each of which takes between 20 and 200 ms to end."""
    ground = settings.ground
    table = Table(
        f"stop() of {MANY} services that take a random 20 to 200 ms each",
        "ms",
        base=("mirakuru in turn", "floor"),
    )
    for _ in settings.rounds():
        ends = [random.uniform(20, 200) for _ in range(MANY)]
        table.add("in all", "the slowest alone", max(ends))
        table.add("in all", "their sum", sum(ends))
        for group in shuffled(GROUPS):
            services = [ground.service("tcp", 0, exit_ms=f"{e:.3f}") for e in ends]
            try:
                with Watchdog(60):
                    one = group()
                    one.start(services, {})
                    while not all(
                        ground.stamp(s, READY) and ground.stamp(s, PID) for s in services
                    ):
                        time.sleep(0.001)
                    began = time.monotonic_ns()
                    one.stop()
                    took = (time.monotonic_ns() - began) / 1e6
                table.add("in all", group.name, took)
                table.add("beyond the slowest", group.name, took - max(ends))
            except Exception as error:
                table.remark("in all", group.name, f"{type(error).__name__}: {error}"[:90])
            for service in services:
                ground.clear(service)
    return table
