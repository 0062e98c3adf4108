"""``template=``: what makes the schema of a database, be it SQL, a command or a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from ..declaration import arguments, command, variables
from ..declaration.arguments import perform
from ..errors import InvalidArgument
from ..executors import references
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..scheduling.steps import Steps
from ..tracebacks import hidden
from ..unpatched import open, os

if TYPE_CHECKING:
    from .database_server import DatabaseServer

    #: what ``template=`` may be
    Template = str | os.PathLike[str] | Sequence[str] | Callable[[str], object] | None
    #: what ``template_key=`` may be
    Key = str | int | os.PathLike[str] | Sequence[str | int | os.PathLike[str]] | None

__tracebackhide__ = hidden

#: seconds that a template may take, if the start of its server has a limit at all
PATIENCE = 600.0
#: how SQL begins, which no command does: a comment, a command of psql, or one of these words
_SQL = re.compile(
    r"\s*(--|/\*|\\|#|(alter|analyze|begin|call|comment|copy|create|delete|delimiter|do|drop|grant"
    r"|insert|lock\s+tables?|replace\s+into|revoke|select|set|start\s+transaction|update|use|vacuum"
    r"|with)(?![\w.-]))",
    re.IGNORECASE,
)
#: what some editors write in front of a text
_BOM = "\ufeff"
#: SQL that also depends on what is in other files, or on what commands say: ``\i`` and the like
#: of psql, ``source`` of MariaDB's client, and what the server itself is to read
_READS_MORE = re.compile(
    rb"(^|[^\\])\\(i|ir|include|include_relative|copy|lo_import)\b|(^|;)\s*\\(!|\.[ \t]*[^\s])"
    rb"|^\s*source[ \t]+[^\s,()]+\s*$|\bcopy\b[^;]{0,999}\bfrom\s+(program\s+)?e?'"
    rb"|\bload\s+(data|xml)\b",
    re.IGNORECASE | re.MULTILINE,
)
_INSTEAD = (
    "SQL, the pathlib.Path of a file of SQL, a command as text or as a list of words, or a "
    "function that takes the URL"
)


class Maker(Protocol):
    """What a schema is made on: the address of a server, and a directory for our files."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tmpdir(self) -> str: ...


class Schema:
    """A ``template=`` with its ``template_key=``.

    :param label: how errors name the executor.
    :raises InvalidArgument: naming the argument.
    """

    def __init__(self, label: str, template: Template = None, key: Key = None) -> None:
        self._sql = self._path = ""
        #: the command that makes it, with its templates
        self.words: tuple[str, ...] = ()
        self._function: Callable[[str], object] | None = None
        if isinstance(template, os.PathLike):
            self._path = arguments.path(label, "template", template, _INSTEAD)
        elif isinstance(template, str) and template.strip():
            template = template.removeprefix(_BOM)
            if _SQL.match(template):
                self._sql = arguments.encodable(label, "template=", template)
            elif template.endswith(".sql") and len(template.split()) == 1:
                self._path = arguments.path(label, "template", template, _INSTEAD)
            else:
                self.words = command.split(template, False, label, "template")
        elif callable(template):
            self._function = template
        elif template is not None:
            self.words = arguments.words(label, "template", template, _INSTEAD)
            if not self.words:
                raise InvalidArgument(f"{label}: template=[]: write {_INSTEAD}", executor=label)
        if key is not None and template is None:
            raise InvalidArgument(
                f"{label}: template_key= says when template= is to be run anew, and there is none",
                executor=label,
            )
        several = isinstance(key, (list, tuple))
        keys: Sequence[Any] = key if several else [] if key is None else [key]  # type: ignore[assignment]
        #: whether each is a path, and the value
        self._keys = [
            (isinstance(each, os.PathLike), arguments.word(label, "template_key", each))
            for each in keys
        ]

    def __bool__(self) -> bool:
        return bool(self._sql or self._path or self.words or self._function)

    @property
    def declared(self) -> bytes:
        """What was written as ``template=``; of a function its name, of a file nothing."""
        name = getattr(self._function, "__qualname__", "")
        return repr((self._sql, self.words, name)).encode()

    def identity(self, server: SimpleExecutor) -> list[bytes]:
        """What is known of what its result depends on.

        :param server: the executor that has declared it.
        :raises InvalidArgument: for a file that cannot be read.
        """
        found = [self.declared]
        if self._path:
            found += _content(server, "template", self._path)
        for is_path, key in self._keys:
            found += _content(server, "template_key", key) if is_path else [key.encode()]
        return found

    def origin(self, server: SimpleExecutor) -> tuple[str, ...] | None:
        """What tells it from a template that another project has declared in the same words.

        :returns: None if nobody knows what its result depends on, so that it cannot be cached.
        :raises InvalidArgument: for a file that cannot be read.
        """
        function = self._function
        sql = [*_content(server, "template", self._path)] if self._path else [self._sql.encode()]
        reads_more = any(map(_READS_MORE.search, sql))
        if not (self.words or function or reads_more):
            return ()
        if not self._keys:
            return None
        if function is not None:
            if not isinstance(function, FunctionType):
                # what a method belongs to, or what partial() was given, has no name
                return None
            return function.__module__, os.path.realpath(function.__code__.co_filename)
        place = references.in_advance(server, server._cwd or "") if self.words else ""
        if place is None:
            return None
        path = _located(server, self._path) if self._path else ""
        return os.path.realpath(place), os.path.realpath(path)

    def run(
        self,
        server: DatabaseServer,
        maker: Maker,
        url: str,
        told: Mapping[str, str],
        run_file: Callable[[str], Steps[None]],
    ) -> Steps[None]:
        """Make the schema.

        :param server: the executor that has declared it.
        :param maker: the server that was started to make it on.
        :param url: of the database there.
        :param told: the variables of its clients.
        :param run_file: runs the SQL in a file, given its path.
        """
        from .archives import ended

        if self._function is not None:
            perform(f"{server._called}: template=", self._function, url)
        elif self.words:
            one_shot = _Run(
                self.words,
                name=f"{server._called} template",
                one_shot=True,
                host=maker.host,
                port=maker.port,
            )
            one_shot.database_url = url
            one_shot._limits.timeout = None if server._limits.timeout is None else PATIENCE
            server._lend(one_shot)
            one_shot._cwd = server._cwd
            one_shot._env = (*server._env, variables.environment(server._called, told))
            yield from ended(one_shot)
        else:
            path = f"{maker.tmpdir}/template.sql"
            if self._path:
                path = _located(server, self._path)
            else:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(self._sql)
            yield from run_file(path)


class _Run(SimpleExecutor):
    """The command of a template; its ``{url}`` is that of the database."""

    database_url = ""

    def _url_now(self) -> str:
        return self.database_url


def _located(server: SimpleExecutor, path: str) -> str:
    """The full path of a file that an argument names.

    :raises InvalidArgument: if it is not known before the start.
    """
    found = references.located(server, path)
    if found is None:
        raise InvalidArgument(
            f"{server._called}: where {path} is cannot be known before the start, with "
            f"cwd={server._cwd!r}: write the full path",
            executor=server._called,
        )
    return found


def _content(server: SimpleExecutor, argument: str, given: str) -> Iterator[bytes]:
    """Names and contents of a file, or of all files in a directory."""
    path = _located(server, given)
    try:
        if not os.path.isdir(path):
            with open(path, "rb") as file:
                yield file.read()
            return
        for directory, below, names in os.walk(path):
            below[:] = sorted(set(below) - {"__pycache__"})
            for name in sorted(names):
                full = os.path.join(directory, name)
                if os.path.isfile(full):
                    with open(full, "rb") as file:
                        yield os.fsencode(os.path.relpath(full, path))
                        yield file.read()
    except OSError as error:
        let_through(error)
        raise InvalidArgument(
            f"{server._called}: {argument}={path!r} cannot be read: {error.strerror or error}",
            executor=server._called,
        ) from None
