"""A fresh, empty PostgreSQL server."""

from __future__ import annotations

import contextlib
import re
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import CommandNotFound, RequirementMissing, SpawnFailed, TimeoutExpired
from .executors import OutputCoordinatedExecutor
from .programs import is_program, package_of, path_of
from .simple import SimpleExecutor
from .steps import Pause, Steps, drive
from .unpatched import MACOS, open, os, time

if TYPE_CHECKING:
    import pwd

    from typing_extensions import Unpack

    from .life import Life
    from .options import Options
    from .probes import Probe

#: the data are disposable: nothing has to survive a crash
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
#: a tmpfs in which a cluster is copied several times faster than on a disk
_MEMORY = "/dev/shm"
#: bytes that must be free there
_ENOUGH = 512 << 20
#: has it shut down at once, and recover from its log at the next start
_AT_ONCE = signal.SIGQUIT
#: seconds that one initdb may take
_INITDB_TIMEOUT = 120


class PostgreSQL(OutputCoordinatedExecutor):
    """A fresh, empty PostgreSQL server, with durability switched off.

    Its data live as long as its port: ``restart()``, ``stopped()``, ``kill()`` and a start after
    a death find them again.  A new scope, or ``start()`` after ``stop()``, begins empty.

    ``initdb`` runs once; each server gets a copy of what it made, in memory where
    ``/dev/shm`` has room.  When the tests run as root, the server runs as the user
    ``postgres``, or ``nobody`` if there is none.

    :param settings: server settings beside or instead of ours, ``{"fsync": "on"}``.
    :param initdb: further arguments of ``initdb``, ``["--locale=en_US.UTF-8"]``.
    :param user: the name of the database superuser.
    :param bindir: the directory of ``initdb`` and ``postgres``; default: the newest of
        ``/usr/lib/postgresql/*/bin``, then the PATH.
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

    def __init__(
        self,
        *,
        settings: Mapping[str, object] | None = None,
        initdb: Sequence[str] = (),
        user: str = "postgres",
        bindir: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._settings = {**_SETTINGS, **{k: str(v) for k, v in (settings or {}).items()}}
        self._initdb = tuple(initdb)
        self._user = user
        self._bindir = None if bindir is None else os.fspath(bindir)
        # there is nothing to save
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
        """The server as a URL, ``postgresql://postgres@127.0.0.1:20123/postgres``.

        :raises NotRunning: if it is not running.
        """
        from urllib.parse import quote

        return f"postgresql://{quote(self._user)}@{self.host}:{self.port}/postgres"

    @property
    def dsn(self) -> str:
        """The server as a connection string of libpq, ``host=127.0.0.1 port=20123 …``.

        :raises NotRunning: if it is not running.
        """
        return f"host={self.host} port={self.port} user={self._user} dbname=postgres"

    def check(self, may_appear: bool = False) -> None:
        """Refuse, before anything is spawned, what cannot work."""
        self._binary("postgres")

    def starting(self) -> Steps[None]:
        """The start as steps, for orchestrators."""
        if self._life is None or not self._life.begun:
            self._made = yield from self._template()
        yield from super().starting()

    def stopping(self, for_now: bool = False) -> Steps[None]:
        """The stop as steps, for orchestrators."""
        run = self._run
        if run is not None and (for_now or self._stays()) and run.limits.stop_signal == _AT_ONCE:
            # after an immediate shutdown tables that are not logged would be empty
            run.limits = run.limits._replace(stop_signal=signal.SIGINT)
        yield from super().stopping(for_now)

    def _readiness(self) -> list[Probe]:
        life = self._life_now("directory")
        owner = _server_user()
        copy = "cp -ac" if MACOS else "cp -a --reflink=auto"
        # copied by the service's own process, so that others start meanwhile
        script = f'{copy} "$1/." "$2" && shift && exec "$0" -D "$@"'
        if life.begun:
            script = 'shift && exec "$0" -D "$@"'
            # of one that was killed: its number may be another's by now
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(life.elsewhere, "postmaster.pid"))
        else:
            self._make_room(life, owner)
        data = life.elsewhere
        self._command = (
            *(*_become(owner), "/bin/sh", "-c", script),
            *(self._binary("postgres"), self._made, data, "-h", "{host}", "-p", "{port}"),
            *(f"-c{key}={value}" for key, value in self._settings.items()),
        )
        return super()._readiness()

    def _make_room(self, life: Life, owner: pwd.struct_passwd | None) -> None:
        from .unpatched import tempfile, temporary_directory

        place = _MEMORY if _has_room(_MEMORY) else temporary_directory()
        data = tempfile.mkdtemp(prefix="summon-", dir=place)
        life.also_remove(data)
        if owner is not None:
            os.chown(data, owner.pw_uid, owner.pw_gid)

    # -- the template --

    def _binary(self, program: str) -> str:
        places = [self._bindir] if self._bindir else _bindirs()
        for place in places:
            found = os.path.join(place, program)
            if is_program(found):
                return found
        if not self._bindir:
            with contextlib.suppress(CommandNotFound):
                return self._find(program, path_of(self._env), os.sep)
        where = self._bindir or "/usr/lib/postgresql/*/bin or on the PATH"
        raise RequirementMissing(
            f"{self.called}: {program!r} is not in {where}: install the Debian package "
            f"{package_of(program)}, or write bindir=",
            executor=self.called,
            program=program,
            package=package_of(program),
            optional=self._may_skip,
        )

    def _template(self) -> Steps[str]:
        """The directory of a cluster made by ``initdb``, which no server ever runs on.

        It is cached by version and options, for all processes of this user.
        """
        import hashlib

        from .unpatched import shutil, tempfile

        initdb = self._binary("initdb")
        facts = os.stat(os.path.realpath(initdb))
        owner = _server_user()
        arguments = [
            *("-U", self._user, "--auth=trust", "--encoding=UTF8", "--locale=C"),
            *("--no-sync", "--wal-segsize=1", *self._initdb),
        ]
        identity = repr((os.path.realpath(initdb), facts.st_mtime_ns, arguments, owner))
        cache = _cache(owner)
        ready = os.path.join(cache, hashlib.sha256(identity.encode()).hexdigest()[:16])
        if os.path.isdir(ready):
            return ready
        deadline = Deadline(self._limits.timeout)
        with open(os.path.join(cache, "lock"), "a") as lock:
            while not _locked(lock.fileno()):
                if deadline.expired():
                    raise TimeoutExpired(
                        f"{self.called}: another process has held {lock.name} for "
                        f"{deadline.seconds:g} s while it runs initdb",
                        executor=self.called,
                        timeout=deadline.seconds,
                    )
                yield Pause((), time.monotonic() + 0.02)
            if os.path.isdir(ready):
                return ready
            new = tempfile.mkdtemp(prefix="new-", dir=cache)
            try:
                if owner is not None:
                    os.chown(new, owner.pw_uid, owner.pw_gid)
                command = [*_become(owner), initdb, "-D", new, *arguments]
                make = SimpleExecutor(
                    command, name=f"{self.called} initdb", one_shot=True, timeout=_INITDB_TIMEOUT
                )
                yield from make.starting()
                drive(make.stopping())
                os.rename(new, ready)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        return ready


def _bindirs() -> Iterator[str]:
    """Debian's directories of PostgreSQL, the newest version first."""

    from .unpatched import glob

    def version(path: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path)]

    yield from sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version, reverse=True)


def _server_user() -> pwd.struct_passwd | None:
    """Who the server runs as when the tests run as root, which it refuses to do."""
    import pwd

    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SpawnFailed(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as"
    )


def _become(owner: pwd.struct_passwd | None) -> list[str]:
    """The beginning of a command that runs as another user."""
    if owner is None:
        return []
    ids = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--"]


def _cache(owner: pwd.struct_passwd | None) -> str:
    """A directory of this user alone, which the server's user may pass through."""
    from .unpatched import temporary_directory

    base = os.environ.get("SUMMON_CACHE_DIR") or temporary_directory()
    path = os.path.join(base, f"summon-cache-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, 0o700)
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise SpawnFailed(
            f"{path} must be a directory (not a link) of user {os.getuid()}: remove it, or set "
            "SUMMON_CACHE_DIR to a directory of your own"
        )
    os.chmod(path, 0o700 if owner is None else 0o711)
    return path


def _locked(fd: int) -> bool:
    from .unpatched import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_room(path: str) -> bool:
    try:
        facts = os.statvfs(path)
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK) and facts.f_bavail * facts.f_frsize > _ENOUGH
