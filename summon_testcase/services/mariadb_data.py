"""The data that a MariaDB server begins with: made by mariadb-install-db, and by a template."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import CommandNotFound
from ..executors import references
from ..executors.coordinated import OutputCoordinatedExecutor
from ..foreign import suppress
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps
from ..supervision.lease import Lease
from ..unpatched import open, os
from . import mariadb_connection as sql
from .archives import UNPACK
from .database_connection import failing
from .mariadb import INSTALL, WORDS, MariaDB
from .mariadb_reset import drop, keep
from .schema import PATIENCE
from .server_user import become, identity_of, server_user

if TYPE_CHECKING:
    import pwd

    from .archives import Make

#: what the server says of data that are damaged, or of another version
DAMAGE = "Can't open and lock privilege tables|Unknown/unsupported storage engine: InnoDB"


class _There(NamedTuple):
    """A server of another process, and a directory of this one."""

    host: str
    port: int
    tmpdir: str


def user() -> pwd.struct_passwd | None:
    """The user that the server runs as, if the tests run as root."""
    return server_user("MariaDB", "mysql", "nobody")


def command(server: tuple[str, ...], data: str, archive: str = "") -> tuple[str, ...]:
    """The command of a server.

    :param server: its program, and arguments.
    :param data: its data directory.
    :param archive: what is written there first; empty: nothing.
    """
    script = 'shift 2 && exec "$@"'
    if archive:
        # what a reset has the server forget is in its way
        script = f'cd "$2" && find . -mindepth 1 -delete && {UNPACK} && {script}'
    before = *become(user()), "/bin/sh", "-c", script, "sh", archive, data
    return (*before, *server, f"--datadir={data}", f"--tmpdir={data}")


def making(server: MariaDB) -> tuple[str, list[bytes], Make]:
    """How the data of an empty server are made."""
    owner = user()
    mariadbd, install = _program(server, "mariadbd"), _program(server, INSTALL)
    options = [
        *("--no-defaults", "--auth-root-authentication-method=normal"),
        *("--innodb-log-file-size=4M", "--character-set-server=utf8mb4"),
        *(references.placed(server, word) for word in server._install),
    ]
    identity = identity_of(server._called, mariadbd, options, owner)

    def by_install(data: str) -> Steps[None]:
        # a script of the shell, which would split --tmpdir= at blanks
        words = [*become(owner), "env", f"TMPDIR={data}", install, *options[:1]]
        words += [f"--datadir={data}", *options[1:]]
        yield from server._fill_empty(words, INSTALL)

    return INSTALL, identity, by_install


def maker(server: MariaDB, archive: str, data: str) -> OutputCoordinatedExecutor:
    """A server that makes database and schema of another one."""
    # it ends in an order that spares others the recovery
    words = _program(server, "mariadbd"), *WORDS, *server._options, "--innodb-fast-shutdown=1"
    return OutputCoordinatedExecutor(
        command(words, data, archive),
        r"ready for connections\.",
        name=f"{server._called} for its template",
        host=server._host,
        cwd=server._known_directory(),
        timeout=server._limits.timeout,
    )


def make_database(server: MariaDB, address: tuple[str, int]) -> None:
    """Make the database of a server on another one."""
    with (
        failing(server._called, f"the database {server._database} could not be made"),
        sql.Connection(address, "") as connection,
    ):
        connection.ask(f"CREATE DATABASE {sql.identifier(server._database)}", Deadline(PATIENCE))


def make_part(server: MariaDB) -> Steps[None]:
    """Make the database, and its schema, that this process alone uses on a server that runs."""
    address = server.host, server.port
    with (
        failing(server._called, f"the database {server._database} could not be made"),
        sql.Connection(address, "") as connection,
    ):
        drop(connection, server._database, Deadline(server._limits.timeout))
    make_database(server, address)
    if not server._schema:
        return
    lease = Lease(server._called)
    try:
        yield from server._schema.run(
            server,
            _There(*address, lease.tmpdir),
            server.url,
            server.env(),
            lambda path: run_sql(server, path, address),
        )
    finally:
        lease.end()


def run_sql(server: MariaDB, path: str, address: tuple[str, int]) -> Steps[None]:
    """Run the SQL in a file in the database of a server, on another one."""
    with suppress(CommandNotFound):
        client = [_program(server, "mariadb"), "--no-defaults", "--user=root"]
        client += ["--default-character-set=utf8mb4", f"--database={server._database}"]
        # as in our own connections
        client += [f"--init-command={sql.AUTOCOMMIT}"]
        words = ["/bin/sh", "-c", 'exec "$@" <"$0"', path, *client]
        yield from server._client(words, address[1])
        return
    with open(path, encoding="utf-8-sig") as file:
        statements = file.read()
    with (
        failing(server._called, "template= failed"),
        sql.Connection(address, server._database) as connection,
    ):
        connection.ask(statements, Deadline(PATIENCE))


def finish(server: MariaDB, address: tuple[str, int]) -> None:
    """Keep copies of what the template of a server has made on another one."""
    if server._schema and server._renews:
        keep(server, address)


def _program(server: MariaDB, name: str) -> str:
    """The path of a program, found as the server's is."""
    path = references.search_path(server)
    path = None if path is None else references.placed(server, path)
    return server._find(name, path, server._known_directory() or os.getcwd())
