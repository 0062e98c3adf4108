"""What runs in this process: it is held until it is stopped, at the end at the latest."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..scheduling.steps import run, run_all
from ..supervision import shutdown
from .executor import Executor, stop_of

if TYPE_CHECKING:
    from ..supervision.instance import Instance

#: an executor that nobody refers to any more goes on running
_alive: set[Executor] = set()
#: held while an executor passes from one instance to the next, by whichever thread; never to wait
handover = threading.RLock()


def _stop_all_at_exit() -> None:
    from ..supervision.stopping import logger

    for error in run(run_all([stop_of(service) for service in list(_alive)])):
        logger.error("%s", error)


shutdown.in_forked_child(_alive.clear)
shutdown.hold_while_forking(handover)


def hold(executor: Executor, instance: Instance) -> None:
    """Keep an executor alive until it is stopped, unless it has been already."""
    with handover:
        if executor._instance is not instance or instance.over:
            return
        if not _alive:
            shutdown.at_exit(_stop_all_at_exit)
        _alive.add(executor)


def let_go(executor: Executor) -> None:
    """It has been stopped."""
    _alive.discard(executor)
