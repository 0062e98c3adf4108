"""What ready-made services that speak HTTP have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..declaration import arguments
from ..declaration.command import Launch
from ..errors import InvalidArgument
from ..executors import references
from ..executors.loading import warm_up
from ..unpatched import os
from ..wording import bracketed
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..readiness.probe import Probe


class WebServer(ReadyMade):
    """Ready once it answers a request, by whatever status but those that say "not yet".

    :param words: the arguments of the server.
    :param path: what is requested, such as ``"/health"``.
    """

    _address = "http://{address}"

    def __init__(self, words: Sequence[str] = (), *, path: str = "/", **options: Any) -> None:
        super().__init__(words, **options)
        self._path = arguments.text(self._declared, "path", path, 'a path such as "/health"')
        if not path.startswith("/"):
            raise InvalidArgument(
                f'{self._declared}: path={path!r}: write a path such as "/health"',
                executor=self._declared,
            )

    def _warm_up(self) -> None:
        warm_up(asker=True)

    def _readiness(self) -> list[Probe]:
        from ..readiness.http import HTTPProbe

        # 5xx is what a server says that has not finished its start
        return [HTTPProbe(self._url_now() + self._path, status=range(200, 500))]


class Application(WebServer):
    """A web application under whichever of some servers is installed.

    :param app: module and application, ``"shop:app"``.
    """

    #: the arguments of each server
    _words: Mapping[str, Sequence[str]]
    #: those that take no options behind the application
    _options_first: Sequence[str] = ()

    def __init__(self, app: str, **options: Any) -> None:
        super().__init__(**options)
        self._app = arguments.text(self._declared, "app", app, 'text such as "shop:app"')

    def _arguments(self, program: str) -> list[str]:
        """All arguments of one of the servers; of the first one, if it is none of them."""
        words = self._words.get(program, self._words[self._programs[0]])
        found = [word.replace("{host}:", f"{bracketed(self._host)}:") for word in words]
        if program in self._options_first:
            return [*found, *self._options, self._app]
        # an option whose value may be left out would take the application for that
        return [*found, self._app, *self._options]

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._arguments(self._programs[0])]

    def _launch(self) -> Launch:
        path = references.environment(self).get("PATH")
        found = self._find(self._command[0], path, references.directory(self))
        self._command = (self._command[0], *self._arguments(os.path.basename(found)))
        return super()._launch()
