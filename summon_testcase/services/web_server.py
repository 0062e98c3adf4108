"""What ready-made services that speak HTTP have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..declaration import arguments
from ..errors import InvalidArgument
from ..executors.loading import warm_up
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..readiness.probe import Probe


class WebServer(ReadyMade):
    """Ready once it answers a request, by whatever status but those that say "not yet".

    :param words: the arguments of the server, unless ``_words`` has them.
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

    A subclass gives the arguments of each in ``_words``; the application comes after them.

    :param app: module and application, ``"shop:app"``.
    """

    def __init__(self, app: str, **options: Any) -> None:
        super().__init__(**options)
        found = arguments.text(self._declared, "app", app, 'text such as "shop:app"')
        self._words = {program: (*words, found) for program, words in self._words.items()}

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._words[self._programs[0]]]
