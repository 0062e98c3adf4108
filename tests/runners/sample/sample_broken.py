"""What fails: a test, a start, and a setUpClass, among classes that pass."""

from sample_services import ask, broken, ran, tcp

from summon_testcase import SummonTestCase


class Bystander(SummonTestCase):
    lone = tcp("lone")

    def test_passes(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")


class CannotStart(SummonTestCase):
    fine = tcp("fine")
    broken = broken(after=fine)  # so fine is ready, and is stopped again

    def test_one(self):
        ran(self)

    def test_two(self):
        ran(self)


class Failing(SummonTestCase):
    lone = tcp("lone")

    def test_fails(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "nobody")

    def test_passes(self):
        ran(self)


class RaisingSetUpClass(SummonTestCase):
    lone = tcp("lone")

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(ask, cls.lone.port)
        raise ValueError("raised by setUpClass")

    def test_its_class_raises(self):
        ran(self)


class Successor(SummonTestCase):
    lone = tcp("lone")

    def test_passes(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")
