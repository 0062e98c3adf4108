"""How the keeper spawns the service, its probe commands and its stop command."""

from __future__ import annotations

import os
import signal

from .processes import SIGNALS


def spawn(program: bytes, argv: list[bytes], env: dict[bytes, bytes], ends: tuple[int, int]) -> int:
    """Run a program in a process group of its own, in the current directory.

    posix_spawn() does not copy the memory of this process, as fork() would, and it reports a
    failed exec() as its own error.

    :param ends: its standard input, and its standard output and error.
    :returns: the pid.
    :raises OSError: if the program could not be spawned.
    """
    streams = ((0, ends[0]), (1, ends[1]), (2, ends[1]))
    return os.posix_spawn(
        program,
        argv,
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, end, target) for target, end in streams],
        setpgroup=0,
        setsigmask=(),
        # Exec() keeps ignored signals ignored: the keeper ignores most, and whoever started the
        # tests may have ignored others.
        setsigdef=SIGNALS,
    )


def bring_to_foreground(terminal: int, pid: int) -> None:
    """Make a process group the foreground of its terminal.

    A process that has read from the terminal before this was stopped for it: it is continued.
    """
    try:
        os.tcsetpgrp(terminal, pid)
        os.killpg(pid, signal.SIGCONT)
    except OSError:
        pass  # it has ended already
