"""How a PostgreSQL server forgets what a test has left in its database.

``reset=True`` renames: a spare database, a clone of the template that was made while tests ran,
takes the place of the used one.  Two spares are made at the same time, so that a short test seldom
waits for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..foreign import let_through, suppress
from ..scheduling.deadline import Deadline
from ..tracebacks import hidden
from .database_connection import Lost, Refused, failing
from .database_server import MINE, is_due, mark
from .postgresql_connection import Connection, clone, cut, identifier, literal

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

__tracebackhide__ = hidden

#: how many spares are made while tests run
SPARES = 2
#: what the server says if a database is used, and if there is none of that name
_IN_USE, _UNKNOWN = "55006", "3D000"
#: the transactions of a database that are prepared
_PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = {}"
#: the tables of the user, but for those of extensions; partitions are emptied with their table
_TABLES = """
SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
)
"""


#: has a session live as long as we like; older servers have no such limit
_STAY = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
#: the databases of which each belongs to a process that shares the server
_PARTS = f"SELECT datname FROM pg_database WHERE datname ~ '{MINE}[0-9]+$'"


class Spares:
    """The spare databases of a server that runs.

    :raises SummonError: from all methods, if the server refuses something, or does not answer.
    """

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server
        #: the process that makes them
        self.pid = server.pid
        self._address = server._host, server._port_now()
        # not asked for: the answer to a first connection takes longer than all that a start does
        self._version = server._version()
        #: in the order in which they are used
        self._spares: list[_Spare] = []

    def renew(self) -> None:
        """Have a spare take the place of the database."""
        deadline = Deadline(self._server._limits.timeout)
        with failing(self._server._called, "reset=True has failed"):
            spare = self._spares.pop(0)
            self._spares.append(spare)
            spare.replace(self._server, deadline)
            # only now, since many a class has but one test
            fewer = len(self._spares) < SPARES
            if fewer:
                self._prepare_template(deadline)
            spare.make(self._server._pristine)
        if fewer:
            self.begin()

    def _prepare_template(self, deadline: Deadline) -> None:
        """Have the template contain what the first session of a database finds out of its tables.

        The server keeps it in a file, of which each clone then has a copy, so that the first client
        of each is connected in half of the time.
        """
        server = self._server
        if not server._schema or server._whole:
            # nobody may connect to the template of all databases; and no other process of tests can
            # clone it meanwhile
            return
        with Connection(self._address, server._user, server._pristine) as connection:
            connection.answers(deadline)
        cut(self._spares[-1].connection, server._pristine, deadline, grace=1.0)

    def close(self) -> None:
        """End the connections."""
        for spare in self._spares:
            spare.connection.close()

    def finish(self) -> None:
        """Wait until those that the server makes are there, so that they can be dropped."""
        deadline = Deadline(self._server._limits.timeout)
        for spare in self._spares:
            with suppress(Refused, Lost, TimeoutError):
                spare.connection.answers(deadline)

    def begin(self) -> None:
        """Have the server make one more, which is the first to be used."""
        server = self._server
        with failing(server._called, "no spare database for reset=True"):
            connection = Connection(self._address, server._user, server._home)
            number = server._spares_lost + len(self._spares)
            spare = _Spare(connection, self._version, f"{number}{mark(server)}")
            self._spares.insert(0, spare)
            # it is idle while a test runs
            spare.connection.tell(_STAY)
            # left by a server that was stopped meanwhile
            spare.connection.tell(f"DROP DATABASE IF EXISTS {spare.name}")
            spare.make(server._pristine)


class _Spare:
    """A database, and the connection on which it is made."""

    def __init__(self, connection: Connection, version: str, number: str) -> None:
        self.connection, self._version = connection, version
        self.name, self._used = f"summon_spare_{number}", f"summon_used_{number}"

    def make(self, template: str) -> None:
        """Tell the server to drop the one that was used, and to make a new one."""
        drop = f"DROP DATABASE IF EXISTS {self._used}"
        self.connection.tell(drop, *clone(self._version, self.name, template))

    def replace(self, server: PostgreSQL, deadline: Deadline) -> None:
        """Rename it once it is made; the one that has its name is put aside."""
        database = server._database
        self.connection.answers(deadline)
        name = identifier(database)
        aside = f"ALTER DATABASE {name} RENAME TO {self._used};"
        rename = f"ALTER DATABASE {self.name} RENAME TO {name}"
        while True:
            cut(self.connection, database, deadline)
            try:
                self.connection.ask(aside + rename, deadline)
                return
            except Refused as refused:
                let_through(refused)
                if refused.code == _UNKNOWN and aside:
                    aside = ""  # a test has dropped it
                elif refused.code != _IN_USE or deadline.expired():
                    raise
                else:
                    _forget_prepared(self.connection, server, database, deadline)


def _forget_prepared(
    asked: Connection, server: PostgreSQL, database: str, deadline: Deadline
) -> None:
    """Roll back the prepared transactions of a database, which hold it, and what is in it."""
    prepared = asked.ask(_PREPARED.format(literal(database)), deadline)
    if prepared:
        # only from within it
        address = server._host, server._port_now()
        with Connection(address, server._user, database) as connection:
            for (name,) in prepared:
                connection.ask(f"ROLLBACK PREPARED {literal(str(name))}", deadline)


def empty_tables(server: PostgreSQL, how: Literal["truncate", "delete"]) -> None:
    """Remove all rows of the database, in one transaction, without triggers (but ENABLE ALWAYS).

    Sessions that are within a transaction are ended, since they hold the tables, and transactions
    that are prepared are rolled back.
    """
    deadline = Deadline(server._limits.timeout)
    address = server.host, server.port
    with (
        failing(server._called, f"reset={how!r} has failed"),
        Connection(address, server._user, server._database) as connection,
    ):
        cut(connection, server._database, deadline, "xact_start IS NOT NULL")
        _forget_prepared(connection, server, server._database, deadline)
        tables = [str(table) for (table,) in connection.ask(_TABLES, deadline)]
        if not tables:
            return
        if how == "truncate":
            empty = f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE"
        else:
            empty = "; ".join(f"DELETE FROM {table}" for table in tables)
        # no triggers: neither those of foreign keys, nor those that would write again
        connection.ask(f"SET session_replication_role = replica; {empty}", deadline)


def drop_parts(server: PostgreSQL, mine: bool) -> None:
    """Drop databases of processes that share this server; see :func:`is_due`."""
    deadline = Deadline(server._limits.timeout)
    address = server.host, server.port
    with (
        failing(server._called, "the databases of other processes could not be dropped"),
        Connection(address, server._user, server._home) as connection,
    ):
        for (name,) in connection.ask(_PARTS, deadline):
            if is_due(str(name), mine):
                cut(connection, str(name), deadline)
                connection.ask(f"DROP DATABASE IF EXISTS {identifier(str(name))}", deadline)


def make_fresh(server: PostgreSQL, name: str) -> None:
    """Make a database as the one of the server was at its start; one of that name is dropped."""
    deadline = Deadline(server._limits.timeout)
    address = server.host, server.port
    with (
        failing(server._called, f"fresh({name!r}) has failed"),
        Connection(address, server._user, server._home) as connection,
    ):
        _forget_prepared(connection, server, name, deadline)
        cut(connection, name, deadline)
        connection.ask(f"DROP DATABASE IF EXISTS {identifier(name)}", deadline)
        for statement in clone(connection.version, name, server._pristine):
            connection.ask(statement, deadline)
