"""One run of a service: from the declared arguments to a process, and to its end."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from . import warden
from .arguments import Limits
from .command import Launch
from .conditions import AllOf, Stored
from .deadline import Deadline
from .errors import (
    ProcessExited,
    SpawnFailed,
    StartFailed,
    StopFailed,
    SummonError,
    TimeoutExpired,
)
from .excerpt import ERROR_LINES, Line, excerpt, shorten
from .life import RunFiles
from .process import Process, refusal
from .progress import Progress
from .readiness import Outcome, Verdict, failed, until_ready
from .report import Report, counted, describe_exit, signal_name
from .steps import Pause, Steps, drive, wait
from .unpatched import os, time
from .warden import ANSWER

if TYPE_CHECKING:
    from .probes import Probe

logger = logging.getLogger("summon_testcase")
Error = TypeVar("Error", bound=SummonError)


_warned = False


def _warn_of_orphans() -> None:
    """Say once what is not promised where the system forbids to be a sub-reaper."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "summon_testcase may not adopt orphaned processes here (a sandbox forbids "
            "PR_SET_CHILD_SUBREAPER): what a service leaves in a session of its own, such as a "
            "daemon, does not count as running, is not stopped and outlives the tests; so does "
            "a service whose keeper is killed",
            RuntimeWarning,
            stacklevel=2,
        )


class Run:
    """A process, its files, and what has been learnt of it."""

    def __init__(self, name: str, files: RunFiles, launch: Launch, limits: Limits) -> None:
        self.name = name
        self.files = files
        self.log = files.log
        self.launch = launch
        self.limits = limits
        self.began = time.monotonic()
        #: the log has been named to the user, who will want to read it
        self.log_named = False
        #: where wait_for_output and output() begin
        self.mark = 0
        self.output_from = 0
        #: the blocks in which it is frozen
        self._pauses: set[object] = set()
        #: where the test that runs now began, once one has
        self.since: int | None = None
        #: how it ended while it was needed
        self.death: ProcessExited | None = None
        self.process = Process(launch, files)

    # -- the start --

    def get_ready(self, probe: Probe, deadline: Deadline) -> Steps[None]:
        """Wait until spawned and ready; on any failure leave nothing running."""
        try:
            self.process.spawn()
            yield from self._spawned()
            asked = AllOf([Stored(self._not_stored), probe])
            outcome = yield from until_ready(self.process, asked, deadline, Progress(self.name))
            if outcome.verdict is not Verdict.READY:
                raise self._not_ready(probe, outcome, deadline.elapsed())
        except BaseException as error:
            told = error
            if isinstance(error, StartFailed) and error.executor is None:
                # found by the probe, which does not know whose it is
                told = self.error(type(error), f"{self.name}: {error.message}", **vars(error))
            self.kill()
            if isinstance(told, SummonError) and self.survivors():
                told.consequences += (f"{self.name}: {self.survivors()}",)
            if told is error:
                raise
            raise told from error.__cause__

    def _not_ready(self, probe: Probe, outcome: Outcome, waited: float) -> StartFailed:
        said = f"{outcome.refusal} (asked {counted(outcome.attempts, 'time')})"
        facts = {"waiting_for": probe.describe(), "refusal": said, "seconds": waited}
        if outcome.verdict is Verdict.EXITED:
            return self.exited("before it was ready", **facts)
        where = probe.astray(self.process)
        return self.error(
            TimeoutExpired,
            f"{self.name}: not ready within {self.limits.timeout:g} s"
            + (f": {self.name} {where}" if where else ""),
            timeout=self.limits.timeout,
            **facts,
        )

    def _not_stored(self, number: int) -> SpawnFailed:
        said = f"its log could not be written: {os.strerror(number)}"
        return self.error(SpawnFailed, f"{self.name}: not started: {said}")

    def _spawned(self) -> Steps[None]:
        process, deadline = self.process, Deadline(ANSWER)
        while not process.pid and not process.gone:
            if deadline.expired():
                process.abandon()
            yield Pause((process.fileno(),), deadline.at)
            process.pump()
        if process.pid:
            if process.keeps_no_orphans:
                _warn_of_orphans()
            return
        if process.refused is None:
            said = "it was stopped first"
            if process.lost:
                said = f"its keeper, run by {sys.executable}, died or did not answer"
                complaint = warden.said()
                said += f", and said:\n{complaint}" if complaint else " and said nothing"
        else:
            said = refusal(*process.refused, self.launch)
        raise self.error(SpawnFailed, f"{self.name}: not started: {said}")

    # -- errors --

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
            log_path=self.log.path,
            **{"seconds": time.monotonic() - self.began, **known},  # type: ignore[arg-type]
        )
        self.log_named = True
        lost = self.process.log_errno
        if lost and kind is not SpawnFailed:
            sentence += f" (part of its log could not be written: {os.strerror(lost)})"
        return kind(sentence, **{**facts, "executor": self.name, "report": report})

    def exit_words(self) -> str:
        """How the main process ended; empty while it lives."""
        status = self.process.exit_code
        if status is not None:
            return describe_exit(status)
        return "its keeper was killed, and so was it" if self.process.lost else ""

    def exited(self, when: str, **facts: object) -> ProcessExited:
        """The error for a process that ended when it was needed."""
        how = self.exit_words() or "has ended"
        return self.error(
            ProcessExited,
            f"{self.name}: {how} {when}",
            exit_code=self.process.exit_code,
            **facts,
        )

    def excerpt(self) -> list[Line]:
        """What it wrote since the test began, what repeats itself folded."""
        return excerpt(self.log, self.since or 0)

    def catch_up(self) -> None:
        """Wait until the keeper has taken in, and told, what has happened up to now."""
        process, deadline = self.process, Deadline(ANSWER)
        if not process.mine() or process.gone:
            return
        # there always is output beyond here, and the keeper looks at everything else first
        process._watching = True
        process._tell("watch", -1)
        while process._watching and not process.gone and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
            process.pump()

    # -- the end --

    def kill(self) -> None:
        """SIGKILL everything that the service started, and wait until it is gone."""
        drive(self._gone(self.process.request_kill, ANSWER))

    def survivors(self) -> str:
        """What could not be killed in the end, and why; empty if nothing lives on."""
        left = self.process.killed[2]
        if not left:
            return ""
        why = "it belongs to another user, or hangs in the kernel"
        return f"{counted(left, 'process')} could not be killed: {why}"

    def _gone(self, request: Callable[[], None], patience: float) -> Steps[None]:
        process = self.process
        if not process.mine():
            return
        process.pump()
        if not process.gone:
            request()
        deadline = Deadline(patience)
        while not process.gone:
            if deadline.expired():
                process.abandon()
            yield Pause((process.fileno(),), deadline.at)
            process.pump()

    def stop(self) -> Steps[None]:
        """End it politely, then by force.

        :raises StopFailed: if it had to be killed, or ended with an unexpected status.
        """
        process, limits = self.process, self.limits
        process.pump()
        was_running = process.exit_code is None and not process.gone
        if self._pauses:
            process.signal_everything(signal.SIGCONT)
        began = time.monotonic()
        try:
            yield from self._gone(
                lambda: process.request_stop(limits.stop_signal, limits.stop_timeout),
                limits.stop_timeout + ANSWER,
            )
        except BaseException:
            self.kill()
            raise
        took = time.monotonic() - began
        name = signal_name(limits.stop_signal)
        main_killed, killed, immortal = process.killed
        if immortal:
            raise self.error(StopFailed, f"{self.name}: {self.survivors()}", seconds=took)
        if process.lost:
            raise self.error(
                StopFailed, f"{self.name}: its keeper was killed, and it with it", seconds=took
            )
        if main_killed or killed:
            who = "it" if main_killed else f"{counted(killed, 'process')} that it left"
            raise self.error(
                StopFailed,
                f"{self.name}: {who} did not end within {limits.stop_timeout:g} s of "
                f"{name} and was killed: give it longer with stop_timeout=, or another "
                "stop_signal=",
                seconds=took,
            )
        status = process.exit_code
        # a shell, a JVM and others turn the signal into a status
        stopped = limits.stop_signal
        accepted = {0, -stopped, 128 + stopped, *limits.expected_exit, None}
        if was_running and status not in accepted:
            raise self.error(
                StopFailed,
                f"{self.name}: {self.exit_words()} when it was stopped by {name}: if "
                f"that is how it ends, declare expected_exit={status}",
                seconds=took,
            )

    def pause(self, block: object) -> None:
        """Freeze all of it, and wait until that is done, as long as one block wants it so."""
        with self.process._lock:
            self._pauses.add(block)
            order = self.process.signal_everything(signal.SIGSTOP)
        if not self._signalled(order):
            raise self.exited("or its keeper did not answer, when it should be paused")

    def unpause(self, block: object) -> None:
        """A block is over: let it go on if no other one is left; may be called twice."""
        with self.process._lock:
            self._pauses.discard(block)
            if self._pauses:
                return
            order = self.process.signal_everything(signal.SIGCONT)
        self._signalled(order)

    def signal_everything(self, number: int) -> None:
        """Signal all processes of the service, and wait until that is done."""
        self._signalled(self.process.signal_everything(number))

    def _signalled(self, order: int) -> bool:
        """Wait until an order to signal everything is carried out; whether it was."""
        process, deadline = self.process, Deadline(ANSWER)
        while process.signalled < order and not process.gone and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
            process.pump()
        return process.signalled >= order

    def running(self) -> bool:
        """Whether it is alive: the main process, or the daemon that it left."""
        self.process.pump()
        return not failed(self.process)
