"""What runs instead of a test whose services are not up: the one frame that its report shows."""

from __future__ import annotations

from types import TracebackType

#: unittest does not show this module; pytest, which looks whether it is true, has to show something
__unittest = False


def services_not_up(reason: BaseException, traceback: TracebackType | None) -> None:
    """Raise why not."""
    # with the traceback that it had: raised again and again, an error piles them up
    raise reason.with_traceback(traceback)
