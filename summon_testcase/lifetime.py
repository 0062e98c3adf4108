"""How long a service lives in a TestCase: scopes, and what is done between two tests."""

from __future__ import annotations

import math
from typing import Literal, get_args

from .errors import InvalidArgument
from .tracebacks import hidden

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


def revivals(label: str, restart: bool | int) -> float:
    """How often ``restart=`` allows to start again; infinite for True.

    :raises InvalidArgument: naming the argument.
    """
    if not isinstance(restart, int) or restart < 0:
        raise InvalidArgument(
            f"{label}: restart={restart!r}: write True, or how many times it may be started again",
            executor=label,
        )
    return math.inf if restart is True else restart


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
