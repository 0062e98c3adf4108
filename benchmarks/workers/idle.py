"""Three services of ours that are ready, and a test process that waits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from ..peers.contenders import Summon
from ..processes import askers, parent
from ..services import PID, Ground


def main(parameters: dict[str, Any], say: Callable[[object], None]) -> None:
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
