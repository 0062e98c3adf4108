"""Reads the log of a service; makes the directory where a test process keeps its logs."""

from __future__ import annotations

import stat
from collections.abc import Callable

from .. import keeper
from ..clean import finished, line_of
from ..errors import InvalidArgument, SpawnFailed, SummonError
from ..foreign import let_through, suppress
from ..unpatched import apart, open, os, tempfile, temporary_directory, variable

#: the variable that sets how many bytes the log of one service may take on disk; 0: no limit
LIMIT_VARIABLE = "SUMMON_LOG_LIMIT"
#: the limit if that variable is not set
LIMIT = 1 << 30

#: The keeper's module, loaded once more for this process: it uses unpatched files here, and does
#: not swallow exceptions that a signal handler raises.
files = apart(f"{keeper.__name__}.files", keeper.__path__)
files.suppress, files.forgive = suppress, lambda function, path, info: let_through(info[1])

_CHUNK = 1 << 20
#: bytes at the end of a log in which the last lines are looked for first
_TAIL = 1 << 16
#: a line of more bytes than this may lose its beginning among the last lines
_LONGEST = 1 << 21
#: bytes before a position that are searched for the beginning of an escape sequence
_BEFORE = 512
_run_directory: tuple[int, str] | None = None
#: told before it is made, by which it has it removed at the end of the process
before_use: Callable[[], object] | None = None


def limit() -> int:
    """How many bytes the log of one service may take on disk.

    A log that would grow beyond the limit keeps the first quarter of it and at least the last
    half.  The least limit is half a megabyte.

    :raises InvalidArgument: if the variable holds no number.
    """
    said = variable(LIMIT_VARIABLE) or str(LIMIT)
    if not said.isascii() or not said.isdigit():
        raise InvalidArgument(
            f"{LIMIT_VARIABLE}={said!r} is no number of bytes: write one such as {LIMIT}, or 0 "
            "for no limit"
        )
    return int(said)


def run_directory() -> str:
    """The directory of this process, mode 0700, made at the first call."""
    global _run_directory
    if _run_directory is None or _run_directory[0] != os.getpid():
        if before_use is not None:
            before_use()
        made = tempfile.mkdtemp(prefix="summon-", dir=temporary_directory())
        _run_directory = os.getpid(), made
    elif not _is_ours(_run_directory[1]):
        # The directory has gone with its warden, or in a clean-up by the user.  Other users know
        # its name by now: _is_ours() refuses a link that one of them has put in its place.
        os.mkdir(_run_directory[1], 0o700)
    return _run_directory[1]


def _is_ours(directory: str) -> bool:
    """Whether a directory exists.

    :raises SpawnFailed: if it is no directory, or another user may write into it.
    """
    try:
        facts = os.lstat(directory)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise SpawnFailed(
            f"no log can be written: {directory} must be a directory (not a link) that belongs "
            f"to user {os.geteuid()}, and that nobody else may write into; remove it, or set "
            "TMPDIR to a directory of your own"
        )
    return True


def forget() -> None:
    """In a forked child: the directory is the parent's."""
    global _run_directory
    _run_directory = None


def remove_run_directory() -> None:
    """Remove the directory of this process if it is empty."""
    if _run_directory is not None and _run_directory[0] == os.getpid():
        try:
            os.rmdir(_run_directory[1])
        except OSError as error:
            let_through(error)


class Log:
    """The output of one run of a service, in a file that its keeper writes.

    Where there is no file, yet or any more, the output is empty.  Any other trouble must not look
    like that: a test that asks for no errors in the output would pass.

    :param service: the name of the service, for messages.
    """

    def __init__(self, path: str, service: str = "service") -> None:
        self.path = path
        self._service = service

    def _unreadable(self, why: object) -> SummonError:
        said = f"{self._service}: its log cannot be read: {why}"
        return SummonError(said, executor=self._service)

    def size(self) -> int:
        """Bytes written so far.

        :raises SummonError: if the log cannot be read.
        """
        try:
            return os.lstat(self.path).st_size
        except FileNotFoundError as error:
            let_through(error)
            return 0
        except OSError as error:
            let_through(error)
            raise self._unreadable(error.strerror) from None

    def read(self, position: int, size: int) -> bytes:
        """The bytes between two positions, except those that were dropped."""
        end, parts = position + size, []
        while position < end:
            data, position = self.take(position, min(end - position, _CHUNK))
            if not data or position - len(data) >= end:
                break
            parts.append(data)
        return b"".join(parts)

    def take(self, position: int, size: int) -> tuple[bytes, int]:
        """At most `size` bytes that follow a position, and the position after them.

        If output was dropped there, the bytes after the gap.  The file is opened for each
        read: a test process that waits for hundreds of services at once would otherwise
        exceed the usual limit of descriptors.

        :raises SummonError: if the log cannot be read.
        """
        # A link was not made by the keeper.  O_NOFOLLOW would need an opener in Python, which
        # Ctrl-C could interrupt with the file open.
        if os.path.islink(self.path):
            raise self._unreadable(f"there is a link at {self.path}")
        try:
            with open(self.path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), size, position)
                if b"\0" in data:
                    data, position = _without_hole(file.fileno(), data, position)
        except FileNotFoundError as error:
            let_through(error)
            return b"", position
        except OSError as error:
            let_through(error)
            raise self._unreadable(error.strerror) from None
        return data, position + len(data)

    def begun(self, position: int) -> str:
        """The first part of an escape sequence that a position cuts; empty if it cuts none."""
        before = self.read(max(0, position - _BEFORE), min(position, _BEFORE))
        text = before.decode("utf-8", "surrogateescape")
        return text[finished(text) :].lstrip("\r")

    def tail(self, lines: int) -> list[str]:
        """The last lines as a terminal would show them; up to a line of more than 2 MiB."""
        if not lines:
            return []
        end, size, before = self.size(), _TAIL, -1
        while True:
            data = self.read(max(0, end - size), min(end, size))
            # with the line end before them, all of them are whole
            ends = data.count(b"\n")
            if ends > lines or size >= end or (ends == before and size > _LONGEST):
                break
            size, before = size * 2, ends
        last = data.removesuffix(b"\n").split(b"\n")[-lines:] if data else []
        return [line_of(line.decode("utf-8", "replace")) for line in last]


def _without_hole(fd: int, data: bytes, position: int) -> tuple[bytes, int]:
    """Bytes read from a file, without the NULs of a hole, and the position of the first."""
    try:
        start = os.lseek(fd, position, os.SEEK_DATA)
        end = os.lseek(fd, start, os.SEEK_HOLE)
    except (OSError, AttributeError) as error:  # this system does not tell where holes are
        let_through(error)
        return data, position
    if start > position:
        data = os.pread(fd, len(data), start)
    return data[: end - start], start
