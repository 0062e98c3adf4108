"""Begin and end of a service, whichever thread, signal handler or Ctrl-C asks for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from ..declaration import arguments
from ..declaration.arguments import perform
from ..errors import (
    AlreadyRunning,
    InvalidArgument,
    SpawnFailed,
    StopFailed,
    SummonError,
    is_ours,
)
from ..foreign import is_foreign, let_through, undisturbed
from ..scheduling.steps import Steps, run, run_all
from ..supervision import (
    interpreter,  # noqa: F401  # it remembers how we were started
    shutdown,
)
from ..tracebacks import boundary
from ..unpatched import stay_imported, time
from .conversation import Conversation
from .deaths import sentence
from .executor import overridden, stop_of

if TYPE_CHECKING:
    from ..supervision.instance import Instance
    from ..supervision.life import RunFiles

L = TypeVar("L", bound="Lifecycle")


#: what runs is held here: an executor that nobody refers to any more goes on running
_alive: set[Lifecycle] = set()
#: held while an executor passes from one run to the next, by whichever thread; never to wait
handover = threading.RLock()


def _stop_all_at_exit() -> None:
    from ..supervision.instance import logger

    for error in run(run_all([stop_of(service) for service in list(_alive)])):
        logger.error("%s", error)


shutdown.in_forked_child(_alive.clear)
shutdown.hold_while_forking(handover)


def load(*modules: str) -> None:
    """Import modules of the package that a declaration does without."""
    package = __name__.partition(".")[0]

    def import_them() -> None:
        for room, _, module in (name.partition(".") for name in modules):
            # as "from room import module" does: what a test has removed is not imported twice
            __import__(f"{package}.{room}", fromlist=(module,))

    undisturbed(import_them)


def warm_up(asker: bool = False) -> None:
    """Have the warden start while what the first start needs is imported.

    :param asker: whether requests will be sent, by another process that takes a while to boot.
    """
    load("supervision.warden")
    from ..supervision import warden

    try:
        warden.warm_up()
        if asker:
            from ..readiness import asking

            asking.warm_up(http=True)
    except (OSError, SpawnFailed) as error:
        # the service will say so when it is spawned
        let_through(error)


class Lifecycle(Conversation):
    """An executor that passes from one run to the next."""

    #: a stop() that is a subclass's own is called, to be followed by a start
    _pausing = False

    # -- its beginning --

    def _refuse_twice(self) -> None:
        self._refuse_elsewhere(self._called)
        with handover:
            instance, files = self._instance, self._files
        if instance is not None and not instance.running():
            return
        if instance is not None and instance.process.pid:
            raise AlreadyRunning(
                f"{self._called}: is running already (pid {instance.process.pid}): "
                "call stop() first, or restart()",
                executor=self._called,
            )
        if files is not None:
            raise AlreadyRunning(
                f"{self._called}: is being started already: by another thread, or it is "
                "declared twice",
                executor=self._called,
            )

    def _started(self: L, steps: Steps[None]) -> L:
        life = self._life
        try:
            run(steps)
            return self
        except BaseException as error:
            if not is_ours(error):
                # Ctrl-C may have come when it was ready already
                self._finish(self._files, self._instance, keep_life=self._life is life)
            raise

    # -- its end --

    def running(self) -> bool:
        """Whether it is alive: the main process, or the daemon that it left behind."""
        instance = self._instance
        return instance is not None and instance.running()

    def _stopping(
        self, for_now: bool = False, number: int | None = None, timeout: float | None = None
    ) -> Steps[None]:
        """The stop as steps, for orchestrators.

        :param for_now: whether it is to be started again, with what it has.
        :param number: a signal, instead of the declared one.
        :param timeout: seconds, instead of ``stop_timeout``.
        """
        stay_imported()
        self._refuse_elsewhere(self._called)
        keep_life = for_now or self._stays()
        with handover:
            instance, files = self._instance, self._files
        if instance is None or not instance.process.mine():
            # what is being started has a port, but nothing yet that could be stopped
            self._end(files if instance is not None else None, instance, keep_life)
            return
        from ..supervision.instance import logger

        began = time.monotonic()
        failure: BaseException | None = None
        try:
            yield from instance.stop(number, timeout)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._finish(files, instance, keep_life, failure)
            del failure
            logger.info("%s: stopped after %.3f s", self._called, time.monotonic() - began)

    @boundary
    def stop(self, signal: int | None = None, timeout: float | None = None) -> None:
        """Stop it: the stop signal to the main process, TERM to what it leaves, then SIGKILL.

        If a ``stop_command`` was declared, that is run instead; the signal is sent if it fails,
        or half of the time has passed.

        Its port, its directory and what is in it go with it.  Does nothing if it is not
        running.  In a TestCase they stay until the end of the scope, and one that a test stops
        is started again before the next test.

        :param signal: the signal to send, now and instead of any ``stop_command``, but for what
            a ``launcher`` has left elsewhere; default: ``stop_signal``.
        :param timeout: seconds until SIGKILL; default: ``stop_timeout``.
        :raises StopFailed: if it had to be killed after that time, if its ``stop_command``
            failed, or if it ended with a status that is not in ``expected_exit``; it is gone
            all the same.  Also if the server that a ``launcher`` has left goes on.
        :raises InvalidArgument: for what is no signal, or no duration.
        """
        try:
            self._refuse_elsewhere(self._called)
            if signal is not None:
                self._checked(signal)
            if timeout is not None:
                arguments.seconds(self._called, "timeout", timeout)
            run(self._stopping(False, signal, timeout))
        except BaseException as error:
            if not (isinstance(error, InvalidArgument) and is_ours(error)):
                # Ctrl-C may have come when little was left to do
                self._kill(self._stays())
            raise

    _native_stop = stop

    @boundary
    def kill(self, signal: int | None = None) -> None:
        """SIGKILL it, and everything that it started, at once.

        ``start()`` begins another run with the same port, directory and data; ``stop()``, or the
        end of the process, takes them away.  In a TestCase that is no death to be reported: it
        is started again before the next test.  What a ``launcher`` has left elsewhere is ended by
        its ``stop_command``.

        :param signal: what all of it is sent instead, such as SIGABRT or SIGQUIT for a dump;
            SIGKILL follows for what is left after ``stop_timeout`` seconds.
        :raises StopFailed: if something could not be killed, or goes on where a ``launcher`` has
            left it.
        :raises InvalidArgument: for what is no signal.
        """
        self._refuse_elsewhere(self._called)
        chosen = {} if signal is None else {"number": self._checked(signal)}
        with handover:
            instance, files = self._instance, self._files
        try:
            if instance is not None and instance.process.mine():
                instance.kill(**chosen)
                if instance.survivors():
                    raise instance.error(StopFailed, f"{self._called}: {instance.survivors()}")
        finally:
            self._finish(None if instance is None else files, instance, keep_life=True)

    def _checked(self, signal: int) -> int:
        return arguments.signal_number(self._called, "signal", signal)

    def _kill(self, keep_life: bool) -> None:
        if self._elsewhere:
            return
        with handover:
            instance, files = self._instance, self._files
        self._finish(None if instance is None else files, instance, keep_life)

    @contextlib.contextmanager
    def _attempt(self) -> Iterator[None]:
        before = self._instance
        try:
            yield
        except BaseException:
            if self._instance is not before:  # not one that ran already, which was the error
                self._kill(self._stays())
            raise

    def _clear(self) -> None:
        """End it at once, in whatever way it can be, where Ctrl-C came into its start or stop."""
        self._kill(self._stays())
        if overridden(self, "stop"):
            self.stop()

    def _stays(self) -> bool:
        """Whether a stop is not the end of what it has."""
        return self._in_testcase or self._pausing

    @boundary
    def _stop_for_now(self) -> None:
        """Stop it, in whatever way a subclass does, to be started again with what it has."""
        if not overridden(self, "stop"):
            run(self._stopping(for_now=True))
            return
        self._pausing = True
        try:
            self._stop_at_once()
        finally:
            self._pausing = False

    def _hold(self, instance: Instance) -> None:
        """Keep it alive until it is stopped, at the end of the process at the latest."""
        with handover:
            if self._instance is not instance:
                return
            if not _alive:
                shutdown.at_exit(_stop_all_at_exit)
            _alive.add(self)

    def _finish(
        self,
        files: RunFiles | None,
        instance: Instance | None,
        keep_life: bool,
        failure: BaseException | None = None,
    ) -> None:
        """Kill what is left of a run, clean up after it, and forget it.

        :param failure: what is being raised; it tells of a cleanup() that fails too.
        """
        try:
            if instance is not None and instance.process.mine():
                instance.kill()
        finally:
            try:
                self._clean_up(files)
            except Exception as error:
                if failure is None or is_foreign(error):
                    raise
                self._tell_too(failure, error)
            finally:
                self._end(files, instance, keep_life)

    def _tell_too(self, failure: BaseException, error: Exception) -> None:
        """Have what is being raised tell of a cleanup() that failed too."""
        told = f"and in cleanup(): {sentence(error)}"
        if isinstance(failure, SummonError):
            failure.consequences += (told,)
        else:
            from ..supervision.instance import logger

            logger.error("%s: %s", self._called, told)

    def _clean_up(self, files: RunFiles | None) -> None:
        """Call the hook, once for each run; others wait for nothing meanwhile."""
        with handover:
            life = self._life
            if files is None or files is not self._files or life is None or not life.mine():
                return
            due, files.prepared = files.prepared, False
        if due:
            perform(f"{self._called}: cleanup()", self.cleanup)

    def cleanup(self) -> None:
        """For subclasses: called when it has stopped, however that came about.

        Also after a start that failed, if :meth:`~SimpleExecutor.prepare` had returned; once for
        each call of that, so in ``restart()`` too.  ``tmpdir``, ``port`` and ``tail()`` are there
        still.  What it raises is an error of the stop; a start that failed tells of it.
        """

    _native_cleanup = cleanup

    def _end(self, files: RunFiles | None, instance: Instance | None, keep_life: bool) -> None:
        """Forget a run; its files go, but for a log that an error has named.

        Nothing is done if another thread has done it already.  What Ctrl-C interrupts is
        done by the next call.

        :param files: those of the run; None if there is none.
        :param keep_life: whether another run may follow, if one was ready before.
        """
        with handover:
            if self._files is not files:
                return
            if instance is not None:
                self._exit_code = instance.process.exit_code
                if self._in_test and instance.process.mine():
                    self._earlier += instance.excerpt()
                    instance.since = instance.log.size()
            if files is not None and (instance is None or instance.process.mine()):
                files.discard(keep_log=instance is not None and instance.log_named)
            life = self._life
            if life is not None and not (keep_life and life.begun):
                life.end()
                self._life = None
            _alive.discard(self)
            self._instance = self._files = None
