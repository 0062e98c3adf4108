"""How a MariaDB server forgets what a test has left in its database.

The server counts the rows that are changed in each table, and the statements that change a schema.
So only the tables that a test has used are emptied, and filled again with the rows of the template,
of which there are copies on the server.  If a test has changed anything else, the server begins
afresh.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from ..foreign import let_through
from ..scheduling.deadline import Deadline
from ..tracebacks import hidden
from ..unpatched import time
from .database_connection import Refused, failing
from .database_server import MINE, is_due
from .mariadb import COPIES
from .mariadb_connection import Connection, identifier
from .schema import PATIENCE

if TYPE_CHECKING:
    from .mariadb import MariaDB

__tracebackhide__ = hidden

#: what we do is no work of the tests: no foreign keys, and no new numbers for rows that have one
_SESSION = (
    "SET SESSION foreign_key_checks = 0, unique_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO', "
    "lock_wait_timeout = {0}, innodb_lock_wait_timeout = {0}"
)
#: how often something else than rows was changed, but for temporary tables; rows of a table that a
#: session has locked are not counted
_CHANGES = (
    "SHOW GLOBAL STATUS WHERE Value > 0 AND Variable_name REGEXP "
    "'^Com_(alter|create|drop|grant|install|lock|rename|revoke|truncate|uninstall)' "
    "AND Variable_name NOT LIKE '%temporary%'"
)
_TRUNCATED, _ALTERED = "Com_truncate", "Com_alter_table"
_USED = (
    "SELECT table_schema, table_name FROM information_schema.table_statistics "
    "WHERE rows_changed > 0"
)
_TABLES = (
    "SELECT table_name, auto_increment FROM information_schema.tables "
    "WHERE table_schema = {} AND table_type = 'BASE TABLE'"
)
_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_schema = {} AND is_generated = 'NEVER' ORDER BY ordinal_position"
)
_OURS, _KEPT = "DATABASE()", f"'{COPIES}'"
_CHILDREN = (
    "SELECT referenced_table_name, table_name FROM information_schema.referential_constraints "
    "WHERE constraint_schema = DATABASE()"
)
_TRIGGERS = (
    "SELECT event_object_table, event_manipulation FROM information_schema.triggers "
    "WHERE trigger_schema = DATABASE()"
)
_TRANSACTIONS = (
    "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx "
    "WHERE trx_mysql_thread_id NOT IN (0, CONNECTION_ID())"
)
#: seconds in which the server would answer the same again
_STALE = 0.11
_SESSIONS = "SELECT id FROM information_schema.processlist"
#: the databases of which each belongs to a process that shares the server
_PARTS = (
    f"SELECT schema_name FROM information_schema.schemata WHERE schema_name REGEXP '{MINE}[0-9]+$'"
)
_OF_OURS = f"{_SESSIONS} WHERE db = DATABASE()"
#: what the server says of a table that another session holds, and of a session that has ended
_HELD, _NO_SUCH_SESSION = "1205", "1094"
#: seconds to wait for a table that nobody holds who could be ended
_PATIENCE = 5


class Known:
    """What is known of a server since it was as it should be, in this life of it.

    :param only_mine: whether other processes use it, too, each a database of its own.
    """

    def __init__(self, only_mine: bool = False) -> None:
        self.only_mine = only_mine
        #: when the server was asked for transactions
        self.listed = -math.inf
        self.forget()

    def forget(self) -> None:
        """Forget what may have changed."""
        #: how often its schema had been changed then, by kind of statement
        self.changes: dict[str, int] = {}
        self._learnt = False
        #: columns, and next number, of the tables that have copies
        self.columns: dict[str, list[str]] = {}
        self.numbers: dict[str, str] = {}
        #: tables that are changed when rows of others are deleted
        self.children: dict[str, set[str]] = {}
        #: tables with triggers, and at what
        self.triggers: set[tuple[str, str]] = set()

    def learn(self, connection: Connection, deadline: Deadline) -> None:
        """Ask for what does not change while the schema stays."""
        if self._learnt:
            return
        self.columns = _columns(connection, _KEPT, deadline)
        for table, number in connection.ask(_TABLES.format(_KEPT), deadline):
            if number:
                self.numbers[str(table)] = number
        for parent, child in connection.ask(_CHILDREN, deadline):
            self.children.setdefault(str(parent), set()).add(str(child))
        self.triggers = {(str(a), str(b)) for a, b in connection.ask(_TRIGGERS, deadline)}
        self._learnt = True


def keep(server: MariaDB, address: tuple[str, int]) -> None:
    """Copy the tables that the template has put rows into, or whose numbers it has used."""
    deadline = Deadline(PATIENCE)
    with (
        failing(server._called, "the result of template= could not be kept"),
        Connection(address, server._database) as connection,
    ):
        connection.ask(f"{_SESSION.format(_PATIENCE)}; CREATE DATABASE {COPIES}", deadline)
        columns = _columns(connection, _OURS, deadline)
        for name, number in connection.ask(_TABLES.format(_OURS), deadline):
            table = identifier(str(name))
            ((has_rows,),) = connection.ask(f"SELECT EXISTS (SELECT * FROM {table})", deadline)
            if has_rows == "1" or int(number or 1) > 1:
                copy, listed = f"{COPIES}.{table}", _listed(columns[str(name)])
                statements = [f"CREATE TABLE {copy} LIKE {table}"]
                if number:
                    statements += [f"ALTER TABLE {copy} AUTO_INCREMENT = {number}"]
                statements += [f"INSERT INTO {copy} ({listed}) SELECT {listed} FROM {table}"]
                connection.ask("; ".join(statements), deadline)


def drop(connection: Connection, database: str, deadline: Deadline) -> None:
    """Drop a database whose name ends with the mark of a process, once its sessions are ended."""
    mine = f"{_SESSIONS} WHERE db REGEXP '{MINE}{database.rpartition(MINE)[2]}$'"
    _end_sessions(connection, [session for (session,) in connection.ask(mine, deadline)], deadline)
    connection.ask(f"DROP DATABASE IF EXISTS {identifier(database)}", deadline)


def drop_parts(server: MariaDB, mine: bool) -> None:
    """Drop databases of processes that share this server; see :func:`is_due`."""
    deadline = Deadline(server._limits.timeout)
    with (
        failing(server._called, "the databases of other processes could not be dropped"),
        Connection((server.host, server.port), "") as connection,
    ):
        for (name,) in connection.ask(_PARTS, deadline):
            if is_due(str(name), mine):
                drop(connection, str(name), deadline)


def renew(server: MariaDB) -> None:
    """Have the database be as the template has made it."""
    known, deadline = server._remembered, Deadline(server._limits.timeout)
    if known is not None:
        with failing(server._called, "reset=True has failed"):
            try:
                with Connection((server.host, server.port), server._database) as connection:

                    def restore(wait: int) -> bool:
                        return _restore(server, known, connection, wait, deadline)

                    if _whoever_holds_tables(restore, known, connection, deadline):
                        return
            except Refused as refused:
                # the database has been dropped, or has a kind of table that we do not know
                let_through(refused)
    server._begin_afresh()


def _restore(
    server: MariaDB, known: Known, connection: Connection, wait: int, deadline: Deadline
) -> bool:
    """Restore the tables that were used; says whether that is all that there is to do."""
    changes = _changes(connection, deadline)
    changed = {kind for kind in changes if changes[kind] != known.changes.get(kind, 0)}
    if changed - {_TRUNCATED}:
        return False
    known.learn(connection, deadline)
    used = connection.ask(_USED, deadline)
    if any(schema != server._database for schema, _ in used):
        return False
    # TRUNCATE, which is not counted by table, only matters where there were rows, or numbers
    tables = [str(table) for _, table in used] + [*(known.columns if changed else ())]
    for table in tables:
        tables += known.children.get(table, set()) - set(tables)
    if not tables:
        known.changes = changes
        return True
    statements, rows = [_SESSION.format(wait)], ["BEGIN"]
    for table in dict.fromkeys(tables):
        name = identifier(table)
        statements.append(f"TRUNCATE TABLE {name}")
        changes[_TRUNCATED] = changes.get(_TRUNCATED, 0) + 1
        if table in known.numbers:
            statements.append(f"ALTER TABLE {name} AUTO_INCREMENT = {known.numbers[table]}")
            changes[_ALTERED] = changes.get(_ALTERED, 0) + 1
        if table in known.columns:
            if (table, "INSERT") in known.triggers:
                return False
            listed = _listed(known.columns[table])
            rows.append(f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {COPIES}.{name}")
    connection.ask("; ".join([*statements, *rows, "COMMIT", "FLUSH TABLE_STATISTICS"]), deadline)
    known.changes = changes
    return True


def empty_tables(server: MariaDB, how: Literal["truncate", "delete"]) -> None:
    """Remove all rows of the database, without any trigger."""
    deadline = Deadline(server._limits.timeout)
    with (
        failing(server._called, f"reset={how!r} has failed"),
        Connection((server.host, server.port), server._database) as connection,
    ):
        known = server._remembered or Known(only_mine=bool(server._whole))

        def empty(wait: int) -> bool:
            return _empty(server, how, known, connection, wait, deadline)

        _whoever_holds_tables(empty, known, connection, deadline)
        if not known.only_mine:
            server._remembered = known


def _empty(
    server: MariaDB, how: str, known: Known, connection: Connection, wait: int, deadline: Deadline
) -> bool:
    changes = _changes(connection, deadline)
    if known is server._remembered and known.changes == changes:
        used = connection.ask(_USED, deadline)
        tables = [str(table) for schema, table in used if schema == server._database]
    else:
        # it has only counted since its start, and a table that was renamed has another count
        tables = [str(table) for table, _ in connection.ask(_TABLES.format(_OURS), deadline)]
        known.forget()
    known.learn(connection, deadline)
    truncated = [t for t in tables if how == "truncate" or (t, "DELETE") in known.triggers]
    deleted = [table for table in tables if table not in truncated]
    statements = [
        _SESSION.format(wait),
        *(f"TRUNCATE TABLE {identifier(table)}" for table in truncated),
    ]
    statements += ["BEGIN", *(f"DELETE FROM {identifier(table)}" for table in deleted), "COMMIT"]
    connection.ask("; ".join([*statements, "FLUSH TABLE_STATISTICS"]), deadline)
    known.changes = changes
    if truncated:
        known.changes[_TRUNCATED] = changes.get(_TRUNCATED, 0) + len(truncated)
    return True


def _whoever_holds_tables(
    do: Callable[[int], bool], known: Known, connection: Connection, deadline: Deadline
) -> bool:
    """Do something with tables; if one of them is held, sessions within a transaction are ended.

    :param do: is given the seconds for which it waits for a table.  It may have to: InnoDB itself
        holds one for a moment when it removes rows that were deleted.
    """
    try:
        return do(0)
    except Refused as refused:
        let_through(refused)
        if refused.code != _HELD:
            raise
    _end_transactions(connection, known, deadline)
    known.changes = _changes(connection, deadline)  # some of it is done
    return do(_PATIENCE)


def _changes(connection: Connection, deadline: Deadline) -> dict[str, int]:
    return {str(kind): int(count or 0) for kind, count in connection.ask(_CHANGES, deadline)}


def _columns(connection: Connection, schema: str, deadline: Deadline) -> dict[str, list[str]]:
    """The columns of each table that are not computed from others."""
    found: dict[str, list[str]] = {}
    for table, column in connection.ask(_COLUMNS.format(schema), deadline):
        found.setdefault(str(table), []).append(str(column))
    return found


def _listed(columns: list[str]) -> str:
    return ", ".join(map(identifier, columns))


def _end_transactions(connection: Connection, known: Known, deadline: Deadline) -> None:
    """End the sessions that are within a transaction."""
    time.sleep(max(0.0, known.listed + _STALE - time.monotonic()))
    asked = _TRANSACTIONS + (f" AND trx_mysql_thread_id IN ({_OF_OURS})" if known.only_mine else "")
    ended = [session for (session,) in connection.ask(asked, deadline)]
    known.listed = time.monotonic()
    _end_sessions(connection, ended, deadline)


def _end_sessions(connection: Connection, ended: list[str | None], deadline: Deadline) -> None:
    for session in ended:
        try:
            connection.ask(f"KILL {session}", deadline)
        except Refused as refused:
            let_through(refused)
            if refused.code != _NO_SUCH_SESSION:
                raise
    among = f"{_SESSIONS} WHERE id IN ({', '.join(map(str, ended))})"
    while ended and connection.ask(among, deadline):
        if deadline.expired():
            raise TimeoutError
        time.sleep(0.0005)  # the server has no way to say when they have gone
