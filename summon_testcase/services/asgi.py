"""A web application that speaks ASGI, under a real server."""

from __future__ import annotations

from .web_server import Application


class ASGI(Application):
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
    _words = {
        "uvicorn": ("--host", "{host}", "--port", "{port}"),
        "hypercorn": ("-b", "{host}:{port}"),
    }
