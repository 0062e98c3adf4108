"""One life of a service: from what was declared to a process, and to its end."""

from __future__ import annotations

import logging
import shlex
import signal
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from ..clean import line_of
from ..declaration.arguments import Limits
from ..declaration.command import Launch
from ..errors import (
    PortInUse,
    ProcessExited,
    SpawnFailed,
    StartFailed,
    StopFailed,
    SummonError,
    TimeoutExpired,
    is_ours,
)
from ..output.excerpt import ERROR_LINES, Line, excerpt, shorten
from ..readiness.conditions import AllOf, Stored
from ..readiness.progress import Progress
from ..readiness.wait import Outcome, Verdict, failed, until_ready
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps, run, wait
from ..system import ports
from ..unpatched import os, time
from ..wording import Report, counted, describe_exit, signal_name
from . import warden
from .life import RunFiles
from .process import Process, refusal
from .warden import ANSWER

if TYPE_CHECKING:
    from ..readiness.probe import Probe

logger = logging.getLogger("summon_testcase")
Error = TypeVar("Error", bound=SummonError)
E = TypeVar("E", bound=BaseException)


_warned = False
#: seconds between looks at what a command is to end elsewhere
_LOOK = 0.02


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


def _said(output: Iterable[str], words: str) -> bool:
    return any(words in line.lower() for line in output)


class Instance:
    """A process, its files, and what has been learnt of it."""

    def __init__(
        self,
        name: str,
        files: RunFiles,
        launch: Launch,
        limits: Limits,
        outlasts: bool = False,
    ) -> None:
        self.name = name
        #: it may be ready, or run, when nothing of it is alive here
        self.outlasts = outlasts
        #: asked once, when nothing of it is alive here any more: whether it may still run
        self.lives_elsewhere: Callable[[], bool] | None = None
        #: of a launcher: asks who listens where it was to leave its server
        self.who_is_there: Callable[[float], Steps[PortInUse | None]] | None = None
        #: what is there when it was killed, in words
        self._left = ""
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
        #: why its port could not be bound when it was started, in words
        self.lingering = ""
        #: that port
        self.port: int | None = None
        self.ready = False
        #: a test has waited for its end
        self.awaited = False
        #: the statuses that are no death, where a block has needed it until it is stopped
        self.needed: frozenset[int] | None = None
        #: it did not answer any more while it was needed
        self.hung: SummonError | None = None
        #: how it ended while it was needed
        self.death: ProcessExited | None = None
        self.process = Process(launch, files)

    # -- the start --

    def get_ready(self, probe: Probe | None, deadline: Deadline) -> Steps[None]:
        """Wait until spawned and ready; on any failure leave nothing running.

        :param probe: None if it is ready once it is spawned, even if it ends at that moment.
        """
        try:
            self.process.spawn()
            yield from self._spawned()
            if probe is not None:
                yield from self._wait(probe, deadline)
            self.ready = True
        except BaseException as error:
            told = self.named(error)
            self.kill()
            if isinstance(told, SummonError) and self.survivors():
                told.consequences += (f"{self.name}: {self.survivors()}",)
            if told is error:
                raise
            raise told from error.__cause__

    def _wait(self, probe: Probe, deadline: Deadline) -> Steps[None]:
        asked = AllOf([Stored(self._not_stored), probe])
        outcome = yield from until_ready(
            self.process, asked, deadline, Progress(self.name), self.outlasts
        )
        if outcome.verdict is not Verdict.READY:
            raise self._not_ready(probe, outcome, deadline.elapsed())

    def _not_ready(self, probe: Probe, outcome: Outcome, waited: float) -> StartFailed:
        asked = f" (asked {counted(outcome.attempts, 'time')})"
        said = outcome.refusal + asked if outcome.refusal else ""
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
            said = warden.no_answer() if process.lost else "it was stopped first"
        else:
            said = refusal(*process.refused, self.launch)
        raise self.error(SpawnFailed, f"{self.name}: not started: {said}")

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

    def excerpt(self) -> list[Line]:
        """What it wrote since the test began, what repeats itself folded."""
        return excerpt(self.log, self.since or 0)

    def catch_up(self) -> None:
        """Wait until the keeper has taken in, and told, what has happened up to now."""
        process, deadline = self.process, Deadline(ANSWER)
        if not process.mine() or process.gone or not process.pid:  # no keeper would answer
            return
        # there always is output beyond here, and the keeper looks at everything else first
        process._watching = True
        process._tell("watch", -1)
        while process._watching and not process.gone and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
            process.pump()

    # -- the end --

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal everything that the service started, and wait until it is gone.

        :param number: if it is not SIGKILL, that follows when ``stop_timeout`` has passed.
        """
        process = self.process
        process.pump()
        asks = not process.gone and self._may_be_elsewhere()
        try:
            if number != signal.SIGKILL:
                run(self._signalled_to_death(number))
            if self.outlasts and self.launch.stop:
                # what it stops is no process of ours that could be killed
                grace = self.limits.stop_timeout
                run(self._gone(lambda: self._request_stop(grace), grace + ANSWER))
                if failure := self._stop_command_failed(grace):
                    logger.warning("%s: %s", self.name, failure)
        finally:
            run(self._gone(process.request_kill, ANSWER))
        if asks:
            self._left = run(self._left_elsewhere(Deadline(self.limits.stop_timeout)))

    def _may_be_elsewhere(self) -> bool:
        """Whether what is to be ended may be no process of ours."""
        self.running()  # finds it out
        return self.outlasts

    def _left_elsewhere(self, deadline: Deadline) -> Steps[str]:
        """What goes on where a launcher has left it, in words; a command may have to end it yet."""
        if self.who_is_there is None:
            return ""
        while True:
            found = yield from self.who_is_there(time.monotonic() + ANSWER)
            if found is None:
                return ""
            if not self.launch.stop or deadline.expired():
                said = found.message.removeprefix(f"{self.name} cannot start: ")
                return f"what it left goes on: {said}: declare a stop_command= that ends it"
            yield Pause((), min(time.monotonic() + _LOOK, deadline.at))

    def _signalled_to_death(self, number: int) -> Steps[None]:
        process, deadline = self.process, Deadline(self.limits.stop_timeout)
        if not process.mine():
            return
        process.signal_everything(number)
        if self._pauses:
            process.signal_everything(signal.SIGCONT)
        process.pump()
        while not process.ended and not deadline.expired():
            yield Pause((process.fileno(),), deadline.at)
            process.pump()

    def _request_stop(self, grace: float) -> None:
        self.process.request_stop(signal.SIGKILL, grace, self.launch.stop, self.outlasts)

    def _stop_command_failed(self, grace: float) -> str:
        """How the command that stops it failed, in words; empty if it did not."""
        said = self.process.stopper_said
        if said is None or said[0] == 0:
            return ""
        how = describe_exit(said[0])
        if said[0] == -signal.SIGKILL:
            how = f"did not end within {grace:g} s"
        lines = [line_of(line) for line in said[1].splitlines() if line.strip()]
        output = ": " + " | ".join(lines) if lines else ""
        return f"stop_command={shlex.join(self.launch.stop)!r} {how}{output}"

    def survivors(self) -> str:
        """What could not be ended, and why; empty if nothing lives on."""
        left = self.process.killed[2]
        if not left:
            return self._left
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

    def stop(self, number: int | None = None, timeout: float | None = None) -> Steps[None]:
        """End it politely, then by force.

        :param number: a signal, instead of its own or of the command that stops it.
        :param timeout: seconds, instead of its own.
        :raises StopFailed: if it had to be killed, or ended with an unexpected status.
        """
        process, launch = self.process, self.launch
        grace = self.limits.stop_timeout if timeout is None else timeout
        process.pump()
        elsewhere, deadline = not process.gone and self._may_be_elsewhere(), Deadline(grace)
        # a signal does not reach what a launcher has left elsewhere
        argv = launch.stop if number is None or self.outlasts else ()
        number = self.limits.stop_signal if number is None else number
        was_running = process.exit_code is None and not process.gone
        if self._pauses:
            process.signal_everything(signal.SIGCONT)
        began = time.monotonic()
        try:
            yield from self._gone(
                lambda: process.request_stop(number, grace, argv, self.outlasts), grace + ANSWER
            )
        except BaseException:
            self.kill()
            raise
        if self.needed is not None and self._died(self.needed):
            raise self.exited("before it was stopped")
        failure = self._not_stopped(number, grace, argv, was_running)
        if elsewhere and not failure:
            failure = yield from self._left_elsewhere(deadline)
        if failure:
            took = time.monotonic() - began
            raise self.error(StopFailed, f"{self.name}: {failure}", seconds=took)

    def _died(self, fine: frozenset[int]) -> bool:
        """Whether it had ended when it was to be stopped, and not by us.

        :param fine: statuses that are no death.
        """
        process, status = self.process, self.process.exit_code
        if self.awaited or self.outlasts:
            return False
        killed = status == -signal.SIGKILL and not process.killed[0]
        return killed or (bool(process.died_first) and status not in fine)

    def _not_stopped(self, number: int, grace: float, argv: tuple[str, ...], ran: bool) -> str:
        """Why it did not stop as it should, in words; empty if it did.

        :param ran: it had not ended before.
        """
        process, status = self.process, self.process.exit_code
        main_killed, killed, immortal = process.killed
        command = self._stop_command_failed(grace)
        also = f"; {command}" if command else ""
        if immortal:
            return self.survivors() + also
        if process.lost:
            return "its keeper was killed, and it with it"
        by = f"stop_command= and {signal_name(number)}" if argv else signal_name(number)
        if main_killed or killed:
            who = "it" if main_killed else f"{counted(killed, 'process')} that it left"
            return (
                f"{who} did not end within {grace:g} s of {by} and was killed: give it longer with "
                f"stop_timeout=, or another stop_signal={also}"
            )
        if command:
            return command
        # a shell, a JVM and others turn the signal into a status
        accepted = {0, -number, 128 + number, *self.limits.expected_exit, None}
        if ran and status not in accepted:
            return (
                f"{self.exit_words()} when it was stopped by {by.partition(' ')[0]}: if that is "
                f"how it ends, declare expected_exit={status}{also}"
            )
        return ""

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
        ask = self.lives_elsewhere
        if ask is not None and self.process.ended:
            self.lives_elsewhere, self.outlasts = None, ask()
        return not failed(self.process, self.outlasts)
