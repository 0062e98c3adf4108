"""What happens when this process forks, and when it ends: nothing else registers any of it.

*A forked child* owns nothing.  The rooms below close their copies of what is the parent's and
forget it, in the order of ``_FORGETFUL``, from the lowest to the highest; then the rooms above do,
in the order in which they were imported.  They make new locks, since a thread that held one at the
moment of the fork is not in the child.

*At the end* the higher go first, so that each still has what it needs.  Python calls first what was
registered last: the pools of the TestCase layer stop their services, then executors stop that still
run, then go asker, warden, directory and ports, as ``_give_back`` has them.  Handlers of the user's
own come in between, according to when they were registered.
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

#: not looked up later: a test may have emptied sys.modules
_package = sys.modules[__name__.partition(".")[0]]


def _call(where: str, name: str) -> None:
    """Call a function of a module below; if nobody has imported that yet, it has nothing to do."""
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
#: the last goes first: the warden is the parent of the asker, both use the directory, and services
#: the ports
_give_back = (
    functools.partial(_call, "system.netlink", "forget"),
    functools.partial(_call, "system.ports", "forget"),
    functools.partial(_call, "output.log", "remove_run_directory"),
    functools.partial(_call, "supervision.warden", "close"),
    functools.partial(_call, "readiness.asking", "close"),
)
#: what is registered for the end, in that order
_at_exit: dict[Call, None] = {}
#: what a child may go on knowing
_at_reset: list[Call] = [functools.partial(_call, "system.addresses", "forget")]

for _forget in _in_child:
    # one by one: what is raised in one of them does not keep the others from being called
    os.register_at_fork(after_in_child=_forget)


def in_forked_child(call: Call) -> None:
    """Have something called in each child that this process forks, after what there is by now."""
    _in_child.append(call)
    os.register_at_fork(after_in_child=call)


def hold_while_forking(lock: threading.RLock) -> None:
    """Have the thread that forks hold a lock, so that no other has it, and the child can."""
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )


def at_exit(call: Call) -> None:
    """Have something called at the end of this process, before all that is registered by now.

    If it was registered before, it is moved.
    """
    _at_exit.pop(call, None)
    _at_exit[call] = None
    atexit.unregister(call)
    atexit.register(call)


def at_exit_of_worker(call: Call) -> None:
    """Have it called also where this is a worker of multiprocessing, which leaves by ``_exit``."""
    # such a worker has it; any other process that has no need of it yet is none
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, call, exitpriority=100)


def give_back_at_exit() -> None:
    """Have asker, warden, directory and ports go at the end of this process.

    When it is about to use the first of them and not at import, since a worker may have dropped
    what its parent had registered.
    """
    for call in _give_back:
        at_exit(call)


def at_reset(call: Call) -> None:
    """Have something called when a test resets this process, and never otherwise."""
    _at_reset.append(call)


def reset() -> None:
    """Let this process be as if nothing had been started in it, for tests."""
    for call in [*reversed(_at_exit), *_in_child, *_at_reset]:
        call()
