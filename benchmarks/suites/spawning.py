"""3: how much time each contender adds to the service's own time to readiness."""

from __future__ import annotations

import mmap
import random
import sys
import time
from typing import Any

from ..peers.contenders import ALL, named
from ..report.results import US, Result
from ..report.stats import Table
from ..rounds import Settings, shuffled
from ..services import MAIN, Ground, Watchdog
from ..worker import Say, Worker, WorkerFailed, once

#: MiB that the test process has in memory
SMALL, LARGE = 0, 1024
FIRST, LATER, BIG = "first of a process", "later ones", "later ones, 1 GiB resident"
KINDS = ("tcp", "banner", "none")


def run(settings: Settings) -> Result:
    added = Table(
        "What start() adds to the service's own time to readiness",
        "ms",
        base=("mirakuru", "floor"),
        note="start() less the time from the service's main() to its being ready, which is a "
        "random 0 to 100 ms; kind none is a plain process, for which all of start() counts.",
    )
    into_main = Table(
        "From the call of start() to the service's main()",
        "ms",
        base=("mirakuru", "floor"),
    )
    workers = {}
    for label, mib in ((LATER, SMALL), (BIG, LARGE)):
        worker = Worker(start_some, {"ground": settings.ground.directory, "mib": mib})
        worker.hear()
        workers[label] = worker
    for _ in settings.rounds():
        for kind in KINDS:
            delay = random.uniform(0, 100)
            for contender in shuffled([c for c in ALL if kind in c.kinds and "loop" not in c.name]):
                for label, worker in workers.items():
                    worker.tell(f"{contender.name}\t{kind}\t{delay}")
                    _note(worker.hear(), added, into_main, f"{kind}, {label}", contender.name)
                try:
                    parameters = {"ground": settings.ground.directory, "mib": SMALL}
                    parameters |= {"contender": contender.name, "kind": kind, "delay": delay}
                    said = once(start_some, parameters)
                    _note(said, added, into_main, f"{kind}, {FIRST}", contender.name)
                except WorkerFailed as error:
                    added.remark(f"{kind}, {FIRST}", contender.name, str(error)[:90])
    for worker in workers.values():
        worker.close()
    result = Result([added, into_main])
    for kind in KINDS:
        result.at_most(
            f"{kind}: added to the first start", added.samples(f"{kind}, {FIRST}", US), 35, "ms"
        )
    for kind in KINDS:
        result.at_most(
            f"{kind}: added to later starts", added.samples(f"{kind}, {LATER}", US), 4, "ms"
        )
    spawned = added.samples(f"none, {BIG}", "mirakuru")
    for kind in KINDS:
        result.compare(
            f"{kind}: added from a test process of 1 GiB",
            added.samples(f"{kind}, {BIG}", US),
            spawned,
            "mirakuru's plain spawn",
            1 / 10,
        )
    return result


def _note(said: dict[str, float], added: Table, into_main: Table, group: str, row: str) -> None:
    added.add(group, row, said["added"])
    into_main.add(group, row, said["main"])


def start_some(parameters: dict[str, Any], say: Say) -> None:
    """Worker: in a process of a certain size in memory, one start, or one for each line read."""
    ground = Ground(parameters["ground"])
    if parameters["mib"]:
        block = mmap.mmap(-1, parameters["mib"] << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, len(block), 4096):
            block[at] = 1
    if "contender" in parameters:
        # imported in advance, as a test module does
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
