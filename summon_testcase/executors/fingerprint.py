"""Tells whether two processes have made the same declaration, without telling what is in it.

A stack that runs may be older than the code of the tests that would use it.  So its owner tells a
digest of each argument, and the tests compare these with those of their own declaration.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..unpatched import os
from .executor import Executor

if TYPE_CHECKING:
    from .simple import SimpleExecutor

#: Attributes that are no argument, or one of which the service itself knows nothing: tests may wait
#: longer for it, or start it again more often, and use the same one.
_WITHOUT = {
    *("name", "_label", "_declared", "_here", "_place", "_given", "_written", "_groups"),
    *("_instance", "_found", "_owner_name", "_may_be_scoped", "template_fields"),
    *("scope", "_shared", "_optional", "_max_restarts", "_stop_wait", "_alive", "timeout"),
    # what a start has found out, or made
    *(
        "_archives",
        "_made_here",
        "_spares",
        "_spares_lost",
        "_remembered",
        "_afresh",
        "_last",
        "_whole",
    ),
    # follow from arguments
    *("_schema", "_renews", "_home", "_pristine"),
}
#: arguments whose attributes are called otherwise
_NAMES = {"silent": "stdin", "ask_kernel": "foreign_listener"}
#: attributes that hold several arguments
_GROUPS = ("_limits", "_ask")


def fingerprint(executor: SimpleExecutor, key: bytes) -> dict[str, str]:
    """A digest of each argument of a declaration, by its name.

    To be asked before the executor starts, since a start may fill in what was left open.

    :param key: another key gives other digests, so that values that somebody has guessed, such as
        those of variables, cannot be found by their digests.
    """
    state = {n: v for n, v in executor.__getstate__().items() if n not in _WITHOUT}
    for group in _GROUPS:
        held = state.pop(group, {})
        state |= held if isinstance(held, dict) else vars(held)
    state.pop("timeout", None)
    state = {name.lstrip("_"): value for name, value in state.items()}
    state |= executor._contents()
    said = {"class": type(executor).__name__}
    for name, value in state.items():
        said[_NAMES.get(name, name)] = _said(value)
    return {name: _digest(text, key) for name, text in said.items()}


def differences(mine: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The names of the arguments that differ."""
    return sorted(name for name in {*mine, *other} if mine.get(name) != other.get(name))


def _digest(text: str, key: bytes) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, key=key, digest_size=8).hexdigest()


def _said(value: Any) -> str:
    """A text that is the same for equal values, in any process.

    Of functions and of objects that the user has made, only the name is known.
    """
    if isinstance(value, Executor):
        return f"executor {value.name}"
    if isinstance(value, str):
        return repr(str.__str__(value))  # repr() of a value that may be secret would not show it
    if isinstance(value, bytes):
        return repr(bytes(value))
    if value is None or isinstance(value, (bool, int, float, range)):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, re.Pattern):
        return f"pattern {value.pattern!r} {value.flags}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{_said(k)}: {_said(v)}' for k, v in value.items()))}}}"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(_said, value)))}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_said, value))}]"
    if isinstance(value, functools.partial):
        return f"partial {_said(value.func)} {_said(value.args)} {_said(value.keywords)}"
    # the module may have one name where a runner imports it, and another where it is a file
    return str(getattr(value, "__qualname__", type(value).__qualname__))
