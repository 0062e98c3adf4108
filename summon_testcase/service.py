"""A service as tests use it: everything that can be asked of it once it runs."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from . import ports
from .conversation import Conversation
from .errors import NotRunning, ProcessExited
from .excerpt import excerpt
from .run import logger
from .steps import Steps, drive, together

S = TypeVar("S", bound="Service")


#: what runs is held here: an executor that nobody refers to any more goes on running
_alive: set[Service] = set()


def _stop_all_at_exit() -> None:
    for error in drive(together([service.stopping() for service in _alive])):
        logger.error("%s", error)


def _after_fork_in_child() -> None:
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


class Service(Conversation):
    """What is common to executors that run a process, once it runs."""

    def __repr__(self) -> str:
        state = "not running"
        if self.running():
            state = f"running, pid {self.pid}"
        elif self.exit_code is not None:
            state = f"ended with {self.exit_code}"
        return f"<{type(self).__name__} {self.called}: {state}>"

    # -- its end --

    def running(self) -> bool:
        """Whether it is alive: the main process, or the daemon that it left behind."""
        return self._run is not None and self._run.running()

    def stopping(self) -> Steps[None]:
        """The stop as steps, for orchestrators."""
        try:
            yield from self._stop_steps()
        finally:
            self._release_port()

    def _stop_steps(self) -> Steps[None]:
        run = self._run
        if run is None or not run.process.mine():
            return
        began = time.monotonic()
        try:
            yield from run.stop()
        finally:
            logger.info("%s: stopped after %.3f s", self.called, time.monotonic() - began)
            self._clear()

    def stop(self) -> None:
        """Stop it: the stop signal to the main process, TERM to what it leaves, then SIGKILL.

        Does nothing if it is not running.  In a TestCase, one that a test stops is started
        again before the next test, at the same port.

        :raises StopFailed: if it had to be killed after ``stop_timeout`` seconds, or ended
            with a status that is not in ``expected_exit``; it is gone all the same.
        """
        drive(self.stopping())

    def kill(self) -> None:
        """SIGKILL it, and everything that it started, at once.

        In a TestCase that is no death to be reported: it is started again before the next
        test, at the same port.
        """
        run = self._run
        try:
            if run is not None and run.process.mine():
                run.kill()
        finally:
            self._clear()
            self._release_port()

    def restart(self: S) -> S:
        """Stop it and start it again, at the same port.

        :returns: the executor itself.
        :raises SummonError: as ``start()`` and ``stop()`` do.
        """
        with self.stopped():
            pass
        return self

    @contextlib.contextmanager
    def stopped(self: S) -> Iterator[S]:
        """A block in which it is stopped; it is started again, at the same port, after it.

        :raises NotRunning: if it is not running.
        :raises SummonError: as ``start()`` and ``stop()`` do.
        """
        self._current("process to stop")
        try:
            drive(self._stop_steps())
            yield self
        finally:
            self.start()

    @contextlib.contextmanager
    def paused(self: S) -> Iterator[S]:
        """A block in which it and all its processes are frozen (SIGSTOP).

        :raises NotRunning: if it is not running.
        """
        run = self._current("process to pause")
        run.paused = True
        run.signal_everything(signal.SIGSTOP)
        try:
            yield self
        finally:
            run.paused = False
            run.signal_everything(signal.SIGCONT)

    def _hold(self) -> None:
        """Keep it alive until it is stopped, at the end of the process at the latest."""
        if not _alive:
            # the last to be registered is the first to run: before the warden is let go
            atexit.unregister(_stop_all_at_exit)
            atexit.register(_stop_all_at_exit)
        _alive.add(self)

    def _clear(self) -> None:
        """Forget the run; its files go, but for a log that an error has named."""
        _alive.discard(self)
        run, files, self._run, self._files = self._run, self._files, None, None
        if run is not None:
            self._exit_code = run.process.exit_code
            if self._in_test and run.process.mine():
                self._earlier += excerpt(run.log, run.since or 0)
        if files is not None and (run is None or run.process.mine()):
            files.discard(keep_log=run is not None and run.log_named)

    def _release_port(self) -> None:
        if self.employed:
            return
        port, self._leased_port = self._leased_port, None
        if port is not None:
            ports.release(port)

    # -- for test cases --

    #: it is meant to end
    _one_shot = False

    def death(self, when: str) -> ProcessExited | None:
        """The error for an end that nobody asked for: the same one at each call, or None."""
        run = self._run
        if run is None or not run.process.mine() or run.running():
            return None
        if self._one_shot and run.process.exit_code == 0:
            return None
        if run.death is None:
            run.death = run.exited(when)
        return run.death

    def stands_idle(self) -> bool:
        """Whether a test has stopped it, so that it must be started before the next one."""
        return self._run is None

    # -- what is known of it --

    @property
    def pid(self) -> int:
        """Process id of the main process."""
        return self._current("pid").process.pid

    @property
    def exit_code(self) -> int | None:
        """How the main process ended, negative for a signal; None while it has not."""
        if self._run is None:
            return self._exit_code
        self._run.process.pump()
        return self._run.process.exit_code

    @property
    def host(self) -> str:
        """The address that it was told to listen on."""
        return self._host

    @property
    def port(self) -> int:
        """The TCP port: the one that its banner told, the one given, or the free one found.

        :raises NotRunning: if it has none, now.
        """
        told = self.match.groupdict().get("port") if self.match else None
        if told:
            return int(told)
        found = self._port or self._leased_port
        if found is None:
            self._current("port")
            raise NotRunning(
                f"{self.called}: has no port: give one with port=, or write {{port}} in its "
                "command for a free one",
                executor=self.called,
            )
        return found

    @property
    def url(self) -> str:
        """The address as ``http://host:port``; an HTTP executor's own URL.

        :raises NotRunning: if it has no port, now.
        """
        return f"http://{self.host}:{self.port}"

    def url_for(self, path: str) -> str:
        """The URL of a path on this service.

        :raises NotRunning: if it has no port, now.
        """
        return urljoin(self.url, path)

    @property
    def log_path(self) -> str:
        """The file that takes all its output; it goes when the service is stopped.

        :raises NotRunning: if it was not started.
        """
        return self._current("log").log.path

    @property
    def tmpdir(self) -> str:
        """A directory of its own, mode 0700; it goes when the service is stopped.

        :raises NotRunning: if it was not started.
        """
        return self._files_now().tmpdir

    if not TYPE_CHECKING:

        def __getattr__(self, field: str) -> str:
            """A named group of the banner."""
            groups = self.__dict__.get("_groups", ())
            if field not in groups:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {field!r}")
            if self.match is None:
                self._current(field)
            return self.match.group(field)
