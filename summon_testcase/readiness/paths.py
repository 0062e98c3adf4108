"""Asks whether a service has made a unix socket or a file."""

from __future__ import annotations

import errno
import math
import re
import stat
import struct
from dataclasses import dataclass
from typing import ClassVar

from ..errors import InvalidArgument, PortInUse
from ..foreign import let_through, suppress
from ..scheduling.steps import Steps
from ..system import procfs
from ..unpatched import LINUX, open, os, socket
from .probe import Probe, Target, in_use

#: bytes of a unix socket's path: Linux has room for 108, with the final zero
UNIX_PATH_LIMIT = 107 if LINUX else 103

#: facts that tell a new file from an old one: inode, modification time in ns, size in bytes
Snapshot = tuple[int, int, int]


@dataclass(frozen=True)
class UnixSocketProbe(Probe):
    """Ready when a unix socket of any type accepts a connection.

    :param path: the path of the socket.
    """

    path: str

    shortest: ClassVar[float] = 0.0005
    longest: ClassVar[float] = 0.008

    def check(self) -> None:
        """:raises InvalidArgument: for a path that is too long for the kernel."""
        size = len(os.fsencode(self.path))
        if size > UNIX_PATH_LIMIT:
            raise InvalidArgument(
                f"the path of a unix socket has at most {UNIX_PATH_LIMIT} bytes, "
                f"this one has {size}: {self.path}; use a shorter directory"
            )

    def describe(self) -> str:
        """In words: a connection to /tmp/app.sock."""
        return f"a connection to {self.path}"

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Whether another process accepts there already; a left-over file is no obstacle."""
        yield from ()
        refusal, pid = self._ask()
        if refusal is not None:
            return None
        return in_use(
            f"{name} cannot start: {self.path} is in use already",
            port=None,
            pid=pid,
            executor=name,
        )

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`."""
        return self._ask()[0]

    def remove_if_dead(self) -> None:
        """Remove a socket at which no process listens any more."""
        with suppress(OSError):
            if "nobody listens" in (self._ask()[0] or ""):
                os.unlink(self.path)

    def _ask(self) -> tuple[str | None, int | None]:
        """The refusal, and the pid of the listener where the system tells."""
        try:
            facts = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return f"no socket at {self.path} yet", None
        except OSError as error:
            let_through(error)
            return f"cannot see {self.path}: {error.strerror}", None
        if not stat.S_ISSOCK(facts.st_mode):
            return f"{self.path} is not a socket", None
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
        for kind in kinds:
            with socket.socket(socket.AF_UNIX, kind) as sock:
                # connect() would wait for a server whose queue is full
                sock.setblocking(False)
                try:
                    sock.connect(self.path)
                    return None, _peer(sock)
                except ConnectionRefusedError:
                    # bind() makes the file, listen() comes after it
                    return f"connection refused by {self.path}: nobody listens there", None
                except BlockingIOError:
                    return f"{self.path} does not accept: its queue is full", None
                except OSError as error:
                    let_through(error)
                    if error.errno != errno.EPROTOTYPE:
                        return f"cannot connect to {self.path}: {error.strerror or error}", None
        return f"{self.path} is a socket of an unknown type", None


@dataclass(frozen=True)
class FileProbe(Probe):
    """Ready when a file exists that was not there before the start.

    A file ``*.pid`` must also contain the number of a live process.

    :param path: the path of the file.
    :param before: its :meth:`snapshot` from before the start.
    """

    path: str
    before: Snapshot | None = None

    shortest: ClassVar[float] = 0.0005
    longest: ClassVar[float] = 0.008

    @staticmethod
    def snapshot(path: str) -> Snapshot | None:
        """Facts of the file as it is now; None if it does not exist.

        :raises OSError: if the system does not tell (a directory without permission).
        """
        try:
            facts = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def check(self) -> None:
        """:raises InvalidArgument: for an empty path."""
        if not self.path:
            raise InvalidArgument("path is empty: give the file that the service will write")

    def describe(self) -> str:
        """In words: the file /run/app.pid."""
        return f"the file {self.path}"

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Whether there is a pid file already that names a live process.

        Other files from before the start are no obstacle: the snapshot tells them from new ones.
        """
        yield from ()
        if self.before is None or not self.path.endswith(".pid"):
            return None
        try:
            pid = _number(self._first_line())
        except OSError as error:
            let_through(error)
            return None
        if pid is None or not procfs.is_alive(pid):
            return None
        return in_use(
            f"{name} cannot start: the pid file {self.path} is in use already",
            port=None,
            pid=pid,
            executor=name,
        )

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`."""
        try:
            now = self.snapshot(self.path)
            if now is None:
                return f"{self.path} does not exist yet"
            if now == self.before:
                return f"{self.path} is still the file of before the start"
            return self._pid_refusal() if self.path.endswith(".pid") else None
        except OSError as error:
            let_through(error)
            return f"cannot read {self.path}: {error.strerror}"

    def _first_line(self) -> bytes:
        # reading from a pipe or a device, which the path may be by mistake, could block
        mode = os.stat(self.path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return b""
        # unbuffered: Ctrl-C right after opening leaves one object, which closes itself
        with open(self.path, "rb", buffering=0) as file:
            # postgres writes more lines, but the pid is in the first
            return file.read(64).partition(b"\n")[0].strip()

    def _pid_refusal(self) -> str | None:
        line = self._first_line()
        pid = _number(line)
        if pid is None:
            return f"{self.path} " + ("holds no process number" if line else "is still empty")
        if not procfs.is_alive(pid):
            return f"{self.path} names process {pid}, which is not alive"
        return None


def _number(line: bytes) -> int | None:
    return int(line) if re.fullmatch(rb"[0-9]{1,10}", line) else None


def _peer(sock: socket.socket) -> int | None:
    """The pid of the process that called listen() on the other side."""
    if not LINUX:
        return None
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError as error:
        let_through(error)
        return None
    pid: int = struct.unpack("3i", raw)[0]
    return pid if pid > 0 else None
