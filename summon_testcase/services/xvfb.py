"""An X server without a screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..declaration import arguments
from ..declaration.command import Launch
from ..errors import InvalidArgument
from ..executors.loading import warm_up
from ..unpatched import LINUX
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..readiness.probe import Probe
    from ..supervision.instance import Instance

_NUMBER = re.compile(r"^(?P<number>\d+)\n", re.MULTILINE)


class Xvfb(ReadyMade):
    """An X server that draws into memory, for programs that open windows.

    Ready once it says the number of its display, which is the first free one.  The number stays
    the same as long as a port would.  On Linux its socket is an abstract one, so that no file in
    ``/tmp`` is left, and a container with a ``/tmp`` of its own can use it, too.

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
        words = ["-displayfd", "1", "-screen", "0", found, "-noreset", "-nolisten", "tcp"]
        if LINUX:
            # the abstract socket, which is left, is a lock as well
            words += ["-nolisten", "unix", "-nolock"]
        super().__init__(words, **options)
        #: the display of the last start, which a restart takes again
        self._last = ""

    @property
    def display(self) -> str:
        """Its display, ``":1"``.

        :raises NotRunning: if it is not running.
        """
        match = self._current("display").match
        if match is None:
            raise self._not_running("display")
        return f":{match['number']}"

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

    def _launch(self) -> Launch:
        launch = super()._launch()
        if self._leased("display").begun:
            launch.argv = (*launch.argv, self._last)
        return launch

    def _ready(self, instance: Instance) -> None:
        super()._ready(instance)
        assert instance.banner is not None
        instance.match = instance.banner.match
        self._last = self.display
