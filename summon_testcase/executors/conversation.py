"""What a service says, and what it is told.

From here up to the flavours of executors, what only a process that runs needs is imported where
it is first needed: a TestCase is declared much more often than it is run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TextIO

from ..clean import clean
from ..declaration import arguments
from ..declaration.arguments import Limits, Pattern, compile_patterns
from ..errors import InvalidArgument, NotRunning, SummonError, TimeoutExpired
from ..scheduling.deadline import Deadline
from ..scheduling.steps import run
from ..tracebacks import boundary, hidden
from .copies import Copied
from .executor import Executor

if TYPE_CHECKING:
    from ..output.excerpt import Line
    from ..supervision.instance import Instance
    from ..supervision.life import Life, RunFiles

__tracebackhide__ = hidden


class Conversation(Copied, Executor):
    """An executor whose process, once it runs, is listened to and talked to."""

    def __init__(self, name: str, label: str, limits: Limits, host: str, port: int | None) -> None:
        self.name = name
        self._label = label
        self._limits = limits
        self._host = host
        self._port = port
        #: what stays the same from run to run; None before the first, and after the last
        self._life: Life | None = None
        #: the files of the run, also while it is being started
        self._files: RunFiles | None = None
        self._instance: Instance | None = None
        self._exit_code: int | None = None
        self._in_test = False
        #: what runs that ended during the test wrote in it
        self._earlier: list[Line] = []
        #: the match of the banner; None without one
        self.match: re.Match[str] | None = None

    # -- copies --

    def __getstate__(self) -> dict[str, Any]:
        """A copy is the declaration, which has not been started."""
        state = {**vars(self), "_earlier": [], "_in_test": False, "_has_run": False}
        for gone in ("_instance", "_files", "_life", "_exit_code", "match", "_banner_seen"):
            state[gone] = None
        for bound in ("_services", "_in_testcase"):
            state.pop(bound, None)
        return state

    def _away(self) -> dict[str, Any] | None:
        if self._instance is None:
            return None
        from .elsewhere import state_of

        return state_of(self)

    @property
    def _called(self) -> str:
        """Its name, or what stands for one."""
        return self.name or self._label

    def _current(self, wanted: str) -> Instance:
        # read once: another thread, or a signal handler, may stop it at any moment
        instance = self._instance
        if instance is None:
            raise NotRunning(
                f"{self._called}: has no {wanted}, since it is not running: call start() first",
                executor=self._called,
            )
        return instance

    def _files_now(self) -> RunFiles:
        """The files of the run, also while it is being started."""
        files = self._files
        if files is None:
            self._current("files")
            raise AssertionError("a run has files")
        return files

    def _life_now(self, wanted: str) -> Life:
        life = self._life
        if life is None:
            raise NotRunning(
                f"{self._called}: has no {wanted}, since it is not running: call start() first",
                executor=self._called,
            )
        return life

    def output(self) -> TextIO:
        """What it wrote after it was ready, as a text stream that begins anew at each call.

        It is given as it was written, with the escape sequences of colours if there are any.
        Reading blocks until there is something, until the service ends (end of file), or
        until ``timeout`` seconds have passed.

        :raises NotRunning: if it was not started.
        :raises TimeoutExpired: from a read that waited too long.
        """
        from ..readiness.output import open_output

        instance = self._current("output")

        def late(waited: float) -> TimeoutExpired:
            return instance.error(
                TimeoutExpired,
                f"{self._called}: no output within {self._limits.timeout:g} s",
                timeout=self._limits.timeout,
                seconds=waited,
            )

        return open_output(
            instance.log, instance.process, instance.output_from, self._limits.timeout, late
        )

    @boundary
    def wait_for_output(
        self,
        pattern: Pattern | list[Pattern],
        timeout: float | None = None,
        *,
        raw: bool = False,
    ) -> re.Match[str]:
        """Block until the output matches, from where the last match ended.

        What is matched is clean text: without escape sequences, such as those for colours, and
        with ``\\n`` at the ends of lines.

        In a TestCase, lines that were written before the test began are passed over, but for
        those since it became ready if this is the first test that uses it.

        :param pattern: a regular expression as text or compiled, or a list: any of them.
        :param timeout: seconds; default: the executor's own.
        :param raw: match the output as it was written, escape sequences and all.
        :returns: the match.
        :raises InvalidArgument: for what is no pattern, or no duration.
        :raises TimeoutExpired: with the first and the last lines of output.
        :raises ProcessExited: if the service ends without such output.
        :raises NotRunning: if it was not started.
        """
        from ..readiness.output import Observer, OutputProbe
        from ..readiness.wait import Verdict, until_ready

        instance = self._current("output")
        patterns = compile_patterns(pattern, self._called, "pattern")
        arguments.flag(self._called, "raw", raw)
        deadline = self._deadline(timeout)
        observer = Observer(instance.log, patterns, instance.mark, raw)
        probe = OutputProbe(observer, patterns)
        outcome = run(until_ready(instance.process, probe, deadline))
        if probe.match is None:
            facts = {
                "waiting_for": probe.describe(),
                "refusal": outcome.refusal,
                "seconds": deadline.elapsed(),
            }
            if outcome.verdict is Verdict.EXITED:
                raise instance.exited("before it wrote what was waited for", **facts)
            raise instance.error(
                TimeoutExpired,
                f"{self._called}: {probe.describe()} did not come within {deadline.seconds:g} s",
                timeout=deadline.seconds,
                **facts,
            )
        instance.mark = observer.after_match()
        return probe.match

    def send(self, text: str, timeout: float | None = None) -> None:
        """Write text to its standard input; block until all of it is taken.

        Taken is what the service has read, or what waits for it in the terminal or pipe: some
        64 KiB.  A terminal passes on at most 4,096 bytes of a line.

        :param timeout: seconds; default: the executor's own.
        :raises TimeoutExpired: if it does not read; its ``taken`` says how many bytes were
            taken.  The rest is dropped.
        :raises ProcessExited: if it has ended, or does meanwhile.
        :raises NotRunning: if it was not started, or has closed its input.
        :raises InvalidArgument: if there is no text, or nobody to read it (``stdin=None``).
        """
        from . import standard_input

        instance, deadline = self._current("input"), self._deadline(timeout)
        if not isinstance(text, str):
            kind = type(text).__name__
            raise InvalidArgument(
                f"{self._called}: send() was given {kind}: give it a str", executor=self._called
            )
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise InvalidArgument(
                f"{self._called}: send() was given a lone surrogate, which no encoding has: "
                "leave it out",
                executor=self._called,
            ) from None
        self._refuse_silent(instance, "send()")
        taken = standard_input.send(instance.process, data, deadline)
        if taken < len(data):
            raise self._not_taken(instance, deadline, f"{taken} of {len(data)} bytes", taken)

    def sendline(self, text: str = "", timeout: float | None = None) -> None:
        """Write a line to its standard input, see :meth:`send`."""
        self.send(text + "\n" if isinstance(text, str) else text, timeout)

    def send_eof(self, timeout: float | None = None) -> None:
        """End its standard input: what reads it finds no more.

        On a terminal that is what Ctrl-D does, so that a service may go on to read, and be sent
        more; an unfinished line is passed on first.  What edits lines itself (readline) must
        have shown its prompt by then.  A pipe is closed for good; to close it again does nothing.

        :param timeout: seconds until it has taken what was sent before; default: the
            executor's own.
        :raises TimeoutExpired: if it does not read.
        :raises ProcessExited: if it has ended, or does meanwhile.
        :raises NotRunning: if it was not started.
        :raises InvalidArgument: if nobody can send it anything (``stdin=None``).
        """
        from . import standard_input

        instance, deadline = self._current("input"), self._deadline(timeout)
        self._refuse_silent(instance, "send_eof()")
        if not instance.process.input_closed and not standard_input.end(instance.process, deadline):
            raise self._not_taken(instance, deadline, "the end of its input")

    def _deadline(self, timeout: float | None) -> Deadline:
        """The end of a wait that a test may give a timeout of its own."""
        if timeout is None:
            return Deadline(self._limits.timeout)
        arguments.seconds(self._called, "timeout", timeout)
        return Deadline(timeout)

    def _refuse_silent(self, instance: Instance, method: str) -> None:
        if instance.launch.silent:
            raise InvalidArgument(
                f"{self._called}: {method} has nobody to write to, since stdin=None was declared: "
                "leave that out",
                executor=self._called,
            )

    def _not_taken(
        self, instance: Instance, deadline: Deadline, what: str, taken: int | None = None
    ) -> SummonError:
        process = instance.process
        if process.ended:
            return instance.exited(f"before it had taken what was sent to it ({what})", taken=taken)
        waited = deadline.elapsed()
        said = f"{self._called}: did not take what was sent to it ({what})"
        if process.input_closed:
            closed = "it has closed its standard input, or send_eof() has"
            return instance.error(NotRunning, f"{said}: {closed}", taken=taken, seconds=waited)
        return instance.error(
            TimeoutExpired,
            f"{said} within {deadline.seconds:g} s: it does not read its standard input, or "
            "too slowly",
            timeout=deadline.seconds,
            taken=taken,
            seconds=waited,
        )

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines of its output, as clean text.

        Escape sequences are left out, other controls spelt out; of a line that was written
        over (a progress bar) the last state is given.

        :param lines: how many, at most.
        :raises InvalidArgument: for what is no such number.
        :raises NotRunning: if it was not started.
        """
        return self._current("output").log.tail(arguments.count(self._called, "lines", lines))

    # -- for test cases --

    def _begin_test(self) -> None:
        """What it writes from now on belongs to the test that begins."""
        self._in_test = True
        self._earlier.clear()
        instance = self._instance
        if instance is not None:
            # what is on its way to the log belongs to the test before
            instance.catch_up()
            first, instance.since = instance.since is None, instance.log.size()
            if not first:
                instance.mark = max(instance.mark, instance.since)

    def _end_test(self) -> None:
        """The test is over."""
        self._in_test = False
        self._earlier.clear()

    def _catch_up(self) -> int:
        """Take in what has happened up to now; a descriptor that is readable on news, or -1."""
        instance = self._instance
        if instance is None:
            return -1
        instance.catch_up()
        return instance.process.fileno()

    def _wrote(self) -> tuple[list[str], str]:
        """Lines that it wrote during the test, the middle cut out, and the path of its log."""
        from ..output.excerpt import shorten

        instance, lines = self._instance, list(self._earlier)
        if instance is None:
            return shorten(lines), ""
        lines += instance.excerpt()
        if lines:
            instance.log_named = True
        return shorten(lines), instance.log.path

    def _written_in_test(self) -> str:
        """All that its present run wrote during the test, up to now, as clean text.

        :raises NotRunning: if it was not started.
        """
        instance = self._current("output")
        instance.catch_up()
        since = instance.since or 0
        text = instance.log.read(since, instance.log.size() - since).decode("utf-8", "replace")
        return clean((instance.log.begun(since) if since else "") + text)
