"""Services that use the test database: ``env=["django"]``, and the site as a process."""

from __future__ import annotations

import json
import re

import pytest

from .shop import Shop

TESTS = """
from urllib.request import urlopen

from django.core.cache import cache
from django.db import connection
from django.test import TestCase
from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor, SummonMixin
from summon_testcase.django import SummonLiveServerTestCase
from .fresh import used
from .models import Plum

SAYS = '''
import django
django.setup()
from django.core.cache import cache
from django.db import connection
print(cache.get("plums"), connection.settings_dict["NAME"], connection.settings_dict["PORT"])
'''

class Live(SummonLiveServerTestCase):
    def read(self):
        with urlopen(self.live_server_url) as answer:
            return answer.read().decode()

    def test_one(self):
        assert self.read() == "0 plums"
        used()
        assert self.read() == "1 plums"

    def test_two(self):
        self.test_one()
        self.site.restart()
        self.fail(self.read())

class Told(SummonMixin, TestCase):
    says = OutputCoordinatedExecutor(
        ["sh", "-c", 'echo "{django.url} {django.name} {django.host} {django.port} {django.user}" '
         '"$DATABASE_URL" "$PGDATABASE"; "$0" -c "$1"; exec sleep 60', "{python}", SAYS],
        banner="(?s)^postgresql:.*^None.*\\\\n", env=["django"])

    def test_all(self):
        place = connection.settings_dict
        url = f"postgresql://postgres@127.0.0.1:{place['PORT']}/{place['NAME']}"
        said = self.says.match[0].splitlines()
        assert said == [
            f"{url} {place['NAME']} 127.0.0.1 {place['PORT']} postgres {url} {place['NAME']}",
            f"None {place['NAME']} {place['PORT']}",
        ], said
"""


def test_services_use_the_test_database(shop: Shop) -> None:
    shop.write("shop/tests.py", TESTS)
    said = shop.test(status=1)
    assert "Ran 3 tests" in said and "FAILED (failures=1)" in said, said
    assert "site wrote during this test:\n    | [" in said
    assert said.count('"GET / HTTP/1.1" 200 7\n') == 3 and "AssertionError: 1 plums" in said


@pytest.mark.parametrize("runner", ["django", "pytest"])
def test_a_report_has_each_test_once(shop: Shop, runner: str) -> None:
    """With the services of its class and those of the project."""
    shop.write("shop/tests.py", TESTS)
    run = {"django": shop.test, "pytest": lambda *_, **how: shop.pytest("shop/tests.py", **how)}
    run[runner](status=1, SUMMON_REPORT=str(shop.path / "report"))
    made = json.loads((shop.path / "report" / "report.json").read_text())
    names = {service["id"]: service["name"] for service in made["services"]}
    told = {
        re.sub(r".*\W", "", t["name"]): {names[s] for s in t["services"]} for t in made["tests"]
    }
    project = {"postgresql", "redis"}
    assert len(made["tests"]) == 3
    assert told == {
        "test_one": project | {"site"},
        "test_two": project | {"site"},
        "test_all": project | {"says"},
    }


def test_a_test_database_with_the_name_of_the_real_one(shop: Shop) -> None:
    shop.append(
        "settings.py",
        "DATABASES = {'default': database(server, NAME='shop', TEST={'NAME': 'shop'})}\n",
    )
    shop.write("shop/tests.py", TESTS)
    assert "Ran 1 test" in shop.test("shop.tests.Told")


@pytest.mark.parametrize("only", ["database", "all"])
def test_there_is_none(shop: Shop, only: str) -> None:
    """A service that is told of a database which no test has made would use another one."""
    tests = TESTS.replace(
        "class Told(SummonMixin, TestCase)", "class Told(SummonMixin, SimpleTestCase)"
    )
    shop.write("shop/tests.py", tests.replace("import TestCase", "import SimpleTestCase"))
    if only == "database":
        shop.write("settings.py", ONLY_A_DATABASE)
    said = shop.test("shop.tests.Told", status=1)
    assert (
        "NotRunning: django: there is no test database: a runner of Django makes it first" in said
    )


ONLY_A_DATABASE = """
from summon_testcase.django import database
from summon_testcase.services import PostgreSQL

SECRET_KEY = "no secret"
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": database(PostgreSQL(), NAME="shop")}
TEST_RUNNER = "summon_testcase.django.Runner"
"""


def test_spawned_workers_have_it_if_settings_name_nothing_else(shop: Shop) -> None:
    shop.write("settings.py", ONLY_A_DATABASE)
    tests = """
from django.db import connection
from django.test import TestCase
from summon_testcase import OutputCoordinatedExecutor, SummonMixin

class One(SummonMixin, TestCase):
    says = OutputCoordinatedExecutor(
        ["sh", "-c", 'echo "base $PGDATABASE"; exec sleep 60'],
        banner="base (?P<base>.*)\\n", env=["django"])

    def test_told(self):
        assert self.says.base == connection.settings_dict["NAME"]

class Two(One):
    pass
"""
    shop.write("shop/tests.py", tests)
    assert "Ran 2 tests" in shop.test("shop.tests", "--parallel", "2", SPAWN="1")


def test_two_databases_on_one_server(shop: Shop) -> None:
    shop.append(
        "settings.py",
        """
server = PostgreSQL(name="both")
DATABASES = {alias: database(server, NAME=alias) for alias in ("default", "archive", "unused")}
""",
    )
    tests = """
from urllib.request import urlopen

from django.db import connections
from summon_testcase.django import SummonLiveServerTestCase
from .models import Plum

class Live(SummonLiveServerTestCase):
    databases = {"default", "archive"}

    def test_count(self):
        Plum.objects.create(name="Victoria")
        Plum.objects.using("archive").create(name="Opal")
        Plum.objects.using("archive").create(name="Czar")
        with urlopen(self.live_server_url) as answer:
            assert answer.read() == b"1 and 2 plums"
"""
    views = """
from django.http import HttpResponse
from django.urls import path
from .models import Plum

def count(request):
    old = Plum.objects.using("archive").count()
    return HttpResponse(f"{Plum.objects.count()} and {old} plums")

urlpatterns = [path("", count)]
"""
    shop.write("shop/tests.py", tests)
    shop.write("shop/urls.py", views)
    assert "Ran 1 test" in shop.test()


MAIL = """

from urllib.error import HTTPError
from urllib.request import urlopen

from summon_testcase.django import SummonLiveServerTestCase

class Live(SummonLiveServerTestCase):
    def test_mail(self):
        with urlopen(self.live_server_url) as answer:
            self.fail(answer.read().decode())

    def test_error(self):
        with self.assertRaises(HTTPError):
            urlopen(self.live_server_url + "/no")
        self.fail("as it should")
"""
SENDS_MAIL = """
from django.conf import settings
from django.core.mail import send_mail
from django.http import HttpResponse
from django.urls import path

def send(request):
    sent = send_mail("Plums", "They are ripe.", "shop@example.org", ["customer@example.org"])
    return HttpResponse(f"{sent} mails, DEBUG={settings.DEBUG}")

def fail(request):
    raise RuntimeError("no plums")

urlpatterns = [path("", send), path("no", fail)]
"""


def test_the_site_sends_no_mail(shop: Shop) -> None:
    """Settings of tests often import those of production, with what sends real mail."""
    mailer = """
DEBUG = True
BACKEND = f"django.core.mail.backends.{os.environ.get('MAIL', 'smtp')}.EmailBackend"
if django.VERSION < (6, 1):
    EMAIL_BACKEND, EMAIL_PORT = BACKEND, 9
elif BACKEND.split(".")[-2] == "smtp":
    MAILERS = {"default": {"BACKEND": BACKEND, "OPTIONS": {"host": "127.0.0.1", "port": 9}}}
else:
    MAILERS = {"default": {"BACKEND": BACKEND}}
"""
    shop.append("settings.py", f"import django\n{mailer}")
    shop.write("shop/tests.py", MAIL)
    shop.write("shop/urls.py", SENDS_MAIL)
    said = shop.test(status=1)
    assert "AssertionError: 1 mails, DEBUG=False" in said, said
    assert "    | They are ripe." in said
    assert "    | RuntimeError: no plums" in said, said
    said = shop.test("shop.tests.Live.test_mail", status=1, MAIL="dummy")
    assert "AssertionError: 1 mails, DEBUG=False" in said, said
    assert "They are ripe." not in said
