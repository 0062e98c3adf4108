"""The test database, as templates and ``env=`` of other services name it."""

from __future__ import annotations

import copy
from typing import Any

from ..declaration.lifetime import Scope
from ..errors import NotRunning
from ..services.database_server import DatabaseServer
from ..wording import at
from .project import VARIABLE, project

#: how URLs begin where that is not the last part of ``ENGINE``
_SCHEMES = {"postgis": "postgresql"}


class TestDatabase:
    """The test database of the alias ``default``, as it is at the moment.

    A worker of ``--parallel`` has a database of its own.
    """

    template_fields = ("user",)
    #: it is there as long as any other service
    scope: Scope = "run"

    @property
    def name(self) -> str:
        """The name of the database."""
        return str(self._settings["NAME"])

    @property
    def host(self) -> str:
        """The address of its server."""
        return str(self._settings["HOST"])

    @property
    def port(self) -> int:
        """The port of its server."""
        return int(self._settings["PORT"])

    @property
    def user(self) -> str:
        """The user that clients are."""
        return str(self._settings["USER"])

    @property
    def url(self) -> str:
        """The database as a URL."""
        from urllib.parse import quote

        found = self._settings
        scheme = found["ENGINE"].rpartition(".")[2]
        who = ":".join(quote(found[key], "") for key in ("USER", "PASSWORD") if found[key])
        where = f"{who}@" * bool(who) + at(self.host, self.port)
        return f"{_SCHEMES.get(scheme, scheme)}://{where}/{quote(self.name, '')}"

    def env(self) -> dict[str, str]:
        """What a process needs to use the services of the tests, by the settings of the project.

        ``DATABASE_URL``, the variables of the client library, such as ``PGHOST``, and a variable
        that ``database()`` and ``url()`` read.
        """
        import json

        url = self.url
        told: dict[str, Any] = {
            name: service.url
            for name, service in project.services.items()
            if name not in project.databases
        }
        for alias, name in project.aliases().items():
            found = _entry(alias)
            if _is_set_up(found):
                place = {"HOST": found["HOST"], "PORT": found["PORT"], "NAMES": {}}
                # one server may have several databases
                told.setdefault(name, place)["NAMES"][found["TEST"].declared] = found["NAME"]
        variables = {}
        own = project.services[project.aliases()["default"]]
        if isinstance(own, DatabaseServer):
            own = copy.copy(own)
            own._database = self.name
            variables = own._variables(self.port)
        return {**variables, "DATABASE_URL": url, VARIABLE: json.dumps(told)}

    @property
    def _settings(self) -> dict[str, Any]:
        """What Django has in ``DATABASES``, with the name of the test database.

        :raises NotRunning: if there is none.
        """
        if "default" not in project.aliases():
            raise NotRunning(
                "django: the default database is no service: write database(PostgreSQL()) in "
                "DATABASES, so that others can be told of its test database"
            )
        found = _entry("default")
        if not _is_set_up(found):
            raise NotRunning(
                "django: there is no test database: a runner of Django makes it first of all, if a "
                "test of the run uses it, and pytest-django for the first test that does; a "
                'SimpleTestCase that needs it has databases = {"default"}'
            )
        return found


def _entry(alias: str) -> dict[str, Any]:
    from django.db import connections

    found: dict[str, Any] = connections[alias].settings_dict
    return found


def _is_set_up(entry: dict[str, Any]) -> bool:
    """Whether the name of a database is that of the test database by now."""
    test = entry["TEST"]
    if entry["NAME"] == test.declared == test.get("NAME"):
        return test.service in project.up()  # they never differ
    return bool(entry["NAME"] != test.declared)
