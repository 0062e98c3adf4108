"""Tells when the run of services in this process begins and ends, and has others listen to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import SpawnFailed
from ..events import RunBegan, RunEnded, emit, subscribe
from ..foreign import suppress, undisturbed
from ..reports import terminal
from ..unpatched import os
from . import recording, shutdown

if TYPE_CHECKING:
    from types import ModuleType

#: the process whose run has begun; a forked child that starts something has a run of its own
_process = 0
#: the process whose run has ended; from Python 3.13 on a worker of multiprocessing calls what is
#: registered for its end twice, by multiprocessing and by atexit
_ended = 0
#: end the subscriptions below
_ends: list[Callable[[], None]] = []


def begin() -> None:
    """Tell that the run begins, before the first start in this process; later do nothing."""
    global _process
    former, _process = _process, os.getpid()
    if former == _process:
        return
    if not former:
        _ends.append(subscribe(terminal.tell))
        recording.begin()
    # registered before all others, and so the last that is called
    shutdown.at_exit(_end)
    shutdown.at_exit_of_worker(_end)
    emit(RunBegan())
    if recording.command():
        # it makes the report if this process is killed, even if no service is started here; without
        # one the spawn of the first service will fail, too, and tell why
        with suppress(OSError, SpawnFailed):
            undisturbed(_imported_warden).warm_up()


def _imported_warden() -> ModuleType:
    from . import warden

    return warden


def _end() -> None:
    global _ended
    here = os.getpid()
    if here == _process != _ended:
        _ended = here
        emit(RunEnded())


def _forget() -> None:
    """For tests: the next start begins a run."""
    global _process, _ended
    _process = _ended = 0
    while _ends:
        _ends.pop()()
    terminal.forget()


shutdown.at_reset(_forget)
