"""Starts the processes that integration tests rely on, waits until they are ready, stops them.

Declare them as class attributes of a ``unittest.TestCase`` with :class:`SummonMixin`, or
run them for a block with :func:`orchestrated`.

PYTEST_DONT_REWRITE: there are no assertions of tests, and pytest need not warn of that.
"""

import sys
from typing import TYPE_CHECKING

if sys.platform == "win32" and "posix" not in sys.builtin_module_names:
    raise ImportError(
        "summon_testcase is not supported on Windows: it needs pseudo-terminals, process "
        "groups and unix sockets; use Linux, macOS or WSL"
    )

from .declaration.defaults import Defaults
from .errors import (
    AlreadyRunning,
    AttachFailed,
    CommandNotFound,
    DependencyCycle,
    FailurePatternSeen,
    InvalidArgument,
    NotRunning,
    PortInUse,
    ProcessExited,
    RequirementMissing,
    SpawnFailed,
    StartFailed,
    StopFailed,
    SummonError,
    TimeoutExpired,
    UnknownReference,
)
from .executors.coordinated import (
    CommandCoordinatedExecutor,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    NotifyCoordinatedExecutor,
    OutputCoordinatedExecutor,
    TCPCoordinatedExecutor,
    UnixSocketCoordinatedExecutor,
)
from .executors.executor import Executor
from .executors.simple import SimpleExecutor
from .orchestration.orchestrator import Orchestrator, orchestrated
from .services.postgresql import PostgreSQL
from .testing.testcase import REMOVED, SummonMixin, SummonTestCase, summoned

if TYPE_CHECKING:
    from .events import Note, emit, subscribe
    from .testing.fixtures import summon_fixture

__version__ = "0.2.0"

__all__ = [
    "REMOVED",
    "AlreadyRunning",
    "AttachFailed",
    "CommandCoordinatedExecutor",
    "CommandNotFound",
    "Defaults",
    "DependencyCycle",
    "Executor",
    "FailurePatternSeen",
    "FileCoordinatedExecutor",
    "HTTPCoordinatedExecutor",
    "InvalidArgument",
    "NotRunning",
    "Note",
    "NotifyCoordinatedExecutor",
    "Orchestrator",
    "OutputCoordinatedExecutor",
    "PortInUse",
    "PostgreSQL",
    "ProcessExited",
    "RequirementMissing",
    "SimpleExecutor",
    "SpawnFailed",
    "StartFailed",
    "StopFailed",
    "SummonError",
    "SummonMixin",
    "SummonTestCase",
    "TCPCoordinatedExecutor",
    "TimeoutExpired",
    "UnixSocketCoordinatedExecutor",
    "UnknownReference",
    "emit",
    "orchestrated",
    "subscribe",
    "summon_fixture",
    "summoned",
]


def __getattr__(name: str) -> object:
    # few use events themselves, and their classes take time to make
    if name in ("Note", "emit", "subscribe"):
        from . import events

        return getattr(events, name)
    if name == "summon_fixture":
        from .testing import fixtures

        return getattr(fixtures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
