"""How the interpreter that runs the tests is started once more, for the warden."""

from __future__ import annotations

import sys

from ..errors import SpawnFailed
from ..unpatched import os

#: what an interpreter may need to find its library
_NEEDED = (
    *("PYTHONHOME", "PYTHONPLATLIBDIR"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH"),
)
#: as it was when this one was started; a test may have changed it since
_given = {
    name: os.environ[name]
    for name in _NEEDED
    if name in os.environ and not (name.startswith("PYTHON") and sys.flags.ignore_environment)
}


def command() -> list[str]:
    """The interpreter, and the options with which it looks at nothing of the user's.

    :raises SpawnFailed: if there is none that could be started.
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
    # -I would pass over PYTHONHOME as well
    isolated = ("-s",) if any(name.startswith("PYTHON") for name in _given) else ("-I",)
    return [sys.executable, *isolated, "-S"]


def environment() -> dict[str, str]:
    """The environment for it: nothing tells it how to behave, but where its library is."""
    others = {
        name: value
        for name, value in os.environ.items()
        if name not in _NEEDED and not name.startswith("PYTHON")
    }
    return {**others, **_given}
