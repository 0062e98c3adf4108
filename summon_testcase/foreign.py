"""Recognises exceptions that a signal handler has raised, and lets them through.

Tests limit their time by ``signal.alarm`` and a handler that raises TimeoutError.  Such an
exception can come between any two instructions, also where we catch OSError, of which
TimeoutError is a subclass, as the answer of the system.  It is meant for the test that called us
and has to arrive there.
"""

from __future__ import annotations

import contextlib

# not from signal, whose functions turn sixty numbers into enumerations at each call: that took
# half of the time that a start took the test process
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_SETMASK,
    pthread_sigmask,
    valid_signals,
)
from collections.abc import Callable
from typing import Any, TypeVar

R = TypeVar("R")

_SIGNALS = valid_signals()


def is_foreign(error: BaseException) -> bool:
    """Whether a signal handler has raised an exception that the caller has caught.

    The interpreter calls a handler from the frame that it interrupts, and passes this frame as
    an argument.  No other function has the frame of its caller among its arguments.
    """
    trace = error.__traceback__
    while trace is not None:
        caller = trace.tb_frame.f_back
        if caller is not None and trace is not error.__traceback__:
            for value in trace.tb_frame.f_locals.values():
                # the wrapper of a decorated handler has it in a tuple
                if value is caller or (type(value) is tuple and any(v is caller for v in value)):
                    return True
        trace = trace.tb_next
    return False


def let_through(error: BaseException) -> None:
    """Raise an exception again if a signal handler has raised it."""
    if is_foreign(error):
        raise error


class suppress(contextlib.suppress):
    """As contextlib.suppress, but it suppresses nothing that a signal handler raises."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return super().__exit__(kind, error, trace) and not (error and is_foreign(error))


def undisturbed(call: Callable[[], R]) -> R:
    """Call a quick function that imports modules; signal handlers run after it.

    Python's import takes an OSError that a signal handler raises for a missing file.
    """
    before = pthread_sigmask(SIG_BLOCK, ())
    try:
        pthread_sigmask(SIG_BLOCK, _SIGNALS)
        return call()
    finally:
        try:
            pthread_sigmask(SIG_SETMASK, before)
        except BaseException:
            # a signal handler has raised in the line above, before the mask was restored
            pthread_sigmask(SIG_SETMASK, before)
            raise
