"""What any test module may hold; each runner runs it as it is."""

from unittest import IsolatedAsyncioTestCase, TestCase, skip

from sample_services import ask, http, ran, tcp

from summon_testcase import REMOVED, SummonMixin, SummonTestCase


class Dependent(SummonMixin, TestCase):
    """Two services, one of which needs the other."""

    front = http("front", "{back.port}")
    back = tcp("back")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.answer = ask(cls.front.port)

    @classmethod
    def tearDownClass(cls):
        assert ask(cls.back.port) == "back"
        super().tearDownClass()

    def test_front_asks_back(self):
        ran(self)
        self.assertEqual(ask(self.front.port), "front<back")

    def test_back(self):
        ran(self)
        self.assertEqual(ask(self.back.port), "back")


class Forgetful(SummonTestCase):
    """Its hooks never call super()."""

    lone = tcp("lone")

    @classmethod
    def setUpClass(cls):
        cls.port = cls.lone.port
        assert ask(cls.port) == "lone"
        cls.addClassCleanup(cls.see_it_alive)

    @classmethod
    def tearDownClass(cls):
        assert ask(cls.port) == "lone"

    @classmethod
    def see_it_alive(cls):
        assert ask(cls.lone.port) == "lone"

    def test_lone(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")


class Parent(SummonTestCase):
    """Its declarations are inherited."""

    shared = tcp("shared")
    extra = tcp("extra")

    def test_shared(self):
        ran(self)
        self.assertEqual(ask(self.shared.port), "shared")


class Child(Parent):
    """The same objects again, except one."""

    extra = REMOVED
    own = tcp("own")

    def test_own(self):
        ran(self)
        self.assertEqual(ask(self.own.port), "own")


@skip("the class")
class SkippedClass(SummonTestCase):
    never = tcp("never")

    @classmethod
    def setUpClass(cls):
        raise AssertionError("not for a class that is skipped")

    def test_never(self):
        ran(self)


class SkippedMethods(SummonTestCase):
    never = tcp("never")

    @classmethod
    def setUpClass(cls):
        cls.port = cls.never.port  # raises: it was never started

    @skip("the first")
    def test_never(self):
        ran(self)

    @skip("the second")
    def test_neither(self):
        ran(self)


class Asynchronous(SummonMixin, IsolatedAsyncioTestCase):
    lone = tcp("lone")

    async def asyncSetUp(self):
        self.answer = ask(self.lone.port)

    async def test_answer(self):
        ran(self)
        self.assertEqual(self.answer, "lone")
