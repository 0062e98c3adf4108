"""Says when its first test begins; it imports no driver, which would take most of the time."""

import time
from unittest import TestCase

from summon_testcase import PostgreSQL, SummonMixin

from . import orders


class First(SummonMixin, TestCase):
    db = PostgreSQL(database="shop", template=orders.TEMPLATE, reset=True)

    def test(self):
        print(time.monotonic(), flush=True)
