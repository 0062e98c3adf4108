"""How the service, and probe commands beside it, are spawned."""

from __future__ import annotations

import os
import signal

from .processes import SIGNALS


def spawn(program: bytes, argv: list[bytes], env: dict[bytes, bytes], ends: tuple[int, int]) -> int:
    """Run a program in a process group of its own, in the current directory.

    The system's own spawn does not copy this program's memory, as fork would, and has
    succeeded or failed at exec by the time it returns.

    :param ends: its standard input, and its standard output and error.
    :returns: its pid.
    :raises OSError: if it could not be spawned.
    """
    streams = ((0, ends[0]), (1, ends[1]), (2, ends[1]))
    return os.posix_spawn(
        program,
        argv,
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, end, target) for target, end in streams],
        setpgroup=0,
        setsigmask=(),
        # this program ignores them, or whoever started the tests: exec keeps that
        setsigdef=SIGNALS,
    )


def bring_to_foreground(terminal: int, pid: int) -> None:
    """Make a process group the foreground of its terminal.

    One that read from the terminal before was stopped for it, and is continued.
    """
    try:
        os.tcsetpgrp(terminal, pid)
        os.killpg(pid, signal.SIGCONT)
    except OSError:
        pass  # it has ended already
