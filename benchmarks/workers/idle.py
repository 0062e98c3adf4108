"""Three services of ours that are ready, and a test process that waits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from ..contenders import Summon
from ..services import PID, Ground


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stream:
        return int(stream.read().rpartition(")")[2].split()[1])


def main(parameters: dict[str, Any], say: Callable[[object], None]) -> None:
    ground = Ground(parameters["ground"])
    services = [ground.service(kind) for kind in ("tcp", "http", "banner")]
    running = [Summon(service) for service in services]
    for one in running:
        one.start()
    keepers = [_parent(ground.stamp(service, PID)) for service in services]
    wardens = sorted({_parent(keeper) for keeper in keepers})
    say({"test process": [os.getpid()], "warden": wardens, "keepers": keepers})
    sys.stdin.readline()
    for one in running:
        one.stop()
    say("stopped")
