"""One start of a service that takes a while, and the CPU that it takes to wait for it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from ..peers.contenders import named
from ..processes import askers, cpu
from ..services import Ground


def main(parameters: dict[str, Any], say: Callable[[object], None]) -> None:
    ground = Ground(parameters["ground"])
    contender, kind = named(parameters["contender"]), parameters["kind"]
    # the first of a process imports things: that is not waiting
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
