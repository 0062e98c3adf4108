"""What database servers have in common: a database of one's own, and data that are made once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..declaration import arguments, variables
from ..errors import InvalidArgument, ProcessExited
from ..executors import end, references
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..scheduling.steps import Steps, run
from ..unpatched import os
from ..wording import at
from .schema import PATIENCE, Schema

if TYPE_CHECKING:
    import pwd

    from ..executors.coordinated import OutputCoordinatedExecutor
    from ..supervision.lease import Lease
    from .archives import Make
    from .schema import Key, Template


#: what stands between a name and the pid in the name of a database which only a process uses
MINE = "_summon_"
#: letters of the name that stand in front of it: names have at most 63 bytes
_KEPT = 12
#: seconds that it may take to make the data of an empty server
_INSTALL_TIMEOUT = 120.0


def mark(server: DatabaseServer) -> str:
    """The end of the names of databases that this process has in a stack; otherwise empty."""
    return f"{MINE}{os.getpid()}" if server._whole else ""


def is_due(database: str, mine: bool) -> bool:
    """Whether a database belongs to a process that shared the server, and may be dropped.

    :param mine: whether that is so for those of this process.
    """
    from ..system import procfs  # not needed to declare a server

    pid = int(database.rpartition(MINE)[2])
    return mine if pid == os.getpid() else not procfs.is_alive(pid)


class Recipe(Protocol):
    """How the data of a kind of server are made."""

    #: what the server says of data that are damaged, or of another version; a pattern
    DAMAGE: str

    def user(self) -> pwd.struct_passwd | None:
        """The user that the server runs as, if the tests run as root."""

    def making(self, server: Any) -> tuple[str, list[bytes], Make]:
        """How the data of an empty server are made: by what, in words, from what, and how."""

    def maker(self, server: Any, archive: str, data: str) -> OutputCoordinatedExecutor:
        """A server that unpacks an archive in a directory, to make database and schema there."""

    def make_database(self, server: Any, address: tuple[str, int]) -> None:
        """Make the database of a server on another one, which does not have it."""

    def run_sql(self, server: Any, path: str, address: tuple[str, int]) -> Steps[None]:
        """Run the SQL in a file in the database of a server, on another one."""

    def finish(self, server: Any, address: tuple[str, int]) -> None:
        """Keep what resets need, once database and schema of a server are made on another one."""


class DatabaseServer(SimpleExecutor):
    """A server that begins with a copy of data that were made once, and are kept as archives.

    A subclass says which module makes the data of an empty server, and database and schema in them.

    :param database: the database that it has.
    :param template: what makes the schema in it, see :class:`Schema`.
    :param template_key: see :class:`Schema`.
    """

    _serves = True
    _asks_again = True
    _divides = True

    #: how URLs begin
    _scheme = ""
    #: the user that clients are
    _user = ""
    #: the database that an empty server has already
    _usual = ""
    #: the signal at which it ends at once, since no data have to be saved
    _at_once: int
    #: the signal at which its data are whole afterwards
    _in_order: int

    def __init__(
        self,
        *words: Any,
        database: str,
        template: Template = None,
        template_key: Key = None,
        **options: Any,
    ) -> None:
        kind = self._kind((), False)
        label = arguments.call(kind, options.get("name")) or kind
        self._database = self._checked_name(label, database)
        self._schema = Schema(label, template, template_key)
        #: what its start has unpacked, last, and what that was made from
        self._archives: list[str] = []
        #: holds the result of a template that only this process uses
        self._made_here: Lease | None = None
        #: the name of data that are kept for starts in other processes; empty: it knows none
        self._kept_as = b""
        #: whether it begins with these; otherwise its start removes them
        self._takes_kept = False
        #: the database that was declared, if this process has another one in a stack
        self._whole = ""
        super().__init__(*words, **{"stop_signal": self._at_once, **options})

    @classmethod
    def _kind(cls, command: object, shell: bool) -> str:
        """How messages call one that has no name: nobody has written its command."""
        return f"{cls.__name__}()"

    def __getstate__(self) -> dict[str, Any]:
        declared = {"_database": self._whole or self._database, "_whole": ""}
        return {**super().__getstate__(), **declared, "_made_here": None}

    def _away(self) -> dict[str, Any] | None:
        state = super()._away()
        # the copy starts nothing, and a function cannot travel
        return None if state is None else {**state, "_made_here": None, "_schema": Schema("")}

    # -- what clients are told --

    @property
    def url(self) -> str:
        """The database as a URL.

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

        :param driver: its name; ``+`` and it are added to the scheme of the URL.
        :raises NotRunning: if it is not running.
        """
        named = arguments.text(self._called, "driver", driver, 'a name such as "psycopg"')
        return self.url.replace(self._scheme, f"{self._scheme}+{named}", 1)

    def _url_now(self) -> str:
        return self._url_of(self._database, self._port_now())

    def _url_of(self, database: str, port: int) -> str:
        from urllib.parse import quote

        name = quote(self._checked_name(self._called, database))
        return f"{self._scheme}://{quote(self._user, '')}@{at(self._host, port)}/{name}"

    def _variables(self, port: int) -> dict[str, str]:
        """What clients of a server at some port read."""
        raise NotImplementedError

    @classmethod
    def _checked_name(cls, label: str, name: object) -> str:
        """Refuse what is no name of a database.

        :raises InvalidArgument: naming the argument.
        """
        found = arguments.text(label, "database", name, 'a name such as "shop"')
        if problem := cls._wrong_with(found):
            raise InvalidArgument(
                f"{label}: database={found!r}: write a name {problem}", executor=label
            )
        return found

    @classmethod
    def _wrong_with(cls, name: str) -> str | None:
        """What a name of a database must be, if it is not."""
        raise NotImplementedError

    # -- its data --

    def _recipe(self) -> Recipe:
        """How its data are made: a module, which is not needed to declare it."""
        raise NotImplementedError

    def _influences(self) -> object:
        """What its data depend on, beside the template and what the recipe says."""
        raise NotImplementedError

    def _check(self, may_appear: bool = False) -> None:
        """Refuse, before anything is spawned, what cannot work."""
        super()._check(may_appear)
        argument, words = self._told_to_server()
        if not self._attached and "tmpdir" in references.own_fields(self, words):
            owner = self._recipe().user()
            if owner is not None:
                raise InvalidArgument(
                    f"{self._called}: {argument} has {{tmpdir}}, which only the user of the tests "
                    f"may enter, and the server runs as the user {owner.pw_name}, since the tests "
                    "run as root: write a path that this user may read, such as {here}/…, or run "
                    "the tests as another user",
                    executor=self._called,
                )

    def _told_to_server(self) -> tuple[str, Iterable[str]]:
        """What users have written for the server itself: the argument, and its texts."""
        raise NotImplementedError

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._schema.words]

    def _program_words(self) -> list[str]:
        return [*super()._program_words(), *self._schema.words[:1]]

    def _contents(self) -> dict[str, object]:
        return {**super()._contents(), "template": self._schema.identity(self)}

    # -- the database that this process has in a stack --

    def _attach(self) -> None:
        self._drop_parts(mine=False)
        self._whole = self._whole or self._database
        self._database = self._whole[:_KEPT] + mark(self)
        self._make_part()

    def _detach(self) -> None:
        if self._whole:
            self._drop_parts(mine=True)
            self._database, self._whole = self._whole, ""

    def _make_part(self) -> None:
        """Make the database of this process, as the declared one was at its start."""
        raise NotImplementedError

    def _drop_parts(self, mine: bool) -> None:
        """Drop the databases of processes that shared this server, and have ended.

        :param mine: whether to drop those of this process, too.
        """
        raise NotImplementedError

    def _known_directory(self) -> str | None:
        """The directory that programs run in which make its data, for an executor."""
        place = references.in_advance(self, self._cwd or "")
        return os.sep if place is None else place or None

    def _begins_empty(self) -> bool:
        """Whether it begins with what an empty server has already."""
        return self._database == self._usual and not self._schema

    def _begins_afresh(self) -> bool:
        """Whether a start has no data of its own yet."""
        instance = self._instance
        return instance is None or instance.lease.over or not instance.lease.begun

    def _starting(self) -> Steps[None]:
        """The start as steps, for orchestrators."""
        from .archives import forget_damaged

        if not self._begins_afresh():
            yield from super()._starting()
            return
        try:
            yield from self._find_data()
            yield from super()._starting()
        except ProcessExited as error:
            let_through(error)
            if not forget_damaged(self._archives, error, self._recipe().DAMAGE):
                raise
            yield from self._find_data()
            yield from super()._starting()

    def _find_data(self) -> Steps[None]:
        """Find, or make, the archive that it begins with, and note it in ``_archives``."""
        from .archives import Archives

        recipe = self._recipe()
        owner = recipe.user()
        what, identity, make = recipe.making(self)
        patience = self._limits.timeout
        archives = Archives(self._called, owner, patience)
        if self._kept_as:
            kept = archives.taken(self._kept_identity(identity), self._takes_kept)
            if kept is not None:
                self._archives = [kept]
                return
        empty = yield from archives.find(identity, make, what)
        self._archives = [empty]
        if self._begins_empty():
            return

        def by_template(data: str) -> Steps[None]:
            return self._make_data(empty, data)

        origin = self._schema.origin(self)
        patience = None if patience is None else max(patience, PATIENCE)
        archives = Archives(self._called, owner, patience)
        if origin is None:
            made, self._made_here = yield from archives.for_this_process(
                self._made_here, by_template
            )
        else:
            identity += [repr((self._database, origin, self._told_to_makers())).encode()]
            identity += self._schema.identity(self)
            made = yield from archives.find(identity, by_template, "the template")
        self._archives = [empty, made]

    def _told_to_makers(self) -> object:
        """What the server is told, and commands are, by which the schema is made."""
        env = variables.merged(self._env)
        # of text that may be secret, repr() would say nothing
        told = [str(text) for text in (*env.values(), *self._written_files())]
        here = self._here if "here" in references.own_fields(self, self._texts()) else ""
        return self._influences(), list(env), list(self._files), told, here

    def _lend(self, maker: SimpleExecutor) -> None:
        """Have what helps to make its schema fill in templates as this server does."""
        maker._services, maker._here = self._services, self._here
        maker._files, maker._env = self._files, self._env

    def _kept_identity(self, empty: list[bytes]) -> list[bytes]:
        """What data depend on that it keeps.

        :param empty: what those of an empty server depend on.
        """
        return [*empty, repr((self._influences(), self._database)).encode(), self._kept_as]

    def _keep_data(self) -> None:
        """Stop it, and keep its data for the next start, which may be in another process."""
        from .archives import Archives

        self._stop_for_now()
        recipe = self._recipe()
        identity = self._kept_identity(recipe.making(self)[1])
        archives = Archives(self._called, recipe.user(), self._limits.timeout)
        run(archives.keep(identity, self._leased("directory").elsewhere))

    def _make_data(self, empty: str, data: str) -> Steps[None]:
        """Make its database, and its schema, with a server that is there for that."""
        recipe = self._recipe()
        maker = recipe.maker(self, empty, data)
        self._lend(maker)
        yield from maker._starting()
        try:
            address = maker.host, maker.port
            if self._database != self._usual:
                recipe.make_database(self, address)
            if self._schema:
                url, told = self._url_of(self._database, maker.port), self._variables(maker.port)
                yield from self._schema.run(
                    self, maker, url, told, lambda path: recipe.run_sql(self, path, address)
                )
            recipe.finish(self, address)
            yield from maker._stopping()
        finally:
            end.kill(maker, False)

    def _fill_empty(self, words: list[str], what: str) -> Steps[None]:
        """Run the program that makes the data of an empty server."""
        place = self._known_directory()
        yield from self._run_program(words, what, timeout=_INSTALL_TIMEOUT, cwd=place)

    def _client(
        self, words: list[str], port: int, more: Mapping[str, str] | None = None
    ) -> Steps[None]:
        """Run the client of the server, which runs SQL.

        :param more: variables that only this one is told.
        """
        timeout = None if self._limits.timeout is None else PATIENCE
        env = {**dict.fromkeys(self._not_inherited), **self._variables(port), **(more or {})}
        yield from self._run_program(words, "template", timeout=timeout, env=env)

    def _run_program(self, words: list[str], what: str, **options: Any) -> Steps[None]:
        """Run a program to its end.

        :param what: what errors call it, behind the name of the server.
        """
        from .archives import ended

        name = f"{self._called} {what}"
        yield from ended(SimpleExecutor(words, name=name, one_shot=True, **options))

    def _stopping(
        self, for_now: bool = False, number: int | None = None, timeout: float | None = None
    ) -> Steps[None]:
        """The stop as steps, for orchestrators."""
        instance = self._instance
        if (
            instance is not None
            and (for_now or self._stays())
            and not (for_now and self._begins_afresh())
            and instance.limits.stop_signal == self._at_once
        ):
            instance.limits = copy.copy(instance.limits)
            instance.limits.stop_signal = self._in_order
        yield from super()._stopping(for_now, number, timeout)
