"""The shop tested with its real store: all is started for the tests, and stopped after them."""

import unittest

import requests

from summon_testcase import HTTPCoordinatedExecutor, SummonMixin, TCPCoordinatedExecutor
from summon_testcase.services import PostgreSQL, Redis


class ShopTest(SummonMixin, unittest.TestCase):
    """A shop and a store that need nothing but Python.

    The shop names the store in ``env``, so it starts when the store is ready.
    """

    store = TCPCoordinatedExecutor("{python} {here}/store.py {port}")
    web = HTTPCoordinatedExecutor(
        "{python} {here}/shop.py {port}",
        url="http://{host}:{port}/health",
        env={"STORE": "{store.host}:{store.port}"},
    )

    def buy(self, thing):
        return requests.post(self.web.url_for("/buy"), data=thing, timeout=5)

    def get(self, path):
        return requests.get(self.web.url_for(path), timeout=5)

    def test_buys(self):
        answer = self.buy("tea")
        self.assertEqual(answer.status_code, 201)
        self.assertEqual(self.get(f"/orders/{answer.text.strip()}").text, "tea\n")

    def test_logs_the_order(self):
        answer = self.buy("coffee")
        logged = self.web.wait_for_output(rf"order ({answer.text.strip()}) stored\n", timeout=5)
        self.assertEqual(logged[1], answer.text.strip())

    def test_survives_a_stopped_store(self):
        with self.store.stopped():
            self.assertEqual(self.get("/").status_code, 200)
            self.assertEqual(self.buy("milk").status_code, 503)
        self.assertEqual(self.buy("milk").status_code, 201)


class DatabaseShopTest(ShopTest):
    """The same shop, with a store that has its orders in PostgreSQL and Redis.

    Its tests, and those above, are skipped where one of the two is not installed.
    """

    db = PostgreSQL(optional=True)
    cache = Redis(optional=True)
    store = TCPCoordinatedExecutor("{python} {here}/database.py {port}", env=[db, cache])

    def test_shows_an_order_without_the_database(self):
        number = self.buy("tea").text.strip()
        with self.db.stopped():
            self.assertEqual(self.get(f"/orders/{number}").text, "tea\n")
            self.assertEqual(self.buy("milk").status_code, 503)
