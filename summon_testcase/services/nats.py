"""A NATS server."""

from __future__ import annotations

import signal
from typing import Any

from ..unpatched import os
from .ready_made import ReadyMade


class NATS(ReadyMade):
    """A fresh NATS server.

    Ready once it answers ``PING``.  ``reset=True`` starts it again without its streams, in some
    20 ms, since it cannot be told to forget: clients have to connect anew.

    :param jetstream: whether it keeps streams, in its ``{tmpdir}``.
    :param options: further arguments, ``["--max_payload", "2MB"]``.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.
    """

    _programs = ("nats-server",)
    _protocol = "nats"
    _address = "nats://{address}"

    def __init__(self, jetstream: bool = False, **options: Any) -> None:
        words = ["-a", "{host}", "-p", "{port}"]
        if jetstream:
            words += ["-js", "-sd", "{tmpdir}"]
        # by SIGTERM it exits with status 1
        super().__init__(words, **{"stop_signal": signal.SIGINT, **options})

    def env(self) -> dict[str, str]:
        """``NATS_URL``."""
        return {"NATS_URL": self.url}

    def _forget(self) -> None:
        from ..unpatched import shutil

        with self.stopped():
            shutil.rmtree(os.path.join(self.tmpdir, "jetstream"), ignore_errors=True)

    _own_resets = {True: _forget}
