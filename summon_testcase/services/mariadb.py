"""A fresh, empty MariaDB server."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..declaration import arguments
from ..declaration.command import Launch
from ..declaration.programs import is_program
from ..scheduling.steps import run
from ..unpatched import os
from .database_server import DatabaseServer
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..supervision.instance import Instance
    from .database_server import Recipe
    from .mariadb_reset import Known
    from .schema import Key, Template

#: the arguments of the server; durability is off, except that a server that is killed loses nothing
WORDS = (
    *("--no-defaults", "--bind-address={host}", "--port={port}", "--socket="),
    *("--character-set-server=utf8mb4", "--skip-name-resolve", "--skip-log-bin"),
    *("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync"),
    *("--innodb-doublewrite=0", "--innodb-fast-shutdown=2", "--performance-schema=OFF"),
    *("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M"),
    # it counts which tables are used, for reset=
    "--userstat=1",
    *("--aria-pagecache-buffer-size=8M", "--key-buffer-size=1M"),
)
#: the program that makes the data of an empty server
INSTALL = "mariadb-install-db"
#: the database that it makes
USUAL = "test"
#: the database with copies of what the template has put into tables
COPIES = "summon_template"
#: letters that the name of a database may have
_LONGEST = 64


class MariaDB(DatabaseServer, ReadyMade):
    """A fresh MariaDB server, with durability switched off.

    Ready once the user ``root``, who has no password, is logged in.  Its data live as long as its
    port: they are still there after ``restart()``, ``stopped()``, ``kill()`` and a death.  A new
    scope, or ``start()`` after ``stop()``, begins afresh.

    ``mariadb-install-db`` and ``template=`` run once; each server gets a copy of their result, in
    memory where ``/dev/shm`` has room.  When the tests run as root, the server runs as the user
    ``mysql``, or ``nobody`` if there is none.

    :param database: the database that it has, and that ``url`` and ``env()`` name.
    :param template: what makes the schema in that database, as for
        :class:`~summon_testcase.PostgreSQL`.  SQL is run by ``mariadb``, if that is installed.
    :param template_key: as for :class:`~summon_testcase.PostgreSQL`.
    :param reset: before each test but the first: True for the database as ``template`` has made it;
        ``"truncate"``, to empty all tables and restart their numbers, or ``"delete"``, to empty all
        tables, also of rows that the template has made. Or a function. With ``shared=True``, when
        other processes use the server, too, True runs the template again.
    :param install: further arguments of ``mariadb-install-db``, ``["--innodb-page-size=4k"]``.
    :param options: further arguments of the server, ``["--sql-mode=ANSI"]``.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class ShopTest(SummonMixin, TestCase):
            db = MariaDB(database="shop", template=Path("schema.sql"))
    """

    _programs = ("mariadbd",)
    _protocol = "mysql"
    _scheme = "mysql"
    _user = "root"
    _usual = USUAL
    _at_once = signal.SIGKILL
    # tables that are not InnoDB's would be damaged by SIGKILL
    _in_order = signal.SIGTERM

    def __init__(
        self,
        *,
        database: str = USUAL,
        template: Template = None,
        template_key: Key = None,
        install: Sequence[str] = (),
        **options: Any,
    ) -> None:
        label = arguments.call("MariaDB()", options.get("name")) or "MariaDB()"
        self._install = arguments.words(label, "install", install, "a list of arguments")
        #: whether each test finds the database as it was at first
        self._renews = options.get("reset") is True
        #: what is known of the server since its last reset
        self._remembered: Known | None = None
        #: whether its next start begins with new data, though it has some
        self._afresh = False
        super().__init__(
            WORDS, database=database, template=template, template_key=template_key, **options
        )
        if self._host == "localhost":
            # by which its clients mean the usual Unix socket, whatever port they are told
            self._host = "127.0.0.1"
        self._requires = (*self._requires, INSTALL)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_remembered": None}

    def _away(self) -> dict[str, Any] | None:
        state = super()._away()
        return None if state is None else {**state, "_remembered": None}

    def env(self) -> dict[str, str]:
        """``DATABASE_URL``; ``MYSQL_HOST``, ``MYSQL_TCP_PORT`` and ``MYSQL_PWD`` of the clients of
        MariaDB; ``MYSQL_PORT``, ``MYSQL_USER`` and ``MYSQL_DATABASE``, which many programs read.
        """
        return self._variables(self.port)

    def _variables(self, port: int) -> dict[str, str]:
        return {
            "DATABASE_URL": self._url_of(self._database, port),
            "MYSQL_HOST": self._host,
            "MYSQL_TCP_PORT": str(port),
            "MYSQL_PORT": str(port),
            "MYSQL_USER": self._user,
            "MYSQL_PWD": "",
            "MYSQL_DATABASE": self._database,
        }

    @classmethod
    def _wrong_with(cls, name: str) -> str | None:
        if name == COPIES:
            return "that the server does not need itself"
        if len(name) > _LONGEST or "\n" in name or name.endswith(" "):
            return f"of one line, at most {_LONGEST} letters, and no space at its end"
        return None

    def _told_to_server(self) -> tuple[str, Iterable[str]]:
        return "options=", self._options

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._install]

    def _find(self, word: str, path: str | None, cwd: str) -> str:
        if word == INSTALL and (self._bindir or self._program):
            # beside the server, or where an archive of MariaDB has it
            place = os.path.dirname(super()._find(self._command[0], path, cwd))
            for beside in (place, os.path.join(place, "..", "scripts")):
                found = os.path.join(beside, word)
                if is_program(found):
                    return found
        return super()._find(word, path, cwd)

    def _recipe(self) -> Recipe:
        from . import mariadb_data

        return mariadb_data

    def _influences(self) -> object:
        return self._options, self._renews

    def _begins_afresh(self) -> bool:
        return self._afresh or super()._begins_afresh()

    def _launch(self) -> Launch:
        from . import mariadb_data
        from .server_user import make_room

        launch = super()._launch()
        lease = self._leased("directory")
        if not lease.begun:
            make_room(self._called, lease, mariadb_data.user())
        archive = self._archives[-1] if self._begins_afresh() else ""
        launch.argv = mariadb_data.command(launch.argv, lease.elsewhere, archive)
        launch.program = self._find(launch.argv[0], launch.env.get("PATH"), launch.cwd)
        return launch

    def _ready(self, instance: Instance) -> None:
        super()._ready(instance)
        self._remembered = None
        if self._renews and self._begins_afresh():
            from .mariadb_reset import Known

            self._remembered = Known()
        self._afresh = False

    # -- what tests have left --

    def _begin_afresh(self) -> None:
        """Start again with new data."""
        self._afresh = True
        self.restart()

    def _make_part(self) -> None:
        from .mariadb_data import make_part

        run(make_part(self))

    def _drop_parts(self, mine: bool) -> None:
        from .mariadb_reset import drop_parts

        drop_parts(self, mine)

    def _renew(self) -> None:
        if self._whole:
            # others use the server meanwhile, so nothing tells what this process has changed
            self._make_part()
            return
        from .mariadb_reset import renew

        renew(self)

    def _truncate(self) -> None:
        from .mariadb_reset import empty_tables

        empty_tables(self, "truncate")

    def _delete(self) -> None:
        from .mariadb_reset import empty_tables

        empty_tables(self, "delete")

    _own_resets = {True: _renew, "truncate": _truncate, "delete": _delete}
