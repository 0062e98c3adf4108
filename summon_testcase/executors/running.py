"""The executors that run in this process, which are stopped at its end at the latest."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from ..scheduling.steps import run, run_all
from ..supervision import shutdown
from ..unpatched import os
from .executor import Executor, stop_of

if TYPE_CHECKING:
    from ..supervision.instance import Instance

#: refers to them, since the garbage collector may not take a service that runs
_alive: set[Executor] = set()
#: held while an executor passes from one instance to the next; no thread waits while it holds it
handover = threading.RLock()


def _stop_all_at_exit() -> None:
    from ..events import Warned, emit

    for error in run(run_all([stop_of(service) for service in list(_alive)])):
        emit(Warned(text=str(error), service=getattr(error, "executor", ""), level="error"))


@functools.cache
def _stop_all_at_exit_of(pid: int) -> None:
    """See to it that the end of this process stops them, after the pools have stopped theirs.

    Only once: the pools are registered behind it, and a service that a test stops and starts again
    must not change that order.
    """
    shutdown.at_exit(_stop_all_at_exit)


shutdown.in_forked_child(_alive.clear)
shutdown.hold_while_forking(handover)


def hold(executor: Executor, instance: Instance) -> None:
    """Refer to an executor until it is stopped; does nothing if that has happened already."""
    with handover:
        if executor._instance is not instance or instance.over:
            return
        _stop_all_at_exit_of(os.getpid())
        _alive.add(executor)


def let_go(executor: Executor) -> None:
    """Drop the reference to an executor that is stopped."""
    _alive.discard(executor)
