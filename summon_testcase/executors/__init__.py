"""What users declare: a class for each way to be ready."""

from .coordinated import (
    CommandCoordinatedExecutor,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    NotifyCoordinatedExecutor,
    OutputCoordinatedExecutor,
    TCPCoordinatedExecutor,
    UnixSocketCoordinatedExecutor,
)
from .executor import Executor
from .simple import SimpleExecutor

__all__ = [
    "CommandCoordinatedExecutor",
    "Executor",
    "FileCoordinatedExecutor",
    "HTTPCoordinatedExecutor",
    "NotifyCoordinatedExecutor",
    "OutputCoordinatedExecutor",
    "SimpleExecutor",
    "TCPCoordinatedExecutor",
    "UnixSocketCoordinatedExecutor",
]
