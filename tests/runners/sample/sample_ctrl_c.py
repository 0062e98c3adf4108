"""A test that takes long enough for Ctrl-C, which some runners let go on to its end."""

import time

from sample_services import ran, tcp

from summon_testcase import SummonTestCase


class Before(SummonTestCase):
    early = tcp("early")

    def test_before(self):
        ran(self)


class Interrupted(SummonTestCase):
    lone = tcp("lone")
    shared = tcp("shared", scope="run")

    def test_interrupted(self):
        ran(self)
        time.sleep(2)
