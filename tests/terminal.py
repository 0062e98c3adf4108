"""Signals, wherever the suite is run from."""

from __future__ import annotations

import signal


def hear_signals() -> None:
    """Have signals do what they do to what is started at a terminal.

    A shell's background job ignores some, so does what nohup starts, and so would every
    process that is started here.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
