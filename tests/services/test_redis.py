"""The ready-made Redis."""

from __future__ import annotations

import unittest
from typing import Any
from unittest import mock

from summon_testcase import SummonError, SummonMixin, TimeoutExpired, services

from ..needs import needs


def client(server: services.Redis) -> Any:
    """A connection of the usual client."""
    import redis

    return redis.from_url(server.url)


@needs("redis-server")
class RedisTest(SummonMixin, unittest.TestCase):
    """Each test finds it empty."""

    cache = services.Redis(reset=True, options=["--databases", "3"])

    def test_a_is_empty(self) -> None:
        self.assertEqual(client(self.cache).dbsize(), 0)
        client(self.cache).set("one", 1)

    def test_b_is_empty(self) -> None:
        self.assertEqual(client(self.cache).dbsize(), 0)
        client(self.cache).set("one", 1)

    def test_its_log_has_no_drawing(self) -> None:
        said = "\n".join(self.cache.tail(100))
        self.assertIn("Ready to accept connections", said)
        self.assertNotIn("_.-", said)

    def test_variables(self) -> None:
        self.assertEqual(self.cache.env(), {"REDIS_URL": self.cache.url})

    def test_options(self) -> None:
        self.assertEqual(client(self.cache).config_get("databases"), {"databases": "3"})

    def test_a_password(self) -> None:
        """It is ready, can be reset, and its url has the password."""
        options = ["--requirepass", "s3cr\u00e9t/{name}@"]
        with services.Redis(reset=True, options=options, name="till") as server:
            self.assertIn("redis://:s3cr%C3%A9t%2Ftill%40@127.0.0.1:", server.url)
            client(server).set("one", 1)
            server.reset()
            self.assertEqual(client(server).dbsize(), 0)

    def test_a_server_that_refuses(self) -> None:
        """The error has its answer, or says that there is none."""
        with services.Redis(reset=True, options=["--rename-command", "FLUSHALL", ""]) as server:
            with self.assertRaisesRegex(SummonError, "could not be reset: it answered .-ERR unkn"):
                server.reset()
            server.kill()
            server.start()
            with server.paused(), self.assertRaisesRegex(TimeoutExpired, "waited for its answer"):
                with mock.patch("summon_testcase.services.client.PATIENCE", 0.2):
                    server.reset()
            self.assertEqual(client(server).set("one", 1), True)
