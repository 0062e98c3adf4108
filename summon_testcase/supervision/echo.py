"""Where the output of services is shown while tests run, if ``SUMMON_ECHO`` asks for that."""

from __future__ import annotations

import sys
from typing import Any

from ..clean import visible
from ..foreign import let_through
from ..unpatched import os, switched_on, variable

#: the variable by which pytest-xdist tells a worker its name
_WORKER = "PYTEST_XDIST_WORKER"
#: numbers of colours in escape sequences; red is for errors
_COLOURS = (36, 33, 32, 35, 34)
#: characters of a name that are shown: services without one are called by their command
_LONGEST = 40


class Echo:
    """The place where output is shown, and the colour that each service has there.

    :param fd: the descriptor, which is not ours.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._coloured = not variable("NO_COLOR") and (
            switched_on("FORCE_COLOR") or (os.isatty(fd) and variable("TERM") != "dumb")
        )
        #: the services so far, since each new one gets the next colour
        self._names: list[str] = []

    def front(self, name: str) -> tuple[int, str]:
        """The colour, 0 for none, and the name that the lines of a service get."""
        if name not in self._names:
            self._names.append(name)
        colour = _COLOURS[self._names.index(name) % len(_COLOURS)] if self._coloured else 0
        worker = variable(_WORKER)
        shown = visible(name)[:_LONGEST]
        return colour, f"{worker} {shown}" if worker else shown


def place() -> Echo | None:
    """Where to show output: the standard error of this process; None if it has none."""
    if sys.__stderr__ is None:
        return None
    fd = _of_pytest()
    try:
        os.fstat(fd)
    except OSError as error:
        let_through(error)
        return None
    return Echo(fd)


def _of_pytest() -> int:
    """The descriptor of the standard error that this process was started with.

    That is 2, also when unittest or another runner captures what Python writes.  But pytest puts
    a file in its place while tests run, and keeps the original under another number.
    """
    config: Any = None
    if "_pytest.capture" in sys.modules:
        for frame in sys._current_frames().values():
            at: Any = frame
            while at is not None:
                if at.f_globals.get("__name__") == "_pytest.main" and "config" in at.f_locals:
                    config = at.f_locals["config"]  # of the outermost, if a test runs pytest
                at = at.f_back
    plugins = getattr(config, "pluginmanager", None)
    manager = plugins.getplugin("capturemanager") if plugins else None
    captured = getattr(getattr(manager, "_global_capturing", None), "err", None)
    kept = getattr(captured, "targetfd_save", 2)
    return kept if isinstance(kept, int) else 2
