"""Shows the output of a service where the runner writes its own, a name in front of each line."""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import time

#: A write of so many bytes to a pipe goes there whole or not at all, so that the lines of many
#: services do not mix.
_WHOLE = 4096
#: bytes that wait for a slow terminal at most; lines that come then are left out
_HELD = 256 << 10
#: a line that is longer is shown in parts
_LONGEST = 16 << 10
#: seconds that the last lines have to be shown, once the service has ended
_LAST = 1.0

#: escape sequences, also those that break off; those for colours are the first alternative
_ESCAPE = re.compile(
    r"(\x1b\[[0-9;:]{0,64}m)|\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|[ -/]*[0-~]?)"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def without_waiting(fd: int) -> int:
    """A descriptor for the place where another one leads, at which a write never waits.

    O_NONBLOCK belongs to all processes that share an open file, also to the shell that has
    started the tests.  So a terminal or a pipe is opened once more.

    :param fd: is closed, or returned where that cannot be done: a file never makes a writer wait,
        and for others :meth:`Echo.write` asks first.
    """
    mode = os.fstat(fd).st_mode
    if not stat.S_ISCHR(mode) and not stat.S_ISFIFO(mode):
        return fd
    try:
        again = os.open(f"/dev/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # the terminal of another user, or a pipe that nobody reads
        return fd
    os.close(fd)
    return again


class Echo:
    """Writes the lines of one service to a descriptor, without ever waiting for it.

    :param fd: the descriptor, as :func:`without_waiting` returns it.
    :param name: what stands in front of each line.
    :param colour: the number of its colour, as in escape sequences; 0 for none.
    """

    def __init__(self, fd: int, name: str, colour: int) -> None:
        self.fd = fd
        self._coloured = bool(colour)
        self._front = f"\x1b[{colour}m{name}\x1b[0m | " if colour else f"{name} | "
        #: the beginning of a line whose end has not come yet
        self._begun = b""
        #: what is still to be written, and how many lines were left out behind it
        self.pending = bytearray()
        self._left_out = 0

    def take(self, data: bytes) -> None:
        """Show output, as far as its lines are whole."""
        if self.fd < 0:
            return
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _LONGEST:
            lines.append(self._begun)
            self._begun = b""
        if len(self.pending) > _HELD:
            self._left_out += len(lines)
            return
        self._say_left_out()
        for line in lines:
            self._add(line)
        self.write()

    def _say_left_out(self) -> None:
        count, self._left_out = self._left_out, 0
        if count:
            self._add(b"[%d lines left out: they came faster than they can be shown]" % count)

    def _add(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if not text.isprintable():
            text = self._tamed(text)
        self.pending += f"{self._front}{text}\n".encode()

    def _tamed(self, text: str) -> str:
        """A line that moves no cursor and clears no screen; of colours nothing is left behind."""
        text = _ESCAPE.sub(lambda found: found[1] or "" if self._coloured else "", text)
        # as a terminal shows a progress bar in the end
        text = text.rpartition("\r")[2] or text
        kept = text.split("\x1b[") if self._coloured else [text]
        text = "\x1b[".join(_CONTROL.sub("", part) for part in kept)
        return text + "\x1b[0m" if len(kept) > 1 else text

    def write(self) -> None:
        """Write as much of it as is taken at once."""
        try:
            while self.pending and _writable(self.fd, 0):
                end = self.pending.rfind(b"\n", 0, _WHOLE) + 1 or _WHOLE
                del self.pending[: os.write(self.fd, self.pending[:end])]
        except BlockingIOError:
            pass
        except OSError as error:
            # Nobody looks any more: the terminal or the reader of the pipe has gone.  A full disk
            # may have room for later lines.
            self.pending.clear()
            if error.errno != errno.ENOSPC:
                self.fd = -1

    def finish(self) -> None:
        """Show what is left, also of an unfinished line; for a moment a slow terminal may take it.

        Nobody waits for this: the test process has been told that the service is gone.
        """
        if self.fd >= 0 and self._begun:
            self.take(b"\n")
        end = time.monotonic() + _LAST
        while self.pending and _writable(self.fd, end - time.monotonic()):
            self.write()
        if self.fd >= 0:
            self._say_left_out()
            self.write()


def _writable(fd: int, patience: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return bool(poller.poll(max(0.0, patience) * 1000))
