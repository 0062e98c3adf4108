"""Finds the directory of the module that declares an executor."""

from __future__ import annotations

import sys
from types import FrameType

from ..unpatched import os


def declaring_directory(made: object) -> str | None:
    """The directory of the module whose code makes an object; its constructor calls this.

    For a class attribute that is the module of the class; for an object that a function makes,
    that of the function.  The frames of the object's own constructors are skipped.

    :returns: None if that module has no file, as in an interactive session.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _constructs(frame, made):
        frame = frame.f_back
    file = None if frame is None else frame.f_globals.get("__file__")
    try:
        return os.path.dirname(os.path.abspath(file)) if isinstance(file, str) else None
    except FileNotFoundError:  # the path is relative, and the current directory was removed
        return None


def _constructs(frame: FrameType, made: object) -> bool:
    code = frame.f_code
    return (
        code.co_name == "__init__"
        and code.co_argcount > 0
        and frame.f_locals.get(code.co_varnames[0]) is made
    )
