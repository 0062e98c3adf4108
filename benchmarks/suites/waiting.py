"""1 and 2: what a long wait costs, how late it ends, and what is spent while nothing happens."""

from __future__ import annotations

import time

from ..peers.contenders import ALL, KINDS
from ..processes import cpu
from ..report.results import US, Result, Settings
from ..report.stats import Table
from ..worker import Worker, WorkerFailed

LONG = 5000.0
SHORT = 1000.0


def run(settings: Settings) -> Result:
    busy = Table(
        "CPU of the test process, and of its asker, during start()",
        "% of one core",
        note="All that the process uses from the call to the return, spawning included. "
        "Contenders wait at the same time, each in a process of its own.",
    )
    late = Table("From ready to start() returned, after a wait of 5 s", "ms", base=("mirakuru",))
    for _ in settings.rounds():
        for delay in (SHORT, LONG):
            _wait(settings, delay, busy, late)
    idle = _idle(settings)
    result = Result([busy, late, idle])
    for kind in KINDS:
        values = busy.samples(f"{kind}, ready after {SHORT / 1000:g} s", US)
        result.at_most(f"{kind}: CPU in the first second", values, 8 if dear(kind) else 3, "%")
    for kind in KINDS:
        values = busy.samples(f"{kind}, ready after {LONG / 1000:g} s", US)
        result.at_most(f"{kind}: CPU over 5 s", values, 5 if dear(kind) else 1, "%")
    for kind in KINDS:
        values, limit = late.samples(kind, US), (5000 - 200) / 20 + 10 if dear(kind) else 10
        result.at_most(f"{kind}: ready to returned after 5 s", values, limit, "ms", share=0.9)
    for who in ("test process", "warden", "asker", "keepers"):
        result.at_most(f"{who}: CPU while idle", idle.samples("over 5 s", who), 0, "us")
    return result


def dear(kind: str) -> bool:
    """Whether each question is a request, which is therefore asked more rarely with time."""
    return kind == "http503"


def _wait(settings: Settings, delay: float, busy: Table, late: Table) -> None:
    """One start for each contender and kind, all at the same time."""
    waiting = []
    for kind in KINDS:
        for contender in ALL:
            if kind in contender.kinds and contender.name != "floor":
                parameters = {"contender": contender.name, "kind": kind, "delay": delay}
                parameters |= {"ground": settings.ground.directory}
                waiting.append((kind, contender.name, Worker("waiting", parameters)))
    for _, _, worker in waiting:
        worker.hear()
    # far enough apart that the end of one wait is not disturbed by the ends of others
    for _, _, worker in waiting:
        worker.tell("go")
        time.sleep(0.15)
    for kind, name, worker in waiting:
        group = f"{kind}, ready after {delay / 1000:g} s"
        try:
            said = worker.hear()
            busy.add(group, name, said["cpu"] * 100)
            if delay == LONG:
                late.add(kind, name, said["late"])
        except WorkerFailed as error:
            busy.remark(group, name, str(error)[:90])
        worker.close()


def _idle(settings: Settings) -> Table:
    """CPU of everybody once three services are ready and the test process sleeps."""
    table = Table("CPU while three services are ready and nothing happens", "us")
    with Worker("idle", {"ground": settings.ground.directory}) as worker:
        who = worker.hear()
        time.sleep(1)
        for _ in range(min(settings.runs, 12)):
            before = {name: cpu(pids) for name, pids in who.items()}
            time.sleep(5)
            for name, pids in who.items():
                table.add("over 5 s", name, (cpu(pids) - before[name]) / 1e3)
        worker.tell("stop")
        worker.hear()
    return table
