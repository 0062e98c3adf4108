"""The data that a PostgreSQL server begins with: made by initdb, and by a template."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..executors import references
from ..executors.coordinated import OutputCoordinatedExecutor
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps
from ..unpatched import open
from . import postgresql_connection as sql
from .archives import UNPACK
from .database_connection import failing
from .postgresql import BANNER, PostgreSQL
from .schema import PATIENCE
from .server_user import become, identity_of, server_user

if TYPE_CHECKING:
    import pwd

    from .archives import Make

#: what the server says of data that are damaged, or of another version
DAMAGE = (
    "initialized by PostgreSQL version|is not a valid data directory"
    "|could not access the server configuration file"
)


def user() -> pwd.struct_passwd | None:
    """The user that the server runs as, if the tests run as root."""
    return server_user("PostgreSQL", "postgres", "nobody")


def command(
    server: PostgreSQL, settings: Mapping[str, str], data: str, archive: str = ""
) -> tuple[str, ...]:
    """The command of a server.

    :param data: its data directory.
    :param archive: what is written there first; empty: nothing.
    """
    script = f'{UNPACK} && shift && exec "$0" -D "$@"'
    return (
        *become(user()),
        *("/bin/sh", "-c", script if archive else 'shift && exec "$0" -D "$@"'),
        *(server._binary("postgres"), archive, data, "-h", "{host}", "-p", "{port}"),
        *(f"-c{key}={value}" for key, value in settings.items()),
    )


def making(server: PostgreSQL) -> tuple[str, list[bytes], Make]:
    """How the data of an empty server are made."""
    owner = user()
    initdb = server._binary("initdb")
    initdb_options = [references.placed(server, word) for word in server._initdb]
    options = [
        *("-U", server._user, "--auth=trust", "--encoding=UTF8", "--locale=C"),
        *("--no-sync", "--wal-segsize=1", *initdb_options),
    ]
    identity = identity_of(server._called, initdb, options, owner)

    def by_initdb(data: str) -> Steps[None]:
        yield from server._fill_empty([*become(owner), initdb, "-D", data, *options], "initdb")

    return "initdb", identity, by_initdb


def maker(server: PostgreSQL, archive: str, data: str) -> OutputCoordinatedExecutor:
    """A server that makes database and schema of another one."""
    # old segments of its log are not kept, since they would be copied to each server
    settings = {**server._settings, "min_wal_size": "2MB", "wal_recycle": "off"}
    return OutputCoordinatedExecutor(
        command(server, settings, data, archive),
        BANNER,
        name=f"{server._called} for its template",
        host=server._host,
        cwd=server._known_directory(),
        timeout=server._limits.timeout,
        stop_signal=signal.SIGINT,  # with a last checkpoint
    )


def make_database(server: PostgreSQL, address: tuple[str, int]) -> None:
    """Make the database of a server on another one."""
    name = sql.identifier(server._database)
    with (
        failing(server._called, f"the database {server._database} could not be made"),
        sql.Connection(address, server._user, "postgres") as connection,
    ):
        connection.ask(f"CREATE DATABASE {name} TEMPLATE template0", Deadline(PATIENCE))


def run_sql(server: PostgreSQL, path: str, address: tuple[str, int]) -> Steps[None]:
    """Run the SQL in a file in the database of a server, on another one."""
    psql = server._program_at("psql")
    if psql is not None:
        url = server._url_of(server._database, address[1])
        words = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", path]
        yield from server._client(words, address[1], {"PGCLIENTENCODING": "UTF8"})
        return
    with open(path, encoding="utf-8-sig") as file:
        statements = file.read()
    with (
        failing(server._called, "template= failed"),
        sql.Connection(address, server._user, server._database) as connection,
    ):
        connection.ask(statements, Deadline(PATIENCE))


def finish(server: PostgreSQL, address: tuple[str, int]) -> None:
    """Keep a copy of the database of a server, and make the one that we are connected to."""
    deadline, database, home = Deadline(PATIENCE), server._database, server._home
    with (
        failing(server._called, "the result of template= could not be kept"),
        sql.Connection(address, server._user, database) as connection,
    ):
        if home != "postgres":
            connection.ask(f"CREATE DATABASE {home} TEMPLATE template0", deadline)
        if server._schema:
            # a library that the template has used may still be connected
            sql.cut(connection, database, deadline)
            for statement in sql.clone(connection.version, server._pristine, database):
                connection.ask(statement, deadline)


def bindirs() -> Iterator[str]:
    """Debian's directories of PostgreSQL, the newest version first."""

    from ..unpatched import glob

    def version(path: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path)]

    yield from sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version, reverse=True)
