"""1: from the moment when a service is ready to the return of start()."""

from __future__ import annotations

import random
import time

from ..peers.contenders import ALL, KINDS
from ..report.results import US, Chart, Result
from ..report.stats import Table
from ..rounds import Settings, shuffled
from ..services import Watchdog

#: shares of the time that mirakuru takes
LIMITS = {"tcp": 1 / 30, "http": 1 / 20, "http503": 1 / 20, "unix": 1 / 30, "file": 1 / 30}
#: ms until a service is ready
LONGEST = 300


def spread(count: int) -> list[float]:
    """Random delays, one in each of so many equal parts of the range, in random order.

    If they were independent, the median of a contender that polls each 100 ms would be luck.
    """
    return shuffled([LONGEST * (part + random.random()) / count for part in range(count)])


def run(settings: Settings) -> Result:
    table = Table(
        "From ready to start() returned",
        "ms",
        base=("mirakuru", "floor"),
        note="The service is ready a random 0 to 300 ms after its start, the same for all in a "
        "round. The floor spins, or sleeps until the kernel tells.",
    )
    ground = settings.ground
    delays = {kind: spread(settings.runs) for kind in KINDS}
    for number in settings.rounds():
        for kind in KINDS:
            delay = delays[kind][number]
            for contender in shuffled([c for c in ALL if kind in c.kinds]):
                service = ground.service(kind, delay)
                try:
                    with Watchdog(60):
                        one = contender(service)
                        one.start()
                        end = time.monotonic_ns()
                        table.add(kind, contender.name, ground.lateness(service, end))
                        one.stop()
                except Exception as error:
                    table.remark(kind, contender.name, f"{type(error).__name__}: {error}"[:90])
                ground.clear(service)
    result = Result([table], charts=[Chart("readiness", table)])
    for kind, share in LIMITS.items():
        result.ratio_at_most(f"{kind}: ready to returned", table, kind, "mirakuru", share)
    result.ratio_at_most("banner: ready to returned", table, "banner", "pexpect", 1.5)
    result.at_most("notify: ready to returned", table.samples("notify", US), 1, "ms")
    return result
