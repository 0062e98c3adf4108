"""The ports and the directory that a service keeps from its start to the end of its scope."""

from __future__ import annotations

import copy
import itertools
import re
import weakref

from ..events import numbers
from ..output.log import Log, files, run_directory
from ..system import ports
from ..unpatched import os


class _Held:
    """The ports and the files that are given back at the end of a lease."""

    def __init__(self) -> None:
        #: the common beginning of the paths of the files; empty as long as there are none
        self.base = ""
        #: a directory in another place that is removed with them
        self.elsewhere = ""
        #: by name; the one without a name has the empty one
        self.ports: dict[str, int] = {}
        self.owner = os.getpid()

    def give_back(self) -> None:
        """Give them back; may be called again after Ctrl-C in here."""
        if self.owner == os.getpid():  # a forked child has a copy, but owns nothing
            if self.base:
                files.remove_life(self.base, self.elsewhere)
            for name, port in list(self.ports.items()):
                ports.release(port)
                self.ports.pop(name, None)


class Lease:
    """Ports and a directory with its files, from ``start()`` to the end of the scope.

    Several instances of the service, each a process with its log, may use it one after the other.

    :param name: the name of the service, which is a part of the paths.
    """

    def __init__(self, name: str) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:40]
        self._name = name
        #: tells it from other leases of this process
        self.number = next(numbers)
        #: the common beginning of all paths
        self.base = os.path.join(run_directory(), f"{safe}-{self.number}")
        #: whether an instance has been ready
        self.begun = False
        #: whether the ports and the directory have been given back
        self.over = False
        self._runs = itertools.count(1)
        self._directory = False
        self._held = _Held()
        # gives back the lease of a killed service when its executor has no references any more
        self._finalizer = weakref.finalize(self, self._held.give_back)

    def mine(self) -> bool:
        """Whether this process began the lease, and not a parent that has forked this one."""
        return self._held.owner == os.getpid()

    def lasts(self) -> bool:
        """Whether one more instance of this process may use it."""
        return self.mine() and not self.over

    @property
    def port(self) -> int | None:
        """The free port that was found for it; None if none was needed yet."""
        return None if self.over else self._held.ports.get("")

    @property
    def ports(self) -> dict[str, int]:
        """The free ports with names that were found for it."""
        return {} if self.over else {name: at for name, at in self._held.ports.items() if name}

    def lease(self, name: str = "") -> int:
        """Its free port, or the one with some name, which the first call finds."""
        if name not in self._held.ports:
            self._held.ports[name] = ports.lease()
        return self._held.ports[name]

    @property
    def tmpdir(self) -> str:
        """A directory, mode 0700; the first call makes it, since few services need one."""
        if not self._directory:
            self._held.base = self.base
            os.mkdir(self.base, 0o700)
            self._directory = True
        return self.base

    def next_files(self, log: str = "") -> InstanceFiles:
        """The files of one more instance.

        :param log: the path of an empty file for its log; empty for a log that is not kept.
        """
        number, base = next(self._runs), self.base
        if number > 1:
            run_directory()  # the user's own clean-up may have removed it, and our directory in it
            self._directory = self._directory and os.path.isdir(base)
            base = f"{base}.{number}"
        return InstanceFiles(self.base, base, Log(log or f"{base}.log", self._name))

    @property
    def elsewhere(self) -> str:
        """A directory in another place that is removed with the rest; empty for none."""
        return self._held.elsewhere

    def also_remove(self, directory: str) -> None:
        """Have a directory in another place removed together with the rest."""
        self._held.base, self._held.elsewhere = self.base, directory
        # the link tells the warden, if this process is killed
        os.symlink(directory, f"{self.base}.elsewhere")

    def end(self) -> None:
        """Give the ports back, and remove the files."""
        if self.over:
            return
        self._held.give_back()
        self._finalizer.detach()
        self.over = True

    def as_over(self) -> Lease:
        """What is seen of it where it counts as over, while it still has ports and files."""
        seen = copy.copy(self)
        seen.over = True
        return seen


class InstanceFiles:
    """The files of one instance of a service: its log, and a notify socket if it needs one.

    :param lease: the common beginning of the paths of the lease.
    :param base: the common beginning of the paths of this instance.
    :param log: its log, which is in another place if logs are kept.
    """

    def __init__(self, lease: str, base: str, log: Log) -> None:
        self.lease = lease
        self.base = base
        self.log = log

    @property
    def log_is_kept(self) -> bool:
        """Whether the log stays when the service has stopped, since the user wants all logs."""
        return self.log.path != f"{self.base}.log"

    @property
    def notify_address(self) -> str:
        """The address of the sd_notify socket; abstract if the path would be too long."""
        path = f"{self.base}.notify"
        encoded = os.fsencode(path)
        # without the half of a character
        return path if len(encoded) < 100 else f"@{encoded[-90:].decode(errors='ignore')}"

    def discard(self, keep_log: bool) -> None:
        """Remove the files.

        :param keep_log: whether to keep the log, since an error has named it.
        """
        files.remove_run(self.base, keep_log)
