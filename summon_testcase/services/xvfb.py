"""An X server without a screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..declaration import arguments
from ..errors import InvalidArgument
from ..executors.loading import warm_up
from ..unpatched import LINUX
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..readiness.probe import Probe

_NUMBER = re.compile(r"^(?P<number>\d+)\n", re.MULTILINE)


class Xvfb(ReadyMade):
    """An X server that draws into memory, for programs that open windows.

    Ready once it says the number of its display, such as ``:24138``.  The number is found as that
    of a free port is, and stays the same as long.  On Linux its socket is an abstract one, so that
    no file in ``/tmp`` is left, and a container with a ``/tmp`` of its own can use it, too.

    :param screen: width, height and depth of the screen, in pixels and bits.
    :param options: further arguments, ``["-dpi", "96"]``.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.
    """

    _asks_again = False
    _programs = ("Xvfb",)
    template_fields = ("display",)

    def __init__(self, screen: str = "1280x800x24", **options: Any) -> None:
        found = arguments.text("Xvfb()", "screen", screen, 'text such as "1280x800x24"')
        if not re.fullmatch(r"[0-9]+x[0-9]+x[0-9]+", found):
            raise InvalidArgument(
                f'Xvfb(): screen={screen!r}: write text such as "1280x800x24"', executor="Xvfb()"
            )
        words = [":{port:display}", "-displayfd", "1", "-screen", "0", found]
        words += ["-noreset", "-nolisten", "tcp"]
        if LINUX:
            # the abstract socket, which is left, is a lock as well
            words += ["-nolisten", "unix", "-nolock"]
        super().__init__(words, **options)

    @property
    def display(self) -> str:
        """Its display, ``":24138"``.

        :raises NotRunning: if it is not running.
        """
        self._current("display")
        return f":{self.ports['display']}"

    def env(self) -> dict[str, str]:
        """``DISPLAY``."""
        return {"DISPLAY": self.display}

    def _warm_up(self) -> None:
        warm_up()

    def _readiness(self) -> list[Probe]:
        from ..readiness.output import Observer, OutputProbe

        instance = self._present("log")
        instance.banner = OutputProbe(Observer(instance.log, [_NUMBER]), [_NUMBER])
        return [instance.banner]
