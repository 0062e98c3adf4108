"""A Memcached server."""

from __future__ import annotations

import signal
from typing import Any

from ..unpatched import os
from .client import Client
from .ready_made import ReadyMade


class Memcached(ReadyMade):
    """A Memcached server of 16 megabytes.

    Ready once it answers ``version``.  It is stopped by SIGKILL, since it has nothing to save, and
    takes a second to end by itself.

    :param options: further arguments, ``["-m", "64"]``.
    :param reset: True to empty it (``flush_all``) before each test but the first.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.
    """

    _programs = ("memcached",)
    _protocol = "memcached"

    def __init__(self, **options: Any) -> None:
        words = ["-l", "{host}", "-p", "{port}", "-U", "0", "-m", "16", "-t", "1"]
        if os.geteuid() == 0:
            words += ["-u", "nobody"]
        super().__init__(words, **{"stop_signal": signal.SIGKILL, **options})

    def env(self) -> dict[str, str]:
        """``MEMCACHE_SERVERS``."""
        return {"MEMCACHE_SERVERS": self.url}

    def _flush(self) -> None:
        with Client(self) as client:
            client.expect(b"flush_all\r\n", b"OK\r\n")

    _own_resets = {True: _flush}
