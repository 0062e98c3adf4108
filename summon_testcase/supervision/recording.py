"""Has a report written, and logs kept, if the user asks for it; what does that is imported then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..foreign import undisturbed
from ..unpatched import variable
from . import shutdown

if TYPE_CHECKING:
    from types import ModuleType

#: variables that name a directory: for the report, for the logs of all services
REPORT, LOGS = "SUMMON_REPORT", "SUMMON_LOGS"

_recorder: ModuleType | None = None
#: whether this process has asked the variables; whoever sets them later is too late
_begun = False


def begin(report: str = "", logs: str = "") -> None:
    """Record from now on what happens in this process; later calls do nothing.

    :param report: the directory of the report; default: the one that ``SUMMON_REPORT`` names.
    :param logs: the directory for the logs of all services; default: the one that ``SUMMON_LOGS``
        names, or else ``logs`` in that of the report.
    """
    global _recorder, _begun
    _begun = True
    report, logs = report or variable(REPORT), logs or variable(LOGS)
    if _recorder is None and (report or logs):
        _recorder = undisturbed(_imported)
        _recorder.begin(report, logs)


def _imported() -> ModuleType:
    from ..reports import recorder

    return recorder


def wanted() -> bool:
    """Whether something is recorded, or will be once the run begins."""
    return _recorder is not None or bool(not _begun and (variable(REPORT) or variable(LOGS)))


def place_of_log(owner: str, name: str) -> str:
    """The path of an empty file for the log of a service; empty if logs are not kept.

    :param owner: the name of the class that declares the service; empty if no class does.
    """
    return "" if _recorder is None else str(_recorder.place_of_log(owner, name))


def command() -> list[str]:
    """What to run after a Python interpreter if this process is killed; empty for nothing."""
    return [] if _recorder is None else list(_recorder.command())


def _forget() -> None:
    global _recorder, _begun
    if _recorder is not None:
        _recorder.forget()
    _recorder, _begun = None, False


shutdown.at_reset(_forget)
