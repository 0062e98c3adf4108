"""3: what is added to a start beyond the service's own time to readiness."""

from __future__ import annotations

import random

from ..peers.contenders import ALL
from ..report.results import US, Result, Settings, shuffled
from ..report.stats import Table
from ..worker import Worker, WorkerFailed, once

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
        worker = Worker("spawning", {"ground": settings.ground.directory, "mib": mib})
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
                    said = once("spawning", parameters)
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
