"""Finds the place in the code that declares an executor."""

from __future__ import annotations

import sys
from types import FrameType

from ..unpatched import os


def declaring_place(made: object) -> tuple[str, str] | None:
    """The file of the module whose code makes an object; its constructor calls this.

    For a class attribute that is the module of the class; for an object that a function makes,
    that of the function.  The frames of the object's own constructors are skipped.

    :returns: the file, and the name of the class of which the object becomes an attribute, empty
        for none; None if the module has no file, as in an interactive session.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _constructs(frame, made):
        frame = frame.f_back
    if frame is None or not isinstance(file := frame.f_globals.get("__file__"), str):
        return None
    # only the body of a class has such a name
    name = "" if frame.f_locals is frame.f_globals else frame.f_locals.get("__qualname__", "")
    try:
        return os.path.abspath(file), str(name)
    except FileNotFoundError:  # the path is relative, and the current directory was removed
        return None


def _constructs(frame: FrameType, made: object) -> bool:
    code = frame.f_code
    return (
        code.co_name == "__init__"
        and code.co_argcount > 0
        and frame.f_locals.get(code.co_varnames[0]) is made
    )
