"""``summon run``: runs a command while services are up."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from ..foreign import let_through
from ..scheduling.steps import Pause, Steps
from ..stacks.registry import ATTACH_VARIABLE
from ..unpatched import os, shutil, subprocess, time
from . import own_stack
from .commands import Parsers
from .screen import Screen
from .target import UsageError
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
    found = shutil.which(options.command[0])
    if found is None:
        sys.stderr.write(f"summon: {options.command[0]}: command not found\n")
        return NOT_FOUND
    screen = Screen(target.orchestrator._members, sys.stderr)
    stack = own_stack.OwnStack(target, "run", screen, restart=options.restart, lasting=True)
    command = _Command(options.command)

    def when_up() -> None:
        facts = stack.registration.facts["services"]
        env = {name: executor.env() for name, executor in stack.owner.services.items()}
        own = {ATTACH_VARIABLE: stack.registration.stack.path}
        command.start({**os.environ, **own, **variables(facts, env)})
        stack.owner.add(command.until_ended(stack.owner.end))

    try:
        stack.until_down(when_up)
    except PermissionError as error:
        let_through(error)
        sys.stderr.write(f"summon: {options.command[0]}: {error.strerror}\n")
        return NOT_EXECUTABLE
    finally:
        command.end()
    return command.status


class _Command:
    """The command, which gets the signals that would end us; its services are stopped afterwards.

    :param words: the command.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self._pending: list[int] = []

    def start(self, env: Mapping[str, str]) -> None:
        # before it is there: Ctrl-C comes to it from the terminal, not from us
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._ignore)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        self._process = subprocess.Popen(self._words, env=env)
        for each in self._pending:
            self._process.send_signal(each)

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
        then()

    def end(self) -> None:
        """Ask it to end, if the stack went down before it, and wait."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    @property
    def status(self) -> int:
        """Its exit status, as shells have it."""
        if self._process is None:  # the start was called off
            return 1
        status = self._process.wait()
        return status if status >= 0 else 128 - status
