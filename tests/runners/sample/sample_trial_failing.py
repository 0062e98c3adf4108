"""trial's TestCase, with tests that fail, at once and later."""

from sample_services import ask, ran, tcp
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from summon_testcase import SummonMixin


class TrialFailing(SummonMixin, TestCase):
    talker = tcp("talker")

    def test_their_case(self):
        ran(self)
        asked = deferToThread(ask, self.talker.port, "/said-in-their-case-")
        return asked.addCallback(lambda _: self.fail("trial's own fails"))
