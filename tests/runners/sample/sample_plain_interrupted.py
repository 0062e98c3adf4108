"""Nothing of ours: Ctrl-C in a test."""

import atexit
import os
import signal
import unittest

from sample_plain import hook


class Interrupted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(hook, cls, "classCleanup")

    @classmethod
    def tearDownClass(cls):
        hook(cls, "tearDownClass")

    def test_1(self):
        atexit.register(hook, Interrupted, "atexit")
        hook(type(self), "ran")
        os.kill(os.getpid(), signal.SIGINT)
