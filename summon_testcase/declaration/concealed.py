# ruff: noqa: B904 (an error is raised again, and has what led to it)
"""Values of variables and of requests, which may be secrets: no representation shows them.

Tools that print tracebacks show the arguments and variables of each frame by their ``repr()``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidArgument, SummonError
from ..tracebacks import hidden, trimmed

#: the arguments whose values may be secrets
_SECRETS = ("env", "headers", "auth", "body")


class _NotShown:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<not shown>"


class Text(_NotShown, str):
    """A text that is not shown by its representation."""

    __slots__ = ()


class _Bytes(_NotShown, bytes):
    __slots__ = ()


class _Pair(_NotShown, tuple[Any, ...]):
    __slots__ = ()


class _List(_NotShown, list[Any]):
    __slots__ = ()


class _Dict(_NotShown, dict[Any, Any]):
    __slots__ = ()


class Variables(dict[str, Any]):
    """An environment, of which only the names are shown."""

    def __repr__(self) -> str:
        return f"<environment with {', '.join(map(str, self)) or 'nothing'}>"


_VEILED: dict[type, type] = {str: Text, bytes: _Bytes, tuple: _Pair, list: _List, dict: _Dict}


def _veil(name: str, value: Any) -> Any:
    """The same value, of a kind that is not shown; a constructor of the user's may use it."""
    if name == "env" and isinstance(value, Mapping):
        return value if isinstance(value, Variables) else Variables(value)
    kind = _VEILED.get(type(value))
    return value if kind is None else kind(value)


def kind_of(value: object) -> str:
    """The name of the type that was given, whatever veils it now."""
    kind = type(value)
    return (kind.__bases__[1] if isinstance(value, _NotShown) else kind).__name__


def concealing(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that is given what may be secret concealed, to hand on.

    What it refuses has no frames of ours either.
    """

    @functools.wraps(init)
    def __init__(self: object, *given: Any, **options: Any) -> None:
        __tracebackhide__ = hidden
        for name in _SECRETS:
            if name in options:
                options[name] = _veil(name, options[name])
        try:
            init(self, *given, **options)
        except SummonError as error:
            raise trimmed(error)
        finally:
            # tracebacks may show what this frame has
            given, options = (), {}
        if type(self).__init__ is __init__ and "_instance" not in vars(self):
            raise InvalidArgument(
                f"{type(self).__name__}: its __init__() does not call super().__init__(), which "
                "takes the command: call it"
            )

    return __init__
