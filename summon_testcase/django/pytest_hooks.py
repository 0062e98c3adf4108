"""What our plugin of pytest does beside pytest-django: it starts what settings name.

Databases start where pytest-django makes the test databases, all else with the first test.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from ..orchestration.orchestrator import Orchestrator
from ..testing.fixtures import Stack
from ..testing.pytest_hooks import result_of
from .project import TEST_DATABASE, project

#: the fixtures of pytest-django before which services start
_ENVIRONMENT, _DATABASES = "django_test_environment", "django_db_setup"
#: options of pytest-django: keep test databases for later runs, and do not begin with those kept
_KEEPING = ("reuse_db", "create_db")
#: fixtures of which a test that names one uses the database
_USES = {"db", "transactional_db", "live_server", "django_db_reset_sequences", _DATABASES}


class _Asking:
    """Asks for the database ``default``, among the tests that pytest-django asks for theirs."""

    fixturenames = ("db",)

    def get_closest_marker(self, name: str) -> None:
        """It has no markers."""


def _uses_database(item: pytest.Item) -> bool:
    case = getattr(item, "cls", None)
    return bool(
        item.get_closest_marker("django_db")
        or getattr(case, "databases", None)
        or not _USES.isdisjoint(getattr(item, "fixturenames", ()))
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have the report of a test tell of the services that it uses."""
    if _is_used():
        names = project.names(None if _uses_database(item) else ())
        vars(item)["summon_uses"] = project.stack, lambda: names


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Start services before a fixture of pytest-django, and stop them after it.

    Before services of a fixture that use the test database, that is made.  pytest-django makes only
    those databases for which tests ask, and knows nothing of services that do.
    """
    items: list[Any] = []  # of the session, while pytest-django looks which databases to make
    if _is_used():
        uses = getattr(fixturedef.func, "summon_uses", None)
        with result_of(fixturedef, request):
            if fixturedef.argname in (_ENVIRONMENT, _DATABASES):
                _start(fixturedef, request)
            elif uses is not None and _refers_to_database(uses[0], uses[1]()):
                request.getfixturevalue(_DATABASES)
            if fixturedef.argname == _DATABASES and "default" in project.aliases():
                items = request.session.items
    asking = _Asking()
    items.append(asking)
    try:
        return (yield)
    finally:
        items.remove(asking)


def _start(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    project.begun = True  # nothing is to be started when Django sets up databases
    names = project.names(() if fixturedef.argname == _ENVIRONMENT else None)
    if not names or request.config.option.setupplan:
        return
    keep, afresh = (request.config.getoption(name, False) for name in _KEEPING)
    project.keep_databases(names, keep, afresh)
    serving = project.stack.serve(request, names, lambda value: value)
    next(serving)
    fixturedef.addfinalizer(serving.close)
    if fixturedef.argname == _DATABASES:
        fixturedef.addfinalizer(project.save_databases)


def _refers_to_database(stack: Stack, names: list[str]) -> bool:
    group = Orchestrator({name: stack.services[name] for name in names})
    group._bind({TEST_DATABASE: None})
    return TEST_DATABASE in group._needs()


def _is_used() -> bool:
    """Whether there are settings, and they name services."""
    from django.conf import settings

    return bool(settings.configured and project.services)
