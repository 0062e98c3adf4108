"""A service that writes before its banner; and eight that write beside a test that computes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

from ..peers import kernel
from ..peers.contenders import Contender, Mirakuru, Pexpect, Summon
from ..services import WRITTEN, Ground, Service, Watchdog

DEVNULL = subprocess.DEVNULL
#: what each of eight services writes at most, and for how long
_ENOUGH, _SECONDS = 300_000_000, 2.0


class Raw(Contender):
    """Read what comes, look for the banner, keep nothing."""

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
    """pexpect as it must be used here: without a window it is quadratic."""

    options = {"searchwindowsize": 2000}


class ToFile(Contender):
    """The kernel takes the output, and nobody reads it."""

    def start(self) -> None:
        path = os.path.join(os.path.dirname(self.service.argv[0]), f"out-{self.service.slot}")
        with open(path, "wb") as stream:
            os.unlink(path)
            self.process = subprocess.Popen(self.service.argv, stdin=DEVNULL, stdout=stream)


_ROWS: dict[str, type[Contender]] = {
    "raw read of a pipe": Raw,
    "raw read of a terminal": RawTerminal,
    "pexpect, window of 2000": Windowed,
    "mirakuru": Mirakuru,
    "8 files, no library": ToFile,
    "summon_testcase": Summon,
}


def main(parameters: dict[str, Any], say: Callable[[object], None]) -> None:
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
    """VmHWM in MB; ru_maxrss would begin with what the parent had."""
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("no VmHWM in /proc/self/status")
