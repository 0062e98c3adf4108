"""What can go wrong, each kind under a name of its own.

Errors carry data, never an executor or a live process, so that they can be
pickled, kept and printed after the service is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .clean import encodable, visible
from .foreign import is_foreign

if TYPE_CHECKING:
    from .wording import Report


class SummonError(Exception):
    """Base of all errors of this library.

    :param message: one sentence that says who failed and why.
    :param facts: the attributes that the class of the error documents.
    """

    #: the name of the executor concerned, if there is one
    executor: str | None = None
    #: what is known of its process
    report: Report | None = None
    #: sentences about the other services of a group: cancelled, stopped, not started
    consequences: tuple[str, ...] = ()

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.__dict__.update(facts)

    @property
    def message(self) -> str:
        """The first sentence alone."""
        return str(self.args[0])

    def __str__(self) -> str:
        parts = [self.message, str(self.report or ""), *(f"  {line}" for line in self.consequences)]
        said = "\n".join(part for part in parts if part)
        # output, commands and answers have any characters: none that a terminal obeys is printed,
        # and none that standard output cannot take, where many a runner ends
        return encodable("\n".join(map(visible, said.split("\n"))))


class InvalidArgument(SummonError, ValueError):
    """An argument that cannot work; the message says what to write instead."""


class UnknownReference(InvalidArgument):
    """A template such as ``{redsi.port}`` names nothing that is declared."""


class DependencyCycle(InvalidArgument):
    """Services wait for each other in a circle."""

    #: the names along the circle, the first one repeated at the end
    cycle: tuple[str, ...] = ()


class AlreadyRunning(SummonError):
    """``start()`` was called on an executor that is running."""


class NotRunning(SummonError, AttributeError):
    """Something was asked of an executor that only a running one has.

    An AttributeError too, so that ``getattr(service, "url", None)`` and ``hasattr`` follow
    Python's rule.
    """


class StartFailed(SummonError):
    """A start that failed once its arguments were accepted: base of the reasons.

    A failed start leaves nothing running.
    """


class CommandNotFound(StartFailed):
    """The program does not exist, or may not be executed."""

    #: the program as it was written
    program: str = ""
    #: the Debian package that has it, where it is known
    package: str | None = None
    #: a TestCase skips its tests, since there is no such program and the executor was declared
    #: with ``optional=True``
    optional: bool = False


class RequirementMissing(CommandNotFound):
    """A program named by ``requires=`` is absent."""


class PortInUse(StartFailed):
    """Somebody else listens where the service should."""

    #: the port, or None for a unix socket
    port: int | None = None
    #: the process that listens, where the system tells
    owner_pid: int | None = None
    #: its command line
    owner_command: str | None = None


class TimeoutExpired(StartFailed):
    """What was waited for did not come in time."""

    #: the limit in seconds
    timeout: float = 0.0
    #: bytes of what was sent to it that it took by then; None if nothing was sent
    taken: int | None = None


class ProcessExited(StartFailed):
    """The process ended before it was ready, or while it was needed."""

    #: as in :attr:`subprocess.Popen.returncode`
    exit_code: int | None = None
    #: bytes of what was sent to it that it took by then; None if nothing was sent
    taken: int | None = None


class FailurePatternSeen(StartFailed):
    """The output matched ``fails_on`` before the service was ready."""

    #: the text that matched
    matched: str = ""


class SpawnFailed(StartFailed):
    """The system refused to start the process (limits, memory, a full disk)."""


class StopFailed(SummonError):
    """A service did not stop as it should; it is gone nevertheless."""

    #: the errors of each service, where several are reported together
    errors: tuple[BaseException, ...] = ()


def is_ours(error: BaseException) -> bool:
    """Whether this package says something by it, below the function that has caught it.

    A signal handler may raise such an error too: of another service, which it stops.
    """
    return isinstance(error, SummonError) and not is_foreign(error)
