"""Messages from warden, keepers and the asker, as they arrive at a socket."""

from __future__ import annotations

from collections.abc import Callable

from ..foreign import let_through
from ..keeper.messages import Inbox
from ..unpatched import socket


class Mailbox:
    """Messages that arrive at a socket.

    A signal handler that collects them too may come between any two steps, and Ctrl-C may
    end any of them.  So bytes are received and kept by one call into C, and kept until all
    of them are noted; which may then happen twice, in the same order.

    :param note: is given each message; to be given one again must do no harm.
    """

    def __init__(self, sock: socket.socket, note: Callable[[bytes], None]) -> None:
        self._socket, self._note = sock, note
        self._kept: list[bytes] = []

    def collect(self) -> bool:
        """Note what has arrived, without blocking; False when nothing more ever will."""
        more = True
        while more:
            received = map(self._socket.recv, (65536,), (socket.MSG_DONTWAIT,))
            try:
                self._kept.extend(received)
            except BlockingIOError:
                if not self._kept:
                    return True
                more = False
            except OSError as error:
                let_through(error)
                self._kept.append(b"")
            kept = self._kept
            over = kept[-1:] == [b""]
            inbox = Inbox()
            inbox.feed(b"".join(kept))
            while (message := inbox.take()) is not None:
                self._note(message)
            rest = [inbox.rest] if inbox.rest else []
            # one who came in between has dealt with the whole of it
            self._kept = rest if self._kept is kept else self._kept
            if over:
                return False
        return True
