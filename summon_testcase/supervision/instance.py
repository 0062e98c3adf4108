"""One life of a service: from what was declared to a process, and to its end."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from ..clean import clean
from ..declaration.arguments import Limits
from ..declaration.command import Launch
from ..errors import (
    NotRunning,
    PortInUse,
    ProcessExited,
    SpawnFailed,
    StartFailed,
    SummonError,
    TimeoutExpired,
    is_ours,
)
from ..output.excerpt import ERROR_LINES, Line, excerpt, shorten
from ..readiness.probe import failed
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps, wait
from ..system import ports
from ..unpatched import os, time
from ..wording import Report, describe_exit
from .lease import Lease
from .process import Process
from .warden import ANSWER

if TYPE_CHECKING:
    from ..readiness.output import OutputProbe

Error = TypeVar("Error", bound=SummonError)
E = TypeVar("E", bound=BaseException)


def _said(output: Iterable[str], words: str) -> bool:
    return any(words in line.lower() for line in output)


class Instance:
    """One life of a service: its lease, its process and its log, and what was learnt of it.

    The executor makes one for each start, and keeps it until the next.

    :param name: how messages call the service.
    :param previous: the instance before this one, from which it takes over port and directory.
    """

    #: what is run
    launch: Launch
    lease: Lease

    def __init__(self, name: str, limits: Limits, previous: Instance | None = None) -> None:
        self.name = name
        self.limits = limits
        lease = None if previous is None else previous.lease
        self.lease = lease if lease is not None and lease.lasts() else Lease(name)
        self.files = self.lease.next_files()
        self.log = self.files.log
        self.process = Process(self.files)
        self.began = time.monotonic()

        # how far it has come
        #: all is filled in, and it may be spawned; nothing can be stopped before
        self.launched = False
        self.ready = False
        #: it is gone, and has been cleaned up after
        self.over = False
        #: it, or an instance before it, was launched
        self.has_run: bool = previous is not None and previous.has_run
        #: prepare() has been called, and cleanup() has not
        self.prepared = False
        #: a subclass's own stop() is called, which a start will follow
        self.pausing = False

        # what is waited for
        #: it is ready once it has ended
        self.one_shot = False
        #: there is something to wait for, so that it is more than a command that is run
        self.waits = True
        #: it is there for others, not only for what it writes
        self.serves = False
        #: it may be ready, or run, when nothing of it is alive here
        self.outlasts = False
        #: asked once, when nothing of it is alive here any more: whether it may still run
        self.lives_elsewhere: Callable[[], bool] | None = None
        #: of a launcher: asks who listens where it was to leave its server
        self.who_is_there: Callable[[float], Steps[PortInUse | None]] | None = None
        #: why its port could not be bound when it was started, in words
        self.lingering = ""
        #: that port
        self.port: int | None = None
        #: the question that its banner answers
        self.banner: OutputProbe | None = None
        #: the answer
        self.match: re.Match[str] | None = None
        #: what it was told of other services: name and field
        self.told: dict[tuple[str, str], str] = {}
        #: the URL that was requested
        self.url: str = "" if previous is None else previous.url

        # what was learnt since
        #: the log has been named to the user, who will want to read it
        self.log_named = False
        #: where wait_for_output and output() begin
        self.mark = 0
        self.output_from = 0
        #: the blocks in which it is frozen
        self.pauses: set[object] = set()
        #: a test has waited for its end
        self.awaited = False
        #: the statuses that are no death, where a block has needed it until it is stopped
        self.needed: frozenset[int] | None = None
        #: it did not answer any more while it was needed
        self.hung: SummonError | None = None
        #: how it ended while it was needed
        self.died: ProcessExited | None = None
        #: what is there when it was killed, in words
        self.left = ""

        # the test that uses it
        self.in_test: bool = previous is not None and previous.in_test
        #: what instances that ended during the test wrote in it
        self.earlier: list[Line] = previous.earlier if previous is not None else []
        #: where the test that runs now began in the log, once one has
        self.since: int | None = None

    @property
    def starting(self) -> bool:
        """Whether it is not launched yet, and still may be."""
        return not (self.launched or self.over)

    @property
    def in_use(self) -> bool:
        """Whether it was launched and has not been cleaned up after; it may have died."""
        return self.launched and not self.over

    def running(self) -> bool:
        """Whether it is alive: the main process, or the daemon that it left."""
        if not self.in_use:
            return False
        self.process.pump()
        ask = self.lives_elsewhere
        if ask is not None and self.process.ended:
            self.lives_elsewhere, self.outlasts = None, ask()
        return not failed(self.process, self.outlasts)

    # -- errors --

    def named(self, error: E) -> E:
        """An error with the name of the service: what a probe has found does not know whose it is.

        Any other one is left alone.
        """
        if not (isinstance(error, StartFailed) and error.executor is None and is_ours(error)):
            return error
        return self.error(type(error), f"{self.name}: {error.message}", **vars(error))

    def error(self, kind: type[Error], sentence: str, **facts: object) -> Error:
        """An error of some kind with all that is known; `facts` go to it or its report."""
        self.process.pump()
        known = {
            key: facts.pop(key) for key in ("waiting_for", "refusal", "seconds") if key in facts
        }
        report = Report(
            command=self.launch.argv,
            cwd=self.launch.cwd,
            exit=self.exit_words(),
            output=tuple(shorten(excerpt(self.log, 0), ERROR_LINES)),
            # one that was refused early has none
            log_path=self.log.path if os.path.exists(self.log.path) else "",
            **{"seconds": time.monotonic() - self.began, **known},  # type: ignore[arg-type]
        )
        self.log_named = True
        lost = self.process.log_errno
        if lost and kind is not SpawnFailed:
            sentence += f" (part of its log could not be written: {os.strerror(lost)})"
        if self.lingering and issubclass(kind, StartFailed) and _said(report.output, "in use"):
            sentence += f": {self.lingering}"
        elif self.lingering and not self.ready and not ports.is_listened_at(self.port):
            facts["consequences"] = (f"when it was started {self.lingering}",)
        return kind(sentence, **{**facts, "executor": self.name, "report": report})

    def exit_words(self) -> str:
        """How the main process ended; empty while it lives."""
        status = self.process.exit_code
        if status is not None:
            return describe_exit(status)
        lost = self.process.lost and self.process.pid
        return "its keeper was killed, and so was it" if lost else ""

    def exited(self, when: str, **facts: object) -> ProcessExited:
        """The error for a process that ended when it was needed."""
        how = self.exit_words() or "has ended"
        return self.error(
            ProcessExited,
            f"{self.name}: {how} {when}",
            exit_code=self.process.exit_code,
            **facts,
        )

    # -- what it is used for --

    def wait(self, deadline: Deadline) -> int:
        """Block until the main process ends; its status.

        :raises TimeoutExpired: if it goes on.
        :raises ProcessExited: if its keeper was killed, who alone knows its status.
        """
        process = self.process
        while True:
            process.pump()
            if process.exit_code is not None:
                self.awaited = True
                return process.exit_code
            if process.gone:
                raise self.exited("while it was waited for")
            if deadline.expired():
                raise self.error(
                    TimeoutExpired,
                    f"{self.name}: did not end within {deadline.seconds:g} s",
                    timeout=deadline.seconds,
                    seconds=deadline.elapsed(),
                )
            wait(Pause((process.fileno(),), deadline.at))

    def pause(self, block: object) -> None:
        """Freeze all of it, and wait until that is done, as long as one block wants it so."""
        with self.process._lock:
            self.pauses.add(block)
            order = self.process.signal_everything(signal.SIGSTOP)
        if not self._signalled(order):
            raise self.exited("or its keeper did not answer, when it should be paused")

    def unpause(self, block: object) -> None:
        """A block is over: let it go on if no other one is left; may be called twice."""
        with self.process._lock:
            self.pauses.discard(block)
            if self.pauses:
                return
            order = self.process.signal_everything(signal.SIGCONT)
        self._signalled(order)

    def signal(self, number: int, everything: bool) -> None:
        """Send a signal to the main process, or to everything; for that wait until it is done.

        :raises NotRunning: if the main process, which alone is meant, has ended.
        """
        process = self.process
        if everything:
            self._signalled(process.signal_everything(number))
            return
        process.pump()
        if process.exit_code is not None or process.gone:
            raise self.error(
                NotRunning,
                f"{self.name}: its main process has ended, so it cannot be signalled: write "
                "everything=True for what it left",
            )
        process.signal(number)

    def _signalled(self, order: int) -> bool:
        """Wait until an order to signal everything is carried out; whether it was."""
        process, deadline = self.process, Deadline(ANSWER)
        while process.signalled < order and not process.gone and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
            process.pump()
        return process.signalled >= order

    # -- the tests that use it --

    def begin_test(self) -> None:
        """What it writes from now on belongs to the test that begins."""
        self.in_test = True
        self.earlier.clear()
        if self.in_use:
            # what is on its way to the log belongs to the test before
            self.catch_up()
            first, self.since = self.since is None, self.log.size()
            if not first:
                self.mark = max(self.mark, self.since)

    def end_test(self) -> None:
        """The test is over."""
        self.in_test = False
        self.earlier.clear()

    def catch_up(self) -> int:
        """Wait until the keeper has taken in, and told, what has happened up to now.

        :returns: a descriptor that is readable when there are more news, or -1.
        """
        process, deadline = self.process, Deadline(ANSWER)
        if not process.mine() or process.gone or not process.pid:  # no keeper would answer
            return process.fileno()
        # there always is output beyond here, and the keeper looks at everything else first
        process._watching = True
        process._tell("watch", -1)
        while process._watching and not process.gone and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
            process.pump()
        return process.fileno()

    def excerpt(self) -> list[Line]:
        """What it wrote since the test began, what repeats itself folded."""
        return excerpt(self.log, self.since or 0)

    def wrote(self) -> tuple[list[str], str]:
        """Lines that were written during the test, the middle cut out, and the path of the log."""
        if not self.in_use:
            return shorten(self.earlier), ""
        lines = self.earlier + self.excerpt()
        if lines:
            self.log_named = True
        return shorten(lines), self.log.path

    def written_in_test(self) -> str:
        """All that it, alone, wrote during the test, up to now, as clean text."""
        self.catch_up()
        since = self.since or 0
        text = self.log.read(since, self.log.size() - since).decode("utf-8", "replace")
        return clean((self.log.begun(since) if since else "") + text)

    def ended(self) -> str:
        """How it ended, in words, if that is worth a remark though it is no death."""
        silent = self.one_shot or not (self.in_use and self.process.mine())
        return "" if silent or self.running() else self.exit_words()

    def stands_idle(self) -> bool:
        """Whether a test has stopped it, so that it must be started before the next one."""
        if self.lease.over or not self.lease.begun or self.one_shot:
            return False
        return self.over or (self.awaited and not self.running())
