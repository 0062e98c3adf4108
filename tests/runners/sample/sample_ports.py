"""Services that are called by their ports, so that the log shows who had which, and when."""

from sample_services import ask, ran, tcp

from summon_testcase import SummonTestCase


class One(SummonTestCase):
    """Its port is in use for a while, beside those of other workers."""

    first = tcp("{port}")
    second = tcp("{port}", scope="test")

    def see(self):
        ran(self)
        for _ in range(10):
            for service in (self.first, self.second):
                self.assertEqual(ask(service.port), str(service.port))

    def test_1(self):
        self.see()

    def test_2(self):
        self.see()

    def test_3(self):
        self.see()


class Two(One):
    """Its declarations are those of One."""


class Three(One):
    first = tcp("{port}", scope="module")
