"""A second module, so that runners go from the classes of one to those of another."""

import sample_first
from sample_services import ask, ran, tcp

from summon_testcase import SummonTestCase


class Elsewhere(SummonTestCase):
    lone = tcp("lone")

    def test_elsewhere(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")


class Heir(sample_first.Parent):
    def test_heir(self):
        ran(self)
        self.assertEqual(ask(self.extra.port), "extra")
