"""The TestCase of Twisted's trial."""

from sample_services import ask, broken, ran, tcp
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from summon_testcase import SummonMixin


class Deferring(SummonMixin, TestCase):
    lone = tcp("lone")

    def test_answer(self):
        ran(self)
        return deferToThread(ask, self.lone.port).addCallback(self.assertEqual, "lone")


class CannotStart(SummonMixin, TestCase):
    broken = broken()

    def test_one(self):
        ran(self)

    def test_two(self):
        ran(self)


class Skipped(SummonMixin, TestCase):
    never = tcp("never")

    def test_never(self):
        ran(self)

    test_never.skip = "the way of trial"
