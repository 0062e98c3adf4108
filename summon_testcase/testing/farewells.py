"""Stops that nobody waits for, of services with ``stop_wait=False``: farewells.

At the end of their scope such services are asked to stop, and the next class begins.  Copies of
their executors see to their ends, so that the executors can start again meanwhile; ports and
directories stay taken until then.  The steps of a farewell go on whenever this process waits for
another start or stop, and before each test.  At the end of the process all are waited for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from ..declaration.lifetime import SCOPES, Scope
from ..errors import SummonError
from ..executors.deaths import all_of
from ..executors.executor import Executor
from ..foreign import let_through
from ..orchestration.orchestrator import Orchestrator
from ..scheduling.graph import up_to
from ..scheduling.steps import Pause, Steps, background, run
from ..supervision import shutdown
from ..tracebacks import boundary
from ..unpatched import time
from . import turns
from .selection import is_in, parts

#: seconds between looks whether what is waited for is over
_LOOK = 0.05


class Farewell:
    """One stop that nobody waits for.

    :param batch: the orchestrator that has started the services.
    :param keys: the services among its members.
    :param life: their scope.
    :param owner: the name of the class, or of the module, whose services they are.
    """

    def __init__(self, batch: Orchestrator, keys: set[str], life: Scope, owner: str) -> None:
        self.life = life
        self.declared = parts(*(batch._members[key] for key in keys))
        self._owner = owner
        self._services = batch._split(keys)
        #: what went wrong
        self.error: Exception | None = None
        self.steps = self._stopping()

    def _stopping(self) -> Steps[None]:
        try:
            yield from self._services._stopping()
        except Exception as error:
            let_through(error)
            if isinstance(error, SummonError):
                told = f"it was not waited for at the end of {self._owner} (stop_wait=False)"
                error.consequences += (told,)
            self.error = error

    @property
    def over(self) -> bool:
        """Whether it has come to its end, or was given up."""
        return self.steps not in background


#: those that are under way, and those whose errors have not been told yet
_farewells: list[Farewell] = []


def stop(batches: Iterable[Orchestrator], life: Scope, owner: str) -> list[Exception]:
    """Stop services at the end of their scope; return what went wrong.

    Those with ``stop_wait=False`` are asked to stop, and not waited for; so are those that they
    need, which are asked when these have ended.

    :param batches: what was started last comes first.
    """
    errors: list[Exception] = []
    begun: list[Farewell] = []
    for batch in batches:
        # they may need the services of this batch until they have ended
        wait([f for f in _farewells if f in begun or _is_shorter(f.life, life)])
        keys = _not_waited_for(batch)
        try:
            batch._stop(but=keys)  # not stop(), which would report deaths again
        except Exception as error:
            errors.append(error)
        if keys:
            begun.append(Farewell(batch, keys, life, owner))
            background.add(begun[-1].steps)
            _farewells.append(begun[-1])
            background.advance()
    return [*errors, *told()]


def make_room(services: Iterable[Executor]) -> None:
    """Before some services start, wait until at most one former life of each is left."""
    if not _farewells:
        return
    starting = parts(*services)
    seen: list[Executor] = []
    older: list[Farewell] = []
    for farewell in reversed(under_way()):
        again = [part for part in farewell.declared if is_in(part, starting)]
        if any(is_in(part, seen) for part in again):
            older.append(farewell)
        seen += again
    wait(older)


def _is_shorter(life: Scope, other: Scope) -> bool:
    return SCOPES.index(life) < SCOPES.index(other)


def _not_waited_for(batch: Orchestrator) -> set[str]:
    """The members that are not waited for: by their declaration, or since such a member needs them.

    Where one of these cannot be stopped while it starts again, all that need it are waited for.
    """
    found: set[str] = set()
    for key, member in batch._members.items():
        if any(not part._stop_wait for part in parts(member)):
            chain = [batch._members[each] for each in up_to(batch._graph, key)]
            if all(isinstance(it, Executor) and it._can_part() for it in chain):
                found |= up_to(batch._graph, key)
    return found


def under_way() -> list[Farewell]:
    """Those that are not over."""
    return [farewell for farewell in _farewells if not farewell.over]


def wait(awaited: list[Farewell]) -> None:
    """Wait until some are over; Ctrl-C meanwhile kills the services of all."""
    if awaited:
        run(_until_over(awaited))


def _until_over(awaited: list[Farewell]) -> Steps[None]:
    try:
        while not all(farewell.over for farewell in awaited):
            yield Pause((), time.monotonic() + _LOOK)
    except BaseException:
        background.cancel()
        raise


def told() -> list[Exception]:
    """The errors of those that are over, each at one call only."""
    if not _farewells:
        return []
    with turns.lock:
        ended = [farewell for farewell in _farewells if farewell.over]
        for farewell in ended:
            _farewells.remove(farewell)
    return [farewell.error for farewell in ended if farewell.error is not None]


class _EndOfRun:
    """Stands for a test where a result object reports an error of no test."""

    failureException = None

    def id(self) -> str:
        """What runners call it."""
        return "the end of the run"

    __str__ = id

    def shortDescription(self) -> None:
        """Nothing more."""


#: the run that tells the errors of its last class
_told_by: object = None


def told_by_session(session: Any) -> None:
    """Have a session of pytest wait at its end, and report what went wrong as an error."""
    global _told_by
    if _told_by is not session:
        session.addfinalizer(_raise_at_the_end)
        _told_by = session


def told_by_result(result: Any) -> None:
    """Have a runner of unittest wait at its end, and report what went wrong as errors."""
    global _told_by
    if _told_by is not result:
        result.stopTestRun = functools.partial(_stop_test_run, result, result.stopTestRun)
        _told_by = result


@boundary
def _raise_at_the_end() -> None:
    wait(under_way())
    errors = told()
    if errors:
        raise errors[0] if len(errors) == 1 else all_of(errors)


def _stop_test_run(result: Any, former: Callable[[], object]) -> None:
    wait(under_way())
    for error in told():
        result.addError(_EndOfRun(), (type(error), error, None))
    former()


def _forget() -> None:
    """In a forked child: the services are the parent's."""
    _farewells.clear()
    background.forget()


shutdown.in_forked_child(_forget)
