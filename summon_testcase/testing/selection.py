"""Selects executors among declared services: members of groups, those that are reset, …"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from ..declaration.lifetime import SCOPES, Scope
from ..errors import InvalidArgument
from ..executors.checks import refuse_a_reset_for_all
from ..executors.executor import Executor, overridden
from ..executors.simple import SimpleExecutor
from ..executors.wrapped import Summoned
from ..foreign import let_through
from ..orchestration.orchestrator import Orchestrator


def parts(*things: object) -> list[Executor]:
    """The executors of some declarations: themselves, or the members of groups."""
    found: list[Executor] = []
    for thing in things:
        if isinstance(thing, Orchestrator):
            found += parts(*(thing._members[key] for key in thing._order or thing._members))
        elif isinstance(thing, Executor):
            found.append(thing)
            if isinstance(thing, Summoned):
                found += parts(thing._thing)
    return found


def resettable(executor: object) -> list[Executor]:
    """The executors of a declaration whose reset() is called: a group, or its members."""
    if isinstance(executor, Orchestrator) and not overridden(executor, "reset"):
        keys = executor._order or executor._members
        return [whole for key in keys for whole in resettable(executor._members[key])]
    return [executor] if isinstance(executor, Executor) else []


def refuse_shorter_lives(name: str, executor: Executor, around: Mapping[str, Executor]) -> None:
    """Refuse a service that refers to one that lives less long than itself."""
    for used, other in around.items():
        if SCOPES.index(other.scope) >= SCOPES.index(executor.scope):
            continue
        waits = executor._waits_for()
        if used in executor._needs() or any(t is other or t == used for t in waits):
            raise InvalidArgument(
                f"{name}: it refers to {used}, which would be gone before it: {name} has "
                f"scope={executor.scope!r}, {used} only scope={other.scope!r}; give {used} "
                f"scope={executor.scope!r} too, or {name} scope={other.scope!r}",
                executor=name,
            )


def refuse_what_cannot_be_shared(executor: SimpleExecutor, life: Scope) -> None:
    """Refuse a service with ``shared=True`` that several processes could not use.

    :param life: the scope in which it lives.
    """
    called = executor._called
    refuse_a_reset_for_all(executor)
    if life != "run":
        raise InvalidArgument(
            f'{called}: shared=True, and scope={life!r}: write scope="run", since other processes '
            "use it longer than that",
            executor=called,
        )
    for name, other in executor._services.items():
        if not isinstance(other, Executor):
            continue
        if not other._shared and other._is_shared_by(executor):
            raise InvalidArgument(
                f"{called}: shared=True, and it refers to {name}, which is not shared: the "
                f"{called} of a stack knows another {name} than the tests: declare {name} with "
                "shared=True, too",
                executor=called,
            )
        if executor._can_reset() and executor._is_shared_by(other):
            raise InvalidArgument(
                f"{called}: reset= would be one for all processes, since {name}, which is shared, "
                f"too, refers to it: leave reset= out, or shared=True of {name}",
                executor=called,
            )


def is_in(thing: object, things: Iterable[object]) -> bool:
    """Whether an object is one of some objects: the same, not only equal."""
    return id(thing) in map(id, things)


def afresh(error: Exception) -> Exception:
    """A copy of an error for another test, without the notes that the first test has added."""
    try:
        copied = copy.copy(error)
    except Exception as error:  # some exceptions cannot be copied
        let_through(error)
        return error
    vars(copied).pop("__notes__", None)
    return copied
