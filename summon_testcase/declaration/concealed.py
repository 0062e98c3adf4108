# ruff: noqa: B904 (an error is raised again, and has what led to it)
"""Conceals the values of variables and requests, which may be secrets.

Some tools that print tracebacks show the ``repr()`` of all variables of each frame.  The types
here have a ``repr()`` that shows no value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidArgument, SummonError
from ..tracebacks import hidden, trimmed

#: the arguments whose values may be secrets
_SECRETS = ("env", "files", "headers", "auth", "body")


class _NotShown:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<not shown>"


class Text(_NotShown, str):
    """A text whose ``repr()`` does not show it."""

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
    """An environment whose ``repr()`` shows only the names."""

    def __repr__(self) -> str:
        return f"<environment with {', '.join(map(str, self)) or 'nothing'}>"


_VEILED: dict[type, type] = {str: Text, bytes: _Bytes, tuple: _Pair, list: _List, dict: _Dict}


def _veil(name: str, value: Any) -> Any:
    """The same value as a type whose ``repr()`` does not show it; a user's class may read it."""
    if name == "env":
        if isinstance(value, Mapping):
            return value if isinstance(value, Variables) else Variables(value)
        if isinstance(value, (list, tuple)):
            return _List(_veil(name, item) for item in value)
    if name == "files" and isinstance(value, Mapping):
        return _Dict((key, _veil("", value[key])) for key in value)
    kind = _VEILED.get(type(value))
    return value if kind is None else kind(value)


def kind_of(value: object) -> str:
    """The name of the type that the user gave, before the value was concealed."""
    kind = type(value)
    return (kind.__bases__[1] if isinstance(value, _NotShown) else kind).__name__


def concealing(init: Callable[..., None]) -> Callable[..., None]:
    """Decorate a constructor: it gets arguments that may be secret in concealed form.

    ``_given`` of the object has the names of the arguments; those of the innermost constructor
    if one calls another.

    The traceback of an argument that it refuses has no frames of this package.
    """

    @functools.wraps(init)
    def __init__(self: object, *given: Any, **options: Any) -> None:
        __tracebackhide__ = hidden
        for name in _SECRETS:
            if name in options:
                options[name] = _veil(name, options[name])
        vars(self)["_given"] = frozenset(options)
        try:
            init(self, *given, **options)
        except SummonError as error:
            raise trimmed(error)
        finally:
            # this frame is part of the traceback, and must not have the secrets
            given, options = (), {}
        executor = hasattr(type(self), "_instance")
        if executor and type(self).__init__ is __init__ and "_instance" not in vars(self):
            raise InvalidArgument(
                f"{type(self).__name__}: its __init__() does not call super().__init__(), which "
                "takes the command: call it"
            )

    return __init__
