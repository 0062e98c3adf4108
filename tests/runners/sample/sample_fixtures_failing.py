"""Tests that fail, whose services are fixtures: what their reports say, and what they do not."""

import asyncio
import os
import signal

import pytest
from sample_services import ask, broken, ran, tcp

from summon_testcase import summon_fixture


class Stack:
    talker = tcp("talker")
    silent = tcp("silent")


class Broken:
    fine = tcp("fine")
    broken = broken(after=fine)  # so fine is ready, and is stopped again


stack = summon_fixture(Stack, scope="class", each=True)
own = summon_fixture(Stack, scope="function")
lones = summon_fixture(lone=tcp("lone"), scope="class", each=True)
cannot_start = summon_fixture(Broken, scope="class")
dying = summon_fixture(mortal=tcp("mortal"), other=tcp("other"), scope="class", each=True)
dying_unnoticed = summon_fixture(quiet=tcp("quiet"), scope="class", each=True)
dying_twice = summon_fixture(phoenix=tcp("phoenix", restart=1), scope="class", each=True)


class Bystander:
    def test_passes(self, lone):
        ran(self)
        assert ask(lone.port) == "lone"


class CannotStart:
    def test_one(self, cannot_start):
        ran(self)

    def test_two(self, cannot_start):
        ran(self)


class Failing:
    def test_fails(self, lone):
        ran(self)
        assert ask(lone.port) == "nobody"

    def test_passes(self, lone):
        ran(self)


class Talking:
    """Its service writes a line for each request, with the path."""

    @pytest.fixture
    def say(self, stack):
        def say(word):
            ran(self)
            ask(stack.talker.port, f"/said-in-{word}-")

        return say

    @pytest.fixture
    def set_up_fails(self, say):
        say("set-up")
        raise ValueError("set-up fails")

    @pytest.fixture
    def tear_down_fails(self, say):
        yield
        say("tear-down")
        raise ValueError("tear-down fails")

    def test_body(self, say):
        say("body")
        assert 1 == 2

    def test_clean_up(self, say, request):
        request.addfinalizer(lambda: ask("no port"))
        request.addfinalizer(lambda: say("clean-up"))

    def test_error(self, say):
        say("error")
        raise OSError(5, "body errs")

    def test_passes(self, say):
        say("passing")

    def test_set_up(self, set_up_fails):
        pass

    def test_sub_test(self, say, subtests):
        with subtests.test("one"):
            say("sub-test")
            raise ValueError("sub-test fails")

    def test_tear_down(self, tear_down_fails):
        pass

    def test_async(self, say):
        async def fail():
            say("async")
            raise ValueError("async fails")

        asyncio.run(fail())


class TalkingToOne:
    """Its service lives for one test."""

    def test_own(self, own):
        ran(self)
        ask(own.talker.port, "/said-in-own-")
        raise AssertionError("own fails")


def kill(service, how):
    os.kill(service.pid, how)
    while service.running():
        pass


class Dying:
    def test_1_dies(self, mortal):
        ran(self)
        os.kill(mortal.pid, signal.SIGKILL)
        while True:
            ask(mortal.port, "/last-words-")

    def test_2_after(self, dying):
        ran(self)

    def test_3_after(self, mortal):
        ran(self)


class DyingUnnoticed:
    """The test passes: without ours, all would be well."""

    def test_1_passes(self, quiet):
        ran(self)
        kill(quiet, signal.SIGABRT)


class DyingTwice:
    def test_1_dies(self, phoenix):
        ran(self)
        assert ask(phoenix.port) == "phoenix"
        kill(phoenix, signal.SIGQUIT)

    def test_2_fails(self, phoenix):
        ran(self)
        assert ask(phoenix.port) == "nobody"

    def test_3_dies(self, phoenix):
        self.test_1_dies(phoenix)

    def test_4_after(self, phoenix):
        ran(self)


class Successor(Bystander):
    pass
