"""The warden runs the first steps of a keeper once, without effect, to warm up memory."""

from __future__ import annotations

import contextlib
import os
import socket

from .messages import pack
from .processes import Ended, RunnerWatch
from .service import Keeper
from .spawn import spawn


def rehearse(runner: RunnerWatch) -> None:
    """Run the code of a keeper in a way that has no effect.

    When code runs for the first time, Python and the dynamic linker write into memory.  A
    keeper shares its memory with the warden until it writes: each keeper would copy all these
    pages.  After a rehearsal in the warden a keeper needs a tenth less processor time.
    """
    with contextlib.suppress(OSError):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            keeper = Keeper(theirs, runner)
            # refused at the first step: "/" cannot be created as a log
            launch = pack("launch", "", "/", 0, "/", 1, 0, "", "/", 1, "/", "NAME=value")
            ours.send(pack("watch", -1) + launch)
            with contextlib.suppress(Ended):
                keeper.turn(-1)
            _fail_to_spawn(keeper)


def _fail_to_spawn(keeper: Keeper) -> None:
    capture = keeper.capture
    with contextlib.suppress(OSError):
        # fails, since the warden leads no session and so can have no terminal
        capture.open_terminal()
    with contextlib.suppress(OSError):
        # fails, since a directory is no program
        spawn(b"/", [b"/"], {b"NAME": b"value"}, (0, 0))
    for fd in (capture.output, capture.terminal):
        if fd >= 0:
            os.close(fd)
