"""Signals that end the command: exceptions, so that the stack is stopped on the way."""

from __future__ import annotations

import signal
from types import FrameType

#: the exit status when the terminal goes away
HUNG_UP = 128 + signal.SIGHUP
#: signals that come from terminals, and from those who want a process to end
_ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
#: those of them that whoever started this process has it ignore, as nohup does
ignored: frozenset[int] = frozenset()


class Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C has asked the command to end.

    :param number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def status_of(interrupt: KeyboardInterrupt) -> int:
    """The exit status of a command that a signal has ended before it had done its work."""
    return 128 + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT)


def hear() -> None:
    """Have Ctrl-C, SIGTERM and a terminal that goes away raise exceptions."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(number)

    global ignored
    ignored = frozenset(n for n in _ENDING if signal.getsignal(n) == signal.SIG_IGN)
    # also where a shell has started the command in the background, with Ctrl-C ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, end)
