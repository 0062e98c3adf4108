"""The data that a PostgreSQL server begins with: made by initdb, and by a template."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..declaration import templates, variables
from ..errors import ProcessExited
from ..executors.coordinated import OutputCoordinatedExecutor
from ..executors.simple import SimpleExecutor
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps
from ..unpatched import open, os
from . import postgresql_connection as sql
from .archives import UNPACK, Archives, ended, forget_damaged
from .postgresql import BANNER, PostgreSQL, url_of, variables_of
from .schema import PATIENCE
from .server_user import barrier, become, out_of_reach, server_user

if TYPE_CHECKING:
    import pwd

#: seconds that one initdb may take
_INITDB_TIMEOUT = 120.0
#: what the server says of data that are damaged, or of another version
_DAMAGE = (
    "initialized by PostgreSQL version|is not a valid data directory"
    "|could not access the server configuration file"
)


def user() -> pwd.struct_passwd | None:
    """The user that the server runs as, if the tests run as root."""
    return server_user("PostgreSQL", "postgres", "nobody")


def command(
    postgres: str, settings: Mapping[str, str], data: str, archive: str = ""
) -> tuple[str, ...]:
    """The command of a server.

    :param data: its data directory.
    :param archive: what is written there first; empty: nothing.
    """
    script = f'{UNPACK} && shift && exec "$0" -D "$@"'
    return (
        *become(user()),
        *("/bin/sh", "-c", script if archive else 'shift && exec "$0" -D "$@"'),
        *(postgres, archive, data, "-h", "{host}", "-p", "{port}"),
        *(f"-c{key}={value}" for key, value in settings.items()),
    )


def find(server: PostgreSQL) -> Steps[None]:
    """Find, or make, the archive that a server begins with, and note it in ``_archives``."""
    owner = user()
    initdb = server._binary("initdb")
    facts = os.stat(os.path.realpath(initdb))
    if owner is not None and barrier(os.path.dirname(initdb), owner) is not None:
        raise out_of_reach(server._called, initdb, owner, "bindir=")
    options = [
        *("-U", server._user, "--auth=trust", "--encoding=UTF8", "--locale=C"),
        *("--no-sync", "--wal-segsize=1", *map(server._placed, server._initdb)),
    ]
    identity = [repr((os.path.realpath(initdb), facts.st_mtime_ns, options, owner)).encode()]
    patience = server._limits.timeout

    def by_initdb(data: str) -> Steps[None]:
        words = [*become(owner), initdb, "-D", data, *options]
        name, place = f"{server._called} initdb", _place_of(server)
        yield from ended(
            SimpleExecutor(words, name=name, one_shot=True, timeout=_INITDB_TIMEOUT, cwd=place)
        )

    archives = Archives(server._called, owner, patience)
    empty = yield from archives.find(identity, by_initdb, "initdb")
    server._archives = [empty]
    if server._database == "postgres" and not server._schema:
        return

    def by_template(data: str) -> Steps[None]:
        return _fill(server, empty, data)

    declared = server._settings, server._database, variables.merged(server._env)
    identity.append(repr(declared).encode())
    made_of = server._schema.identity(server) if server._schema else []
    if made_of is None:
        made, server._made_here = yield from archives.for_this_process(
            server._made_here, by_template
        )
    else:
        patience = None if patience is None else max(patience, PATIENCE)
        archives = Archives(server._called, owner, patience)
        made = yield from archives.find([*identity, *made_of], by_template, "the template")
    server._archives = [empty, made]


def forget(server: PostgreSQL, error: ProcessExited) -> bool:
    """Remove the archives of a server if it could not start since one is damaged.

    :returns: whether this was the reason.
    """
    return forget_damaged(server._archives, error, _DAMAGE)


def _place_of(server: PostgreSQL) -> str | None:
    place = server._placed(server._cwd or "")
    return os.sep if templates.there_are([place]) else place or None


def _fill(server: PostgreSQL, empty: str, data: str) -> Steps[None]:
    """Make the database of a server, and its schema, with a server that is there for that."""
    # old segments of its log are not kept, since they would be copied to each server
    settings = {**server._settings, "min_wal_size": "2MB", "wal_recycle": "off"}
    maker = OutputCoordinatedExecutor(
        command(server._binary("postgres"), settings, data, empty),
        BANNER,
        name=f"{server._called} for its template",
        host=server._host,
        cwd=_place_of(server),
        timeout=server._limits.timeout,
        stop_signal=signal.SIGINT,  # with a last checkpoint
    )
    maker._services = server._services
    yield from maker._starting()
    try:
        if server._database != "postgres":
            name = sql.identifier(server._database)
            with (
                sql.failing(server._called, f"the database {server._database} could not be made"),
                sql.Connection((maker.host, maker.port), server._user, "postgres") as connection,
            ):
                connection.ask(f"CREATE DATABASE {name} TEMPLATE template0", Deadline(PATIENCE))
        if server._schema:
            yield from _run_template(server, maker)
        yield from maker._stopping()
    finally:
        maker._kill(False)


def _run_template(server: PostgreSQL, maker: OutputCoordinatedExecutor) -> Steps[None]:
    where = server._user, maker.host, maker.port, server._database
    url = url_of(*where)

    def run_file(path: str) -> Steps[None]:
        psql = server._program_at("psql")
        if psql is not None:
            words = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", path]
            limit = None if server._limits.timeout is None else PATIENCE
            name = f"{server._called} template"
            yield from ended(SimpleExecutor(words, name=name, one_shot=True, timeout=limit))
            return
        with open(path, encoding="utf-8") as file:
            statements = file.read()
        address = maker.host, maker.port
        with (
            sql.failing(server._called, "template= failed"),
            sql.Connection(address, server._user, server._database) as connection,
        ):
            connection.ask(statements, Deadline(PATIENCE))

    return server._schema.run(server, maker, url, variables_of(*where), run_file)


def bindirs() -> Iterator[str]:
    """Debian's directories of PostgreSQL, the newest version first."""

    from ..unpatched import glob

    def version(path: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path)]

    yield from sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version, reverse=True)
