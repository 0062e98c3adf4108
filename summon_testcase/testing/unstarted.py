"""Runs in the place of a test whose services are not up; its report shows this one frame."""

from __future__ import annotations

from types import TracebackType

#: unittest hides modules that have this name; pytest only if it is true, and has to show one frame
__unittest = False


def services_not_up(reason: BaseException, traceback: TracebackType | None) -> None:
    """Raise the reason why the services are not up."""
    # with the traceback of the beginning: each raise adds frames to that of an error
    raise reason.with_traceback(traceback)
