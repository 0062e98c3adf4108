"""``summon run``: runs a command while services are up."""

from __future__ import annotations

import argparse
import errno
import math
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

from ..errors import SummonError
from ..foreign import let_through, suppress
from ..scheduling.steps import Pause, Steps
from ..stacks.registry import ATTACH_VARIABLE
from ..unpatched import os, shutil, subprocess, time
from . import own_stack, signals
from .commands import Parsers
from .screen import Screen, put
from .target import Target, UsageError
from .variables import variables

EXAMPLES = """examples:
  summon run test_shop.py -- python manage.py runserver
  summon run test_shop.py db -- sh -c 'psql "$DATABASE_URL"'
  summon run test_shop.py -- pytest -n 8   tests with shared=True use these services
"""
#: as shells have it
NOT_EXECUTABLE, NOT_FOUND = 126, 127
#: seconds between looks whether the command has ended, where the system does not tell
_OFTEN = 0.01
#: seconds that the command has to end once its stack has gone down
_GRACE = 5.0


def add(parsers: Parsers) -> None:
    """Add the command."""
    parser = parsers.add(
        "run",
        "run a command while services are up",
        "Starts the services of TARGET, runs COMMAND with the variables that their clients read, "
        "and SUMMON_<NAME>_URL, _HOST and _PORT, and stops them when it has ended. The exit status "
        "is that of COMMAND.",
        EXAMPLES,
        call,
    )
    parser.usage = "summon run [-h] [--restart] [--report DIR] TARGET [NAME ...] -- COMMAND ..."
    own_stack.add_arguments(parser)


def call(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    if not options.command:
        raise UsageError("nothing to run: write summon run TARGET -- COMMAND …")
    target = own_stack.load(options)
    command = _Command(options.command)
    try:
        command.check()
        _run(command, target, options)
    except _CannotRun as error:
        put(f"summon: {error}\n", sys.stderr)
        return error.status
    return command.status


def _run(command: _Command, target: Target, options: argparse.Namespace) -> None:
    screen = Screen(target.orchestrator._members, sys.stderr)
    stack = own_stack.OwnStack(target, "run", screen, restart=options.restart, lasting=True)

    def when_up() -> None:
        facts = stack.registration.facts["services"]
        env = stack.owner.env()
        own = {ATTACH_VARIABLE: stack.registration.stack.path}
        command.start({**os.environ, **own, **variables(facts, env)})
        stack.owner.add(command.until_ended(stack.owner.end))

    try:
        stack.until_down(when_up)
    finally:
        command.end()


class _CannotRun(SummonError):
    """The command cannot be run, for a reason that its user can read.

    :param status: the exit status that says so.
    """

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.status = status


class _Command:
    """The command, which gets the signals that would end us; its services are stopped afterwards.

    :param words: the command.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []
        #: what signals have done before it was started
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """Look for it before anything is started.

        :raises _CannotRun: if there is no such program.
        """
        word = self._words[0]
        if shutil.which(word) is not None:
            return
        if os.sep in word and os.path.isdir(word):
            raise _CannotRun(f"{word}: is a directory", NOT_EXECUTABLE)
        place = shutil.which(word, os.F_OK)
        if place is None:
            raise _CannotRun(f"{word}: command not found", NOT_FOUND)
        raise _CannotRun(
            f"{place}: may not be executed: set its x permission, or name its interpreter",
            NOT_EXECUTABLE,
        )

    def start(self, env: Mapping[str, str]) -> None:
        """Start it, and give it the signals.

        :raises _CannotRun: if the system refuses to execute it.
        """
        # before it is there: Ctrl-C comes to it from the terminal, not from us
        takers = {
            **dict.fromkeys((signal.SIGINT, signal.SIGQUIT), self._ignore),
            **dict.fromkeys((signal.SIGTERM, signal.SIGHUP), self._pass_on),
        }
        for number, taker in takers.items():
            # what nohup, or a shell for its background, has us ignore is meant for the command, and
            # it inherits no handler
            handler = signal.SIG_IGN if number in signals.ignored else taker
            self._before[number] = signal.signal(number, handler)
        try:
            self._process = subprocess.Popen(self._words, env=env)
        except OSError as error:
            let_through(error)
            self._give_signals_back()
            raise self._refusal(error) from None
        for each in self._pending:
            self._process.send_signal(each)

    def _refusal(self, error: OSError) -> _CannotRun:
        """Why the system has refused to execute it."""
        word, status = self._words[0], NOT_EXECUTABLE
        if error.errno == errno.ENOEXEC:
            said = "is no program and has no #! line: name its interpreter"
        elif error.errno == errno.ENOENT:
            status = NOT_FOUND
            said = "the interpreter that its first line names, or its dynamic loader, is not there"
        else:
            said = f"cannot be executed: {error.strerror}"
        return _CannotRun(f"{word}: {said}", status)

    def _ignore(self, number: int, frame: FrameType | None) -> None:
        """Do nothing; not SIG_IGN, which the command would inherit."""

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._process is None:
            self._pending.append(number)
        else:
            self._process.send_signal(number)

    def until_ended(self, then: Callable[[], object]) -> Steps[None]:
        """Wait until it has ended, then call a function."""
        assert self._process is not None
        try:
            fds: tuple[int, ...] = (os.pidfd_open(self._process.pid),)
        except (AttributeError, OSError) as error:  # not on this system
            let_through(error)
            fds = ()
        try:
            while self._process.poll() is None:
                yield Pause(fds, math.inf if fds else time.monotonic() + _OFTEN)
        finally:
            for fd in fds:
                os.close(fd)
        self._give_signals_back()
        then()

    def _give_signals_back(self) -> None:
        """Have signals do again what they did before: it has ended, or it is to end."""
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def end(self) -> None:
        """Ask it to end, if the stack went down before it; kill it after a while, or at Ctrl-C."""
        self._give_signals_back()
        if self._process is None:
            return
        self._process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        finally:
            self._process.kill()
            self._process.wait()

    @property
    def status(self) -> int:
        """Its exit status, as shells have it."""
        if self._process is None:  # the start was called off
            return 1
        status = self._process.wait()
        return status if status >= 0 else 128 - status
