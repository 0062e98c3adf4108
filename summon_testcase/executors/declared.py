"""Which executors a class declares."""

from __future__ import annotations

from .executor import Executor


def declared(case: type) -> dict[str, Executor]:
    """The executors among the attributes of a class by name, those of its bases first."""
    found: dict[str, object] = {}
    for base in reversed(case.__mro__):
        found |= vars(base)
    return {name: value for name, value in found.items() if isinstance(value, Executor)}
