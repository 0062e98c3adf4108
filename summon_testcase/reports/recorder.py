"""Writes events into a report as they happen, so that nothing is lost when a process is killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..events import (
    Event,
    Note,
    RunEnded,
    ServiceDied,
    ServiceFailed,
    ServiceSpawned,
    ServiceStopped,
    subscribe,
)
from ..foreign import let_through, suppress
from ..tracebacks import warn
from ..unpatched import os, time
from .directory import Directory
from .logs import Logs, safe


class Recorder:
    """Writes the events of this process, and of its forked children, into parts of a report.

    :param directory: the report's.
    :param logs: where logs are kept.
    """

    def __init__(self, directory: Directory, logs: str) -> None:
        self.directory = directory
        self._logs = logs
        #: by number, the logs of services that run, and the size that was noted last
        self._running: dict[int, str] = {}
        self._sizes: dict[int, int] = {}
        #: why nothing is written any more
        self._failure = ""

    def __call__(self, event: Event) -> None:
        """Write an event, and how long the logs are that have grown since the last one."""
        if self._failure:
            return
        try:
            if not self.directory.mine():
                self._running, self._sizes = {}, {}
                self.directory.join(forked=True, logs=self._logs)
            # a class of the user's own counts as the one of ours that it is made of
            bases = (base for base in type(event).__mro__ if issubclass(base, Event))
            kind = next(base for base in bases if base.__module__ == Event.__module__)
            facts: dict[str, Any] = {name: vars(event)[name] for name in kind._fields}
            facts["event"] = kind.__name__
            if isinstance(event, Note) and event.attachment:
                facts["attachment"] = self._kept(event.attachment)
            if isinstance(event, ServiceSpawned):
                facts["log"] = self.directory.relative(event.log)
                self._running[event.number] = event.log
                self._sizes.pop(event.number, None)
            # a death was earlier than its event: what the logs have now comes with the next one
            sizes = {} if isinstance(event, ServiceDied) else self._grown()
            self.directory.append({**facts, "sizes": sizes} if sizes else facts)
            if isinstance(event, ServiceStopped | ServiceFailed):
                self._running.pop(event.number, None)
        except OSError as error:
            let_through(error)
            self._failure = error.strerror or str(error)
            _warn("SUMMON_REPORT", self.directory.path, f"nothing more is written: {self._failure}")

    def _grown(self) -> dict[int, int]:
        grown = {}
        for number, path in list(self._running.items()):
            with suppress(OSError):
                size = os.stat(path).st_size
                if self._sizes.get(number) != size:
                    self._sizes[number] = grown[number] = size
        return grown

    def _kept(self, path: str) -> str:
        """Copy a file into the report; its path there, or the path as it is if that fails."""
        from ..unpatched import shutil

        name, end = os.path.splitext(os.path.basename(path))
        folder = os.path.join(self.directory.path, "attachments")
        place = self.directory.claim_next(folder, safe(name), f".{safe(end)}" if end else "")
        try:
            shutil.copyfile(path, place)
        except OSError as error:
            let_through(error)
            os.unlink(place)
            return path
        return self.directory.relative(place)


#: the program that the warden runs; it has no path of its own to find us by
_BOOT = (
    "import sys; sys.path[:] = filter(None, sys.path); sys.path.append(sys.argv.pop(1)); "
    f"from {__package__}.__main__ import main; main()"
)
_recorder: Recorder | None = None
_logs: Logs | None = None
#: end the subscriptions
_ends: list[Callable[[], object]] = []
#: the directories that this process has joined
_joined: list[Directory] = []


def begin(report: str, logs: str) -> None:
    """Record what happens in this process, until :class:`RunEnded`.

    :param report: the directory of the report; empty for none.
    :param logs: the directory for the logs of all services; empty for ``logs`` in that of the
        report, if there is one.
    """
    global _recorder, _logs
    if logs:
        directory = Directory(logs, ".summon")
        if _join("SUMMON_LOGS", directory, directory.path):
            _logs = Logs(directory, directory.path)
    if report:
        directory = Directory(report)
        kept = _logs or Logs(directory, os.path.join(directory.path, "logs"))
        if _join("SUMMON_REPORT", directory, kept.folder):
            _logs, _recorder = kept, Recorder(directory, kept.folder)
            _ends.append(subscribe(_recorder))
    _ends.append(subscribe(_hear_the_end))


def _hear_the_end(event: Event) -> None:
    if isinstance(event, RunEnded):
        _finish()


def _join(name: str, directory: Directory, logs: str) -> bool:
    try:
        directory.join(logs=logs)
    except OSError as error:
        let_through(error)
        _warn(name, directory.path, _why(directory.path, error))
        return False
    _joined.append(directory)
    return True


def _why(path: str, error: OSError) -> str:
    if os.path.exists(path) and not os.path.isdir(path):
        return "it is a file"
    return error.strerror or str(error)


def _warn(name: str, path: str, why: str) -> None:
    warn(
        f"{name}: {path} cannot be written ({why}), and the tests go on without: write {name}=DIR "
        "with a directory that can be made, or that you may write into"
    )


def place_of_log(owner: str, name: str) -> str:
    """The path of an empty file for the log of a service; empty if logs are not kept."""
    if _logs is None:
        return ""
    try:
        return _logs.place(owner, name)
    except OSError as error:
        let_through(error)
        return ""


def command() -> list[str]:
    """What to run, after a Python interpreter, to make the report if this process is killed.

    Empty if there is no report.
    """
    if _recorder is None:
        return []
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    directory = _recorder.directory
    return ["-c", _BOOT, os.path.dirname(package), directory.path, directory.part]


def _finish() -> None:
    """Note the end of this process, and make the report if no other process will do so."""
    while _joined:
        directory = _joined.pop()
        if not directory.mine():
            continue
        with suppress(OSError), directory.turn():
            with suppress(OSError):
                directory.append({"at": time.monotonic(), "event": "end"})
            if _recorder is not None and directory is _recorder.directory and directory.alone():
                from . import writing

                for problem in writing.write(directory):
                    warn(f"SUMMON_REPORT: {problem}")


def forget() -> None:
    """Record nothing any more; for tests."""
    global _recorder, _logs
    while _ends:
        _ends.pop()()
    _joined.clear()
    _recorder = _logs = None
