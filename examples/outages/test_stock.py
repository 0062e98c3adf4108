"""The stock when its network is refused, slow, cut, or silent."""

from contextlib import closing
from unittest import TestCase

import redis
from stock import Stock, Unavailable

from summon_testcase import SummonMixin
from summon_testcase.services import Redis, TCPProxy


class OutageTest(SummonMixin, TestCase):
    server = Redis(reset=True)
    network = TCPProxy(to="{server.host}:{server.port}")

    def setUp(self):
        with closing(redis.from_url(self.server.url)) as direct:
            direct.set("tea:had", 5)
        self.stock = self.open_stock()
        self.assertEqual(self.stock.left("tea"), "5")

    def open_stock(self, **options):
        stock = Stock(f"redis://{self.network.host}:{self.network.port}", **options)
        self.addCleanup(stock.close)
        return stock

    def test_a_server_that_is_away(self):
        with self.network.refuse():
            self.assertEqual(self.stock.left("tea"), "about 5")
            self.assertEqual(self.stock.left("coffee"), "unknown")
            with self.assertRaises(Unavailable):
                self.stock.take("tea", order="1")
        self.assertEqual(self.stock.left("tea"), "5")

    def test_a_line_that_is_cut(self):
        with self.network.cut():
            self.assertEqual(self.stock.left("tea"), "about 5")
        self.stock.take("tea", order="1")
        self.assertEqual(self.stock.left("tea"), "4")

    def test_a_line_on_which_nothing_arrives(self):
        hasty = self.open_stock(patience=0.1)
        with self.network.limit(0):
            self.assertEqual(hasty.left("tea"), "unknown")
        self.assertEqual(self.stock.left("tea"), "5")

    def test_an_answer_that_comes_too_late(self):
        hasty = self.open_stock(patience=0.1)
        with self.network.delay(60), self.assertRaises(Unavailable):
            hasty.take("tea", order="1")  # the server takes it, and nobody hears of it
        self.stock.take("tea", order="1")
        self.assertEqual(self.stock.left("tea"), "4")
