"""Asks a PostgreSQL server by the connection of the package, so that tests need no driver."""

from __future__ import annotations

from urllib.parse import urlsplit

from summon_testcase import PostgreSQL
from summon_testcase.scheduling.deadline import Deadline
from summon_testcase.services.postgresql_connection import Connection


def ask(server: PostgreSQL, statement: str, url: str = "") -> list[list[str | None]]:
    """The rows that a database answers.

    :param url: of the database; default: the one of these tests.
    """
    database = urlsplit(url or server.url).path.strip("/")
    with Connection((server.host, server.port), "postgres", database) as connection:
        return connection.ask(statement, Deadline(10))


def names(port: int) -> list[str]:
    """The databases of a server, but for those that it makes others from."""
    query = "select datname from pg_database where datname !~ '^template|^summon_' order by 1"
    with Connection(("127.0.0.1", port), "postgres", "postgres") as connection:
        return [str(name) for (name,) in connection.ask(query, Deadline(10))]
