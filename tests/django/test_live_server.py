"""Services that use the test database: ``env=["django"]``, and the site as a process."""

from __future__ import annotations

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


def test_there_is_none_yet(shop: Shop) -> None:
    """A service that is told of a database which no test has made would use another one."""
    tests = TESTS.replace(
        "class Told(SummonMixin, TestCase)", "class Told(SummonMixin, SimpleTestCase)"
    )
    shop.write("shop/tests.py", tests.replace("import TestCase", "import SimpleTestCase"))
    said = shop.test("shop.tests.Told", status=1)
    assert "NotRunning: django: there is no test database yet: it is made when a runner" in said
