"""Each test has a fresh database, by pytest-postgresql."""

import os

import psycopg
import pytest
from pytest_postgresql import factories

from . import orders


def load(**where):
    where.pop("autocommit", None)
    with psycopg.connect(**where) as connection:
        connection.execute(orders.TEMPLATE)


server = factories.postgresql_proc(load=[load], port=None)
connection = factories.postgresql("server")


@pytest.mark.parametrize("number", range(orders.TESTS))
def test(number, connection):
    orders.work(connection, float(os.environ["SECONDS_OF_A_TEST"]))
