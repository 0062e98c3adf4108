"""The services that the settings of a project name, from their declaration to their end."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..services.database_server import DatabaseServer
from ..supervision import shutdown
from ..unpatched import os, variable

if TYPE_CHECKING:
    from ..testing.fixtures import Stack

#: the variable that tells a process, which is itself a service of tests, where the services of its
#: settings are: for each name a URL, or an address and the names of test databases
VARIABLE = "SUMMON_DJANGO"
#: what templates and ``env=`` call the test database
TEST_DATABASE = "django"
#: for whom the services of the tests are up
_OWNER = "Django"


class Project:
    """All services that settings name."""

    def __init__(self) -> None:
        #: by name
        self.services: dict[str, SimpleExecutor] = {}
        #: the names of those that are databases
        self.databases: set[str] = set()
        self._stack: Stack | None = None
        #: whether the services have been started for tests
        self.begun = False
        #: whether databases are kept for the next run
        self._keeps = False
        #: why a worker has not started its services
        self.failure: Exception | None = None

    # -- while settings are imported --

    def add(self, service: SimpleExecutor, is_database: bool = False) -> str:
        """Note a service, and give it a port if it has none; the name by which it is known.

        :raises InvalidArgument: if another service has its name.
        """
        if not service.name or self.services.get(service.name) is not service:
            service.name = self._name_for(service)
            self.services[service.name] = service
            if service._port is None:
                lease_port(service)
            _tell_everywhere()
        if is_database:
            self.databases.add(service.name)
        return service.name

    def _name_for(self, service: SimpleExecutor) -> str:
        if service.name in self.services:
            raise InvalidArgument(
                f"two services are called {service.name!r}: write another name= for one of them"
            )
        kind = type(service).__name__.lower()
        names = itertools.chain([kind], (f"{kind}-{number}" for number in itertools.count(2)))
        return service.name or next(name for name in names if name not in self.services)

    @staticmethod
    def told() -> Mapping[str, Any]:
        """What the environment tells of services that another process has started."""
        text = variable(VARIABLE)
        if not text:
            return {}
        import json

        found: dict[str, Any] = json.loads(text)
        return found

    # -- while tests run --

    def names(self, aliases: Collection[str] | None = None) -> list[str]:
        """The services that tests need, as far as this process has to start them.

        :param aliases: the databases that they use, by their keys in ``DATABASES``; default: all.
        """
        told = self.told()
        used = {n for a, n in self.aliases().items() if aliases is None or a in aliases}
        return [
            name
            for name in self.services
            if name not in told and (name in used or name not in self.databases)
        ]

    @staticmethod
    def aliases() -> dict[str, str]:
        """The names of the services that are databases, by their keys in ``DATABASES``."""
        from django.conf import settings

        tests = {alias: entry.get("TEST") for alias, entry in settings.DATABASES.items()}
        return {a: t.service for a, t in tests.items() if getattr(t, "service", "")}

    @property
    def stack(self) -> Stack:
        """What has the services up in this process."""
        if self._stack is None:
            from ..testing.fixtures import Stack

            self._stack = Stack(None, self.services, "session")
        return self._stack

    def begin(self, aliases: Collection[str] | None = None, keep: bool = False) -> None:
        """Start the services for tests, unless that has been done.

        :param aliases: see :meth:`names`.
        :param keep: see :meth:`keep_databases`.
        :raises SummonError: or another exception of a service, if it cannot start.
        """
        if self.begun or _is_worker():
            return
        self.begun = True
        if names := self.names(aliases):
            self.keep_databases(names, keep)
            self.stack.hold(_OWNER, _OWNER, names, "the tests of Django")

    def begin_in_worker(self, readdress: Callable[[Iterable[SimpleExecutor]], None]) -> None:
        """Start, in a worker of ``--parallel``, all services but the databases.

        What goes wrong is the error of each test: a worker that cannot begin is replaced by another
        one, and so on without end.

        :param readdress: gives other addresses to services that have those of the parent process.
        """
        try:
            names = [name for name in self.names() if name not in self.databases]
            if self.begun:  # by the process that has forked this one
                self._stack = None
                readdress(self.services[name] for name in names)
            self.begun = True
            if names:
                self.stack.hold(_OWNER, _OWNER, names, "the tests of this worker")
        except Exception as error:
            let_through(error)
            self.failure = error

    def up(self) -> list[str]:
        """The names of the services that this process has up."""
        return [] if self._stack is None else sorted(self._stack.up)

    def end(self) -> None:
        """Stop what :meth:`begin` has started.

        :raises ProcessExited: for a service that has died.
        :raises StopFailed: if some did not stop as they should.
        """
        if self._stack is not None and _OWNER in self._stack.users:
            try:
                self.save_databases()
            finally:
                self._stack.let_go(_OWNER)
        self.begun = False

    def keep_databases(self, names: Iterable[str], keep: bool, afresh: bool = False) -> None:
        """Have databases begin as the last run has left them, and leave them to the next one.

        :param names: the services that are about to start.
        :param keep: whether that is wanted; otherwise what was left is removed.
        :param afresh: whether they do not begin as the last run has left them.
        """
        from django.conf import settings

        # workers of pytest-xdist have a server each
        whose = settings.SETTINGS_MODULE, os.getcwd(), variable("PYTEST_XDIST_WORKER")
        self._keeps = keep
        for service in self._servers(names):
            service._kept_as = repr((whose, service.name)).encode()
            service._takes_kept = keep and not afresh

    def save_databases(self) -> None:
        """Save the databases that are up for the next run, if that is wanted."""
        for service in self._servers(self.up()):
            if self._keeps and service.running():
                service._keep_data()

    def _servers(self, names: Iterable[str]) -> list[DatabaseServer]:
        found = [self.services[name] for name in names if name in self.databases]
        return [service for service in found if isinstance(service, DatabaseServer)]


def lease_port(service: SimpleExecutor) -> None:
    """Give a service a free port that is its own from now on, whether it runs or not."""
    from ..system import ports

    service._port = ports.lease()
    shutdown.give_back_at_exit()


def _tell_everywhere() -> None:
    """Have ``env=`` and templates of all services know the test database, also if there is none.

    Then it is an error that says so.
    """
    from ..testing import pool
    from .database_of_tests import TestDatabase

    pool.everywhere.setdefault(TEST_DATABASE, TestDatabase())


def _is_worker() -> bool:
    """Whether this process is a worker of ``--parallel``, whose databases are its parent's."""
    process: Any = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


project = Project()
shutdown.at_reset(project.__init__)  # type: ignore[misc]
