"""The shop as its customers meet it: through nginx, with all that it needs."""

from contextlib import closing
from pathlib import Path
from unittest import TestCase

import psycopg2
import requests

from summon_testcase import Defaults, SummonMixin
from summon_testcase.services import WSGI, Celery, Nginx, PostgreSQL, Redis


class ShopTest(SummonMixin, TestCase):
    summon = Defaults(cwd="{here}")
    db = PostgreSQL(
        database="shop",
        template="{python} -m shop.migrate",
        template_key=Path("shop/migrations"),
        reset=True,
    )
    cache = Redis(reset=True)
    worker = Celery("shop.tasks", env=[db, cache])
    web = WSGI("shop.web:app", env=[db, cache])
    front = Nginx(
        "location / { root {here}/static; }"
        "location /api/ { proxy_pass http://{web.host}:{web.port}/; }"
    )

    def order(self, item):
        return requests.post(self.front.url_for("/api/orders"), json={"item": item}, timeout=5)

    def get(self, path):
        return requests.get(self.front.url_for(path), timeout=5)

    def execute(self, sql):
        with closing(psycopg2.connect(self.db.url)) as connection, connection:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else None

    def test_the_worker_stores_an_order(self):
        answer = self.order("tea")
        self.assertEqual(answer.status_code, 202)
        number = answer.json()["number"]
        self.assertOutput(self.worker, f"order {number} stored")
        self.assertEqual(self.execute("SELECT item, cents FROM orders"), [("tea", 350)])
        self.assertEqual(self.get(f"/api/orders/{number}").json(), {"item": "tea", "cents": 350})

    def test_an_order_waits_for_the_worker(self):
        with self.worker.paused():
            number = self.order("coffee").json()["number"]
            self.assertEqual(self.get(f"/api/orders/{number}").status_code, 404)
        self.assertOutput(self.worker, f"order {number} stored")
        self.assertEqual(self.get(f"/api/orders/{number}").json(), {"item": "coffee", "cents": 400})

    def test_the_price_is_that_of_today(self):
        self.execute("UPDATE items SET cents = 300")  # the next test finds another database
        number = self.order("coffee").json()["number"]
        self.assertOutput(self.worker, f"order {number} stored")
        self.assertEqual(self.execute("SELECT item, cents FROM orders"), [("coffee", 300)])

    def test_prices_are_shown_without_the_database(self):
        self.assertEqual(self.get("/api/prices").json(), {"coffee": 400, "tea": 350})
        with self.db.stopped():
            self.assertEqual(self.get("/api/prices").json(), {"coffee": 400, "tea": 350})

    def test_what_is_not_sold_cannot_be_ordered(self):
        self.assertEqual(self.order("bread").status_code, 400)

    def test_the_front_page_comes_from_nginx(self):
        self.assertIn("The shop is open", self.get("/").text)
