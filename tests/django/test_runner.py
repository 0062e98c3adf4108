"""``manage.py test`` of a project whose settings name services."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import tempfile
from pathlib import Path

import pytest

from ..needs import give_up
from .shop import Shop

TESTS = """
import os
import signal
import time
from django.conf import settings
from django.db import connection
from django.db.utils import ProgrammingError
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from settings import redis
from .fresh import used

class InTransaction(TestCase):
    def test_one(self):
        used()
    test_two = test_one

    def test_writes(self):
        used()
        with self.assertRaises(ProgrammingError), connection.cursor() as cursor:
            cursor.execute("SELECT nonsense")
        self.fail("as it should")

class Committed(TransactionTestCase):
    def test_one(self):
        used()
    test_two = test_one

class Simple(SimpleTestCase):
    def test_one(self):
        used(database=False)
    test_two = test_one

class TheCacheDies(SimpleTestCase):
    def test_1_kills(self):
        os.kill(redis.pid, signal.SIGKILL)
        limit = time.monotonic() + 20
        while redis.running() and time.monotonic() < limit:
            time.sleep(0.01)

    def test_2_finds_it_dead(self):
        print("not reached")
"""


def test_each_test_finds_a_fresh_database_and_a_fresh_cache(shop: Shop) -> None:
    shop.write("shop/tests.py", TESTS)
    said = shop.test("-v2", status=1)
    assert "Ran 9 tests" in said and "FAILED (failures=1, errors=2)" in said, said
    # what the server wrote is in the report of the test in which it did
    (report,) = re.findall(r"^AssertionError: as it should\n\n(.*?)\n\n---", said, re.M | re.S)
    assert report.startswith("postgresql wrote during this test:\n")
    assert 'column "nonsense" does not exist' in report
    assert said.count("wrote during this test") == 1, said
    killed = "ProcessExited: redis: was killed by SIGKILL during shop.tests.TheCacheDies.test_1_"
    assert said.count(killed) == 2 and "not reached" not in said, said


#: what Django does before a test writes into the cache
PREPARED = """
from django.core.cache import cache
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.test import TestCase, TransactionTestCase
from .models import Plum

@receiver(post_save, sender=Plum)
def saved(instance, **kwargs):
    cache.set("plum", instance.name)

class DataOfTheClass(TestCase):
    @classmethod
    def setUpTestData(cls):
        Plum.objects.create(name="Opal")

    def test_finds_it(self):
        assert cache.get("plum") == "Opal"
        assert cache.get("left") is None
        cache.set("left", 1)

class Again(DataOfTheClass):
    pass

class Fixture(TransactionTestCase):
    fixtures = ["plum.json"]

    def test_finds_it(self):
        assert cache.get("plum") == "Victoria"
        assert cache.get("left") is None
        cache.set("left", 1)
    test_again = test_finds_it
"""


@pytest.mark.parametrize("words", [(), ("--parallel", "2")], ids=["alone", "parallel"])
def test_services_forget_before_django_prepares_a_test(shop: Shop, words: tuple[str, ...]) -> None:
    """What fixtures and ``setUpTestData`` have written is there in the test."""
    shop.write("shop/tests.py", PREPARED)
    (shop.path / "shop/fixtures").mkdir()
    plum = {"model": "shop.plum", "pk": 1, "fields": {"name": "Victoria"}}
    shop.write("shop/fixtures/plum.json", json.dumps([plum]))
    assert "Ran 4 tests" in shop.test(*words, SPAWN="1")


#: the classes run in the order of their names
DEADLY = """
import os, signal, time
from django.conf import settings
from django.test import TestCase
from summon_testcase import SimpleExecutor, SummonMixin
from settings import server
from .models import Plum

class A(TestCase):
    def test_1_kills(self):
        os.kill(server.pid, signal.SIGKILL)
        limit = time.monotonic() + 20
        while server.running() and time.monotonic() < limit:
            time.sleep(0.01)

    if "MORTAL" in os.environ:
        def test_2(self):
            Plum.objects.create(name="Victoria")

class B(TestCase):
    @classmethod
    def setUpTestData(cls):
        Plum.objects.create(name="Victoria")

    def test_1(self):
        assert Plum.objects.get().name == "Victoria"
    test_2 = test_1

class C(SummonMixin, B):
    writes = SimpleExecutor("sh -c 'echo up >>started; exec sleep 60'", env=["django"])
"""


@pytest.mark.parametrize("restart", [True, False], ids=["restart", "no restart"])
def test_a_database_that_dies(shop: Shop, restart: bool) -> None:
    """Test cases of Django use the database before the test itself begins."""
    shop.write("shop/tests.py", DEADLY)
    killed = "postgresql: was killed by SIGKILL during shop.tests.A.test_1_kills"
    if restart:
        said = shop.test()
        assert "Ran 5 tests" in said, said
        assert f"{killed}; started again before shop.tests.B.test_1 (restart=)" in said
        return
    said = shop.test(status=1, MORTAL="1")
    # the end of the class in which it died speaks to it, too
    assert "Ran 6 tests" in said and "FAILED (errors=7)" in said, said
    assert said.count(f"ProcessExited: {killed}\n") == 6, said
    assert not (shop.path / "started").exists(), "services of a class whose tests cannot run"
    assert "Traceback" not in said.partition("FAILED (errors=7)")[2], said


#: each test waits until a test of the other worker runs, too
WORKERS = """
import os, time
from pathlib import Path
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import TestCase
from summon_testcase import OutputCoordinatedExecutor, SummonMixin
from settings import Place
from .fresh import used

if "CELERY" in os.environ:
    from celery import Celery
    app = Celery("shop")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    at_import = app.conf.broker_url

class First(SummonMixin, TestCase):
    told = OutputCoordinatedExecutor(
        ["sh", "-c", 'echo "{django.url} $PGDATABASE"; exec sleep 60'],
        banner="(?P<place>.*) (?P<base>.*)\\n", env=["django"])

    def test_has_its_own(self):
        used()
        assert self.told.place.endswith(f"/{self.told.base}")
        assert self.told.base == connection.settings_dict["NAME"]
        database = connection.settings_dict
        (address,) = settings.CACHES["default"]["LOCATION"]
        host, port = settings.PLACE["where"][1:]
        assert address == f"redis://{host}:{port}/0", (address, settings.PLACE)
        assert settings.OTHERS == {
            "text": {"PORT": str(port)},
            "named": Place(host, port),
            "frozen": frozenset([address]),
            "bytes": address.encode(),
            "key": {port: "redis"},
        }, (address, settings.OTHERS)
        assert settings.OTHERS["named"].port == port
        if "CELERY" in os.environ:
            assert at_import != app.conf.broker_url == settings.CELERY_BROKER_URL == address
        said = Path(os.environ["SAID"])
        said.joinpath(type(self).__name__).write_text(
            f"{database['PORT']} {database['NAME']} {address}")
        limit = time.monotonic() + 20
        while len(list(said.iterdir())) < 2 and time.monotonic() < limit:
            time.sleep(0.01)
        assert cache.get("plums") == 1
        assert len(list(said.iterdir())) == 2

class Second(First):
    pass
"""

#: an address in all forms in which settings may have one
OTHERS = """
from collections import namedtuple
Place = namedtuple("Place", "host port")
OTHERS = {
    "text": {"PORT": str(redis.port)},
    "named": Place(redis.host, redis.port),
    "frozen": frozenset([url(redis)]),
    "bytes": url(redis).encode(),
    "key": {redis.port: "redis"},
}
"""


@pytest.mark.parametrize("how", ["forked", "spawned"])
def test_workers_have_databases_and_caches_of_their_own(shop: Shop, how: str) -> None:
    shop.write("shop/tests.py", WORKERS)
    shop.append("settings.py", OTHERS)
    folder = shop.path / "said"
    folder.mkdir()
    report = shop.path / "report"
    environment = (
        {"SPAWN": "1"} if how == "spawned" else {"SUMMON_REPORT": str(report), "CELERY": "1"}
    )
    said = shop.test("--parallel", "2", SAID=str(folder), **environment)
    assert "Ran 2 tests" in said, said
    first, second = (path.read_text().split() for path in folder.iterdir())
    assert first[0] == second[0], "one server has both databases"
    assert {first[1], second[1]} == {"test_shop_1", "test_shop_2"}
    assert first[2] != second[2]
    if how == "forked":
        made = json.loads((report / "report.json").read_text())
        assert len(made["processes"]) == 3
        assert [service["name"] for service in made["services"]].count("redis") == 3
        outcomes = {test["name"]: test["outcome"] for test in made["tests"]}
        case = "shop.tests.{}.test_has_its_own"
        assert outcomes == {case.format("First"): "passed", case.format("Second"): "passed"}


def test_a_service_that_only_workers_cannot_start_is_the_error_of_their_tests(shop: Shop) -> None:
    shop.write("shop/tests.py", WORKERS)
    shop.append("settings.py", OTHERS)
    # the parent starts it, then it is gone
    program = shop.path / "cache"
    program.write_text('#!/bin/sh\nrm "$0"\nexec redis-server "$@"\n')
    program.chmod(0o755)
    said = shop.test("--parallel", "2", status=1, SAID="none", REDIS=str(program))
    assert "Ran 2 tests" in said and "FAILED (errors=2)" in said, said
    assert said.count("CommandNotFound: redis: command not found") == 2, said


def test_what_no_test_uses_is_not_started(shop: Shop) -> None:
    """The database ``unused`` of the settings cannot be, in all tests here."""
    shop.write("shop/tests.py", TESTS)
    said = shop.test("shop.tests.InTransaction.test_one", status=1, BINDIR="/nowhere")
    assert "Found 1 test(s).\nCommandError: postgresql: 'postgres' is not in /nowhere: " in said
    assert "Traceback" not in said
    # it asks which migrations there were, and warns that there is no database
    command = ("-W", "ignore:Got an error", "manage.py", "makemigrations", "--check")
    assert shop.run(*command, BINDIR="/nowhere") == "No changes detected\n"


def test_a_database_that_is_kept(shop: Shop) -> None:
    """``--keepdb``, and ``--reuse-db`` of pytest-django: the next run begins with it."""
    shop.write("shop/tests.py", TESTS)
    cache = Path(tempfile.gettempdir(), f"summon-cache-{os.getuid()}")
    label = "shop.tests.Committed.test_one"
    shop.pytest("-q", "--reuse-db", "shop/tests.py", "-k", "Committed and one")
    assert "No migrations to apply." in shop.test("--keepdb", "-v2", label)
    kept = set(cache.glob("*.archive"))
    assert "Applying shop.0001_initial... OK" in shop.test("-v2", label)
    assert len(kept - set(cache.glob("*.archive"))) == 1, "a run without --keepdb removes it"


def test_any_runner_has_them(shop: Shop) -> None:
    """Also one that knows nothing of us, since Django reads TEST when it sets up databases."""
    shop.write("shop/tests.py", TESTS)
    shop.append("settings.py", "del DATABASES['unused']\n")
    plain = "django.test.runner.DiscoverRunner"
    said = shop.test("shop.tests.Committed.test_one", RUNNER=plain)
    assert "Ran 1 test" in said, said
    runners = """
from django.test.runner import DiscoverRunner
from summon_testcase.django import RunnerMixin

class Own(DiscoverRunner):
    def run_suite(self, suite, **kwargs):
        print("my own")
        return super().run_suite(suite, **kwargs)

class OwnWithServices(RunnerMixin, Own):
    "Both."
"""
    shop.write("runners.py", runners)
    # and no database, since none of these tests needs it
    own = {"RUNNER": "runners.OwnWithServices", "BINDIR": "/nowhere"}
    said = shop.test("shop.tests.Simple", **own)
    assert "my own" in said and "Ran 2 tests" in said, said


#: a runner whose workers call a function of its own, and run tests by a class of its own
OWN_WORKERS = """
from django.test import runner
from summon_testcase.django import RunnerMixin

called = []

def begin(*arguments, **options):
    runner._init_worker(*arguments, **options)
    called.append("begin")

class Remote(runner.RemoteTestRunner):
    def run(self, test):
        called.append("run")
        return super().run(test)

class Suite(runner.ParallelTestSuite):
    init_worker = begin
    runner_class = Remote

class Runner(RunnerMixin, runner.DiscoverRunner):
    parallel_test_suite = Suite
"""


@pytest.mark.parametrize("how", ["forked", "spawned"])
def test_workers_of_a_runner_stay_as_they_are(shop: Shop, how: str) -> None:
    own = OWN_WORKERS.replace(
        "class Runner(RunnerMixin, runner.DiscoverRunner)", "class Own(runner.DiscoverRunner)"
    )
    shop.write("runners.py", own + "class Runner(RunnerMixin, Own):\n    pass\n")
    shop.write(
        "shop/tests.py",
        """
from django.test import TestCase
from runners import called
from .fresh import used

class One(TestCase):
    def test_one(self):
        assert called[:2] == ["begin", "run"], called
        used()
    test_two = test_one

class Two(One):
    pass
""",
    )
    spawn = {"SPAWN": "1"} if how == "spawned" else {}
    assert "Ran 4 tests" in shop.test("--parallel", "2", RUNNER="runners.Runner", **spawn)


def test_a_runner_with_results_of_its_own(shop: Shop) -> None:
    """The one that the docs of ``RunnerMixin`` name."""
    if importlib.util.find_spec("xmlrunner") is None:
        give_up("unittest-xml-reporting is not installed")
    shop.write(
        "runners.py",
        """
from xmlrunner.extra.djangotestrunner import XMLTestRunner
from summon_testcase.django import RunnerMixin

class OurRunner(RunnerMixin, XMLTestRunner):
    pass
""",
    )
    shop.append("settings.py", "TEST_OUTPUT_DIR = 'junit'\n")
    shop.write("shop/tests.py", TESTS)
    said = shop.test("shop.tests.InTransaction", status=1, RUNNER="runners.OurRunner")
    assert "Ran 3 tests" in said and "FAILED (failures=1)" in said, said
    (report,) = (shop.path / "junit").iterdir()
    assert "postgresql wrote during this test:" in report.read_text()
