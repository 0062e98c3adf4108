"""Nothing of ours: which hooks the runner calls, and what it makes of them."""

import os
import unittest

from server import note


def hook(case, name):
    note(f"{name} {case.__name__} {os.getpid()}")


class Hooks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        hook(cls, "setUpClass")
        cls.addClassCleanup(hook, cls, "classCleanup")
        unittest.addModuleCleanup(hook, cls, "moduleCleanup")

    @classmethod
    def tearDownClass(cls):
        hook(cls, "tearDownClass")

    def test_1(self):
        hook(type(self), "ran")

    def test_2(self):
        hook(type(self), "ran")

    def test_3(self):
        hook(type(self), "ran")

    def test_4(self):
        hook(type(self), "ran")


class HooksAgain(Hooks):
    pass


class HooksOnceMore(Hooks):
    pass


class Skips(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(hook, cls, "classCleanup")
        raise unittest.SkipTest("not now")

    def test_1(self):
        pass

    def test_2(self):
        pass


@unittest.skip("never")
class Marked(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        hook(cls, "setUpClass")

    def test_1(self):
        pass


class Passes(unittest.TestCase):
    def test_1(self):
        hook(type(self), "ran")
