"""A Mosquitto server, a broker for MQTT."""

from __future__ import annotations

import signal
from typing import Any

from .ready_made import ReadyMade

_CONFIG = """listener {port} {host}
allow_anonymous true
persistence false
"""


class Mosquitto(ReadyMade):
    """A fresh Mosquitto server that lets anybody in and saves nothing.

    Ready once it accepts a client.  It is stopped by SIGKILL, since there is nothing that it could
    save.

    ``reset=True`` starts it again, in some 20 ms, since it cannot be told to forget: retained
    messages and sessions are gone, and clients have to connect anew.

    :param config: further lines of its configuration, templates filled in; with
        ``persistence true`` among them, write ``stop_signal=signal.SIGTERM``, which takes it up to
        0.1 seconds to notice.
    :param options: further arguments, ``["-v"]``.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.
    """

    _programs = ("mosquitto",)
    _protocol = "mqtt"
    _address = "mqtt://{address}"

    def __init__(self, config: str = "", **options: Any) -> None:
        files = {"mosquitto.conf": f"{_CONFIG}{config}\n"}
        given = {"stop_signal": signal.SIGKILL, **options}
        super().__init__(["-c", "{tmpdir}/mosquitto.conf"], own_files=files, **given)

    def env(self) -> dict[str, str]:
        """``MQTT_URL``."""
        return {"MQTT_URL": self.url}

    _own_resets = {True: ReadyMade.restart}
