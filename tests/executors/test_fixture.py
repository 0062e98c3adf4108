"""``useFixture(service)``, as testtools and fixtures have it."""

from __future__ import annotations

import os
import signal
import unittest

import fixtures
import testtools

from summon_testcase import Orchestrator, SimpleExecutor

from ..samples import marked, service


def hello(mark: str, name: str) -> SimpleExecutor:
    """A service that says hello at once."""
    command = f'echo "hello from {name}"; exec "$@"'
    words = ["sh", "-c", command, "sh", *service("silent.py", mark)]
    return SimpleExecutor(words, name=name, until=lambda it: it.tail())


def run(test: testtools.TestCase) -> unittest.TestResult:
    result = unittest.TestResult()
    test.run(result)
    return result


def test_a_test_of_testtools_has_the_output_in_its_report(mark: str) -> None:
    class Test(testtools.TestCase):
        def test(self) -> None:
            web = self.useFixture(hello(mark, "web"))
            stack = Orchestrator([hello(mark, "one"), hello(mark, "two")])
            assert self.useFixture(stack) is stack
            assert web.running() and stack.running()
            self.fail("it is not as it should be")

    result = run(Test("test"))
    ((_, said),) = result.failures
    for name in ("web", "one", "two"):
        assert f"output of {name}: {{{{{{hello from {name}}}}}}}" in said
    assert "it is not as it should be" in said
    assert not result.errors and not marked(mark)


def test_a_death_is_the_error_of_the_test(mark: str) -> None:
    class Test(testtools.TestCase):
        def test(self) -> None:
            web = self.useFixture(hello(mark, "web"))
            os.kill(web.pid, signal.SIGKILL)

    ((_, said),) = run(Test("test")).errors
    assert "web: was killed by SIGKILL" in said and "output of web: {{{hello from web}}}" in said


def test_a_start_that_fails_leaves_nothing(mark: str) -> None:
    class Test(testtools.TestCase):
        def test(self) -> None:
            bad = SimpleExecutor("sh -c 'echo no; exit 3'", one_shot=True, name="bad")
            self.useFixture(Orchestrator([hello(mark, "web"), bad]))

    ((_, said),) = run(Test("test")).errors
    assert "bad: exited with status 3" in said and "started, stopped again: web" in said
    assert not marked(mark)


def test_a_fixture_of_fixtures_uses_them(mark: str) -> None:
    class Shop(fixtures.Fixture):  # type: ignore[misc, unused-ignore]
        def _setUp(self) -> None:
            self.web = self.useFixture(hello(mark, "web"))

    shop = Shop()
    with shop:
        assert shop.web.running()
        assert shop.getDetails()["output of web"].as_text() == "hello from web"
        shop.reset()
        assert shop.web.running()
    assert not marked(mark)
    assert shop.web.getDetails() == {}


def test_they_are_not_in_the_way() -> None:
    shown = {*dir(SimpleExecutor("x")), *dir(Orchestrator([]))}
    assert not shown & {"setUp", "cleanUp", "getDetails"}
