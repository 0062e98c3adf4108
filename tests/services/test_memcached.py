"""The ready-made Memcached."""

from __future__ import annotations

import unittest
from typing import Any

from summon_testcase import SummonMixin, services

from ..needs import needs


@needs("memcached")
class MemcachedTest(SummonMixin, unittest.TestCase):
    """Each test finds it empty."""

    cache = services.Memcached(reset=True, options=["-I", "2m"])

    def client(self) -> Any:
        from pymemcache.client.base import Client

        client = Client(self.cache.env()["MEMCACHE_SERVERS"])
        self.addCleanup(client.close)
        return client

    def test_a_is_empty(self) -> None:
        client = self.client()
        self.assertIsNone(client.get("one"))
        client.set("one", "1", noreply=False)

    def test_b_is_empty(self) -> None:
        client = self.client()
        self.assertIsNone(client.get("one"))
        client.set("one", "1", noreply=False)

    def test_options(self) -> None:
        self.assertEqual(self.client().stats("settings")[b"item_size_max"], 2 << 20)
