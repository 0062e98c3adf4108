"""A suite of classes with a stack of their own each; says when tests began, and classes ended.

``python -m benchmarks.samples.stack CLASSES wait`` or ``… go-on``, for ``stop_wait``.
"""

import json
import sys
import time
from pathlib import Path
from unittest import TestCase, TestResult, TestSuite
from urllib.request import urlopen

from summon_testcase import Defaults, SummonMixin
from summon_testcase.services import WSGI, Celery, PostgreSQL, Redis

SHOP = Path(__file__).resolve().parent.parent.parent / "examples" / "flask_celery"
#: moments of time.monotonic() at which a test began, and ended
MOMENTS = []


class Base(SummonMixin, TestCase):
    summon = Defaults(cwd=SHOP, stop_wait=sys.argv[2:] == ["wait"])
    db = PostgreSQL(
        database="shop",
        template="{python} -m shop.migrate",
        template_key=SHOP / "shop" / "migrations",
    )
    cache = Redis()
    worker = Celery("shop.tasks", env=[db, cache])
    web = WSGI("shop.web:app", env=[db, cache])

    def test(self):
        MOMENTS.append(time.monotonic())
        with urlopen(self.web.url_for("/prices"), timeout=5) as response:
            self.assertIn("tea", json.load(response))
        MOMENTS.append(time.monotonic())


def main():
    ends = []
    for number in range(int(sys.argv[1])):
        result = TestResult()
        case = type(f"Test{number}", (Base,), {})
        TestSuite([case("test")]).run(result)
        ends.append(time.monotonic() - MOMENTS[-1])
        if not result.wasSuccessful():
            raise SystemExit((result.errors + result.failures)[0][1])
    print(json.dumps({"first": MOMENTS[0], "ends": ends}))


if __name__ == "__main__":
    main()
