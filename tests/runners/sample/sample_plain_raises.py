"""Nothing of ours: a setUpClass that raises, beside a class that passes."""

import unittest

from sample_plain import hook


class Raises(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(hook, cls, "classCleanup")
        raise ValueError("by setUpClass")

    def test_1(self):
        hook(type(self), "ran")

    def test_2(self):
        hook(type(self), "ran")


class PassesAfter(unittest.TestCase):
    def test_1(self):
        hook(type(self), "ran")
