"""Checks arguments about the life of a service in a TestCase: scope, restarts, ``alive=``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from ..errors import InvalidArgument
from ..tracebacks import hidden
from ..unpatched import os

__tracebackhide__ = hidden

Scope = Literal["test", "class", "module", "run"]
#: from the shortest to the longest life
SCOPES: tuple[str, ...] = get_args(Scope)


def scope(label: str, value: object) -> Scope:
    """Refuse what is no scope.

    :raises InvalidArgument: naming the argument.
    """
    if value not in SCOPES:
        raise InvalidArgument(
            f"{label}: scope={value!r}: write one of {', '.join(map(repr, SCOPES))}",
            executor=label,
        )
    return value  # type: ignore[return-value]


def max_restarts(label: str, restart: bool | int) -> float:
    """How often ``restart=`` allows to start again; infinite for True.

    :raises InvalidArgument: naming the argument.
    """
    if not isinstance(restart, int) or restart < 0:
        raise InvalidArgument(
            f"{label}: restart={restart!r}: write True, or how many times it may be started again",
            executor=label,
        )
    return math.inf if restart is True else restart


def alive(label: str, value: object, asks: bool) -> object:
    """Refuse a question that cannot be asked between two tests.

    :param asks: whether the question by which readiness is asked can be asked again.
    :returns: the value; None if there is nothing to ask.
    :raises InvalidArgument: naming the argument.
    """
    instead = "a function that takes the executor, or a probe command"
    if value is None:
        return None
    if value is True and not asks:
        raise InvalidArgument(
            f"{label}: alive=True asks again what it waited for, and it waited for nothing that "
            f"can be asked again: write {instead}",
            executor=label,
        )
    if value is True or callable(value) or hasattr(value, "look"):
        return value
    if isinstance(value, (Sequence, os.PathLike)) and not isinstance(value, bytes):
        return value
    raise InvalidArgument(
        f"{label}: alive={value!r}: write {instead}, or True to ask again what it waited for",
        executor=label,
    )


#: what ``reset=`` may be: a function, or a service's own way
Reset = Callable[[Any], object] | bool | str | None


def reset(
    label: str, value: object, own: Mapping[bool | str, Callable[[Any], object]]
) -> Callable[[Any], object] | None:
    """The function that ``reset=`` names; None if there is none.

    :param own: the ways to reset it that the service has itself.
    :raises InvalidArgument: for what cannot be called, and for an unknown way.
    """
    if isinstance(value, (bool, str)) and value in own:
        return own[value]
    if value is None or value is False or (callable(value) and not isinstance(value, str)):
        return value or None
    ways = ", ".join(map(repr, own))
    instead = "a function that takes the executor"
    raise InvalidArgument(
        f"{label}: reset={value!r}: "
        + (f"write {ways}, or {instead}" if ways else f"it has no way of its own: write {instead}"),
        executor=label,
    )


def callback(label: str, argument: str, value: object) -> None:
    """Refuse what cannot be called.

    :raises InvalidArgument: naming the argument.
    """
    if value is not None and not callable(value):
        raise InvalidArgument(
            f"{label}: {argument}={value!r} cannot be called: write a function that takes the "
            "executor",
            executor=label,
        )
