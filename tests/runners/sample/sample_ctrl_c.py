"""A test during which Ctrl-C is pressed, and which some runners let go on to its end."""

from sample_services import ran, tcp, until_ctrl_c

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
        until_ctrl_c()
