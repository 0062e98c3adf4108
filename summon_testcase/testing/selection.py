"""What declared services are made of, what they refer to, and which of them have died."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping

from ..declaration.lifetime import SCOPES
from ..errors import InvalidArgument
from ..executors.executor import Executor, overridden
from ..executors.wrapped import Summoned
from ..foreign import let_through
from ..orchestration.orchestrator import Orchestrator


def parts(executor: object) -> Iterator[Executor]:
    """The executors that a declared one is made of: itself, or the members of a group."""
    if isinstance(executor, Orchestrator):
        for key in executor._order or executor._members:
            yield from parts(executor._members[key])
    elif isinstance(executor, Executor):
        yield executor
        if isinstance(executor, Summoned):
            yield from parts(executor._thing)


def resettable(executor: object) -> Iterator[Executor]:
    """Those in a declared one whose reset() is called: of a group its members', or its own."""
    if isinstance(executor, Orchestrator) and not overridden(executor, "reset"):
        for key in executor._order or executor._members:
            yield from resettable(executor._members[key])
    elif isinstance(executor, Executor):
        yield executor


def refuse_shorter_lives(name: str, executor: Executor, around: Mapping[str, Executor]) -> None:
    """A service may refer to those that live as long as itself, or longer."""
    after = [n for n, e in around.items() if any(t is e or t == n for t in executor.after)]
    for used in [*executor._needs(), *after]:
        other = around.get(used)
        if other is not None and SCOPES.index(other.scope) < SCOPES.index(executor.scope):
            raise InvalidArgument(
                f"{name}: it refers to {used}, which would be gone before it: {name} has "
                f"scope={executor.scope!r}, {used} only scope={other.scope!r}; give {used} "
                f"scope={executor.scope!r} too, or {name} scope={other.scope!r}",
                executor=name,
            )


def is_in(thing: object, things: Iterable[object]) -> bool:
    """Whether it is one of them: the same, not only equal."""
    return any(thing is other for other in things)


def afresh(error: Exception) -> Exception:
    """The same error to be raised by another test, without what was told of it in the first."""
    try:
        copied = copy.copy(error)
    except Exception as error:  # not all can be
        let_through(error)
        return error
    vars(copied).pop("__notes__", None)
    return copied
