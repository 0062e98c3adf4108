"""Makes signals work in the same way wherever the suite is started."""

from __future__ import annotations

import signal


def hear_signals() -> None:
    """Have signals do what they do to programs that are started at a terminal.

    A background job of a shell ignores some signals, and so does a program under nohup; each
    process that is started here would inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
