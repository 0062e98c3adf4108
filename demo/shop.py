"""A web shop that keeps its orders in the store named by ``STORE=host:port``.

``GET /`` shows the shop, with or without its store; ``POST /buy`` with the thing to buy as
the body stores an order; ``GET /orders/N`` shows it. Run it as ``python shop.py PORT``.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server


class StoreLost(Exception):
    """The store did not answer."""


def ask_store(request: str) -> str:
    host, _, port = os.environ["STORE"].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as connection:
            connection.sendall(f"{request}\n".encode())
            with connection.makefile() as answers:
                answer = answers.readline().strip()
    except OSError as error:
        raise StoreLost(str(error)) from error
    if not answer:
        raise StoreLost("the store hung up")
    return answer


def buy(thing: str) -> tuple[str, str]:
    if not thing:
        return "400 Bad Request", "buy what?"
    number = int(ask_store("COUNT")) + 1
    ask_store(f"PUT {number} {thing}")
    print(f"order {number} stored", flush=True)
    return "201 Created", str(number)


def show_order(number: str) -> tuple[str, str]:
    found, _, thing = ask_store(f"GET {number}").partition(" ")
    if found != "VALUE":
        return "404 Not Found", "no such order"
    return "200 OK", thing


def show_shop() -> tuple[str, str]:
    try:
        return "200 OK", f"welcome, {ask_store('COUNT')} orders so far"
    except StoreLost:
        return "200 OK", "welcome, orders are closed for a moment"


def respond(method: str, path: str, body: str) -> tuple[str, str]:
    try:
        if (method, path) == ("GET", "/health"):
            return "200 OK", "well"
        if (method, path) == ("GET", "/"):
            return show_shop()
        if (method, path) == ("POST", "/buy"):
            return buy(body.strip())
        if method == "GET" and path.startswith("/orders/"):
            return show_order(path.removeprefix("/orders/"))
    except StoreLost as error:
        print(f"store lost: {error}", flush=True)
        return "503 Service Unavailable", "try again later"
    return "404 Not Found", "no such page"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    status, text = respond(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


class QuietHandler(WSGIRequestHandler):
    """Does not log requests: the log is for the shop's own words."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    store = os.environ["STORE"]  # read here, so that the shop does not start without it
    with make_server("127.0.0.1", int(sys.argv[1]), app, handler_class=QuietHandler) as server:
        print(f"shop open, orders go to {store}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
