"""Where an executor is declared."""

from __future__ import annotations

import sys
from types import FrameType

from ..unpatched import os


def declaring_directory(made: object) -> str | None:
    """The directory of the module whose code makes an object, as its constructor asks.

    That is the module of the class body for a class attribute, of the function for one that a
    function makes: where its text is written.  Constructors of its own classes only hand on.

    :returns: None if that module has no file, as in an interactive session.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _constructs(frame, made):
        frame = frame.f_back
    file = None if frame is None else frame.f_globals.get("__file__")
    try:
        return os.path.dirname(os.path.abspath(file)) if isinstance(file, str) else None
    except FileNotFoundError:  # a relative one, and no current directory
        return None


def _constructs(frame: FrameType, made: object) -> bool:
    code = frame.f_code
    return (
        code.co_name == "__init__"
        and code.co_argcount > 0
        and frame.f_locals.get(code.co_varnames[0]) is made
    )
