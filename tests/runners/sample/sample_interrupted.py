"""Ctrl-C while a test runs, which also is the last thing that the process does."""

import os
import signal

from sample_services import ran, tcp

from summon_testcase import SummonTestCase


class Before(SummonTestCase):
    early = tcp("early")

    def test_before(self):
        ran(self)


class Interrupted(SummonTestCase):
    lone = tcp("lone")

    def test_interrupted(self):
        ran(self)
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
