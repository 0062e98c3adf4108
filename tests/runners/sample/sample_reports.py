"""What the report of a test that fails says of its services, and what it does not."""

import os
import signal
from unittest import IsolatedAsyncioTestCase

from sample_services import ask, ran, tcp

from summon_testcase import SummonMixin, SummonTestCase


class Talking(SummonTestCase):
    """Its service writes a line for each request, with the path."""

    talker = tcp("talker")
    silent = tcp("silent")

    def say(self, word):
        ran(self)
        ask(self.talker.port, f"/said-{word}-")

    def setUp(self):
        if "set_up" in self._testMethodName:
            self.say("in-set-up")
            raise ValueError("set-up fails")

    def tearDown(self):
        if "tear_down" in self._testMethodName:
            self.say("in-tear-down")
            raise ValueError("tear-down fails")

    def clean_up(self):
        self.say("in-clean-up")
        raise ValueError("clean-up fails")

    def test_body(self):
        self.say("in-body")
        self.assertEqual(1, 2)

    def test_clean_up(self):
        self.addCleanup(self.clean_up)

    def test_error(self):
        self.say("in-error")
        raise OSError(5, "body errs")

    def test_passes(self):
        self.say("in-passing")

    def test_set_up(self):
        pass

    def test_sub_test(self):
        with self.subTest("one"):
            self.say("in-sub-test")
            self.fail("sub-test fails")

    def test_tear_down(self):
        pass


class TalkingLater(SummonMixin, IsolatedAsyncioTestCase):
    talker = tcp("talker")

    async def test_async(self):
        ran(self)
        ask(self.talker.port, "/said-in-async-")
        self.fail("async fails")


class TalkingToOne(SummonTestCase):
    """Its service lives for one test, so it is gone when some runners report."""

    talker = tcp("talker", scope="test")

    def test_own(self):
        ran(self)
        ask(self.talker.port, "/said-in-own-")
        self.fail("own fails")


class Dying(SummonTestCase):
    mortal = tcp("mortal")
    other = tcp("other")

    def test_1_dies(self):
        ran(self)
        os.kill(self.mortal.pid, signal.SIGKILL)
        while True:
            ask(self.mortal.port, "/last-words-")

    def test_2_after(self):
        ran(self)

    def test_3_after(self):
        ran(self)


class DyingUnnoticed(SummonTestCase):
    """The test passes: without ours, all would be well."""

    quiet = tcp("quiet")

    def test_1_passes(self):
        ran(self)
        os.kill(self.quiet.pid, signal.SIGABRT)
        while self.quiet.running():
            pass


class DyingTwice(SummonTestCase):
    phoenix = tcp("phoenix", restart=1)

    def kill(self):
        ran(self)
        self.assertEqual(ask(self.phoenix.port), "phoenix")
        os.kill(self.phoenix.pid, signal.SIGQUIT)
        while self.phoenix.running():
            pass

    def test_1_dies(self):
        self.kill()

    def test_2_fails(self):
        ran(self)
        self.assertEqual(ask(self.phoenix.port), "nobody")

    def test_3_dies(self):
        self.kill()

    def test_4_after(self):
        ran(self)
