"""A web application that speaks WSGI, under a real server."""

from __future__ import annotations

from typing import Any

from .web_server import Application


class WSGI(Application):
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
    _words = {
        "gunicorn": ("-b", "{host}:{port}", "--worker-tmp-dir", "{tmpdir}"),
        "waitress-serve": ("--listen={host}:{port}",),
    }
    _options_first = ("waitress-serve",)

    def __init__(self, app: str, **options: Any) -> None:
        # gunicorn, from 25.1 on, puts a socket for its command gunicornc there; in the user's own
        # directory it would take the place of that of a gunicorn which the user runs
        super().__init__(app, own_env={"XDG_RUNTIME_DIR": "{tmpdir}"}, **options)
