"""Many services at once, in a process that may open so many files."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

from ..peers.groups import named
from ..services import BEFORE, Ground, TooEarly, Watchdog


def main(parameters: dict[str, Any], say: Callable[[object], None]) -> None:
    files = named(parameters["group"]).files
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    ground = Ground(parameters["ground"])
    needs = dict(parameters["needs"])
    if parameters["warm"]:
        _run(ground, parameters["group"], 1, 0, {})
    else:
        import summon_testcase  # noqa: F401
    say(_run(ground, parameters["group"], parameters["count"], parameters["delay"], needs))


def _run(
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
