"""One life of a service, from the start until its files are removed."""

from __future__ import annotations

import copy
import re
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

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
from ..events import (
    ServiceDied,
    ServiceEvent,
    ServiceFailed,
    ServicePaused,
    ServiceReady,
    ServiceResumed,
    ServiceStopped,
    ServiceStopping,
    Warned,
    emit,
)
from ..output.excerpt import ERROR_LINES, Line, excerpt, shorten
from ..readiness.probe import failed
from ..scheduling.caller import here
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps, wait
from ..system import ports
from ..unpatched import os, time
from ..wording import Report, describe_exit, size
from . import failures, recording
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
    """One life of a service: its lease, its process, its log, and facts about it.

    The executor makes an instance for each start, and keeps it until the next start.

    :param name: how messages call the service.
    :param owner: the name of the class that declares it; empty if none does.
    :param previous: the instance before this one, from which it takes over port and directory.
    :param lease: port and directory, if another process has leased them.
    """

    #: whether another process has started it, which is asked to do what tests do to it
    attached = False

    #: the command, once its templates are filled in
    launch: Launch
    lease: Lease

    def __init__(
        self,
        name: str,
        owner: str,
        limits: Limits,
        previous: Instance | None = None,
        lease: Lease | None = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.limits = limits
        #: who has called the start that has made it
        self.starter = here()
        if lease is None and previous is not None and previous.lease.lasts():
            lease = previous.lease
        self.lease = Lease(name) if lease is None else lease
        # the log of one that is attached is the owner's
        log = "" if self.attached else recording.place_of_log(owner, name)
        self.files = self.lease.next_files(log)
        self.log = self.files.log
        self.process = Process(self.files, name)
        self.began = time.monotonic()

        # the phase of its life
        #: whether its command is known, so that it may be spawned, and its files are still there;
        #: before, a stop has nothing to do; it may have died
        self.in_use = False
        self.ready = False
        #: seconds until it was ready, and the moment of that
        self.took = self.ready_at = 0.0
        #: whether its processes are gone and its files are removed
        self.over = False
        #: whether this or an earlier instance was launched
        self.has_run: bool = previous is not None and previous.has_run
        #: whether prepare() was called, and cleanup() was not called since
        self.prepared = False
        #: whether stop() of a subclass runs at the moment, and a start will follow
        self.pausing = False

        # how it becomes ready
        #: whether it is ready when it has ended
        self.one_shot = False
        #: whether there is a question of readiness; otherwise it is only a command that is run
        self.waits = True
        #: whether others talk to it, so that more than its output is of interest
        self.serves = False
        #: whether it may become ready, or count as running, without a process that is alive here
        self.outlasts = False
        #: asks, when no process of it is alive here any more, whether it still runs elsewhere; used
        #: only once
        self.lives_elsewhere: Callable[[], bool] | None = None
        #: of a launcher: asks who listens where its server should be
        self.who_is_there: Callable[[float], Steps[PortInUse | None]] | None = None
        #: in words, why its port could not be bound when the start began; empty if it could
        self.lingering = ""
        #: the port that this is about
        self.port: int | None = None
        #: the probe that looks for its banner
        self.banner: OutputProbe | None = None
        #: the match of its banner
        self.match: re.Match[str] | None = None
        #: values of other services that it was started with, by name and field
        self.told: dict[tuple[str, str], str] = {}
        #: by name, other services whose ``env()`` it was given, and what that said
        self.told_env: dict[str, tuple[object, dict[str, str]]] = {}
        #: the URL that the start has requested
        self.url: str = "" if previous is None else previous.url

        #: how often it was asked, and why it was not ready when it was asked the last time but one
        self.looks = 0
        self.refusal = ""

        # its use, and its end
        #: whether events have told that it is ready, and that it has ended
        self.told_ready = self.told_end = False
        #: whether it was told that its log lacks something
        self._told_lost = False
        #: the moment at which its stop has begun; 0 before
        self.stop_began = 0.0
        #: in words, why another instance follows, if one does
        self.reason = "stopped()"
        #: whether an error has named the log, so that the user will want to read it
        self.log_named = False
        #: positions in the log where wait_for_output() and output() begin
        self.mark = 0
        self.output_from = 0
        #: the blocks in which it is frozen
        self.pauses: set[object] = set()
        #: whether a test has waited for its end
        self.awaited = False
        #: statuses that are no death, if a block needs it until it is stopped; otherwise None
        self.needed: frozenset[int] | None = None
        #: the error for a question of ``alive=`` that it has not answered
        self.hung: SummonError | None = None
        #: the error for an end while it was needed
        self.died: ProcessExited | None = None
        #: in words, what is still there after it was killed; empty if nothing is
        self.left = ""

        # the test that uses it
        #: whether one runs at the moment
        self.in_test: bool = previous is not None and previous.in_test
        #: output of earlier instances that ended during the test
        self.earlier: list[Line] = previous.earlier if previous is not None else []
        #: the position in the log at which the last test began; None before the first one
        self.since: int | None = None
        #: the bytes that could not be stored before
        self._lost_before = 0

    @property
    def starting(self) -> bool:
        """Whether its start has begun, and has not come to the launch yet."""
        return not (self.in_use or self.over)

    def running(self) -> bool:
        """Whether it is alive: its main process, or a daemon that this has left."""
        if not self.in_use:
            return False
        self.process.pump()
        self._warn_of_losses()
        ask = self.lives_elsewhere
        if ask is not None and self.process.ended:
            self.lives_elsewhere, self.outlasts = None, ask()
        return not failed(self.process, self.outlasts)

    # -- events --

    def tell(self, event: type[ServiceEvent], /, **facts: Any) -> None:
        """Emit an event.

        :param facts: its fields, but for those that all events about services have.
        """
        who: dict[str, Any] = {
            "service": self.name,
            "owner": self.owner,
            "number": self.lease.number,
        }
        emit(event(**who, **facts))

    def tell_ready(self, url: str) -> None:
        """Emit that the start has succeeded.

        :param url: its URL; empty if it has none.
        """
        self.told_ready, self.ready_at = True, time.monotonic()
        self.took = self.ready_at - self.began
        asked = {"looks": self.looks, "refusal": self.refusal}
        self.tell(ServiceReady, at=self.ready_at, after=self.took, url=url, **asked)

    def tell_death(self, when: str) -> None:
        """Emit that it has ended though nobody asked for that, at the moment at which it has.

        :param when: the moment at which it was noticed, in words.
        """
        process, now = self.process, time.monotonic()
        at = process.ended_at
        if not at or (at < self.ready_at and process.exit_code in process.fine):
            at = now  # nobody knows when the server has ended that a launcher has left
        at = min(max(at, self.ready_at), now)  # it may have ended just before it was called ready
        self.tell(ServiceDied, at=at, how=self.exit_words(), when=when)

    def _warn_of_losses(self) -> None:
        """Warn, once only, that output could not be stored, and so is missing in the log."""
        lost = self.process.log_errno
        if lost and self.told_ready and not self._told_lost:
            self._told_lost = True
            said = f"part of its log could not be written: {os.strerror(lost)}"
            emit(Warned(text=f"{self.name}: {said}", service=self.name))

    def tell_stopping(self) -> None:
        """Emit that a stop has begun, once only."""
        if not self.stop_began:
            self.stop_began = time.monotonic()
            self.tell(ServiceStopping)

    def tell_end(self, error: str) -> None:
        """Emit that its life is over, once only: that it has stopped, or that its start has failed.

        :param error: what has gone wrong, in words; empty if nothing has.
        """
        if not self.process.mine():
            return
        with self.process._lock:
            told, self.told_end = self.told_end, True
        if told:
            return
        now, facts = time.monotonic(), {"error": error, "how": self.exit_words()}
        self._warn_of_losses()
        if self.told_ready:
            took = now - self.stop_began if self.stop_began else 0.0
            self.tell(ServiceStopped, after=took, **facts)
        else:
            asked = {"looks": self.looks, "refusal": self.refusal}
            self.tell(ServiceFailed, after=now - self.began, **facts, **asked)

    # -- errors --

    def named(self, error: E) -> E:
        """An error of a probe, to which the name of the service and a report are added.

        Probes do not know the name of the service. Any other error is returned as it is.
        """
        if not (isinstance(error, StartFailed) and error.executor is None and is_ours(error)):
            return error
        return self.error(type(error), f"{self.name}: {error.message}", **vars(error))

    def error(self, kind: type[Error], sentence: str, **facts: object) -> Error:
        """An error with a report of all that is known about the service.

        :param facts: attributes of the error; the report takes some of them.
        """
        self.process.pump()
        known = {
            key: facts.pop(key) for key in ("waiting_for", "refusal", "seconds") if key in facts
        }
        report = Report(
            command=self.launch.argv,
            cwd=self.launch.cwd,
            exit=self.exit_words(),
            output=tuple(shorten(excerpt(self.log, 0), ERROR_LINES)),
            # if the start was refused early, there is no log
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
        """The error for a process that has ended while it was needed.

        :param when: in words, to follow "was killed by SIGKILL".
        """
        how = self.exit_words() or "has ended"
        return self.error(
            ProcessExited,
            f"{self.name}: {how} {when}",
            exit_code=self.process.exit_code,
            **facts,
        )

    # -- orders of its user --

    def wait(self, deadline: Deadline) -> int:
        """Block until the main process ends, and return its status.

        :raises TimeoutExpired: if the process still runs at the deadline.
        :raises ProcessExited: if the keeper was killed, since only the keeper learns the status.
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
        """Freeze all processes for a block, and wait until that is done.

        :param block: the same object that :meth:`unpause` is given at the end of the block.
        :raises ProcessExited: if the service has ended, or the keeper does not answer.
        """
        with self.process._lock:
            first = not self.pauses
            self.pauses.add(block)
            order = self.process.signal_everything(signal.SIGSTOP)
        if not self._signalled(order):
            self.pauses.discard(block)
            raise self.exited("or its keeper did not answer, when it should be paused")
        if first:
            self.tell(ServicePaused)

    def unpause(self, block: object) -> None:
        """Let the processes go on at the end of the last block; a second call does no harm."""
        with self.process._lock:
            last = self.pauses == {block}
            self.pauses.discard(block)
            if self.pauses:
                return
            order = self.process.signal_everything(signal.SIGCONT)
        self._signalled(order)
        if last and not self.told_end:
            self.tell(ServiceResumed)

    def signal(self, number: int, everything: bool) -> None:
        """Send a signal to the main process.

        :param everything: whether to send it to all processes; then wait until the keeper has.
        :raises NotRunning: if only the main process should get the signal, and it has ended.
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
        """Wait until the keeper has signalled all processes; return whether it has.

        :param order: the number of the order.
        """
        process, deadline = self.process, Deadline(ANSWER)
        while process.signalled < order and not process.gone and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
            process.pump()
        return process.signalled >= order

    def as_over(self) -> Instance:
        """What its executor sees of it once another one sees to its end."""
        seen = copy.copy(self)
        seen.lease, seen.prepared, seen.over = self.lease.as_over(), False, True
        seen.in_use, seen.told_end = False, True
        return seen

    # -- the tests that use it --

    def begin_test(self) -> None:
        """A test begins: output from now on belongs to it."""
        self.in_test = True
        self.earlier.clear()
        if self.in_use:
            # output that is not in the log yet belongs to the test before
            self.catch_up()
            first, self.since = self.since is None, self.log.size()
            self._lost_before = self.process.lost_bytes
            if not first:
                self.mark = max(self.mark, self.since)

    def end_test(self) -> None:
        """The test is over, and the output of earlier instances is of no interest any more."""
        self.in_test = False
        self.earlier.clear()

    def ask_for_news(self) -> int:
        """Ask the keeper to store all output and to report all news up to now.

        :returns: the number of the order, for :meth:`catch_up`; 0 if no keeper would answer.
        """
        process = self.process
        return process.sync() if process.mine() and process.pid and not process.gone else 0

    def catch_up(self, order: int | None = None) -> int:
        """Wait until the keeper has stored all output and reported all news up to now.

        :param order: what :meth:`ask_for_news` has returned, if that was called before: then other
            keepers can be asked meanwhile.
        :returns: a descriptor that is readable when there is more news, or -1.
        """
        process, deadline = self.process, Deadline(ANSWER)
        order = self.ask_for_news() if order is None else order
        while process.synced < order and not process.gone and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
            process.pump()
        return process.fileno()

    def excerpt(self) -> list[Line]:
        """The lines of output since the test began; repeated lines are folded."""
        lines, lost = excerpt(self.log, self.since or 0), self.process.lost_bytes
        if lost > self._lost_before:
            count, why = size(lost - self._lost_before), os.strerror(self.process.log_errno)
            lines.append(Line(f"[{count} of output could not be stored: {why}]", 0, 0))
        return lines

    def wrote(self) -> tuple[list[str], str]:
        """The output during the test, without its middle if it is long, and the log's path.

        The path is empty if the log is removed already.
        """
        if not self.in_use:
            return shorten(self.earlier), ""
        lines = self.earlier + self.excerpt()
        if lines:
            self.log_named = True
        return shorten(lines), self.log.path

    def written_in_test(self) -> str:
        """The output of this instance during the test up to now, as clean text."""
        self.catch_up()
        since = self.since or 0
        text = self.log.read(since, self.log.size() - since).decode("utf-8", "replace")
        return clean((self.log.begun(since) if since else "") + text)

    def ended(self) -> str:
        """In words, how it ended, if a test's report should mention that; empty otherwise."""
        silent = self.one_shot or not (self.in_use and self.process.mine())
        return "" if silent or self.running() else self.exit_words()

    def death(self, when: str) -> SummonError | None:
        """The error for an end that no test asked for: the same one at each call, or None.

        A one-shot, or a command that was ready when spawned, may end with status 0.  A service
        whose end a test has waited for may end with any status.

        :param when: the moment at which it was noticed, in words that follow "was killed by
            SIGKILL".
        """
        process = self.process
        if not (self.in_use and process.mine()):
            return None
        if self.hung is not None or self.running():
            return self.hung
        if self.awaited or process.ending:
            return None
        ended_well = process.exit_code in process.fine
        if ended_well and not process.lost and (self.one_shot or not self.waits):
            return None
        if self.died is None:
            self.tell_death(when)
            self.died = failures.died(self, when, process.left_others and ended_well)
        return self.died

    def death_in_block(self) -> SummonError | None:
        """The error of a death for a block that ends; programs that only write may have ended."""
        if not self.in_use:
            return None
        process, alive = self.process, self.running()
        ends_well = self.one_shot or not self.serves
        fine = process.fine if ends_well else frozenset()
        # whether it ends between this look and the stop, its keeper tells
        self.needed = fine if alive and process.pid else None
        if alive or (process.exit_code in fine and not process.lost):
            return self.hung
        return self.death("before it was stopped")

    def stands_idle(self) -> bool:
        """Whether a test has stopped it, so that it must be started before the next test."""
        if self.lease.over or not self.lease.begun or self.one_shot:
            return False
        return self.over or (self.awaited and not self.running())
