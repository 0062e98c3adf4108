"""Values of variables, which may be secrets: no representation shows them.

Tools that print tracebacks show the arguments and variables of each frame by their ``repr()``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any


class Text(str):
    """A text that is not shown by its representation."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<not shown>"


class Variables(dict[str, Any]):
    """An environment, of which only the names are shown."""

    def __repr__(self) -> str:
        return f"<environment with {', '.join(map(str, self)) or 'nothing'}>"


class _Unusable:
    """What was given for an environment and is none, but may hold secrets all the same."""

    def __init__(self, given: object) -> None:
        self.kind = type(given).__name__

    def __repr__(self) -> str:
        return f"<{self.kind}, not shown>"


def conceal(env: object) -> Any:
    """What was given as ``env=``, such that it can be an argument in a traceback."""
    if env is None or isinstance(env, (Variables, _Unusable)):
        return env
    return Variables(env) if isinstance(env, Mapping) else _Unusable(env)


def concealing(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that is given an ``env=`` which is concealed, to hand on."""

    @functools.wraps(init)
    def __init__(self: object, *given: Any, **options: Any) -> None:
        if "env" in options:
            options["env"] = conceal(options["env"])
        init(self, *given, **options)

    return __init__
