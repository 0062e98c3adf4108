"""The store of ``store.py`` on PostgreSQL and Redis: ``python database.py PORT``.

Orders are in the database that ``DATABASE_URL`` names, and also in the cache that ``REDIS_URL``
names. It needs pg8000 and redis from PyPI.
"""

import os
import sys
from typing import Any
from urllib.parse import urlsplit

import pg8000.native
import redis
from store import Store


class Orders:
    """Takes the place of the dictionary that the store otherwise has."""

    def __init__(self, database: str, cache: str) -> None:
        self.database = urlsplit(database)
        self.cache = redis.from_url(cache, decode_responses=True)
        self.query("CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, thing text)")

    def query(self, sql: str, **values: Any) -> Any:
        """The first value of the first row, or None."""
        at = {"host": self.database.hostname, "port": self.database.port, "timeout": 2}
        user, name = self.database.username, self.database.path.lstrip("/")
        with pg8000.native.Connection(user, database=name, **at) as connection:
            rows = connection.run(sql, **values)
        return rows[0][0] if rows else None

    def __len__(self) -> int:
        return int(self.query("SELECT count(*) FROM orders"))

    def __setitem__(self, number: str, thing: str) -> None:
        self.query("INSERT INTO orders VALUES (:number, :thing)", number=number, thing=thing)
        self.cache.set(number, thing)

    def get(self, number: str) -> str | None:
        thing = self.cache.get(number)
        if thing is None:
            thing = self.query("SELECT thing FROM orders WHERE number = :number", number=number)
        return thing


def main() -> None:
    orders = Orders(os.environ["DATABASE_URL"], os.environ["REDIS_URL"])
    with Store(int(sys.argv[1]), orders) as store:
        print("store open, on PostgreSQL and Redis", flush=True)
        store.serve_forever()


if __name__ == "__main__":
    main()
