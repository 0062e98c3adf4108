"""A WSGI application for tests/test_real_servers.py: a counter in redis, slow to warm up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import redis

#: of these first requests of /health each is told to come again
COLD = 3

asked = count(1)
answered = 0


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer one request."""
    try:
        status, text = respond(environ)
    except redis.ConnectionError as error:
        status, text = "503 Service Unavailable", f"no redis: {error}"
    start_response(status, [("Content-Type", "text/plain")])
    return [text.encode()]


def respond(environ: dict[str, Any]) -> tuple[str, str]:
    """The status and the text of an answer."""
    global answered
    path = environ["PATH_INFO"]
    if path == "/health":
        if next(asked) <= COLD:
            return "503 Service Unavailable", "warming up"
        answered += 1
        return "200 OK", "healthy"
    if path == "/healthy-answers":
        return "200 OK", str(answered)
    if path == "/length":
        size = int(environ["CONTENT_LENGTH"])
        return "200 OK", str(len(environ["wsgi.input"].read(size)))
    if path == "/count":
        with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
            return "200 OK", str(client.incr("visits"))
    return "404 Not Found", path
