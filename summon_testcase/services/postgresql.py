"""A fresh, empty PostgreSQL server."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..declaration import arguments, templates, variables
from ..declaration.programs import is_program, package_of
from ..errors import CommandNotFound, InvalidArgument, RequirementMissing
from ..executors import references
from ..executors.coordinated import OutputCoordinatedExecutor
from ..executors.loading import load
from ..foreign import suppress
from ..unpatched import open, os
from .database_server import DatabaseServer, mark

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..declaration.options import Options
    from ..readiness.probe import Probe
    from ..supervision.instance import Instance
    from .database_server import Recipe
    from .postgresql_reset import Spares
    from .schema import Key, Template

#: what the server says once it can be used
BANNER = r"database system is ready to accept connections\n"
#: settings that switch durability off, since the data need not survive a crash, and lines of the
#: log that are not about tests: each copy of a database is a checkpoint
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
    "lc_messages": "C",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
}
#: variables of libpq by which a client reaches another server, demands what ours does not offer, or
#: has other settings there; the server itself reads two of them
_LIBPQ = (
    *("PGHOSTADDR", "PGSERVICE", "PGTARGETSESSIONATTRS", "PGOPTIONS"),
    *("PGSSLMODE", "PGREQUIRESSL", "PGSSLNEGOTIATION", "PGGSSENCMODE"),
    *("PGCHANNELBINDING", "PGREQUIREAUTH", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ"),
)
#: bytes that the name of a database may have
_LONGEST = 63
#: the databases from which the server makes others; names of ours begin with the last one
_RESERVED = re.compile("template0$|template1$|summon_")

P = TypeVar("P", bound="PostgreSQL")


class PostgreSQL(DatabaseServer, OutputCoordinatedExecutor):
    """A fresh PostgreSQL server, with durability switched off.

    Its data live as long as its port: they are still there after ``restart()``, ``stopped()``,
    ``kill()`` and a death.  A new scope, or ``start()`` after ``stop()``, begins afresh.

    ``initdb`` and ``template=`` run once; each server gets a copy of their result, in memory where
    ``/dev/shm`` has room.  When the tests run as root, the server runs as the user
    ``postgres``, or ``nobody`` if there is none.

    :param database: the database that it has, and that ``url``, ``dsn`` and ``env()`` name.
    :param template: what makes the schema in that database: SQL; the path of a file of SQL, as a
        :class:`pathlib.Path`; a command, as text or as a list of words, that is run with the
        variables of :meth:`env` (text that begins with a word of SQL, such as ``create``, is SQL);
        or a function that takes the URL. It may take ten minutes, and is run once for all processes
        of this user, until its text or the file changes. Its result is cached, so what it does
        elsewhere is not done again. SQL is run by ``psql``, if that is installed.
    :param template_key: for a command, a function, or SQL that reads other files, what its result
        depends on: paths of files and directories, as :class:`pathlib.Path`, whose contents count,
        and other values. Without it nobody knows when the result is out of date, so each process
        of tests runs the template once; so it does with a callable that is no plain function.
    :param reset: before each test but the first: True for a fresh database of ``template``, whose
        clients are cut off; ``"truncate"``, to empty all tables and restart their sequences, or
        ``"delete"``, to empty all tables, also of rows that the template has made. Or a function.
    :param settings: server settings beside or instead of ours, ``{"fsync": "on"}``; values are
        text, numbers, or True and False.
    :param initdb: further arguments of ``initdb``, ``["--locale=en_US.UTF-8"]``.
    :param user: the name of the database superuser.
    :param bindir: the directory of ``initdb`` and ``postgres``, a relative one from ``cwd``;
        default: the newest of ``/usr/lib/postgresql/*/bin``, then the PATH.
    :param host: the address that it listens on.
    :param port: its port; default: a free one.

    The other arguments are those of :class:`SimpleExecutor`.

    :raises RequirementMissing: at start, if PostgreSQL is not installed.

    .. code-block:: python

        class AccountsTest(SummonMixin, TestCase):
            db = PostgreSQL(database="bank", template=Path("schema.sql"))

            def test_is_empty(self):
                with psycopg2.connect(self.db.url) as connection:
                    ...
    """

    _scheme = "postgresql"
    _usual = "postgres"
    _not_inherited = _LIBPQ
    _at_once = signal.SIGQUIT
    # after an immediate shutdown unlogged tables would be empty
    _in_order = signal.SIGINT

    def __init__(
        self,
        *,
        database: str = "postgres",
        template: Template = None,
        template_key: Key = None,
        settings: Mapping[str, object] | None = None,
        initdb: Sequence[str] = (),
        user: str = "postgres",
        bindir: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        kind = self._kind((), False)
        label = arguments.call(kind, options.get("name")) or kind
        given = arguments.mapping(label, "settings", settings, '{"work_mem": "64MB"}')
        self._settings = {**_SETTINGS, **{key: _setting(label, key, given[key]) for key in given}}
        self._initdb = arguments.words(label, "initdb", initdb, 'a list such as ["--locale=C"]')
        self._user = arguments.text(label, "user", user, 'a name such as "postgres"')
        self._bindir = (
            None if bindir is None else arguments.path(label, "bindir", bindir, "a directory")
        )
        super().__init__(
            ["postgres"],
            BANNER,
            database=database,
            template=template,
            template_key=template_key,
            host=host,
            port=port,
            **options,
        )
        self.template_fields = (*self.template_fields, "dsn")
        self._env = (*variables.layers(label, dict.fromkeys(_LIBPQ)), *self._env)
        if _RESERVED.match(database):
            raise _reserved(self._declared, f"database={database!r}")
        #: whether each test finds another database, so that nothing else may be connected to it
        self._renews = options.get("reset") is True
        #: the database that we are connected to when its own one is renamed
        self._home = "summon_home" if self._renews and database == "postgres" else "postgres"
        #: the database that is cloned
        self._pristine = "summon_template" if self._schema else "template0"
        self._spares: Spares | None = None
        #: how many names of spares are not used again, since the server may still be making these
        self._spares_lost = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_spares": None}

    def _away(self) -> dict[str, Any] | None:
        state = super()._away()
        return None if state is None else {**state, "_spares": None}

    def env(self) -> dict[str, str]:
        """``DATABASE_URL``, and the variables of libpq: ``PGHOST``, ``PGPORT`` and so on.

        ``PGSSLMODE`` is among them, unless ``settings=`` has ``ssl``.
        """
        return self._variables(self.port)

    def _variables(self, port: int) -> dict[str, str]:
        return {
            "DATABASE_URL": self._url_of(self._database, port),
            "PGHOST": self._host,
            "PGPORT": str(port),
            "PGUSER": self._user,
            "PGDATABASE": self._database,
            **({} if "ssl" in self._settings else {"PGSSLMODE": "disable"}),
        }

    @classmethod
    def _wrong_with(cls, name: str) -> str | None:
        if len(os.fsencode(name)) > _LONGEST or "\n" in name:
            return f"of one line, and at most {_LONGEST} bytes"
        return None

    @property
    def dsn(self) -> str:
        """The server as a connection string of libpq, ``host=127.0.0.1 port=20123 …``.

        :raises NotRunning: if it is not running.
        """
        user, database = _in_dsn(self._user), _in_dsn(self._database)
        return f"host={self.host} port={self.port} user={user} dbname={database}"

    def fresh(self, name: str) -> str:
        """Make one more database, as the one of the server was at its start.

        If there is one of that name, it is dropped first, and its clients are cut off.

        On a server of a stack, of which each process has a database of its own, each has also those
        of its own that are made here: the name in the URL is a longer one, and they are dropped
        when the process ends.

        :param name: its name.
        :returns: its URL.
        :raises NotRunning: if it is not running.
        :raises SummonError: if the server refuses it, or does not answer within ``timeout``.
        """
        from .postgresql_reset import make_fresh

        own = self._checked_name(self._called, name) + mark(self)
        url = self.url_for_database(own)
        needed = {self._database, self._whole, "postgres"}
        if name in needed or own in needed or _RESERVED.match(name):
            raise _reserved(self._called, f"fresh({name!r})")
        make_fresh(self, own)
        return url

    def _make_part(self) -> None:
        from .postgresql_reset import make_fresh

        make_fresh(self, self._database)
        if self._renews:
            self._begin_spares()

    def _drop_parts(self, mine: bool) -> None:
        from .postgresql_reset import drop_parts

        if self._spares is not None:
            self._spares.finish()
            self._end_spares()
        drop_parts(self, mine)

    def _check(self, may_appear: bool = False) -> None:
        """Refuse, before anything is spawned, what cannot work."""
        super()._check(may_appear)
        self._binary("postgres")
        self._binary("initdb")

    def _program_words(self) -> list[str]:
        # the command of the server is not known yet, and ``_check()`` looks for its program
        return super()._program_words()[1:]

    def _told_to_server(self) -> tuple[str, Iterable[str]]:
        return "settings=", self._settings.values()

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._settings.values(), *self._initdb]

    def _ready(self, instance: Instance) -> None:
        super()._ready(instance)
        if self._renews:
            self._begin_spares()

    def _finish(
        self, instance: Instance, keep_lease: bool, failure: BaseException | None = None
    ) -> None:
        self._end_spares()
        super()._finish(instance, keep_lease, failure)

    def _part(self: P) -> P:
        # they are connected to the server that ends
        self._end_spares()
        return super()._part()

    def _warm_up(self) -> None:
        super()._warm_up()
        # what its readiness and its resets need: there is time for that while the warden boots
        load("services.postgresql_reset")
        import encodings.idna  # noqa: F401  # a connection takes it to look up its host
        import urllib.parse  # noqa: F401

    def _version(self) -> str:
        """The major version of the server that runs: what is in a file of its data."""
        with open(os.path.join(self._leased("directory").elsewhere, "PG_VERSION")) as file:
            return file.read()

    def _begin_spares(self) -> None:
        from .postgresql_reset import Spares

        self._spares = Spares(self)
        self._spares.begin()

    def _end_spares(self) -> None:
        spares, self._spares = self._spares, None
        if spares is not None:
            spares.close()

    def _renew(self) -> None:
        from .postgresql_reset import SPARES

        # if another process has restarted a server that both use, nothing has ended the spares
        if self._spares is not None and not (self.running() and self._spares.pid == self.pid):
            self._end_spares()
        try:
            if self._spares is None:
                self._begin_spares()
            assert self._spares is not None
            self._spares.renew()
        except BaseException:
            # what was answered is not known, nor what still will be: the next reset begins anew
            self._end_spares()
            self._spares_lost += SPARES
            raise

    def _truncate(self) -> None:
        from .postgresql_reset import empty_tables

        empty_tables(self, "truncate")

    def _delete(self) -> None:
        from .postgresql_reset import empty_tables

        empty_tables(self, "delete")

    _own_resets = {True: _renew, "truncate": _truncate, "delete": _delete}

    def _readiness(self) -> list[Probe]:
        from . import postgresql_cluster as clusters
        from .server_user import make_room

        lease = self._leased("directory")
        if lease.begun:
            # left by a server that was killed: another process may have its pid by now
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(lease.elsewhere, "postmaster.pid"))
        else:
            make_room(self._called, lease, clusters.user())
        archive = "" if lease.begun else self._archives[-1]
        self._command = clusters.command(self, self._settings, lease.elsewhere, archive)
        return super()._readiness()

    def _again(self) -> list[Probe]:
        from ..readiness.protocols import ProtocolProbe

        return [ProtocolProbe("postgresql", self._host, self._port_now(), user=self._user)]

    # -- its data --

    def _recipe(self) -> Recipe:
        from . import postgresql_cluster

        return postgresql_cluster

    def _influences(self) -> object:
        return self._settings, self._home, self._pristine

    def _begins_empty(self) -> bool:
        return super()._begins_empty() and self._home == "postgres"

    # -- its programs --

    def _program_at(self, name: str) -> str | None:
        """The path of a program of PostgreSQL; None if it is not installed."""
        from .postgresql_cluster import bindirs

        place = self._program_directory()
        for directory in [place] if place else bindirs():
            found = os.path.join(directory, name)
            if is_program(found):
                return found
        if not place or name == "psql":
            with suppress(CommandNotFound):
                return self._find(name, references.search_path(self), os.sep)
        return None

    def _program_directory(self) -> str:
        """The directory that ``bindir=`` names; empty if it names none."""
        bindir, base = (
            references.placed(self, self._bindir or ""),
            references.placed(self, self._cwd or ""),
        )
        if not bindir:
            return ""
        # A relative path starts from the server's directory, as any other.  Links are
        # resolved, since the server's user may not be allowed to follow them.
        base = "" if templates.there_are(base) else base
        return os.path.realpath(os.path.join(base, bindir))

    def _binary(self, program: str) -> str:
        found = self._program_at(program)
        if found is not None:
            return found
        where = self._program_directory() or "/usr/lib/postgresql/*/bin or on the PATH"
        raise RequirementMissing(
            f"{self._called}: {program!r} is not in {where}: install the Debian package "
            f"{package_of(program)}, or write bindir=",
            executor=self._called,
            program=program,
            package=package_of(program),
            optional=self._may_skip,
        )


def _reserved(label: str, what: str) -> InvalidArgument:
    return InvalidArgument(
        f"{label}: {what}: the server needs a database of that name itself: write another name",
        executor=label,
    )


def _in_dsn(value: str) -> str:
    """A value in a connection string of libpq."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return value if re.fullmatch(r"[\w.-]+", value) else f"'{escaped}'"


def _setting(label: str, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return arguments.word(label, f"settings: {key}", value)
