"""The stop of a service, and what is done when a life of it is over, for whatever reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..declaration.arguments import perform
from ..errors import SummonError, sentence
from ..foreign import is_foreign, suppress
from ..scheduling.steps import Steps
from .running import handover, let_go

if TYPE_CHECKING:
    from ..supervision.instance import Instance
    from .simple import SimpleExecutor


def steps(
    executor: SimpleExecutor, for_now: bool, number: int | None, timeout: float | None
) -> Steps[None]:
    """The stop as steps; see ``SimpleExecutor._stopping``."""
    keep_lease = for_now or executor._stays()
    if executor._attached and not keep_lease:
        from . import sharing

        yield from sharing.undo_stop(executor)
    instance = executor._instance
    if instance is None or not (instance.in_use and instance.process.mine()):
        kill(executor, keep_lease)
        return
    from ..supervision import stopping

    failure: BaseException | None = None
    try:
        if instance.attached and not keep_lease:
            if instance.running():
                executor._detach()
        else:
            instance.tell_stopping()
            yield from stopping.stop(instance, number, timeout)
    except BaseException as error:
        failure = error
        raise
    finally:
        executor._finish(instance, keep_lease, failure)
        del failure


def kill(executor: SimpleExecutor, keep_lease: bool, failure: BaseException | None = None) -> None:
    """Kill the processes of the last start, if there are any, and clean up after them.

    :param failure: the exception that is being raised, if there is one; see :func:`finish`.
    """
    instance = executor._instance
    # a start that has launched nothing yet cleans up itself
    if instance is not None and not instance.starting and not executor._elsewhere:
        executor._finish(instance, keep_lease, failure)


def finish(
    executor: SimpleExecutor,
    instance: Instance,
    keep_lease: bool,
    failure: BaseException | None,
) -> None:
    """Kill what is left of an instance, call ``cleanup()``, and give up its files.

    :param keep_lease: whether to keep port and directory, if the service was ready before, for
        an instance that may follow.
    :param failure: the exception that is being raised, if there is one; an error of
        ``cleanup()`` is added to it.
    """
    try:
        process = instance.process
        if instance.in_use and not process.gone and process.mine() and not instance.attached:
            from ..supervision import stopping

            stopping.kill(instance)
    finally:
        try:
            _clean_up(executor, instance)
        except Exception as error:
            if failure is None or is_foreign(error):
                raise
            _tell_too(executor, failure, error)
        finally:
            try:
                cancelled = isinstance(failure, GeneratorExit)
                said = "" if failure is None else sentence(failure)
                instance.tell_end("cancelled" if cancelled else said)
            finally:
                _end(executor, instance, keep_lease)


def _tell_too(executor: SimpleExecutor, failure: BaseException, error: Exception) -> None:
    """Add an error of ``cleanup()`` to the exception that is being raised."""
    told = f"and in cleanup(): {sentence(error)}"
    if isinstance(failure, SummonError):
        failure.consequences += (told,)
    else:
        from ..events import Warned, emit

        called = executor._called
        emit(Warned(text=f"{called}: {told}", service=called, level="error"))


def _clean_up(executor: SimpleExecutor, instance: Instance) -> None:
    """Call ``cleanup()``, once for each instance; other threads do not wait for it."""
    with handover:
        if instance is not executor._instance or not instance.lease.mine():
            return
        due, instance.prepared = instance.prepared, False
    if due:
        perform(f"{instance.name}: cleanup()", executor.cleanup)


def _end(executor: SimpleExecutor, instance: Instance, keep_lease: bool) -> None:
    """Remove the files of an instance, except for a log that an error has named.

    Does nothing if another instance has followed already. If Ctrl-C interrupts this, the next
    call does the rest.
    """
    with handover:
        if instance is not executor._instance:
            return
        if not instance.over and instance.process.mine():
            if instance.in_test and instance.in_use:
                instance.earlier += instance.excerpt()
                with suppress(SummonError):  # the excerpt says that it cannot be read
                    instance.since = instance.log.size()
            instance.files.discard(keep_log=instance.log_named)
            instance.process.forget()
        if not (keep_lease and instance.lease.begun):
            instance.lease.end()
        let_go(executor)
        instance.over = True
        instance.in_use = False
