# ruff: noqa: B904 (an error is raised again, and has what led to it)
"""Tracebacks that show the user's lines, not ours.

The sentence of an error says what is to be known; the frames between the user's call and the place
where it was raised say nothing to who has not written them.  Some runners can be told to hide
frames (pytest does not show modules with ``__tracebackhide__``, unittest those with ``__unittest``
where they come first), for the others ours are taken out.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

from .errors import SummonError, is_ours
from .unpatched import switched_on

P = ParamSpec("P")
R = TypeVar("R")

#: a variable that, set and not ``0``, leaves all frames in
DEBUG = "SUMMON_DEBUG"
_OURS = __name__.partition(".")[0]


def hidden(excinfo: Any) -> bool:
    """For pytest, as the ``__tracebackhide__`` of a module or a function.

    :param excinfo: what pytest knows of the exception; one that is not ours is shown as it came.
    """
    ours = excinfo is None or isinstance(excinfo.value, (SummonError, AssertionError))
    return ours and not switched_on(DEBUG)


def trimmed(error: BaseException) -> BaseException:
    """An error without our frames in its traceback, and in those of what led to it."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and not switched_on(DEBUG) and not any(each is e for e in seen):
        seen.append(each)
        each.__traceback__ = _without_ours(each.__traceback__)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return error


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    frames = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    kept: TracebackType | None = None
    ours = False
    for frame in reversed(frames):
        module = frame.tb_frame.f_globals.get("__name__") or ""
        # what calls our context managers is no line of the user's either
        ours = f"{module}.".startswith(f"{_OURS}.") or (ours and module == "contextlib")
        if not ours:
            kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def warn(said: str) -> None:
    """Warn of what a user has written, at the line of the user's that has led here."""
    import warnings

    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith(f"{_OURS}."):
        frame, level = frame.f_back, level + 1
    warnings.warn(said, RuntimeWarning, stacklevel=level)


def boundary(call: Callable[P, R]) -> Callable[P, R]:
    """Decorate what users call: errors of ours leave it without the frames below it.

    What others raise, KeyboardInterrupt above all, leaves it as it came.
    """

    @functools.wraps(call)
    def public(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = hidden
        try:
            return call(*args, **kwargs)
        except SummonError as error:
            raise trimmed(error)

    return public


def boundary_of_start(start: Callable[P, R]) -> Callable[P, R]:
    """The same for a method that starts something, which an interrupt leaves not running.

    Ctrl-C may come when all is done, while our frames return one after the other.
    """

    @functools.wraps(start)
    def public(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = hidden
        try:
            return start(*args, **kwargs)
        except BaseException as error:
            if is_ours(error):
                raise trimmed(error)
            it: Any = args[0]
            it._undo_start()
            raise

    return public
