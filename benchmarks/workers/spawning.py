"""Starts in a process that has so much in memory."""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Callable
from typing import Any

from ..peers.contenders import named
from ..services import MAIN, Ground, Watchdog


def main(parameters: dict[str, Any], say: Callable[[object], None]) -> None:
    ground = Ground(parameters["ground"])
    if parameters["mib"]:
        block = mmap.mmap(-1, parameters["mib"] << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, len(block), 4096):
            block[at] = 1
    if "contender" in parameters:
        # a test module has imported what it uses before the first start
        __import__(named(parameters["contender"]).needs or "summon_testcase")
        say(_start(ground, parameters["contender"], parameters["kind"], parameters["delay"]))
        return
    say("ready")
    warm = set()
    for line in sys.stdin:
        name, kind, delay = line.rstrip("\n").split("\t")
        if (name, kind) not in warm:
            warm.add((name, kind))
            _start(ground, name, kind, 0)
        say(_start(ground, name, kind, float(delay)))


def _start(ground: Ground, name: str, kind: str, delay: float) -> dict[str, float]:
    service = ground.service(kind, delay)
    with Watchdog(60):
        one = named(name)(service)
        began = time.monotonic_ns()
        one.start()
        end = time.monotonic_ns()
        while not ground.stamp(service, MAIN):
            time.sleep(0.00005)
        reached = ground.stamp(service, MAIN)
        own = 0.0 if kind == "none" else ground.own_time(service)
        one.stop()
    return {"added": (end - began) / 1e6 - own, "main": (reached - began) / 1e6}
