"""The test cases of Django, with a database and without."""

from unittest import skip

from django.contrib.contenttypes.models import ContentType
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from sample_services import ask, ran, tcp

from summon_testcase import SummonMixin


class WithDatabase(SummonMixin, TestCase):
    lone = tcp("lone")

    @classmethod
    def setUpTestData(cls):
        ContentType.objects.create(app_label="sample", model=ask(cls.lone.port))

    def test_answer(self):
        ran(self)
        self.assertTrue(ContentType.objects.filter(model=ask(self.lone.port)).exists())

    async def test_later(self):
        ran(self)
        self.assertTrue(await ContentType.objects.filter(model="lone").aexists())


class WithTransactions(SummonMixin, TransactionTestCase):
    lone = tcp("lone")

    def test_answer(self):
        ran(self)
        ContentType.objects.create(app_label="sample", model=ask(self.lone.port))


class WithoutDatabase(SummonMixin, SimpleTestCase):
    lone = tcp("lone")

    def test_answer(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")


@skip("the class")
class Skipped(SummonMixin, TestCase):
    never = tcp("never")

    def test_never(self):
        ran(self)
