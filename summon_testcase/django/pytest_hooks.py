"""What our plugin of pytest does beside pytest-django: it starts what settings name.

Databases start where pytest-django makes the test databases, all else with the first test.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from ..testing.fixtures import Stack
from .project import project

#: the fixtures of pytest-django before which services start
_ENVIRONMENT, _DATABASES = "django_test_environment", "django_db_setup"
#: fixtures of which a test that names one uses the database
_USES = {"db", "transactional_db", "live_server", "django_db_reset_sequences", _DATABASES}


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
    """Start services before a fixture of pytest-django, and stop them after it."""
    stack: Stack | None = None
    if fixturedef.argname in (_ENVIRONMENT, _DATABASES) and _is_used():
        stack = project.stack
        names = project.names(() if fixturedef.argname == _ENVIRONMENT else None)
        if names and not request.config.option.setuponly:
            serving = stack.serve(request, names, lambda value: value)
            next(serving)
            fixturedef.addfinalizer(serving.close)
    return (yield)


def _is_used() -> bool:
    """Whether there are settings, and they name services."""
    from django.conf import settings

    return bool(settings.configured and project.services)
