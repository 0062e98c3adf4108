"""The directory of a report: which processes write into it, and which of its files are ours.

Each process appends what happens to a file of its own in ``parts/``, the *part*.  The first line of
a part tells about the process, all others are events.  Whoever is the last to end makes the report
of all parts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..foreign import let_through, suppress
from ..unpatched import open, os, time, variable

#: seconds for which a process waits for its turn; then it goes on without
_PATIENCE = 10.0
#: names in the folder with the parts: what takes turns holds the lock; the other has the names of
#: files that we have written, one a line: only these are removed, or replaced
_LOCK, _OURS = "lock", "files"

#: what is no JSON, of events that a user has made, is written as text
_as_json = json.JSONEncoder(default=str, separators=(",", ":")).encode


class Directory:
    """A directory that several processes of one run write into.

    :param path: of the directory.
    :param parts: the name of the folder in it that has the parts.
    """

    def __init__(self, path: str, parts: str = "parts") -> None:
        self.path = os.path.abspath(path)
        self.parts = os.path.join(self.path, parts)
        #: of this process; empty before :meth:`join`
        self.part = ""
        self._pid = 0
        #: by path without number, the last number that was tried
        self._numbers: dict[str, int] = {}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While no other process does what takes turns."""
        from ..unpatched import fcntl

        fd = os.open(os.path.join(self.parts, _LOCK), os.O_WRONLY | os.O_CREAT, 0o666)
        until = time.monotonic() + _PATIENCE
        try:
            while time.monotonic() < until:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    let_through(error)
                    time.sleep(0.005)
                except OSError as error:  # a file system without locks
                    let_through(error)
                    break
            yield
        finally:
            os.close(fd)

    def join(self, forked: bool = False, logs: str = "") -> None:
        """Make this process one of those that write; what an earlier run has left is removed.

        It is the same run if another process of it lives, or lived when this process began.

        :param forked: whether this process is the child of one that has joined, which will make
            the report.
        :param logs: where logs are kept.
        :raises OSError: if the directory cannot be made, or not be written.
        """
        os.makedirs(self.parts, exist_ok=True)
        self._pid = os.getpid()
        began = began_at(os.getpid()) or time.monotonic()
        with self.turn():
            # by the clock of the file system, which no test can freeze
            os.utime(os.path.join(self.parts, _LOCK))
            now = time.monotonic(), os.stat(os.path.join(self.parts, _LOCK)).st_mtime
            if not any(_is_of_this_run(path, head, began, now) for path, head in self.heads()):
                self._clear()
            self.part = os.path.join(self.parts, f"{os.getpid()}-{now[0]:.3f}.jsonl")
            self.claim(self.part)
            facts = {"at": now[0], "unix": now[1], "began": began, "forked": forked}
            self.append({**facts, "logs": self.relative(logs), **_about_this_process(forked)})

    def mine(self) -> bool:
        """Whether this process has joined, and not a parent that has forked it."""
        return self._pid == os.getpid()

    def append(self, facts: dict[str, Any]) -> None:
        """Add a line to the part of this process.

        The file is opened for each line: tests close descriptors that they do not know, and a
        forked child must not share ours.
        """
        line = _as_json(facts).encode() + b"\n"
        fd = os.open(self.part, os.O_WRONLY | os.O_APPEND)
        try:
            while line:
                line = line[os.write(fd, line) :]
        finally:
            os.close(fd)

    def relative(self, path: str) -> str:
        """A path as parts have it: relative to the directory, which may be renamed, if it is in it.

        :param path: a full path.
        """
        is_in_it = f"{path}{os.sep}".startswith(self.path + os.sep)
        return os.path.relpath(path, self.path) if is_in_it else path

    def heads(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All parts, and the first line of each."""
        for path in self.all_parts():
            head = next(read(path), None)
            if head is not None and "pid" in head:
                yield path, head

    def all_parts(self) -> list[str]:
        """The paths of all parts."""
        with suppress(OSError):
            names = sorted(os.listdir(self.parts))
            return [os.path.join(self.parts, name) for name in names if name.endswith(".jsonl")]
        return []

    def alone(self) -> bool:
        """Whether no other process that will make the report lives."""
        return not any(
            not head.get("forked") and is_alive(head) and not has_ended(path)
            for path, head in self.heads()
            if path != self.part
        )

    # -- files of ours --

    def claim(self, path: str) -> None:
        """Make an empty file, and note that it is ours.

        :raises FileExistsError: if there is one of this name.
        """
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        self._note(path)

    def claim_next(self, folder: str, name: str, end: str) -> str:
        """Make an empty file ``name-1``, or with the next number that is free; its path.

        :raises OSError: if it cannot be made.
        """
        os.makedirs(folder, exist_ok=True)
        stem = os.path.join(folder, name)
        while True:
            self._numbers[stem] = self._numbers.get(stem, 0) + 1
            path = f"{stem}-{self._numbers[stem]}{end}"
            with suppress(FileExistsError):  # of another process
                self.claim(path)
                return path

    def _note(self, path: str) -> None:
        fd = os.open(os.path.join(self.parts, _OURS), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(fd, os.fsencode(os.path.relpath(path, self.path)) + b"\n")
        finally:
            os.close(fd)

    def _ours(self) -> list[str]:
        with suppress(OSError):
            with open(os.path.join(self.parts, _OURS), "rb") as file:
                names = [os.fsdecode(line) for line in file.read().split(b"\n") if line]
            # a line that somebody has written must not lead us out of the directory
            return [name for name in names if ".." not in name.split("/") and name[0] != "/"]
        return []

    def replace(self, name: str, text: str) -> str:
        """Write a file anew, at once; others see the former one, or this one.

        :returns: why it was not written, in words; empty if it was.
        """
        path = os.path.join(self.path, name)
        known = name in self._ours()
        if not known and os.path.lexists(path):
            return f"{path} is not of summon_testcase, and stays as it is"
        made = os.path.join(self.parts, f"{name}.{os.getpid()}")
        try:
            with open(made, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            if not known:
                self._note(path)
            os.replace(made, path)
        except OSError as error:
            let_through(error)
            return f"{path} cannot be written: {error.strerror}"
        finally:
            with suppress(OSError):
                os.unlink(made)
        return ""

    def _clear(self) -> None:
        """Remove what an earlier run has written, and folders that are empty then."""
        folders = set()
        for name in self._ours():
            path = os.path.join(self.path, name)
            with suppress(OSError):
                os.unlink(path)
            while (name := os.path.dirname(name)) and name != os.path.basename(self.parts):
                folders.add(os.path.join(self.path, name))
        for folder in sorted(folders, key=len, reverse=True):
            with suppress(OSError):
                os.rmdir(folder)
        with suppress(OSError):
            os.unlink(os.path.join(self.parts, _OURS))


def read(path: str) -> Iterator[dict[str, Any]]:
    """The lines of a part; those that are cut off, or no lines of ours, are left out."""
    with suppress(OSError), open(path, "rb") as file:
        for line in file:
            try:
                facts = json.loads(line)
            except ValueError as error:
                let_through(error)
                continue
            if isinstance(facts, dict) and isinstance(facts.get("at"), int | float):
                yield facts


def has_ended(path: str) -> bool:
    """Whether the process of a part has come to its end."""
    return any(line.get("event") == "end" for line in read(path))


def _about_this_process(forked: bool) -> dict[str, Any]:
    system = os.uname()
    return {
        "pid": os.getpid(),
        "start": start_of(os.getpid()),
        "run": variable("PYTEST_XDIST_TESTRUNUID"),
        "label": (variable("PYTEST_XDIST_WORKER") or "main") + (", forked" if forked else ""),
        "argv": list(sys.orig_argv),
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "platform": f"{system.sysname} {system.release}",
        "machine": {"name": system.nodename, "kind": system.machine, "cores": os.cpu_count()},
        "versions": _versions(),
        "cwd": _working_directory(),
    }


def _working_directory() -> str:
    with suppress(OSError):  # a test may have removed it
        return os.getcwd()
    return ""


def _versions() -> dict[str, str]:
    """Versions of this package and of the test runners that are imported."""
    found = {}
    for name in (__name__.partition(".")[0], "pytest", "xdist", "django", "nose2", "twisted"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def _is_of_this_run(
    path: str, head: dict[str, Any], began: float, now: tuple[float, float]
) -> bool:
    """Whether the process of a part belongs to the run of this process.

    :param began: when this process began.
    :param now: by the monotonic clock, which starts anew at each boot, and by the other one.
    """
    run = variable("PYTEST_XDIST_TESTRUNUID")
    if is_alive(head) or (run and run == head.get("run")):
        return True
    with suppress(OSError):
        then = head.get("unix", 0)
        same_boot = abs((then - head["at"]) - (now[1] - now[0])) < 60
        last = head["at"] + os.stat(path).st_mtime - then
        return bool(same_boot and last > began)
    return False


def is_alive(head: dict[str, Any]) -> bool:
    """Whether the process of a part lives."""
    pid = head["pid"]
    start = start_of(pid)
    if start or os.path.exists("/proc/self/stat"):
        return start != "" and start == head.get("start")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError as error:
        let_through(error)
    return True


def start_of(pid: int) -> str:
    """When a process began, as the kernel counts; empty if it is dead, or nobody knows."""
    with suppress(OSError, IndexError):
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    return ""


def began_at(pid: int) -> float | None:
    """When a process began, as a moment of the monotonic clock; None if nobody knows."""
    start = start_of(pid)
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if not start or clock is None:
        return None
    age = time.clock_gettime(clock) - int(start) / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age
