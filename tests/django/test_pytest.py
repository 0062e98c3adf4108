"""pytest-django beside our plugin."""

from __future__ import annotations

import re

import pytest

from .shop import Shop

TESTS = """
from urllib.request import urlopen

import pytest
from django.db.utils import ProgrammingError
from django.test import TestCase
from summon_testcase import OutputCoordinatedExecutor, summon_fixture
from summon_testcase.django import SummonLiveServerTestCase
from shop.fresh import used
from shop.models import Plum

told = OutputCoordinatedExecutor(
    ["sh", "-c", "echo {django.name}; exec sleep 60"], banner="(?P<base>.*)\\n")
stack = summon_fixture(told=told)

def test_of_a_fixture(stack):
    assert stack.told.base.startswith("test_shop")

class Live(SummonLiveServerTestCase):
    def test_one(self):
        Plum.objects.create(name="Victoria")
        with urlopen(self.live_server_url) as answer:
            assert answer.read() == b"1 plums"

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
    assert re.search(r"^=+ 1 failed, 7 passed in ", said, re.M), said
    (report,) = re.findall(r"^-+ (\w+ wrote during this test) -+\n.*ERROR: .*nonsense", said, re.M)
    assert report.startswith("postgresql ")
    assert said.count("wrote during this test") == 1, said


def test_what_no_test_uses_is_not_started(shop: Shop) -> None:
    shop.write("test_shop.py", TESTS)
    chosen = ("-k", "without_database or marked")
    said = shop.pytest("test_shop.py", *chosen, status=1, BINDIR="/nowhere")
    assert re.search(r"^=+ 1 passed, \d deselected, 1 error in ", said, re.M), said
    assert "RequirementMissing: postgresql: 'postgres' is not in /nowhere: install" in said


NOT_UP = """
import pytest
from django.test import TestCase
from summon_testcase import SimpleExecutor, summon_fixture

stack = summon_fixture(asks=SimpleExecutor("sh -c 'echo {django.name}; exec sleep 60'"))

def test_of_a_fixture(stack):
    pass

def test_of_a_fixture_too(stack):
    pass

def test_of_the_database(stack, db):
    pass

class InTransaction(TestCase):
    def test_one(self):
        pass
    test_two = test_one

def test_without():
    pass
"""


def test_services_that_cannot_start(shop: Shop) -> None:
    """The reason is the error of each test that needs one, and of no other."""
    shop.write("test_shop.py", NOT_UP)
    said = shop.pytest("test_shop.py", status=1, BINDIR="/nowhere")
    assert re.search(r"^=+ 1 passed, 5 errors in ", said, re.M), said
    missing = "^E .*RequirementMissing: postgresql: 'postgres' is not in /nowhere: install"
    assert len(re.findall(missing, said, re.M)) == 5, said
    said = shop.pytest("test_shop.py", status=1, REDIS="nowhere")
    assert re.search(r"^=+ 6 errors in ", said, re.M), said
    missing = "^E .*CommandNotFound: redis: command not found: 'nowhere' is not on the PATH"
    assert len(re.findall(missing, said, re.M)) == 6, said


def test_what_is_only_set_up(shop: Shop) -> None:
    """``--setup-only`` runs the fixtures of pytest-django, ``--setup-plan`` does not."""
    shop.write("test_shop.py", "def test_of_the_database(db):\n    pass")
    assert "SETUP    S django_db_setup" in shop.pytest("--setup-only", "test_shop.py")
    shop.pytest("--setup-only", "test_shop.py", status=1, BINDIR="/nowhere")
    shop.pytest("--setup-plan", "test_shop.py", BINDIR="/nowhere", REDIS="/nowhere")


ALONE = """
import pytest
from django.test import SimpleTestCase
from summon_testcase import OutputCoordinatedExecutor, SummonMixin, summon_fixture

def teller():
    return OutputCoordinatedExecutor(
        ["sh", "-c", "echo {django.name} $PGDATABASE; exec sleep 60"],
        banner="(?P<base>.*)\\n", env=["django"])

stack = summon_fixture(told=teller(), scope="module", each=True)

def test_whole(stack):
    assert stack.told.base == "test_shop test_shop"

def test_single(told):
    assert told.base == "test_shop test_shop"

def test_later(request):
    assert request.getfixturevalue("stack").told.base == "test_shop test_shop"

def test_blocked(stack):
    from shop.models import Plum
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Plum.objects.count()

class Simple(SimpleTestCase):
    def test_without(self):
        pass

class Declared(SummonMixin, SimpleTestCase):
    databases = {"default"}
    told = teller()

    def test_class(self):
        assert self.told.base == "test_shop test_shop"
"""


@pytest.mark.parametrize("which", ["whole", "single", "later", "blocked", "class"])
def test_a_service_on_the_test_database_alone(shop: Shop, which: str) -> None:
    """It finds the database also if no test of the run asks pytest-django for it."""
    shop.write("test_shop.py", ALONE)
    assert "1 passed" in shop.pytest("test_shop.py", "-k", which)
