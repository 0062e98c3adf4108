"""A web application that speaks WSGI, under a real server."""

from __future__ import annotations

from typing import Any

from ..declaration import arguments
from .web_server import WebServer


class WSGI(WebServer):
    """A WSGI application under gunicorn, or under waitress where that is not installed.

    Ready once it answers a request, by any status below 500.

    :param app: module and application, ``"shop:app"``; the module is looked for in ``cwd`` first.
    :param path: what is requested until it is ready.
    :param options: further arguments of the server, ``["--threads", "4"]``.
    :param program: ``"gunicorn"`` or ``"waitress-serve"``, or the path of one of them.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class ShopTest(SummonMixin, TestCase):
            db = PostgreSQL()
            web = WSGI("shop:app", env=[db], cwd="{here}")
    """

    _programs = ("gunicorn", "waitress-serve")
    _pypi = "gunicorn or waitress"

    def __init__(self, app: str, *, path: str = "/", **options: Any) -> None:
        super().__init__(path=path, **options)
        found = arguments.text(self._declared, "app", app, 'text such as "shop:app"')
        where = "{host}:{port}"
        self._words = {
            "gunicorn": ["-b", where, "--worker-tmp-dir", "{tmpdir}", found],
            "waitress-serve": [f"--listen={where}", found],
        }

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._words[self._programs[0]]]
