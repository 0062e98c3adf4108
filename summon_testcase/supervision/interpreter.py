"""The command and the environment of the Python interpreter that runs warden and keepers."""

from __future__ import annotations

import sys

from ..errors import SpawnFailed
from ..unpatched import os

#: variables that an interpreter may need to find its library
_NEEDED = (
    *("PYTHONHOME", "PYTHONPLATLIBDIR"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH"),
)
#: their values when this process was started; a test may have changed them since
_given = {
    name: os.environ[name]
    for name in _NEEDED
    if name in os.environ and not (name.startswith("PYTHON") and sys.flags.ignore_environment)
}


def command() -> list[str]:
    """The interpreter, with options by which it ignores the user's modules and settings.

    :raises SpawnFailed: if there is no interpreter.
    """
    if getattr(sys, "frozen", False):
        raise SpawnFailed(
            "summon_testcase cannot start services from a frozen program (PyInstaller, "
            f"cx_Freeze): its warden needs a Python interpreter, and sys.executable, "
            f"{sys.executable}, is that program, which would run once more: run the tests with "
            "a Python interpreter"
        )
    if not sys.executable:
        raise SpawnFailed(
            "summon_testcase needs a Python interpreter to run its warden, and "
            "sys.executable is empty"
        )
    # -I would also ignore PYTHONHOME
    isolated = ("-s",) if any(name.startswith("PYTHON") for name in _given) else ("-I",)
    return [sys.executable, *isolated, "-S"]


def environment() -> dict[str, str]:
    """The environment, in which no variable but those that lead to its library is for Python."""
    others = {
        name: value
        for name, value in os.environ.items()
        if name not in _NEEDED and not name.startswith("PYTHON")
    }
    return {**others, **_given}
