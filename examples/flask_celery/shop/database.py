"""Connections to the database that ``DATABASE_URL`` names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import cursor


@contextmanager
def transaction() -> Iterator[cursor]:
    """A cursor whose changes are committed at the end of the block, or none of them."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        with connection, connection.cursor() as made:
            yield made
    finally:
        connection.close()
