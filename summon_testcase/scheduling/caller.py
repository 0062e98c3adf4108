"""Who has called a start: a thread, or a task of asyncio in it."""

from __future__ import annotations

import sys
import threading
from typing import NamedTuple


class Caller(NamedTuple):
    """A thread or a task, to be told from all others that live at the same time."""

    thread: int
    task: int


def here() -> Caller:
    """The thread or the task that runs now; a new object at each call."""
    asyncio = sys.modules.get("asyncio")  # where it was not imported no loop runs
    running = asyncio is not None and asyncio._get_running_loop() is not None
    task = asyncio.current_task() if asyncio is not None and running else None
    return Caller(threading.get_ident(), 0 if task is None else id(task))


def is_own(last: Caller | None, before: Caller | None) -> bool:
    """Whether a start that this thread or task has called has begun something.

    What ran already, and what another one has started meanwhile, is no business of its clean-up.

    :param last: who has called the last start of the thing that has begun.
    :param before: who had, when this start was called.
    """
    return last is not None and last is not before and last == here()
