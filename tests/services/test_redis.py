"""The ready-made Redis."""

from __future__ import annotations

import unittest
from typing import Any

from summon_testcase import SummonMixin, services

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

    def test_variables(self) -> None:
        self.assertEqual(self.cache.env(), {"REDIS_URL": self.cache.url})

    def test_options(self) -> None:
        self.assertEqual(client(self.cache).config_get("databases"), {"databases": "3"})
