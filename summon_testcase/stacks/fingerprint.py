"""Tells whether two declarations of a service are the same, without telling what they say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..executors.executor import Executor
from ..unpatched import os

#: attributes of an executor that are no part of its declaration
_STATE = {
    *("_instance", "_services", "_in_testcase", "_may_be_scoped", "_declared_in_class", "_found"),
    *("_declared", "_given", "_label", "_started", "_order", "_culprit", "_killed", "_graph"),
}


def fingerprint(executor: Executor) -> dict[str, str]:
    """For each argument of a declaration a short hash of its value.

    Functions count by their names, since their code differs from process to process, and other
    executors by theirs.
    """
    facts = {name: value for name, value in vars(executor).items() if name not in _STATE}
    limits = facts.pop("_limits", None)
    facts |= {} if limits is None else vars(limits)
    said = {"class": type(executor).__qualname__}
    for name, value in facts.items():
        text = "\0".join(_words(value, frozenset()))
        said[name.lstrip("_")] = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return said


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The names of the arguments in which two fingerprints differ."""
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _words(value: Any, within: frozenset[int]) -> Iterable[str]:
    """A value as text that is the same in each process."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        yield repr(value)
    elif hasattr(value, "__fspath__"):
        yield os.fspath(value)
    elif isinstance(value, re.Pattern):
        yield f"{value.pattern!r} {value.flags}"
    elif isinstance(value, Executor):
        yield f"executor {value.name}"
    elif isinstance(value, type) or hasattr(value, "__qualname__"):
        yield str(getattr(value, "__qualname__", ""))
    elif id(value) in within:
        yield "itself"
    else:
        inner = within | {id(value)}
        yield type(value).__qualname__
        if isinstance(value, Mapping):
            for key in sorted(value, key=repr):
                yield from _words(key, inner)
                yield from _words(value[key], inner)
        elif isinstance(value, (set, frozenset)):
            yield from sorted("\0".join(_words(each, inner)) for each in value)
        elif isinstance(value, (list, tuple, range)):
            for each in value:
                yield from _words(each, inner)
        else:
            yield from _words(getattr(value, "__dict__", {}), inner)
