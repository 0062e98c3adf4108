"""6: services with a lot of output."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import Any

from ..peers import kernel
from ..peers.contenders import Contender, Mirakuru, Pexpect, Summon
from ..report.results import US, Result
from ..report.stats import Table
from ..rounds import Budget, Settings, shuffled
from ..services import WRITTEN, Ground, Service, Watchdog
from ..worker import Say, WorkerFailed, once

MB = 200
RAW = "raw read of a pipe"
RAW_TTY = "raw read of a terminal"
WINDOW = "pexpect, window of 2000"
BEFORE_BANNER = (RAW, RAW_TTY, WINDOW, "mirakuru", US)
#: bytes that must be free where logs are written
ROOM = 8 << 30
FILE = "8 files, no library"
BESIDE = (FILE, "mirakuru", US)
DEVNULL = subprocess.DEVNULL
#: how much each of eight services writes at most, and for how long
_ENOUGH, _SECONDS = 300_000_000, 2.0


def run(settings: Settings) -> Result:
    seconds = Table(
        f"{MB} MB of output before the banner: start()",
        "s",
        base=(RAW_TTY,),
        note="A raw read looks for the banner and keeps nothing. The service writes to a terminal, "
        "as under pexpect; mirakuru gives it a pipe.",
    )
    memory = Table(
        f"{MB} MB of output before the banner: memory of the test process",
        "MB",
        note="Peak resident (VmHWM) of a fresh process, interpreter and imports included.",
    )
    rate = Table(
        "8 services write all they can beside a test that computes: in all",
        "MB/s",
        base=(FILE,),
        note="Who leaves a pipe to itself stops the services after 64 KB.",
    )
    free = shutil.disk_usage(settings.ground.directory).free
    if free < ROOM:
        raise OSError(f"{settings.ground.directory} needs {ROOM >> 30} GiB, and has {free >> 30}")
    budget = Budget(settings.budget)
    for _ in settings.rounds():
        for row in shuffled(BEFORE_BANNER):
            said = _measured(settings, budget, "before", row, seconds)
            if said:
                seconds.add("until the banner", row, said["seconds"])
                memory.add("peak", row, said["peak"])
                memory.add("before the start", row, said["before"])
        for row in shuffled(BESIDE):
            said = _measured(settings, budget, "beside", row, rate)
            if said:
                rate.add("total", row, said["rate"])
                rate.add("slowest of the 8", row, said["slowest"])
    result = Result([seconds, memory, rate])
    result.ratio_at_most(
        f"{MB} MB before the banner: time", seconds, "until the banner", RAW_TTY, 2
    )
    result.at_most(f"{MB} MB before the banner: memory", memory.samples("peak", US), 25, "MB")
    result.at_least("8 services in all", rate.samples("total", US), 50, "MB/s")
    return result


def _measured(
    settings: Settings, budget: Budget, what: str, row: str, table: Table
) -> dict[str, float] | None:
    group = "until the banner" if what == "before" else "total"
    if not budget.left((what, row)):
        table.remark(group, row, f"stopped after {settings.budget:g} s")
        return None
    began = time.monotonic()
    try:
        parameters = {"ground": settings.ground.directory, "what": what, "row": row, "mb": MB}
        said: dict[str, float] = once(write_a_lot, parameters)
        return said
    except WorkerFailed as error:
        table.remark(group, row, str(error)[:90])
        return None
    finally:
        budget.spend((what, row), began)


class Raw(Contender):
    """The floor: read all output, look for the banner, keep nothing."""

    def start(self) -> None:
        self.process = subprocess.Popen(self.service.argv, stdin=DEVNULL, stdout=subprocess.PIPE)
        kernel.scan(self.process.stdout.fileno(), self.service.banner.encode())


class RawTerminal(Contender):
    """The same over a pseudo-terminal."""

    def start(self) -> None:
        master, slave = os.openpty()
        self.process = subprocess.Popen(self.service.argv, stdin=slave, stdout=slave)
        os.close(slave)
        kernel.scan(master, self.service.banner.encode())


class Windowed(Pexpect):
    """pexpect with a window, as it must be used here: without one it is quadratic."""

    options = {"searchwindowsize": 2000}


class ToFile(Contender):
    """The floor: the output goes to a file, and nobody reads it."""

    def start(self) -> None:
        path = os.path.join(os.path.dirname(self.service.argv[0]), f"out-{self.service.slot}")
        with open(path, "wb") as stream:
            os.unlink(path)
            self.process = subprocess.Popen(self.service.argv, stdin=DEVNULL, stdout=stream)


_ROWS: dict[str, type[Contender]] = {
    RAW: Raw,
    RAW_TTY: RawTerminal,
    WINDOW: Windowed,
    "mirakuru": Mirakuru,
    FILE: ToFile,
    US: Summon,
}


def write_a_lot(parameters: dict[str, Any], say: Say) -> None:
    """Worker: a service that writes before its banner, or eight beside a test that computes."""
    ground = Ground(parameters["ground"])
    row = _ROWS[parameters["row"]]
    services: list[Service] = []
    try:
        if parameters["what"] == "before":
            say(_before(ground, row, int(parameters["mb"] * 1e6), services))
        else:
            say(_beside(ground, row, services))
    finally:
        for service in services:
            ground.clear(service)


def _before(
    ground: Ground, row: type[Contender], size: int, services: list[Service]
) -> dict[str, float]:
    service = ground.service("banner", 0, life=300, pre_bytes=size)
    services.append(service)
    one = row(service)
    resident = _peak()
    began = time.monotonic()
    with Watchdog(200):
        one.start()
        seconds = time.monotonic() - began
        peak = _peak()
        one.stop()
    return {"seconds": seconds, "peak": peak, "before": resident}


def _beside(ground: Ground, row: type[Contender], services: list[Service]) -> dict[str, float]:
    """Eight services write, no more than a disk can take, while this process computes."""
    running = []
    for _ in range(8):
        service = ground.service("tcp", 0, life=60, post_bytes=_ENOUGH)
        services.append(service)
        one = row(service)
        one.start()
        running.append(one)
    before = [ground.stamp(service, WRITTEN) for service in services]
    began = time.monotonic()
    with Watchdog(60):
        while time.monotonic() - began < _SECONDS:
            sum(range(100_000))
            if all(ground.stamp(service, WRITTEN) >= _ENOUGH for service in services):
                break
        seconds = time.monotonic() - began
        written = [ground.stamp(s, WRITTEN) - b for s, b in zip(services, before, strict=True)]
        for one in running:
            one.stop()
    return {"rate": sum(written) / 1e6 / seconds, "slowest": min(written) / 1e6 / seconds}


def _peak() -> float:
    """VmHWM in MB; not ru_maxrss, which begins with the value of the parent."""
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("no VmHWM in /proc/self/status")
