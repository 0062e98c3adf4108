"""The web application: ``gunicorn shop.web:app``."""

import json
import os
import uuid
from typing import Any

import redis
from flask import Flask, abort, request

from .database import transaction
from .tasks import store_order

app = Flask(__name__)
cache = redis.from_url(os.environ["REDIS_URL"])


def prices() -> dict[str, int]:
    """What each thing costs, in cents; the cache knows it for a minute."""
    cached = cache.get("prices")
    if cached is None:
        with transaction() as cursor:
            cursor.execute("SELECT name, cents FROM items")
            cached = json.dumps(dict(cursor.fetchall()))
        cache.set("prices", cached, ex=60)
    found: dict[str, int] = json.loads(cached)
    return found


@app.get("/prices")
def show_prices() -> Any:
    return prices()


@app.post("/orders")
def order() -> Any:
    item = request.get_json()["item"]
    if item not in prices():
        abort(400, f"there is no {item}")
    number = uuid.uuid4().hex
    store_order.delay(number, item)
    return {"number": number}, 202


@app.get("/orders/<number>")
def show_order(number: str) -> Any:
    with transaction() as cursor:
        cursor.execute("SELECT item, cents FROM orders WHERE id = %s", [number])
        found = cursor.fetchone()
    if found is None:
        abort(404, "no such order, or not yet")
    return {"item": found[0], "cents": found[1]}
