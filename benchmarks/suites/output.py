"""6: services that write a lot."""

from __future__ import annotations

import shutil
import time

from ..report.results import US, Budget, Result, Settings, shuffled
from ..report.stats import Table
from ..worker import WorkerFailed, once

MB = 200
RAW = "raw read of a pipe"
RAW_TTY = "raw read of a terminal"
WINDOW = "pexpect, window of 2000"
BEFORE_BANNER = (RAW, RAW_TTY, WINDOW, "mirakuru", US)
#: bytes that must be free where logs are written
ROOM = 8 << 30
FILE = "8 files, no library"
BESIDE = (FILE, "mirakuru", US)


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
        said: dict[str, float] = once("output", parameters)
        return said
    except WorkerFailed as error:
        table.remark(group, row, str(error)[:90])
        return None
    finally:
        budget.spend((what, row), began)
