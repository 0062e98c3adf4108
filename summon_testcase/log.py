"""Captured output on disk, and the directories it lives in."""

from __future__ import annotations

import atexit
import itertools
import os
import re
import tempfile

from .keeper.files import remove_files

_TAIL_BYTES = 65536
_counter = itertools.count(1)
_run_directory: tuple[int, str] | None = None


def run_directory() -> str:
    """The directory of this process, mode 0700, made at the first call."""
    global _run_directory
    if _run_directory is None or _run_directory[0] != os.getpid():
        # also for a start that fails before there is a warden
        atexit.register(remove_run_directory)
        _run_directory = os.getpid(), tempfile.mkdtemp(prefix="summon-")
    elif not os.path.isdir(_run_directory[1]):
        # removed with the warden that used it, or by the user's own clean-up
        os.mkdir(_run_directory[1], 0o700)
    return _run_directory[1]


def remove_run_directory() -> None:
    """Remove the directory of this process if nothing is kept in it."""
    if _run_directory is not None and _run_directory[0] == os.getpid():
        try:
            os.rmdir(_run_directory[1])
        except OSError:
            pass


class ServiceFiles:
    """What one run of a service has on disk: its log, and a directory if it asks for one.

    :param name: the service's name, part of the paths.
    """

    def __init__(self, name: str) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:40]
        #: what all paths begin with
        self.base = os.path.join(run_directory(), f"{safe}-{next(_counter)}")
        self.log = Log(f"{self.base}.log")
        self._directory = False

    @property
    def tmpdir(self) -> str:
        """A directory, mode 0700; made when it is first asked for, which few services do."""
        if not self._directory:
            os.mkdir(self.base, 0o700)
            self._directory = True
        return self.base

    @property
    def notify_address(self) -> str:
        """Where the sd_notify socket is; abstract if the path would be too long."""
        path = f"{self.base}.notify"
        return path if len(os.fsencode(path)) < 100 else f"@{path[-90:]}"

    def also_remove(self, directory: str) -> None:
        """Have a directory in another place removed together with the rest."""
        os.symlink(directory, f"{self.base}.elsewhere")

    def discard(self, keep_log: bool) -> None:
        """Remove it all, but for the log if an error has named it."""
        remove_files(self.base, keep_log)


class Log:
    """The output of one run of a service, in a file that its keeper writes."""

    def __init__(self, path: str) -> None:
        self.path = path

    def size(self) -> int:
        """Bytes written so far."""
        try:
            return os.stat(self.path).st_size
        except OSError:
            return 0

    def read(self, position: int, size: int) -> bytes:
        """At most `size` bytes from `position`; empty where nothing is.

        The file is opened for each read: hundreds of services that are waited for at the
        same time would not fit under the usual limit of descriptors otherwise.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(fd, size, position)
        finally:
            os.close(fd)

    def tail(self, lines: int) -> list[str]:
        """The last lines, without their ends."""
        if lines <= 0:
            return []
        data = self.read(max(0, self.size() - _TAIL_BYTES), _TAIL_BYTES)
        return data.decode("utf-8", "replace").splitlines()[-lines:]
