"""A fresh, empty PostgreSQL server."""

from __future__ import annotations

import contextlib
import copy
import re
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..declaration import arguments, templates
from ..declaration.programs import is_program, package_of, path_of
from ..declaration.variables import merged
from ..errors import (
    CommandNotFound,
    InvalidArgument,
    RequirementMissing,
)
from ..executors.coordinated import OutputCoordinatedExecutor
from ..foreign import suppress
from ..scheduling.steps import Steps
from ..unpatched import MACOS, os
from ..wording import at
from .postgresql_cluster import (
    become,
    bindirs,
    has_room,
    reachable_directory,
    server_user,
    template,
)

if TYPE_CHECKING:
    import pwd

    from typing_extensions import Unpack

    from ..declaration.options import Options
    from ..readiness.probe import Probe
    from ..supervision.lease import Lease

#: settings that switch durability off, since the data need not survive a crash
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_destination": "stderr",
}
#: a tmpfs, in which a cluster is copied several times faster than on a disk
_MEMORY = "/dev/shm"
#: the signal at which the server shuts down at once, to recover from its log at the next start
_AT_ONCE = signal.SIGQUIT
#: bytes that the name of a database may have
_LONGEST = 63


class PostgreSQL(OutputCoordinatedExecutor):
    """A fresh, empty PostgreSQL server, with durability switched off.

    Its data live as long as its port: they are still there after ``restart()``, ``stopped()``,
    ``kill()`` and a death.  A new scope, or ``start()`` after ``stop()``, begins empty.

    ``initdb`` runs once; each server gets a copy of its result, in memory where
    ``/dev/shm`` has room.  When the tests run as root, the server runs as the user
    ``postgres``, or ``nobody`` if there is none.

    :param settings: server settings beside or instead of ours, ``{"fsync": "on"}``; values are
        text, numbers, or True and False.
    :param initdb: further arguments of ``initdb``, ``["--locale=en_US.UTF-8"]``.
    :param user: the name of the database superuser.
    :param database: the database that it has, and that ``url``, ``dsn`` and ``env()`` name.
    :param bindir: the directory of ``initdb`` and ``postgres``, a relative one from ``cwd``;
        default: the newest of ``/usr/lib/postgresql/*/bin``, then the PATH.
    :param host: the address that it listens on.
    :param port: its port; default: a free one.

    The other arguments are those of :class:`SimpleExecutor`.

    :raises RequirementMissing: at start, if PostgreSQL is not installed.

    .. code-block:: python

        class AccountsTest(SummonMixin, TestCase):
            db = PostgreSQL()

            def test_is_empty(self):
                with psycopg2.connect(self.db.dsn) as connection:
                    ...
    """

    _serves = True
    _asks_again = True

    def __init__(
        self,
        *,
        settings: Mapping[str, object] | None = None,
        initdb: Sequence[str] = (),
        user: str = "postgres",
        database: str = "postgres",
        bindir: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        label = arguments.call("PostgreSQL()", options.get("name")) or "PostgreSQL()"
        given = arguments.mapping(label, "settings", settings, '{"work_mem": "64MB"}')
        self._settings = {**_SETTINGS, **{key: _setting(label, key, given[key]) for key in given}}
        self._initdb = arguments.words(label, "initdb", initdb, 'a list such as ["--locale=C"]')
        self._user = arguments.text(label, "user", user, 'a name such as "postgres"')
        self._database = _database(label, database)
        self._bindir = (
            None if bindir is None else arguments.path(label, "bindir", bindir, "a directory")
        )
        # at once, since no data have to be saved
        options.setdefault("stop_signal", _AT_ONCE)
        self._made = ""
        super().__init__(
            ["postgres"],
            r"database system is ready to accept connections\n",
            host=host,
            port=port,
            **options,
        )
        self.template_fields = (*self.template_fields, "dsn")

    @property
    def url(self) -> str:
        """The database as a URL, ``postgresql://postgres@127.0.0.1:20123/postgres``.

        :raises NotRunning: if it is not running.
        """
        return self.url_for_database(self._database)

    def url_for_database(self, name: str) -> str:
        """The URL of another database of this server.

        :param name: its name.
        :raises NotRunning: if it is not running.
        """
        return self._url_of(name, self.port)

    def url_with(self, driver: str) -> str:
        """The URL for SQLAlchemy, which is told a driver.

        :param driver: ``"psycopg"`` gives ``postgresql+psycopg://postgres@127.0.0.1:20123/postgres``.
        :raises NotRunning: if it is not running.
        """
        named = arguments.text(self._called, "driver", driver, 'a name such as "psycopg"')
        return self.url.replace("postgresql", f"postgresql+{named}", 1)

    def _url_now(self) -> str:
        return self._url_of(self._database, self._port_now())

    def _url_of(self, database: str, port: int) -> str:
        from urllib.parse import quote

        where = at(self._host, port)
        return (
            f"postgresql://{quote(self._user)}@{where}/{quote(_database(self._called, database))}"
        )

    def env(self) -> dict[str, str]:
        """``DATABASE_URL``, and the variables of libpq: ``PGHOST``, ``PGPORT`` and so on."""
        return {
            "DATABASE_URL": self.url,
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self._user,
            "PGDATABASE": self._database,
        }

    @property
    def dsn(self) -> str:
        """The server as a connection string of libpq, ``host=127.0.0.1 port=20123 …``.

        :raises NotRunning: if it is not running.
        """
        user, database = _in_dsn(self._user), _in_dsn(self._database)
        return f"host={self.host} port={self.port} user={user} dbname={database}"

    def _check(self, may_appear: bool = False) -> None:
        """Refuse, before anything is spawned, what cannot work."""
        super()._check(may_appear)
        self._binary("postgres")
        self._binary("initdb")

    def _find_program(self, path: str | None, cwd: str) -> None:
        """Do nothing: the command is not known yet, and ``check()`` looks for its program."""

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._settings.values(), *self._initdb]

    def _starting(self) -> Steps[None]:
        """The start as steps, for orchestrators."""
        instance = self._instance
        if instance is None or instance.lease.over or not instance.lease.begun:
            self._made = yield from template(self)
        yield from super()._starting()

    def _stopping(
        self, for_now: bool = False, number: int | None = None, timeout: float | None = None
    ) -> Steps[None]:
        """The stop as steps, for orchestrators."""
        instance = self._instance
        if (
            instance is not None
            and (for_now or self._stays())
            and instance.limits.stop_signal == _AT_ONCE
        ):
            # not at once: after an immediate shutdown unlogged tables would be empty
            instance.limits = copy.copy(instance.limits)
            instance.limits.stop_signal = signal.SIGINT
        yield from super()._stopping(for_now, number, timeout)

    def _readiness(self) -> list[Probe]:
        lease = self._leased("directory")
        owner = server_user()
        copy = "cp -ac" if MACOS else "cp -a --reflink=auto"
        # the service's own process copies the cluster, so that others start meanwhile
        script = f'{copy} "$1/." "$2" && shift && exec "$0" -D "$@"'
        if lease.begun:
            script = 'shift && exec "$0" -D "$@"'
            # left by a server that was killed: another process may have its pid by now
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(lease.elsewhere, "postmaster.pid"))
        else:
            self._make_room(lease, owner)
        data = lease.elsewhere
        self._command = (
            *(*become(owner), "/bin/sh", "-c", script),
            *(self._binary("postgres"), self._made, data, "-h", "{host}", "-p", "{port}"),
            *(f"-c{key}={value}" for key, value in self._settings.items()),
        )
        return super()._readiness()

    def _again(self) -> list[Probe]:
        from ..readiness.protocols import ProtocolProbe

        return [ProtocolProbe("postgresql", self._host, self._port_now(), user=self._user)]

    def _make_room(self, lease: Lease, owner: pwd.struct_passwd | None) -> None:
        from ..unpatched import tempfile

        place = reachable_directory(self._called, owner, *([_MEMORY] if has_room(_MEMORY) else []))
        data = tempfile.mkdtemp(prefix="summon-", dir=place)
        lease.also_remove(data)
        if owner is not None:
            os.chown(data, owner.pw_uid, owner.pw_gid)

    # -- its programs --

    def _binary(self, program: str) -> str:
        bindir, base = self._placed(self._bindir or ""), self._placed(self._cwd or "")
        if bindir:
            # A relative path starts from the server's directory, as any other.  Links are
            # resolved, since the server's user may not be allowed to follow them.
            base = "" if templates.there_are([base]) else base
            bindir = os.path.realpath(os.path.join(base, bindir))
        places = [bindir] if bindir else bindirs()
        for place in places:
            found = os.path.join(place, program)
            if is_program(found):
                return found
        if not bindir:
            with suppress(CommandNotFound):
                return self._find(program, path_of(merged(self._env)), os.sep)
        where = bindir or "/usr/lib/postgresql/*/bin or on the PATH"
        raise RequirementMissing(
            f"{self._called}: {program!r} is not in {where}: install the Debian package "
            f"{package_of(program)}, or write bindir=",
            executor=self._called,
            program=program,
            package=package_of(program),
            optional=self._may_skip,
        )


def _database(label: str, name: object) -> str:
    """Refuse what is no name of a database.

    :raises InvalidArgument: naming the argument.
    """
    found = arguments.text(label, "database", name, 'a name such as "shop"')
    if len(os.fsencode(found)) > _LONGEST or "\n" in found:
        raise InvalidArgument(
            f"{label}: database={found!r}: write a name of one line, and at most {_LONGEST} bytes",
            executor=label,
        )
    return found


def _in_dsn(value: str) -> str:
    """A value in a connection string of libpq."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return value if re.fullmatch(r"[\w.-]+", value) else f"'{escaped}'"


def _setting(label: str, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return arguments.word(label, f"settings: {key}", value)
