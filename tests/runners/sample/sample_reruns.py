"""Tests that fail at first, and pass when they are run again, as pytest-rerunfailures does."""

import unittest

from sample_services import ask, ran, tcp

from summon_testcase import SummonMixin, summon_fixture

stack = summon_fixture(
    lone=tcp("lone", reset=lambda lone: ask(lone.port, "/reset")), scope="module", each=True
)
attempts = []


def passes_next_time(service):
    """Fail unless the service was up for the test before, too, and was reset since."""
    attempts.append(service.pid)
    written = service.tail()
    ask(service.port, "/attempt")
    assert len(attempts) > 1, "flaky"
    assert len(set(attempts)) == 1
    assert "lone was asked: GET /reset" in written
    attempts.clear()


class Flaky:
    def test_of_functions(self, lone):
        passes_next_time(lone)
        ran(self)


class FlakyCase(SummonMixin, unittest.TestCase):
    lone = tcp("lone", reset=lambda lone: ask(lone.port, "/reset"))

    def test_of_methods(self):
        passes_next_time(self.lone)
        ran(self)

    def test_another(self):  # or the class would be torn down between the attempts
        ran(self)
