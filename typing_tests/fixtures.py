"""What type checkers know of the values of fixtures.  It is not run: ``make types`` checks it."""

from types import SimpleNamespace
from unittest import TestCase

from typing_extensions import assert_type

from summon_testcase import (
    HTTPCoordinatedExecutor,
    PostgreSQL,
    SummonMixin,
    summon_fixture,
)


class ShopStack:
    """A plain class."""

    db = PostgreSQL()
    web = HTTPCoordinatedExecutor("serve {port}", url="http://{host}:{port}/")


class ShopTest(SummonMixin, TestCase):
    """A TestCase."""

    db = PostgreSQL()


stack = summon_fixture(ShopStack, scope="session", each=True)
case = summon_fixture(ShopTest, scope="function", autouse=True)
by_name = summon_fixture(db=PostgreSQL(), web=ShopStack.web, scope="module")
mapping = summon_fixture({"db": PostgreSQL()})

assert_type(stack(), ShopStack)
assert_type(case(), ShopTest)
assert_type(by_name(), SimpleNamespace)
assert_type(mapping(), SimpleNamespace)


def test_buys(stack: ShopStack, case: ShopTest, db: PostgreSQL) -> None:
    """A test names the class, and the checker knows the services."""
    assert_type(stack.db, PostgreSQL)
    assert_type(stack.web, HTTPCoordinatedExecutor)
    assert_type(stack.web.url_for("/"), str)
    assert_type(case.db, PostgreSQL)
    print(stack.dv)  # type: ignore[attr-defined]


summon_fixture(ShopStack, scope="run")  # type: ignore[call-overload]
summon_fixture(db=3)  # type: ignore[call-overload]
