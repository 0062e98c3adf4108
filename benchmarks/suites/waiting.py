"""1 and 2: the CPU time of a long wait, how late it ends, and CPU while nothing happens."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from ..peers.contenders import ALL, KINDS, Summon, named
from ..report.results import US, Result
from ..report.stats import Table
from ..rounds import Settings
from ..services import PID, Ground
from ..worker import Say, Worker, WorkerFailed

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
    """Whether each question is a request, so that questions get rarer with time."""
    return kind == "http503"


def _wait(settings: Settings, delay: float, busy: Table, late: Table) -> None:
    """One start for each contender and kind, all at the same time."""
    waiting = []
    for kind in KINDS:
        for contender in ALL:
            if kind in contender.kinds and contender.name != "floor":
                parameters = {"contender": contender.name, "kind": kind, "delay": delay}
                parameters |= {"ground": settings.ground.directory}
                waiting.append((kind, contender.name, Worker(wait_once, parameters)))
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


def wait_once(parameters: dict[str, Any], say: Say) -> None:
    """Worker: one start of a service that takes a while, and the CPU that its wait takes."""
    ground = Ground(parameters["ground"])
    contender, kind = named(parameters["contender"]), parameters["kind"]
    # a start before: the first one of a process imports modules, which is no waiting
    first = contender(ground.service(kind))
    first.start()
    first.stop()
    service = ground.service(kind, parameters["delay"])
    one = contender(service)
    say("ready")
    sys.stdin.readline()
    asking = askers(os.getpid())
    used, began = time.process_time_ns() + cpu(asking), time.monotonic_ns()
    one.start()
    end = time.monotonic_ns()
    used = time.process_time_ns() + cpu(asking) - used
    late = ground.lateness(service, end)
    one.stop()
    say({"cpu": used / (end - began), "late": late})


def _idle(settings: Settings) -> Table:
    """CPU time of all processes once three services are ready and the test process sleeps."""
    table = Table("CPU while three services are ready and nothing happens", "us")
    with Worker(do_nothing, {"ground": settings.ground.directory}) as worker:
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


def do_nothing(parameters: dict[str, Any], say: Say) -> None:
    """Worker: start three services, then wait."""
    ground = Ground(parameters["ground"])
    services = [ground.service(kind) for kind in ("tcp", "http", "banner")]
    running = [Summon(service) for service in services]
    for one in running:
        one.start()
    keepers = [parent(ground.stamp(service, PID)) for service in services]
    wardens = sorted({parent(keeper) for keeper in keepers})
    asking = askers(os.getpid())
    say({"test process": [os.getpid()], "warden": wardens, "asker": asking, "keepers": keepers})
    sys.stdin.readline()
    for one in running:
        one.stop()
    say("stopped")


def parent(pid: int) -> int:
    """The parent of a process."""
    with open(f"/proc/{pid}/stat") as stream:
        return int(stream.read().rpartition(")")[2].split()[1])


def askers(runner: int) -> list[int]:
    """The processes that ask by HTTP for a test process: children of its warden."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and "asker.program" in _command(int(name)):
            try:
                words = _command(parent(int(name))).split("\0")
            except OSError:
                continue
            if str(runner) in words:
                found.append(int(name))
    return found


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as stream:
            return stream.read()
    except OSError:
        return ""


def cpu(pids: list[int]) -> int:
    """Nanoseconds that some processes have run, all their threads."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as stream:
                total += int(stream.read().split()[0])
    return total
