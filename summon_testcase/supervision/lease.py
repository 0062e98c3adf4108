"""The port and the directory that a service keeps from its start to the end of its scope."""

from __future__ import annotations

import itertools
import re
import weakref

from ..output.log import Log, files, run_directory
from ..system import ports
from ..unpatched import os

_counter = itertools.count(1)


class _Held:
    """What is to be given back at the end of a lease."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.port: int | None = None
        self.owner = os.getpid()

    def give_back(self) -> None:
        """May be called again, where Ctrl-C came in between."""
        if self.owner == os.getpid():  # a fork has a copy only
            files.remove_life(self.base)
            if self.port is not None:
                ports.release(self.port)
                self.port = None


class Lease:
    """A port, a directory and what is in it, from ``start()`` to the end of the scope.

    One instance of the service, a process with its log, follows another in it.

    :param name: the service's name, part of the paths.
    """

    def __init__(self, name: str) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:40]
        #: what all paths begin with
        self.base = os.path.join(run_directory(), f"{safe}-{next(_counter)}")
        #: a directory in another place that is removed with the rest
        self.elsewhere = ""
        #: an instance was ready once
        self.begun = False
        #: the port and the directory have been given back
        self.over = False
        self._runs = itertools.count(1)
        self._directory = False
        self._held = _Held(self.base)
        # one that was killed, and that nobody refers to any more, is not held any longer
        self._finalizer = weakref.finalize(self, self._held.give_back)

    def mine(self) -> bool:
        """Whether this process began it, rather than a parent that forked us."""
        return self._held.owner == os.getpid()

    def lasts(self) -> bool:
        """Whether one more instance of this process may have it."""
        return self.mine() and not self.over

    @property
    def port(self) -> int | None:
        """The free port that was found for it, once it asked for one."""
        return None if self.over else self._held.port

    def lease(self) -> int:
        """The free port that is its own, found now if there is none yet."""
        if self._held.port is None:
            self._held.port = ports.lease()
        return self._held.port

    @property
    def tmpdir(self) -> str:
        """A directory, mode 0700; made when it is first asked for, which few services do."""
        if not self._directory:
            os.mkdir(self.base, 0o700)
            self._directory = True
        return self.base

    def next_files(self) -> InstanceFiles:
        """The files of one more instance."""
        number = next(self._runs)
        run_directory()  # it, and ours, may have gone by the user's own clean-up
        self._directory = self._directory and os.path.isdir(self.base)
        return InstanceFiles(self.base, self.base if number == 1 else f"{self.base}.{number}")

    def also_remove(self, directory: str) -> None:
        """Have a directory in another place removed together with the rest."""
        os.symlink(directory, f"{self.base}.elsewhere")
        self.elsewhere = directory

    def end(self) -> None:
        """Give the port back, and remove what there is on disk."""
        self._held.give_back()
        self._finalizer.detach()
        self.over = True


class InstanceFiles:
    """What one instance of a service has on disk: its log, and a socket if it asks for one.

    :param lease: what the paths of the lease begin with.
    :param base: what the paths of this instance begin with.
    """

    def __init__(self, lease: str, base: str) -> None:
        self.lease = lease
        self.base = base
        self.log = Log(f"{base}.log")

    @property
    def notify_address(self) -> str:
        """Where the sd_notify socket is; abstract if the path would be too long."""
        path = f"{self.base}.notify"
        return path if len(os.fsencode(path)) < 100 else f"@{path[-90:]}"

    def discard(self, keep_log: bool) -> None:
        """Remove it all, but for the log if an error has named it."""
        files.remove_run(self.base, keep_log)
