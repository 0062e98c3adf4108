"""A class whose services other processes may use, too; says when it began, and its first test.

``python -m benchmarks.samples.shared``, with ``SUMMON_ATTACH`` or without.
"""

import json
import time
from unittest import TestCase, TestResult, defaultTestLoader

from summon_testcase import Defaults, PostgreSQL, SummonMixin
from summon_testcase.services import Redis

#: moments of time.monotonic() at which a test began
MOMENTS = []


class ShopTest(SummonMixin, TestCase):
    summon = Defaults(scope="run", shared=True)
    db = PostgreSQL(database="shop", template="create table orders (id int)", reset=True)
    cache = Redis()

    def test(self):
        MOMENTS.append(time.monotonic())


def main():
    result = TestResult()
    began = time.monotonic()
    defaultTestLoader.loadTestsFromTestCase(ShopTest).run(result)
    if not result.wasSuccessful():
        raise SystemExit((result.errors + result.failures)[0][1])
    print(json.dumps({"first": MOMENTS[0] - began}))


if __name__ == "__main__":
    main()
