"""Ready-made services: what a server needs to be told, a file for each.

None is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .postgresql import PostgreSQL as PostgreSQL
    from .redis import Redis as Redis

_MODULES = {
    "PostgreSQL": "postgresql",
    "Redis": "redis",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
