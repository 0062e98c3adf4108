"""What a keeper does first, done in vain by the warden, once."""

from __future__ import annotations

import contextlib
import os
import socket

from .messages import pack
from .processes import Ended, RunnerWatch
from .service import Keeper
from .spawn import spawn


def rehearse(runner: RunnerWatch) -> None:
    """Run the code of a keeper, none of which has any effect here.

    What Python and the dynamic linker find out when something is run for the first time they
    write into memory, which a keeper shares with the warden until then: each page of it would
    be copied by each keeper.  Having it found out before the fork saves a keeper a tenth of
    its processor time.
    """
    with contextlib.suppress(OSError):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            keeper = Keeper(theirs, runner)
            # refused, since the root can be no new log
            launch = pack("launch", "", "/", 0, "/", 1, 0, "", "/", 1, "/", "NAME=value")
            ours.send(pack("watch", -1) + launch)
            with contextlib.suppress(Ended):
                keeper.turn(-1)
            _fail_to_spawn(keeper)


def _fail_to_spawn(keeper: Keeper) -> None:
    capture = keeper.capture
    with contextlib.suppress(OSError):
        # only the leader of a session can make it its own
        capture.open_terminal()
    with contextlib.suppress(OSError):
        # a directory is no program
        spawn(b"/", [b"/"], {b"NAME": b"value"}, (0, 0))
    for fd in (capture.output, capture.terminal):
        if fd >= 0:
            os.close(fd)
