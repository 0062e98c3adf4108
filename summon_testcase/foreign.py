"""Exceptions that a signal handler raised while something of ours was running.

``signal.alarm`` and a handler that raises TimeoutError is how tests limit their time.  It comes
between any two instructions, so also where an OSError, of which TimeoutError is a kind, is
expected and means something; but it is meant for who called us, and is to arrive there.
"""

from __future__ import annotations

import contextlib

# the functions of the signal module make enumerations of sixty numbers each time: half of what a
# start took the test process
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_SETMASK,
    pthread_sigmask,
    valid_signals,
)
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

R = TypeVar("R")

_SIGNALS = valid_signals()


def is_foreign(error: BaseException) -> bool:
    """Whether a signal handler raised it, below the function that has caught it.

    The interpreter gives a handler the frame that it interrupts, which is also the one that the
    handler is called from; no other function has its caller's frame among its arguments.
    """
    trace = error.__traceback__
    while trace is not None:
        caller = trace.tb_frame.f_back
        if caller is not None and trace is not error.__traceback__:
            for value in trace.tb_frame.f_locals.values():
                # in a tuple where the handler was decorated
                if value is caller or (type(value) is tuple and any(v is caller for v in value)):
                    return True
        trace = trace.tb_next
    return False


def let_through(error: BaseException) -> None:
    """Raise it again if it is not for us to handle."""
    if is_foreign(error):
        raise error


class suppress(contextlib.suppress):
    """As in contextlib, but for what a signal handler raises."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return super().__exit__(kind, error, trace) and not (error and is_foreign(error))


def undisturbed(call: Callable[[], R]) -> R:
    """Call something that takes no time and imports modules; signal handlers wait until it is done.

    Python's own import takes an OSError for a file that is not there, whoever has raised it.
    """
    before = pthread_sigmask(SIG_BLOCK, ())
    try:
        pthread_sigmask(SIG_BLOCK, _SIGNALS)
        return call()
    finally:
        try:
            pthread_sigmask(SIG_SETMASK, before)
        except BaseException:
            # a handler was called first, in this very line
            pthread_sigmask(SIG_SETMASK, before)
            raise
