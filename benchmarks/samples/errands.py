"""A class with Redis and many tests: ``python -m benchmarks.samples.errands TESTS SECONDS``.

Each test asks Redis twenty times, and then waits for some seconds, as for an application.
"""

import socket
import sys
import time
from unittest import TestCase, TestResult, defaultTestLoader

from summon_testcase import SummonMixin
from summon_testcase.services import Redis


class ErrandsTest(SummonMixin, TestCase):
    redis = Redis()

    @classmethod
    def setUpClass(cls):
        cls.connection = socket.create_connection((cls.redis.host, cls.redis.port))
        cls.addClassCleanup(cls.connection.close)

    def errand(self):
        for number in range(20):
            self.connection.sendall(b"SET errand:%d done\r\n" % number)
            self.assertEqual(self.connection.recv(100), b"+OK\r\n")
        time.sleep(float(sys.argv[2]))


def main():
    for number in range(int(sys.argv[1])):
        setattr(ErrandsTest, f"test_{number}", ErrandsTest.errand)
    result = TestResult()
    defaultTestLoader.loadTestsFromTestCase(ErrandsTest).run(result)
    if not result.wasSuccessful():
        raise SystemExit((result.errors + result.failures)[0][1])


if __name__ == "__main__":
    main()
