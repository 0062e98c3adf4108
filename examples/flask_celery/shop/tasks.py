"""What the worker does: ``celery -A shop.tasks worker``."""

import os

from celery import Celery

from .database import transaction

app = Celery("shop", broker=os.environ["REDIS_URL"])


@app.task
def store_order(number: str, item: str) -> None:
    """Write an order into the database, at today's price."""
    with transaction() as cursor:
        cursor.execute(
            "INSERT INTO orders SELECT %s, name, cents FROM items WHERE name = %s", [number, item]
        )
    print(f"order {number} stored")
