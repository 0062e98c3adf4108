"""Captured output on disk, and the directories it lives in."""

from __future__ import annotations

import atexit
import stat

from .. import keeper
from ..clean import finished, line_of
from ..errors import InvalidArgument, SpawnFailed
from ..foreign import let_through, suppress
from ..unpatched import apart, open, os, tempfile, temporary_directory, variable

#: a variable that says how many bytes the log of one service may take on disk; 0: any number
LIMIT_VARIABLE = "SUMMON_LOG_LIMIT"
#: unless it is set
LIMIT = 1 << 30

#: the keeper's own, but with our files, and letting through what signal handlers raise
files = apart(f"{keeper.__name__}.files", keeper.__path__)
files.suppress, files.forgive = suppress, lambda function, path, info: let_through(info[1])

_CHUNK = 1 << 20
_TAIL_BYTES = 65536
#: bytes before a position in which a sequence that is cut by it is looked for
_BEFORE = 512
_run_directory: tuple[int, str] | None = None


def limit() -> int:
    """How many bytes the log of one service may take on disk.

    Of a log that grows beyond it the first quarter and at least the last half are kept.
    Less than half a megabyte counts as that.

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
        # also for a start that fails before there is a warden
        atexit.register(remove_run_directory)
        made = tempfile.mkdtemp(prefix="summon-", dir=temporary_directory())
        _run_directory = os.getpid(), made
    elif not _is_ours(_run_directory[1]):
        # removed with the warden that used it, or by the user's own clean-up; its name is
        # known by then, and whoever may write here may have put a link of theirs in its place
        os.mkdir(_run_directory[1], 0o700)
    return _run_directory[1]


def _is_ours(directory: str) -> bool:
    """Whether a directory is there, and nobody else may write into it.

    :raises SpawnFailed: if it is something else.
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


def remove_run_directory() -> None:
    """Remove the directory of this process if nothing is kept in it."""
    if _run_directory is not None and _run_directory[0] == os.getpid():
        try:
            os.rmdir(_run_directory[1])
        except OSError as error:
            let_through(error)
            pass


class Log:
    """The output of one run of a service, in a file that its keeper writes."""

    def __init__(self, path: str) -> None:
        self.path = path

    def size(self) -> int:
        """Bytes written so far."""
        try:
            return os.lstat(self.path).st_size
        except OSError as error:
            let_through(error)
            return 0

    def read(self, position: int, size: int) -> bytes:
        """What there is between two positions, but for what was dropped."""
        end, parts = position + size, []
        while position < end:
            data, position = self.take(position, min(end - position, _CHUNK))
            if not data or position - len(data) >= end:
                break
            parts.append(data)
        return b"".join(parts)

    def take(self, position: int, size: int) -> tuple[bytes, int]:
        """At most `size` bytes that follow a position, and the position after them.

        Where output was dropped those that follow the gap.  The file is opened for each
        read: hundreds of services that are waited for at the same time would not fit under
        the usual limit of descriptors otherwise.
        """
        # no link is the keeper's work; not O_NOFOLLOW, for which an opener in Python is needed,
        # that an interrupt can end with the file open
        if os.path.islink(self.path):
            return b"", position
        try:
            with open(self.path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), size, position)
                if b"\0" in data:
                    data, position = _without_hole(file.fileno(), data, position)
        except OSError as error:
            let_through(error)
            return b"", position
        return data, position + len(data)

    def begun(self, position: int) -> str:
        """The beginning of an escape sequence that a position is in the middle of."""
        before = self.read(max(0, position - _BEFORE), min(position, _BEFORE))
        text = before.decode("utf-8", "surrogateescape")
        return text[finished(text) :].lstrip("\r")

    def tail(self, lines: int) -> list[str]:
        """The last lines as a terminal would show them."""
        if not lines:
            return []
        data = self.read(max(0, self.size() - _TAIL_BYTES), _TAIL_BYTES)
        last = data.removesuffix(b"\n").split(b"\n")[-lines:] if data else []
        return [line_of(line.decode("utf-8", "replace")) for line in last]


def _without_hole(fd: int, data: bytes, position: int) -> tuple[bytes, int]:
    """What was read as far as the file has it, and where that is; a hole reads as NULs."""
    try:
        start = os.lseek(fd, position, os.SEEK_DATA)
        end = os.lseek(fd, start, os.SEEK_HOLE)
    except (OSError, AttributeError) as error:  # not told here
        let_through(error)
        return data, position
    if start > position:
        data = os.pread(fd, len(data), start)
    return data[: end - start], start
