"""The terminal of a service, and the log that takes its output."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios

from .processes import CHUNK

#: bytes that the input of a service may hold back before more is refused
_INPUT_LIMIT = 1 << 24


class Capture:
    """One end of the service's standard streams; the other end is the log on disk."""

    def __init__(self) -> None:
        self.output = -1
        self.input = -1
        #: the slave end of the terminal, or -1 where the service has pipes
        self.terminal = -1
        self.pending_input = bytearray()
        self.stored = 0
        #: the first error of writing the log
        self.log_errno = 0
        self._log = -1

    def open_log(self, path: bytes) -> None:
        """Create the log; a file or link that is there already is refused."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
        self._log = os.open(path, flags, 0o600)

    def open_terminal(self) -> tuple[int, int]:
        """Make a pseudo-terminal; the descriptors for standard input and output."""
        master, self.terminal = os.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSCTTY, 0)
        mode = termios.tcgetattr(self.terminal)
        mode[1] &= ~termios.OPOST
        mode[3] &= ~(termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ECHONL)
        termios.tcsetattr(self.terminal, termios.TCSANOW, mode)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("=HHHH", 50, 250, 0, 0))
        os.set_blocking(master, False)
        # the slave stays open here: the end of the service is no hang-up for what it left
        self.output = self.input = master
        return self.terminal, self.terminal

    def open_pipes(self) -> tuple[int, int]:
        """Make two pipes; the descriptors for standard input and output."""
        self.output, theirs_out = os.pipe()
        theirs_in, self.input = os.pipe()
        os.set_blocking(self.output, False)
        os.set_blocking(self.input, False)
        return theirs_in, theirs_out

    def drain(self, limit: int = 1 << 20) -> None:
        """Move output to the log until there is none, or `limit` bytes were moved."""
        while self.output >= 0 and limit > 0:
            try:
                data = os.read(self.output, CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._close_output()
                return
            limit -= len(data)
            self._store(data)

    def _close_output(self) -> None:
        os.close(self.output)
        if self.input == self.output:
            self.input = -1
        self.output = -1

    def _store(self, data: bytes) -> None:
        self.stored += len(data)
        try:
            while data:
                data = data[os.write(self._log, data) :]
        except OSError as error:
            # the service must never be blocked: what cannot be stored is lost, and said so
            self.log_errno = self.log_errno or error.errno or errno.EIO

    def send(self, text: bytes) -> None:
        """Queue text for the service's standard input."""
        if len(self.pending_input) < _INPUT_LIMIT:
            self.pending_input += text
        self.feed()

    def feed(self) -> None:
        """Pass on queued text as far as the service takes it."""
        try:
            while self.pending_input and self.input >= 0:
                del self.pending_input[: os.write(self.input, self.pending_input[:4096])]
        except BlockingIOError:
            pass
        except OSError:
            self.pending_input.clear()
