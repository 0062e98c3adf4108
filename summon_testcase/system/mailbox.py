"""Receives messages from warden, keepers and asker, also when a signal handler interferes."""

from __future__ import annotations

from collections.abc import Callable

from ..foreign import let_through
from ..keeper.messages import take
from ..unpatched import socket


class Mailbox:
    """Messages that arrive at a socket.

    Between any two steps a signal handler may run that collects from the same socket, and
    Ctrl-C may end any step.  So one call into C receives bytes and keeps them, and they are
    kept until all their messages are noted.  A message may therefore be noted twice; the
    order stays.

    :param note: called with each message; a second call with the same one must do no harm.
    """

    def __init__(self, sock: socket.socket, note: Callable[[bytes], None]) -> None:
        self._socket, self._note = sock, note
        self._kept: list[bytes] = []

    def collect(self) -> bool:
        """Note the messages that have arrived, without blocking; False at the end of all."""
        more = True
        while more:
            try:
                self._kept.extend(map(self._socket.recv, (65536,), (socket.MSG_DONTWAIT,)))
            except BlockingIOError:
                if not self._kept:
                    return True
                more = False
            except OSError as error:
                let_through(error)
                self._kept.append(b"")
            kept = self._kept
            over = kept[-1:] == [b""]
            received = bytearray().join(kept)
            while received and (message := take(received)) is not None:
                self._note(message)
            rest = [bytes(received)] if received else []
            # if a signal handler has collected meanwhile, it has noted all of these, too
            self._kept = rest if self._kept is kept else self._kept
            if over:
                return False
        return True
