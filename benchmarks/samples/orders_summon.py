"""Each test has a fresh database, by summon_testcase."""

import os
import time
from unittest import TestCase

import psycopg

from summon_testcase import PostgreSQL, SummonMixin

from . import orders

#: seconds that each reset has taken
RESETS = []


class Timed(PostgreSQL):
    def reset(self):
        began = time.monotonic()
        super().reset()
        RESETS.append(time.monotonic() - began)


class Orders(SummonMixin, TestCase):
    db = Timed(database="shop", template=orders.TEMPLATE, reset=True)


def _test(self):
    with psycopg.connect(self.db.url) as connection:
        orders.work(connection, float(os.environ["SECONDS_OF_A_TEST"]))


for number in range(orders.TESTS):
    setattr(Orders, f"test_{number}", _test)
