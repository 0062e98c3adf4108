"""The errors of this package.

They carry data, never an executor or a live process, so that they can be pickled, kept and
printed after the service is gone.
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

    #: the name of the executor that the error is about; None if it is about none
    executor: str | None = None
    #: facts about its process
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
        # Output, commands and answers may have any characters.  Those that a terminal obeys are
        # spelt out, and those that standard output cannot encode: they would end many a runner.
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
    """A test has asked an executor that does not run for something that only a running one has.

    An AttributeError too, so that ``getattr(service, "url", None)`` and ``hasattr`` follow
    Python's rule.
    """


class StartFailed(SummonError):
    """A start has failed, for a reason other than its arguments; base of these reasons.

    A failed start leaves nothing running.
    """


class AttachFailed(StartFailed):
    """``SUMMON_ATTACH`` is set, and the stack that runs cannot be used, or there is none."""

    #: the names of the arguments with which the service of the stack was declared otherwise
    differs: tuple[str, ...] = ()


class CommandNotFound(StartFailed):
    """The program does not exist, or may not be executed."""

    #: the program as it was written
    program: str = ""
    #: the Debian package that has it, where it is known
    package: str | None = None
    #: whether a TestCase skips its tests: the executor was declared with ``optional=True``
    optional: bool = False


class RequirementMissing(CommandNotFound):
    """A program named by ``requires=`` is absent."""


class PortInUse(StartFailed):
    """Another process has the port, socket or pid file of the service."""

    #: the port, or None for a unix socket
    port: int | None = None
    #: the process that listens, where the system tells
    owner_pid: int | None = None
    #: its command line
    owner_command: str | None = None


class TimeoutExpired(StartFailed):
    """A service was not ready, or did not do what a test waited for, in time."""

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
    """Whether an error is this package's, and the code that the caller called has raised it.

    A signal handler may stop another service, whose error then arrives here: it is not ours.
    """
    return isinstance(error, SummonError) and not is_foreign(error)


def blame(error: BaseException, name: str) -> None:
    """Note which service an exception of the user's own code is about, if that is not known."""
    vars(error).setdefault("_summon_service", name)


def blamed(error: BaseException) -> str:
    """The service that an exception of the user's own code is about; empty if it is not known."""
    return str(vars(error).get("_summon_service", ""))


def sentence(error: BaseException) -> str:
    """The message of an error, in one line if possible."""
    return error.message if isinstance(error, SummonError) else f"{type(error).__name__}: {error}"
