"""Services of a Django project: declared in its settings, started when its tests begin.

Django itself is imported only with what a test runner needs, not with what settings import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .settings import database, url

if TYPE_CHECKING:
    from .live_server import SummonLiveServerTestCase as SummonLiveServerTestCase
    from .runner import Runner as Runner
    from .runner import RunnerMixin as RunnerMixin

_MODULES = {
    "Runner": "runner",
    "RunnerMixin": "runner",
    "SummonLiveServerTestCase": "live_server",
}

__all__ = ["Runner", "RunnerMixin", "SummonLiveServerTestCase", "database", "url"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
