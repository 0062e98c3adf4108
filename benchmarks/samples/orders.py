"""What each test does that must find a fresh database, and the template of these databases."""

import time

#: how many tables the template has
TABLES = 50
TEMPLATE = "".join(
    f"create table t{number} (id serial primary key, name text);"
    f"insert into t{number} (name) select 'x' from generate_series(1, 20);"
    for number in range(TABLES)
)
#: how many tests there are
TESTS = 100


def work(connection, seconds: float) -> None:
    """Find what the template has made and nothing else, leave something, and take some time."""
    cursor = connection.cursor()
    cursor.execute("insert into t1 (name) values ('mine')")
    cursor.execute("select count(*), max(id) from t1")
    assert cursor.fetchone() == (21, 21)
    connection.commit()
    time.sleep(seconds)
