# ruff: noqa: B904 (an error is raised again, and has what led to it)
"""Removes the frames of this package from the tracebacks of its errors.

The message of an error says what the user has to know; frames of this package below the user's
call say nothing to them.  pytest hides modules with ``__tracebackhide__``, and unittest hides
modules with ``__unittest`` at the beginning of a traceback.  For other runners the frames are
removed.  A command shows no tracebacks: there a sentence says what the user's code has raised.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .errors import SummonError, blamed, is_ours
from .foreign import let_through
from .unpatched import os, switched_on

if TYPE_CHECKING:
    from traceback import FrameSummary

P = ParamSpec("P")
R = TypeVar("R")

#: a variable that keeps all frames if it is set and not ``0``
DEBUG = "SUMMON_DEBUG"
_OURS = __name__.partition(".")[0]


def hidden(excinfo: Any) -> bool:
    """Whether pytest is to hide the frames of a module: its ``__tracebackhide__``.

    :param excinfo: the exception, as pytest wraps it.  Frames of errors of this package are
        hidden.
    """
    ours = excinfo is None or isinstance(excinfo.value, (SummonError, AssertionError))
    return ours and not switched_on(DEBUG)


def trimmed(error: BaseException) -> BaseException:
    """An error without our frames in its traceback, and in those of its causes."""
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
        # contextlib calls our context managers: its frames go too
        ours = f"{module}.".startswith(f"{_OURS}.") or (ours and module == "contextlib")
        if not ours:
            kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def raised(error: BaseException) -> str:
    """What the user's own code has raised, and where, in one line."""
    kind, text = type(error).__name__, str(error).strip().partition("\n")[0]
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}"
    else:
        frames = _theirs(error)
        where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    return (f"{kind}: {text}" if text else kind) + (f" ({where})" if where else "")


def _theirs(error: BaseException) -> list[FrameSummary]:
    """The lines that are neither of this package nor of the machinery that has called them."""
    import traceback

    ours = (os.path.dirname(os.path.abspath(__file__)) + os.sep, "<frozen")
    frames = traceback.extract_tb(error.__traceback__)
    return [
        frame
        for frame in frames
        if not frame.filename.startswith(ours)
        and not {"importlib", "contextlib.py"} & {*frame.filename.split(os.sep)}
    ]


@contextlib.contextmanager
def in_a_sentence(name: str = "") -> Iterator[None]:
    """A block that runs code of the user's in a command: what that raises becomes a sentence.

    A runner of tests shows a traceback; whoever types a command wants to know which service it is.

    :param name: of the service, if the exception does not know it.
    :raises SummonError: that sentence.
    """
    try:
        yield
    except (SummonError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also SystemExit, and the exceptions of pytest.skip()
        if isinstance(error, Exception):
            let_through(error)
        frames, name = _theirs(error), blamed(error) or name
        code = frames[0].name if frames else "start or stop"
        called = f"{code}()" if code.isidentifier() else code.strip("<>")
        who = f"{name}: " if name else ""
        raise SummonError(f"{who}{called} raised {raised(error)}") from error


def warn(said: str) -> None:
    """Warn at the user's line that has led here."""
    import warnings

    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(said, RuntimeWarning, stacklevel=level)


#: the calls that :func:`warn_on_a_loop` has warned of
_warned: set[str] = set()


def warn_on_a_loop(call: str, instead: str) -> None:
    """Warn once if the user blocks the asyncio event loop that runs in this thread by a call.

    Does nothing if this package makes the call, or a start of the user's that it is running.

    :param call: what blocks.
    :param instead: what to write.
    """
    events: Any = sys.modules.get("asyncio.events")
    if events is None or call in _warned or events._get_running_loop() is None:
        return
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals is globals():
        frame = frame.f_back
    if frame is None or _is_ours(frame):
        return
    while frame is not None:
        if frame.f_globals.get("__name__") == f"{_OURS}.scheduling.asynchronous":
            return
        frame = frame.f_back
    _warned.add(call)
    warn(
        f"{call} blocks the event loop that runs here: until it returns all tasks stand still. "
        f"Write {instead}"
    )


def _is_ours(frame: FrameType) -> bool:
    return f"{frame.f_globals.get('__name__')}.".startswith(f"{_OURS}.")


def forget() -> None:
    """Warn again of what :func:`warn_on_a_loop` has warned of."""
    _warned.clear()


def boundary(call: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that users call: our errors leave it without our frames.

    Other exceptions, KeyboardInterrupt above all, pass unchanged.
    """

    @functools.wraps(call)
    def public(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = hidden
        try:
            return call(*args, **kwargs)
        except SummonError as error:
            raise trimmed(error)

    return public


def boundary_on_a_loop(
    call: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """As :func:`boundary`, for a coroutine function."""

    @functools.wraps(call)
    async def public(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = hidden
        try:
            return await call(*args, **kwargs)
        except SummonError as error:
            raise trimmed(error)

    return public


def boundary_of_start(start: Callable[P, R]) -> Callable[P, R]:
    """As :func:`boundary`, for a method that starts something: after Ctrl-C nothing of it runs.

    Ctrl-C may come even after the start has succeeded, while our frames are returning.
    """

    @functools.wraps(start)
    def public(*args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = hidden
        it: Any = args[0]
        before = it._last_start()
        try:
            return start(*args, **kwargs)
        except BaseException as error:
            if is_ours(error):
                raise trimmed(error)
            it._undo_start(before)
            raise

    return public
