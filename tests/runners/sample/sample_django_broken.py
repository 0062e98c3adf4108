"""Django's TestCase, with a service that cannot start, and a test that fails."""

from django.test import TestCase
from sample_services import ask, broken, ran, tcp

from summon_testcase import SummonMixin


class DjangoCannotStart(SummonMixin, TestCase):
    broken = broken()

    def test_one(self):
        ran(self)

    def test_two(self):
        ran(self)


class DjangoFailing(SummonMixin, TestCase):
    talker = tcp("talker")

    def test_their_case(self):
        ran(self)
        ask(self.talker.port, "/said-in-their-case-")
        self.fail("Django's own fails")
