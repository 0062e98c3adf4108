"""Applications that ready-made servers run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Takes any body, says what the variable SAID says, and 404 for any other path than ``/``."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    found = environ["PATH_INFO"] == "/"
    start_response("200 OK" if found else "404 Not Found", [("Content-Type", "text/plain")])
    return [os.environ.get("SAID", "nothing").encode()]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The same."""
    if scope["type"] != "http":
        return
    status = 200 if scope["path"] == "/" else 404
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": os.environ.get("SAID", "nothing").encode()})
