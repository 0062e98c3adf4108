"""A service as tests use it: everything that can be asked of it once it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from ..declaration import arguments
from ..errors import (
    InvalidArgument,
    NotRunning,
    ProcessExited,
    SummonError,
    TimeoutExpired,
    is_ours,
)
from ..scheduling.steps import Pause, wait
from ..tracebacks import boundary, boundary_of_start, hidden
from ..wording import at
from .deaths import leave
from .lifecycle import Lifecycle

__tracebackhide__ = hidden

S = TypeVar("S", bound="Service")


class Service(Lifecycle):
    """What is common to executors that run a process, once it runs."""

    def __repr__(self) -> str:
        if "_instance" not in vars(
            self
        ):  # a traceback with variables, of a constructor that refuses
            return f"<{type(self).__name__}: not declared yet>"
        state = "not running"
        if self.running():
            state = f"running, pid {self.pid}"
        elif self.exit_code is not None:
            state = f"ended with {self.exit_code}"
        return f"<{type(self).__name__} {self._called}: {state}>"

    @boundary
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            leave(error, self._stop_at_once, [self])
        except BaseException as failure:
            if not is_ours(failure):
                # Ctrl-C may have come before the stop was begun
                self._kill(self._stays())
            raise

    def _start_again(self) -> None:
        with self._attempt():
            self.start()

    @boundary_of_start
    def restart(self: S) -> S:
        """Stop it and start it again, with the same port, directory and data.

        A one-shot is run once more.

        :returns: the executor itself.
        :raises NotRunning: if it is not running.
        :raises SummonError: as ``start()`` and ``stop()`` do.
        """
        if self._one_shot:
            self._current("process to stop")
            self._stop_for_now()
            self._start_again()
            return self
        with self.stopped():
            pass
        return self

    @contextlib.contextmanager
    def stopped(self: S) -> Iterator[S]:
        """A block in which it is stopped; it is started again after it.

        Its port, its directory and what is in it stay.  A one-shot has done its work, and is
        not run again.

        :raises NotRunning: if it is not running.
        :raises SummonError: as ``start()`` and ``stop()`` do.
        """
        self._current("process to stop")
        if self._one_shot:
            yield self
            return
        try:
            self._stop_for_now()
            yield self
        except Exception:
            self._start_again()
            raise
        except BaseException:
            # after Ctrl-C nobody needs it any more
            self._kill(self._stays())
            raise
        self._start_again()

    @contextlib.contextmanager
    def paused(self: S) -> Iterator[S]:
        """A block in which it and all its processes are frozen (SIGSTOP).

        Blocks may be nested: it goes on at the end of the outermost.

        :raises NotRunning: if it is not running.
        """
        instance = self._current("process to pause")
        block = object()
        try:
            instance.pause(block)
            yield self
        finally:
            try:
                instance.unpause(block)
            except BaseException:
                # Ctrl-C may have come before anybody was told
                instance.unpause(block)
                raise

    def signal(self, number: int, everything: bool = False) -> None:
        """Send a signal to its main process.

        :param number: the signal, such as ``signal.SIGHUP`` to have it read its configuration.
        :param everything: to all its processes, not to the main one alone.
        :raises NotRunning: if it is not running, or the main process has ended.
        :raises InvalidArgument: for what is no signal, or no flag.
        """
        instance = self._current("process to signal")
        self._checked(number)
        if arguments.flag(self._called, "everything", everything):
            instance.signal_everything(number)
            return
        process = instance.process
        process.pump()
        if process.exit_code is not None or process.gone:
            raise instance.error(
                NotRunning,
                f"{self._called}: its main process has ended, so it cannot be signalled: write "
                "everything=True for what it left",
            )
        process.signal(number)

    def wait(self, timeout: float | None = None) -> int:
        """Block until its main process ends of itself; all its output is there then.

        What a test has waited for is no death, whatever the status: as one that it stopped, it
        is started again before the next test.

        :param timeout: seconds; default: the executor's own.
        :returns: its exit status, negative for a signal.
        :raises TimeoutExpired: if it goes on.
        :raises ProcessExited: if its keeper was killed, who alone knows its status.
        :raises NotRunning: if it was not started.
        """
        instance, deadline = self._current("process to wait for"), self._deadline(timeout)
        process = instance.process
        while True:
            process.pump()
            if process.exit_code is not None:
                instance.awaited = True
                return process.exit_code
            if process.gone:
                raise instance.exited("while it was waited for")
            if deadline.expired():
                raise instance.error(
                    TimeoutExpired,
                    f"{self._called}: did not end within {deadline.seconds:g} s",
                    timeout=deadline.seconds,
                    seconds=deadline.elapsed(),
                )
            wait(Pause((process.fileno(),), deadline.at))

    # -- for test cases --

    #: it is meant to end, and to be run once in a life
    _one_shot = False
    #: it is there for others, not only for what it writes
    _serves = False
    #: there was something to wait for, so it is more than a command that is run
    _waits = True

    def _death(self, when: str) -> SummonError | None:
        """The error for an end that nobody asked for: the same one at each call, or None.

        A one-shot, or a command that was ready when spawned, may end with status 0; and what a
        test has waited for with any.
        """
        instance = self._instance
        if instance is None or not instance.process.mine():
            return None
        if instance.hung is not None or instance.running():
            return instance.hung
        if instance.awaited or instance.process.ending:
            return None
        may_end = self._one_shot or not self._waits
        if (
            may_end
            and instance.process.exit_code in instance.process.fine
            and not instance.process.lost
        ):
            return None
        process = instance.process
        daemon = process.left_others and process.exit_code in process.fine
        if instance.death is None and daemon and not self._one_shot:
            how = "was killed with its keeper" if process.lost else "has ended"
            instance.death = instance.error(
                ProcessExited,
                f"{self._called}: {instance.exit_words()}, and what it left running {how} {when}",
                exit_code=process.exit_code,
            )
        if instance.death is None:
            meant = (
                ": if it is meant to end, wait() for that or call its stop() afterwards; declare "
                "one_shot=True if it is ready once it has ended"
            )
            instance.death = instance.exited(
                when + (meant if instance.process.exit_code == 0 else "")
            )
        return instance.death

    def _death_in_block(self) -> SummonError | None:
        """The same for a block that ends now: what only writes may have come to its end."""
        instance = self._instance
        if instance is None:
            return None
        process, alive = instance.process, instance.running()
        ends_well = self._one_shot or not self._serves
        fine = process.fine if ends_well else frozenset()
        # from now on until it is stopped its keeper knows best
        instance.needed = fine if alive and process.pid else None
        if alive or (process.exit_code in fine and not process.lost):
            return instance.hung
        return self._death("before it was stopped")

    def _ended(self) -> str:
        """How it ended, in words, if that is worth a remark though it is no death."""
        instance = self._instance
        if instance is None or self._one_shot or not instance.process.mine() or instance.running():
            return ""
        return instance.exit_words()

    def _is_done(self) -> bool:
        """Whether it is a one-shot that has done its work in this life."""
        life = self._life
        return self._one_shot and life is not None and life.mine() and life.begun

    def _stands_idle(self) -> bool:
        """Whether a test has stopped it, so that it must be started before the next one."""
        life, instance = self._life, self._instance
        if life is None or not life.begun or self._one_shot:
            return False
        return instance is None or (instance.awaited and not instance.running())

    # -- what is known of it --

    @property
    def pid(self) -> int:
        """Process id of the main process."""
        return self._current("pid").process.pid

    @property
    def exit_code(self) -> int | None:
        """How the main process ended, negative for a signal; None while it has not."""
        instance = self._instance
        if instance is None:
            return self._exit_code
        instance.process.pump()
        return instance.process.exit_code

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
        life = self._life
        found = self._port or (None if life is None else life.port)
        if found is None:
            self._current("port")
            raise NotRunning(
                f"{self._called}: has no port: give one with port=, or write {{port}} in its "
                "command for a free one",
                executor=self._called,
            )
        return found

    @property
    def url(self) -> str:
        """The address as ``tcp://host:port``; an HTTP executor's own URL.

        :raises NotRunning: if it has no port, now; which is an AttributeError too, so that
            ``getattr(service, "url", None)`` is None then.
        """
        return f"tcp://{at(self.host, self.port)}"

    @boundary
    def url_for(self, path: str) -> str:
        """The URL of a path on this service: ``http://host:port/path``, or as its own URL is.

        :raises NotRunning: if it has no port, now.
        :raises InvalidArgument: if the path is no text.
        """
        from urllib.parse import urljoin, urlsplit

        if not isinstance(path, str):
            raise InvalidArgument(
                f'{self._called}: path={path!r}: write text, such as "/health"',
                executor=self._called,
            )

        base = urlsplit(self.url)
        # of other schemes urljoin() knows no paths
        schemes = {"tcp": "http", "http+unix": "http"}
        joined = urlsplit(
            urljoin(base._replace(scheme=schemes.get(base.scheme, base.scheme)).geturl(), path)
        )
        if base.scheme == "http+unix" and joined.netloc == base.netloc:
            joined = joined._replace(scheme=base.scheme)
        return joined.geturl()

    @property
    def log_path(self) -> str:
        """The file that takes the output of this run; it goes when the service is stopped.

        :raises NotRunning: if it was not started.
        """
        return self._current("log").log.path

    @property
    def tmpdir(self) -> str:
        """A directory of its own, mode 0700.

        What is in it stays in ``restart()``, ``stopped()`` and after ``kill()``; it goes with
        ``stop()``, or in a TestCase at the end of the scope.

        :raises NotRunning: if it was not started.
        """
        return self._life_now("directory").tmpdir

    if not TYPE_CHECKING:

        def __getattr__(self, field: str) -> str:
            """A named group of the banner."""
            found = getattr(type(self), field, None)
            if isinstance(found, property) and found.fget is not None:
                # it raised NotRunning, which is also an AttributeError
                return found.fget(self)  # type: ignore[no-any-return]
            groups = self.__dict__.get("_groups", ())
            if field not in groups:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {field!r}")
            if self.match is None:
                self._current(field)
            # of several patterns the one that matched may have no such group
            return self.match.groupdict().get(field)
