"""Who died in a block, and who is told of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from .errors import ProcessExited, StopFailed, SummonError
from .executor import Executor
from .foreign import let_through
from .report import describe_exit
from .steps import drive, together


def name_it(death: BaseException) -> None:
    """Note that a report has named this death."""
    vars(death)["named"] = True


def is_named(death: BaseException) -> bool:
    """Whether a report has named this death."""
    return bool(vars(death).get("named"))


def sentence(error: BaseException) -> str:
    """What an error says, in one line where that is possible."""
    return error.message if isinstance(error, SummonError) else f"{type(error).__name__}: {error}"


def deaths_of(executors: Iterable[Executor]) -> list[Exception]:
    """The deaths among some that are about to be stopped, but for those that were told already.

    Those of a TestCase, which tells of them itself, are left out.
    """
    ours = [executor for executor in executors if not executor.employed]
    # what has happened up to now counts, whether or not it has been noticed
    drive(together([executor.catching_up() for executor in ours]))
    found = [executor.death_in_block() for executor in ours]
    return [death for death in found if death is not None and not is_named(death)]


def ask(executors: Iterable[Executor], when: str) -> None:
    """Ask those that were declared ``alive=`` whether they still answer, all at once."""
    drive(together([executor.asking(when) for executor in executors]))


def note_on(error: BaseException, deaths: Iterable[Exception]) -> None:
    """Note on an exception that is on its way who has died."""
    for death in deaths:
        name_it(death)
        report, who = getattr(error, "report", None), getattr(error, "executor", None)
        if report is not None and report.exit and who == getattr(death, "executor", None):
            continue  # it says so itself
        with contextlib.suppress(AttributeError):  # an exception that takes no attributes
            if hasattr(error, "add_note"):
                error.add_note(f"\n{death}")
                continue
            # up to Python 3.10 few show notes, but all show causes
            first = error
            while (earlier := first.__cause__ or first.__context__) is not None:
                first = earlier
            first.__cause__ = death


def _late(failure: BaseException) -> ProcessExited | None:
    """The death that a failed stop was, if it was in the last moment before it."""
    if not isinstance(failure, StopFailed) or failure.exit_code is None or not failure.died:
        return None
    return ProcessExited(
        f"{failure.executor}: {describe_exit(failure.exit_code)} before it was stopped",
        executor=failure.executor,
        exit_code=failure.exit_code,
        report=failure.report,
    )


def leave(
    error: BaseException | None, stop: Callable[[], object], executors: Iterable[Executor]
) -> None:
    """Stop at the end of a block; who died in it is an error, or told by the one on its way."""
    if error is None:
        stop_and_tell(stop, executors)
        return
    try:
        note_on(error, deaths_of(executors))
    finally:
        stop()


def stop_and_tell(stop: Callable[[], object], executors: Iterable[Executor]) -> None:
    """Stop, and raise the first of the deaths; it tells of the others, and of the stop."""
    told = []
    try:
        deaths: Sequence[Exception] = deaths_of(executors)
    except BaseException:  # Ctrl-C
        stop()
        raise
    try:
        stop()
    except Exception as failure:
        let_through(failure)
        failures = getattr(failure, "errors", ()) or (failure,)
        late = [last for each in failures if (last := _late(each)) is not None]
        if not deaths and not late:
            raise
        deaths = [*deaths, *late]
        if len(late) < len(failures):
            told = [f"and while stopping: {sentence(failure)}"]
    if not deaths:
        return
    for death in deaths:
        name_it(death)
    first, *others = deaths
    if isinstance(first, SummonError):
        told = [*(f"and died: {sentence(death)}" for death in others), *told]
        first.consequences += tuple(told)
    raise first
