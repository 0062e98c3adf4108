"""Services that died in a block, and the errors that tell the caller of the block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from ..errors import ProcessExited, StopFailed, SummonError, blamed, sentence
from ..foreign import is_foreign, let_through
from ..scheduling.steps import Steps, run, run_all
from .executor import Executor


def name_it(death: BaseException) -> None:
    """Note that a report has named this death."""
    vars(death)["named"] = True


def is_named(death: BaseException) -> bool:
    """Whether a report has named this death."""
    return bool(vars(death).get("named"))


def all_of(errors: Iterable[BaseException]) -> StopFailed:
    """One error for the errors of several stops."""
    from ..wording import counted

    failed = tuple(errors)
    said = (str(e) if isinstance(e, SummonError) else _of_their_own(e) for e in failed)
    number = counted(len(failed), "service")
    error = StopFailed("\n".join([f"{number} did not stop as they should:", *said]), errors=failed)
    error.__cause__ = next((e for e in failed if not isinstance(e, SummonError)), None)
    return error


def _of_their_own(error: BaseException) -> str:
    """An exception of the user's own code, and which service it is about, if that is known."""
    name = blamed(error)
    return (f"{name}: " if name else "") + f"{error} ({type(error).__name__})"


def deaths_of(executors: Iterable[Executor]) -> list[Exception]:
    """The deaths of executors that are about to be stopped, except for those that are named.

    Executors of a TestCase are left out, since it reports their deaths itself. A death that nobody
    has noticed yet is found by the stop, as an error.
    """
    instances = [e._instance for e in executors if e._instance and not e._in_testcase]
    found = [instance.death_in_block() for instance in instances]
    return [death for death in found if death is not None and not is_named(death)]


def death_of(executor: Executor, when: str) -> Exception | None:
    """The error for a service that has ended without a stop; None if it has not.

    All calls return the same error.

    :param when: the moment of the call in words, to follow "was killed by SIGKILL".
    """
    instance = executor._instance
    return None if instance is None else instance.death(when)


def ask(executors: Iterable[Executor], when: str) -> None:
    """Ask the services that have ``alive=`` whether they still answer, all at the same time."""
    asked = [executor._asking(when) for executor in executors if executor._alive is not None]
    if asked:
        run(run_all(asked))


def note_on(error: BaseException, deaths: Iterable[Exception]) -> None:
    """Add notes about deaths to an exception that leaves a block."""
    for death in deaths:
        name_it(death)
        report, who = getattr(error, "report", None), getattr(error, "executor", None)
        if report is not None and report.exit and who == getattr(death, "executor", None):
            continue  # the error itself reports this death
        with contextlib.suppress(AttributeError):  # some exceptions take no attributes
            if hasattr(error, "add_note"):
                error.add_note(f"\n{death}")
                continue
            # up to Python 3.10 few show notes, but all show causes
            first = error
            while (earlier := first.__cause__ or first.__context__) is not None:
                first = earlier
            first.__cause__ = death


def must_arrive(error: BaseException) -> bool:
    """Whether an exception has to leave a block unchanged, whatever goes wrong at its end.

    Somebody waits for just this one: a runner for Ctrl-C, an event loop for the end of a task, a
    test for what its signal handler has raised.
    """
    return not isinstance(error, Exception) or is_foreign(error)


def tell_too(error: BaseException, failure: Exception) -> None:
    """Tell of a failure at the end of a block, when the block's own exception has to leave it."""
    from ..events import Warned, emit

    note_on(error, [failure])
    # whoever catches the exception may show no notes, or nothing
    service = getattr(failure, "executor", None) or ""
    emit(Warned(text=str(failure), service=service, level="error"))


def leave(
    error: BaseException | None, stop: Steps[None], executors: Iterable[Executor]
) -> Steps[None]:
    """Stop the executors of a block at its end, and report deaths that came in the block.

    :param error: the exception that leaves the block; it gets notes about the deaths. If there is
        none, the first death is raised. An error of the stop is raised in its place, but for
        Ctrl-C and the like, see :func:`must_arrive`.
    :param stop: stops all of the executors.
    """
    if error is None:
        yield from stop_and_tell(stop, executors)
        return
    try:
        note_on(error, deaths_of(executors))
    finally:
        deaths, failure = yield from _stop(stop)
        note_on(error, deaths)
        if failure is not None:
            if not must_arrive(error):
                raise failure
            tell_too(error, failure)


def stop_and_tell(stop: Steps[None], executors: Iterable[Executor]) -> Steps[None]:
    """Stop, and raise the first death, which mentions the others and errors of the stop."""
    deaths: list[Exception] = []
    try:
        deaths = deaths_of(executors)
    finally:  # also after Ctrl-C
        late, failure = yield from _stop(stop)
    deaths += late
    if not deaths:
        if failure is not None:
            raise failure
        return
    for death in deaths:
        name_it(death)
    first, *others = deaths
    if isinstance(first, SummonError):
        first.consequences += tuple(f"and died: {sentence(death)}" for death in others)
        if failure is not None:
            first.consequences += (f"and while stopping: {sentence(failure)}",)
    raise first


def _stop(stop: Steps[None]) -> Steps[tuple[list[Exception], Exception | None]]:
    """Stop; return the deaths that the stop has found, and another error of it, if there is one."""
    try:
        yield from stop
    except ProcessExited as death:
        let_through(death)
        return [death], None
    except StopFailed as failure:
        let_through(failure)
        deaths: list[Exception] = [e for e in failure.errors if isinstance(e, ProcessExited)]
        return deaths, None if deaths and len(deaths) == len(failure.errors) else failure
    except Exception as failure:
        let_through(failure)
        return [], failure
    return [], None
