"""pytest-django beside our plugin."""

from __future__ import annotations

import re

import pytest

from .shop import Shop

TESTS = """
import pytest
from django.db.utils import ProgrammingError
from django.test import TestCase
from shop.fresh import used
from shop.models import Plum

def test_without_database():
    used(database=False)

@pytest.mark.django_db
def test_marked():
    used()

def test_transactional(transactional_db):
    used()

class InTransaction(TestCase):
    def test_one(self):
        used()
    test_two = test_one

@pytest.mark.django_db
def test_writes():
    used()
    with pytest.raises(ProgrammingError):
        Plum.objects.raw("SELECT nonsense")[0]
    raise RuntimeError("as it should")
"""


@pytest.mark.parametrize("xdist", [False, True], ids=["alone", "xdist"])
def test_services_start_for_the_tests_that_use_them(shop: Shop, xdist: bool) -> None:
    shop.write("test_shop.py", TESTS)
    options = ("-p", "xdist", "-n", "2") if xdist else ("-v",)
    said = shop.pytest(*options, "test_shop.py", status=1)
    assert re.search(r"^=+ 1 failed, 5 passed in ", said, re.M), said
    (report,) = re.findall(r"^-+ (\w+ wrote during this test) -+\n.*ERROR: .*nonsense", said, re.M)
    assert report.startswith("postgresql ")
    assert said.count("wrote during this test") == 1, said


def test_what_no_test_uses_is_not_started(shop: Shop) -> None:
    shop.write("test_shop.py", TESTS)
    run = ("-q", "test_shop.py", "-k")
    assert "1 passed" in shop.pytest(*run, "without_database", BINDIR="/nowhere")
    said = shop.pytest(*run, "test_marked", status=1, BINDIR="/nowhere")
    assert "RequirementMissing: postgresql: 'postgres' is not in /nowhere: install" in said
