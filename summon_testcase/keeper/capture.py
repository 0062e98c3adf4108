"""The terminal of a service, and the log that takes its output."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
import sys
import termios
from typing import TYPE_CHECKING

from .processes import CHUNK

if TYPE_CHECKING:
    from .echo import Echo

#: The keeper holds back at most so many bytes of input.  The test process sends less than that
#: and waits until the service has read it, so more than that is a fault.
_INPUT_LIMIT = 1 << 20
#: the smallest limit of a log: a quarter of it must hold more than a chunk
_LEAST = 8 * CHUNK
#: holes begin and end at multiples of this size
_BLOCK = 4096
# fallocate64() and not fallocate(), whose offsets may have 32 bits only
_fallocate = getattr(ctypes.CDLL(None), "fallocate64", None) if sys.platform == "linux" else None
#: bytes of the line that says how much is missing, with the line end before it
_MARK = 80


class Storage:
    """The log of a service: a file that takes no more room on disk than a limit.

    When the output is longer, the log keeps its beginning and its end.  A hole is punched into
    the middle of the file, so that every position stays what it was, and a line before the hole
    says how many bytes are missing.  Where the system punches no holes (macOS, some file
    systems) the log keeps the beginning alone.

    :param path: of the file, which must not exist.
    :param limit: in bytes; 0 for none.
    :param kept: whether the test process has made the file, in a place where logs are kept.
    """

    def __init__(self, path: bytes, limit: int, kept: bool = False) -> None:
        flags = os.O_WRONLY | os.O_NOFOLLOW | (0 if kept else os.O_CREAT | os.O_EXCL)
        self._fd = os.open(path, flags, 0o600)
        # tells "summon clean", also in another container, that the log is in use
        with contextlib.suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._limit = max(limit, _LEAST) if limit else 0
        #: the size of the file, holes included
        self.size = 0
        #: the first error of writing it, and how many bytes such errors have cost
        self.errno = self.lost = 0
        self._hole = self._hole_end = self._limit // 4 // _BLOCK * _BLOCK
        #: bytes that were not stored, and the position of the line that says so
        self._dropped = 0
        self._said_at = -1
        self._full = False

    def write(self, data: bytes) -> None:
        """Append; never fails."""
        room = self._limit - (self.size - self._hole_end + self._hole)
        if self._limit and room < len(data) + _MARK and not self._make_room():
            self._drop(len(data))
            return
        try:
            if self._dropped:
                self._say_dropped()
            while data:
                written = os.pwrite(self._fd, data, self.size)
                self.size += written
                data = data[written:]
        except OSError as error:
            # A service must never have to wait for a full disk: this output is lost, and the
            # next line that fits says how much.
            self.errno = self.errno or error.errno or errno.EIO
            self._dropped += len(data)
            self.lost += len(data)

    def _say_dropped(self) -> None:
        """After the disk was full: write how many bytes are missing here, if there is room."""
        mark = _mark(self._dropped)
        if os.pwrite(self._fd, mark, self.size) < len(mark):
            os.ftruncate(self._fd, self.size)
            raise OSError(errno.ENOSPC, "no room for the whole line")
        self.size += len(mark)
        self._dropped = 0

    def _make_room(self) -> bool:
        """Drop the middle: the end that stays takes half of the limit."""
        end = (self.size - self._limit // 2) // _BLOCK * _BLOCK
        if self._full or not _punch(self._fd, self._hole_end, end - self._hole_end):
            self._full = True
            return False
        self._hole_end = end
        with contextlib.suppress(OSError):
            dropped = _mark(end - self._hole + _MARK)
            os.pwrite(self._fd, dropped, self._hole - _MARK)
        return True

    def _drop(self, count: int) -> None:
        """Store nothing more, but count it in the last line of the log."""
        self._dropped += count
        first = self._said_at < 0
        if first:
            self._said_at = self.size
        with contextlib.suppress(OSError):
            written = os.pwrite(self._fd, _mark(self._dropped), self._said_at)
            self.size += written if first else 0


def _mark(count: int) -> bytes:
    said = f"[summon_testcase: {count} bytes of output dropped here]"
    return f"\n{said:<{_MARK - 2}}\n".encode()


def _punch(fd: int, start: int, length: int) -> bool:
    """Punch a hole into a file; whether the system could do that."""
    if _fallocate is None:
        return False
    # FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE
    offsets = ctypes.c_int64(start), ctypes.c_int64(length)
    return bool(_fallocate(fd, 1 | 2, *offsets) == 0)


class Capture:
    """Moves the service's output to its log, and text that a test sends to its input."""

    def __init__(self) -> None:
        self.output = -1
        self.input = -1
        #: the slave end of the terminal, or -1 where the service has pipes
        self.terminal = -1
        self.pending_input = bytearray()
        #: the position, in all text that the test process ever sent, where pending_input ends
        self.input_position = 0
        #: bytes that the terminal or pipe has accepted
        self.input_written = 0
        #: close the input as soon as pending_input is empty
        self._input_ends = False
        #: the text that was sent last does not end with a line end
        self._line_open = False
        self._log: Storage | None = None
        #: shows the output to whoever runs the tests, if they want to see it
        self.echo: Echo | None = None

    def open_log(self, path: bytes, limit: int, kept: bool = False) -> None:
        """Create the log.

        :param kept: whether it exists, in a place where logs are kept.
        :raises OSError: if there is a link of that name, or a file that should not exist.
        """
        self._log = Storage(path, limit, kept)

    @property
    def stored(self) -> int:
        """The size of the log."""
        return self._log.size if self._log else 0

    @property
    def lost(self) -> tuple[int, int]:
        """The first error of writing the log, and how many bytes such errors have cost."""
        return (self._log.errno, self._log.lost) if self._log else (0, 0)

    def open_terminal(self, silent: bool = False) -> tuple[int, int]:
        """Make a pseudo-terminal; the descriptors for standard input and output.

        :param silent: whether standard input is empty, since no test will send anything.
        """
        master, self.terminal = os.openpty()
        mode = termios.tcgetattr(self.terminal)
        # a byte of the text that a test sends must not stop the output
        mode[0] &= ~(termios.IXON | termios.IXOFF)
        mode[1] &= ~termios.OPOST
        mode[3] &= ~(termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ECHONL)
        termios.tcsetattr(self.terminal, termios.TCSANOW, mode)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("=HHHH", 50, 250, 0, 0))
        os.set_blocking(master, False)
        # The keeper keeps the slave end open, too: otherwise the end of the service would hang
        # up the terminal of daemons that the service left behind.
        self.output = master
        fcntl.ioctl(self.terminal, termios.TIOCSCTTY, 0)
        if silent:
            return _nothing(), self.terminal
        self.input = master
        return self.terminal, self.terminal

    def open_pipes(self, silent: bool = False) -> tuple[int, int]:
        """Make two pipes; the descriptors for standard input and output."""
        self.output, theirs_out = os.pipe()
        os.set_blocking(self.output, False)
        if silent:
            return _nothing(), theirs_out
        theirs_in, self.input = os.pipe()
        os.set_blocking(self.input, False)
        return theirs_in, theirs_out

    def drain(self, limit: int = 1 << 20) -> None:
        """Move output to the log until there is no more, or `limit` bytes were moved."""
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
            if self._log is not None:
                self._log.write(data)
            if self.echo is not None:
                self.echo.take(data)

    def _close_output(self) -> None:
        os.close(self.output)
        if self.input == self.output:
            self.input = -1
        self.output = -1

    def send(self, text: bytes, position: int) -> None:
        """Queue text for the service's standard input.

        :param position: where this text ends in all text that was ever sent.
        :raises ValueError: if more is held back than a test process that waits would send.
        """
        if len(self.pending_input) + len(text) > _INPUT_LIMIT:
            raise ValueError("more input than is taken")
        self.pending_input += text
        self.input_position = position
        if text:
            self._line_open = not text.endswith(b"\n")
        self.feed()

    def end_input(self, position: int) -> None:
        """Queue the end of input: a pipe is closed, a terminal gets its end-of-file character."""
        self.input_position = position
        if self.input != self.output:
            self._input_ends = True
        elif self.terminal >= 0:
            # in an unfinished line the first end-of-file character only hands on the line
            self.pending_input += _end_of_file(self.terminal) * (1 + self._line_open)
            self._line_open = False
        self.feed()

    def forget_input(self, position: int) -> None:
        """Drop the text that the service has not taken: no test waits for that any more."""
        self.pending_input.clear()
        self._input_ends = False
        self.input_position = position

    def input_taken(self) -> tuple[int, int, int]:
        """How much input was taken: the position, the bytes, and whether input has ended."""
        return (
            self.input_position - len(self.pending_input),
            self.input_written,
            int(self.input < 0),
        )

    def feed(self) -> None:
        """Pass on queued text as far as the service takes it."""
        try:
            while self.pending_input and self.input >= 0:
                written = os.write(self.input, self.pending_input[:4096])
                del self.pending_input[:written]
                self.input_written += written
        except BlockingIOError:
            return
        except OSError:
            self._close_input()
        if self._input_ends and not self.pending_input:
            self._close_input()

    def _close_input(self) -> None:
        if self.input >= 0 and self.input != self.output:
            os.close(self.input)
        self.input = -1


def _nothing() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def _end_of_file(terminal: int) -> bytes:
    """The character that ends input: the service may have set one; otherwise Ctrl-D."""
    try:
        special: list[bytes | int] = termios.tcgetattr(terminal)[6]
        character = special[termios.VEOF]
    except termios.error:
        character = b""
    return character if isinstance(character, bytes) and character.strip(b"\0") else b"\4"
