"""A web application that speaks ASGI, under a real server."""

from __future__ import annotations

from typing import Any

from ..declaration import arguments
from .web_server import WebServer


class ASGI(WebServer):
    """An ASGI application under uvicorn, or under hypercorn where that is not installed.

    Ready once it answers a request, by any status below 500.

    :param app: module and application, ``"shop:app"``; the module is looked for in ``cwd`` first.
    :param path: what is requested until it is ready.
    :param options: further arguments of the server, ``["--workers", "2"]``.
    :param program: ``"uvicorn"`` or ``"hypercorn"``, or the path of one of them.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.
    """

    _programs = ("uvicorn", "hypercorn")
    _pypi = "uvicorn or hypercorn"

    def __init__(self, app: str, *, path: str = "/", **options: Any) -> None:
        super().__init__(path=path, **options)
        found = arguments.text(self._declared, "app", app, 'text such as "shop:app"')
        self._words = {
            "uvicorn": ["--host", "{host}", "--port", "{port}", found],
            "hypercorn": ["-b", "{host}:{port}", found],
        }

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._words[self._programs[0]]]
