"""Brings a stack up, owns it until it goes down, and stops it: for ``up`` and for ``run``."""

from __future__ import annotations

import argparse
import errno
import math
import stat
from collections.abc import Callable
from contextlib import closing

from ..errors import SummonError
from ..events import Event, ServiceReady, ServiceWaiting, Warned, subscribe
from ..foreign import suppress
from ..reports import terminal
from ..scheduling.steps import Pause, Scheduler, Steps, run
from ..stacks.owner import Owner
from ..stacks.registry import Registration
from ..supervision.recording import REPORT
from ..tracebacks import in_a_sentence
from ..unpatched import os, select, time
from . import target
from .screen import Following, NobodyReads, Screen
from .target import Target

#: seconds between looks at what services have written
_OFTEN = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``up`` and ``run`` have in common."""
    parser.add_argument("target", metavar="TARGET", help=target.FORMS)
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="only these services, and those that they need"
    )
    parser.add_argument("--restart", action="store_true", help="start a service again that dies")
    parser.add_argument("--report", metavar="DIR", help="write a report into this directory")


def load(options: argparse.Namespace) -> Target:
    """What TARGET and its NAMEs mean."""
    if options.report:
        # also for tests that the command runs, which add to the same report
        os.environ[REPORT] = os.path.abspath(options.report)
    return target.load(options.target, options.names)


class OwnStack:
    """A stack that this process brings up, and stops again.

    :param services: what TARGET means.
    :param how: the command, ``up`` or ``run``.
    :param screen: where deaths and restarts are told.
    :param progress: whether to tell how the start goes on.
    :param follow: whether to show what services write, once all are ready.
    :param restart: whether services that die are started again.
    :param lasting: whether to go on when no service runs any more.
    :raises AlreadyRunning: if the stack is up already.
    """

    def __init__(
        self,
        services: Target,
        how: str,
        screen: Screen,
        *,
        progress: bool = False,
        follow: bool = False,
        restart: bool = False,
        lasting: bool = False,
    ) -> None:
        self.screen = screen
        #: whether a second Ctrl-C has killed what the first one was stopping
        self.killed = False
        self._orchestrator = services.orchestrator
        self._tells_progress = progress
        self._following = Following(screen) if follow else None
        self.registration = Registration(
            how=how, target=services.text, file=services.file, name=services.name
        )
        self.owner = Owner(
            services.orchestrator,
            self.registration,
            restart=restart,
            lasting=lasting,
            tell=self._tell,
        )

    def until_down(self, when_up: Callable[[], object]) -> None:
        """Start everything, serve until it goes down, and stop what runs then.

        :param when_up: called when all is ready.
        :raises SummonError: if the start or the stop fails.
        """
        unsubscribe = subscribe(self._tell_progress) if self._tells_progress else None
        terminal.shown_elsewhere = self._tells_progress

        def follow_from_now_on() -> None:
            when_up()
            if self._following:
                self.owner.add(self._follow())

        try:
            if self._following:
                self.owner.add(_reader_is_there(1))
            run(self.owner.steps(follow_from_now_on))
        finally:
            try:
                self.stop()
            finally:
                self.registration.remove()
                terminal.shown_elsewhere = False
                if unsubscribe:
                    unsubscribe()

    def stop(self) -> None:
        """Stop everything in the reverse order; Ctrl-C meanwhile kills.

        :raises SummonError: if a service did not stop as it should.
        """
        try:
            if self._orchestrator._started and self._tells_progress:
                with suppress(OSError):
                    self.screen.tell("stopping")
            with in_a_sentence():
                run(self._stopping())
        except BaseException as error:
            self.killed = not isinstance(error, Exception)
            self._orchestrator._clear()
            raise
        failure = self.owner.failure
        if failure is not None:
            raise failure

    def _stopping(self) -> Steps[None]:
        scheduler = Scheduler()
        scheduler.add(self._orchestrator._stopping())
        errors: list[BaseException] = []
        try:
            while scheduler:
                errors += [error for _, error in scheduler.advance() if error is not None]
                with suppress(OSError):  # the stop goes on when nobody reads any more
                    self._look()
                if scheduler:
                    pause = scheduler.pause()
                    yield pause._replace(until=min(pause.until, time.monotonic() + _OFTEN))
        finally:
            scheduler.cancel()
        if self._following:
            with suppress(OSError), closing(self._following):
                self._following.finish()
        for error in errors:
            raise error

    def _follow(self) -> Steps[None]:
        while True:
            self._look()
            yield Pause((), time.monotonic() + _OFTEN)

    def _look(self) -> None:
        if self._following:
            instances = {n: e._instance for n, e in self.owner.services.items()}
            self._following.look({n: i.log.path for n, i in instances.items() if i is not None})

    def _tell(self, name: str, what: object) -> None:
        self._look()  # what it wrote before
        self.screen.tell(what if isinstance(what, SummonError) else f"{name} {what}")

    def _tell_progress(self, event: Event) -> None:
        with suppress(OSError):  # what cannot be written is noticed when all is ready
            if isinstance(event, ServiceReady):
                self.screen.tell(f"{event.service} is ready after {event.after:.2f} s")
            elif isinstance(event, ServiceWaiting):
                hint = f" ({event.hint})" if event.hint else ""
                self.screen.tell(f"{event.service} is waited for: {event.refusal}{hint}")
            elif isinstance(event, Warned):
                self.screen.tell(event.text)


def _reader_is_there(fd: int) -> Steps[None]:
    """Raise NobodyReads once nobody can read any more what is written to a pipe.

    Otherwise a stack whose services are silent would go on after ``| head``.
    """
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return
    poller = select.poll()
    poller.register(fd, 0)  # errors alone
    while not poller.poll(0):
        yield Pause((fd,), math.inf)
    raise NobodyReads(errno.EPIPE, "nobody reads standard output any more")
