"""The shop tested with its real store: both are started for the tests, and stopped after."""

import unittest

import requests

from summon_testcase import HTTPCoordinatedExecutor, SummonMixin, TCPCoordinatedExecutor


class ShopTest(SummonMixin, unittest.TestCase):
    """The shop names the store in ``env``, so it starts when the store is ready."""

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
