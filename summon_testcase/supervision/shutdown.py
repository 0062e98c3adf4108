"""Functions that run when this process forks, or ends.  No other module registers such functions.

*A forked child* owns no service.  The rooms below close their copies of the parent's sockets and
forget its state, in the order of ``_FORGETFUL``, from the lowest to the highest; then the rooms
above do so, in the order in which they were imported.  They make new locks, since the child has no
thread that would release a lock held at the moment of the fork.

*At the end* upper rooms come first, so that the rooms that they need still work.  Python calls the
function first that was registered last: the pools of the TestCase layer stop their services, then
executors that still run are stopped, then asker, warden, directory and ports are given up, in the
order of ``_give_back`` from its end.  The user's own handlers run among them, according to when
they were registered.
"""

from __future__ import annotations

import atexit
import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..unpatched import os

Call = Callable[[], object]

#: kept from the beginning: a test may empty sys.modules later
_package = sys.modules[__name__.partition(".")[0]]


def _call(where: str, name: str) -> None:
    """Call a function of a module below; do nothing if the module is not imported yet."""
    found: Any = _package
    for part in where.split("."):
        found = vars(found).get(part)
        if found is None:
            return
    getattr(found, name)()


_FORGETFUL = (
    *("system.netlink", "system.ports", "output.log", "readiness.asking"),
    *("supervision.warden", "supervision.process"),
)
_in_child: list[Call] = [functools.partial(_call, where, "forget") for where in _FORGETFUL]
#: called from the last to the first: the warden is the parent of the asker, both use the directory,
#: and services use the ports
_give_back = (
    functools.partial(_call, "system.netlink", "forget"),
    functools.partial(_call, "system.ports", "forget"),
    functools.partial(_call, "output.log", "remove_run_directory"),
    functools.partial(_call, "supervision.warden", "close"),
    functools.partial(_call, "readiness.asking", "close"),
)
#: functions that are registered for the end, in the order of registration
_at_exit: dict[Call, None] = {}
#: functions that forget state which a forked child may keep
_at_reset: list[Call] = [
    functools.partial(_call, "system.addresses", "forget"),
    functools.partial(_call, "supervision.starting", "forget"),
    functools.partial(_call, "tracebacks", "forget"),
]

for _forget in _in_child:
    # one by one: an exception of one function does not keep the others from being called
    os.register_at_fork(after_in_child=_forget)


def in_forked_child(call: Call) -> None:
    """Have a function called in each forked child, after the functions registered by now."""
    _in_child.append(call)
    os.register_at_fork(after_in_child=call)


def hold_while_forking(lock: threading.RLock) -> None:
    """Have the thread that forks acquire a lock before, so that it is free in the child, too."""
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )


def at_exit(call: Call) -> None:
    """Have a function called at the end of this process, before those registered by now.

    A function that is registered already is moved.
    """
    _at_exit.pop(call, None)
    _at_exit[call] = None
    atexit.unregister(call)
    atexit.register(call)


def at_exit_of_worker(call: Call) -> None:
    """Have a function called at the end of a worker of multiprocessing, which ends by ``_exit``."""
    # such a worker has imported this module; a process without it is no worker
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, call, exitpriority=100)


def give_back_at_exit() -> None:
    """Give up asker, warden, directory and ports at the end of this process.

    Called when the process is about to use the first of them, and not at import: a worker may
    have dropped functions that its parent has registered.
    """
    for call in _give_back:
        at_exit(call)


def at_reset(call: Call) -> None:
    """Have a function called when a test resets this process, and never otherwise."""
    _at_reset.append(call)


def reset() -> None:
    """Put this process into the state before the first start; for tests."""
    for call in [*reversed(_at_exit), *_in_child, *_at_reset]:
        call()
