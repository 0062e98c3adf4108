"""One service that cannot start, among classes that pass: nothing else makes the run fail."""

from unittest import IsolatedAsyncioTestCase

from sample_services import ask, broken, ran, tcp

from summon_testcase import SummonMixin, SummonTestCase


class Bystander(SummonTestCase):
    lone = tcp("lone")

    def test_passes(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")


class CannotStart(SummonTestCase):
    broken = broken()

    def test_one(self):
        ran(self)

    def test_two(self):
        ran(self)


class CannotStartEither(SummonMixin, IsolatedAsyncioTestCase):
    broken = broken()

    async def test_three(self):
        ran(self)


class Successor(SummonTestCase):
    lone = tcp("lone")

    def test_passes(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")
