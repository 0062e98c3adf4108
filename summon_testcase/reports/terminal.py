"""Tells of events in the log of the test process, and of slow starts on its terminal."""

from __future__ import annotations

import sys
from typing import Any

from ..clean import visible
from ..events import Event, ServiceReady, ServiceStarting, ServiceStopped, ServiceWaiting, Warned
from ..foreign import let_through, undisturbed
from ..unpatched import switched_on

#: a variable that, if set and not ``0``, has slow starts reported without a terminal, too
VERBOSE = "SUMMON_VERBOSE"

#: whether somebody else shows slow starts and warnings, as the screen of ``summon up`` does
shown_elsewhere = False
#: the logger, once it is known
_logger: Any = None


def tell(event: Event) -> None:
    """Write what is worth a line: a start and its end, a stop, warnings, a start that takes long.

    :param event: what has happened.
    """
    if isinstance(event, Warned):
        if not shown_elsewhere:
            _log(event.level, "%s", event.text)
    elif isinstance(event, ServiceWaiting):
        if not shown_elsewhere:
            _show(event)
    elif _logger is None and "logging" not in sys.modules:
        return  # nobody can have asked to see more, and the import takes milliseconds
    elif isinstance(event, ServiceStarting):
        _log("info", "%s: starting", event.service)
    elif isinstance(event, ServiceReady):
        _log("info", "%s: ready after %.3f s", event.service, event.after)
    elif isinstance(event, ServiceStopped) and event.after:
        _log("info", "%s: stopped after %.3f s", event.service, event.after)


def _log(level: str, text: str, *facts: object) -> None:
    global _logger
    if _logger is None:
        _logger = undisturbed(_logger_of_this_package)
    getattr(_logger, level)(text, *facts)


def forget() -> None:
    """Find the logger anew at the next line; for tests."""
    global _logger
    _logger = None


def _logger_of_this_package() -> Any:
    import logging

    return logging.getLogger("summon_testcase")


def _show(event: ServiceWaiting) -> None:
    """Write to standard error, if that is a terminal or the variable :data:`VERBOSE` is set."""
    stream = sys.stderr
    try:
        if stream is not None and (switched_on(VERBOSE) or stream.isatty()):
            said = f"waiting for {event.service}: {visible(event.refusal)} ({event.after:.0f} s)"
            hint = event.hint and f"; {event.hint}"
            print(f"summon_testcase: {said}{hint}", file=stream)
            stream.flush()
    except Exception as error:
        # Standard error may be closed, full, or replaced by the test.  A start must not fail
        # because of that.
        let_through(error)
