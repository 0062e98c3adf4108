"""How PostgreSQL forgets: a fresh database for each test, or tables that are emptied."""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from summon_testcase import InvalidArgument, NotRunning, PostgreSQL, SummonError, SummonMixin

from ..cases import run
from ..doubles import reset
from ..needs import find
from ..places import require
from ..samples import PATIENCE
from .test_postgresql import ask, connect, nothing_left

SCHEMA = """
create table item (id serial primary key, n int);
insert into item (n) values (7);
alter database current set work_mem = '123kB';
"""
OF_SHOP = SCHEMA.replace("database current", "database shop")
#: tables of which each refers to the other, a trigger that writes, and one in parts
KNOT = """
create table a (id serial primary key, b int);
create table b (id int primary key, a int references a on delete restrict);
alter table a add foreign key (b) references b;
create table log (said text);
create function note() returns trigger language plpgsql as
    $$ begin insert into log values (tg_op); return null; end $$;
create trigger noted after delete or truncate on a execute function note();
create table "Of parts" (n int) partition by range (n);
create table part partition of "Of parts" for values from (0) to (10);
create schema other; create table other.thing (n int);
"""
FILL = """
insert into a (b) values (null); insert into b values (1, 1); update a set b = 1;
insert into "Of parts" values (1); insert into other.thing values (1); insert into log values ('x');
"""
#: what a client finds out: what it was told, or that nobody hears it
CUT_OFF = "administrator command|server closed the connection"
ROWS = """
select (select count(*) from a) + (select count(*) from b) + (select count(*) from log)
    + (select count(*) from "Of parts") + (select count(*) from other.thing)
"""

POSTGRES = find("postgres", package="postgresql")


class TestInATestCase:
    """Each test finds what the template has made, and nothing else."""

    @pytest.mark.parametrize("database", ["shop", "postgres"])
    def test_a_fresh_database(self, database: str) -> None:
        """Whatever the test before has done, and to whichever class it belongs."""
        template = SCHEMA.replace("database current", f"database {database}")

        class Case(SummonMixin, unittest.TestCase):
            db = PostgreSQL(database=database, template=template, reset=True, scope="run")

            def setUp(self) -> None:
                self.assertEqual(
                    ask(self.db.url, "insert into item (n) values (8) returning id"), 2
                )
                self.assertEqual(ask(self.db.url, "select sum(n) from item"), 15)
                self.assertEqual(ask(self.db.url, "show work_mem"), "123kB")

            def test_1(self) -> None:
                ask(self.db.url, "drop table item")

            def test_2(self) -> None:
                with self.db.stopped():
                    pass

            def test_3(self) -> None:
                self.db.kill()

            def test_4(self) -> None:
                self.held = connect(self.db.url)

            def test_5(self) -> None:
                if database != "postgres":
                    ask(self.db.url_for_database("postgres"), f"drop database {database}")

            def test_6(self) -> None:
                pass

        class Next(Case):
            pass

        assert not run(Case, Next).errors

    @pytest.mark.parametrize("how", ["truncate", "delete"])
    def test_emptied_tables(self, how: str) -> None:
        """However they refer to each other; without any trigger of theirs."""

        class Case(SummonMixin, unittest.TestCase):
            db = PostgreSQL(template=KNOT, reset=how)
            idle: Any = None

            def test_1(self) -> None:
                type(self).idle = connect(self.db.url)
                type(self).holder = psycopg2.connect(self.db.url)
                self.holder.cursor().execute("insert into other.thing values (2)")
                ask(self.db.url, FILL)
                self.assertEqual(ask(self.db.url, ROWS), 5)

            def test_2(self) -> None:
                # a client that is not within a transaction stays
                with self.idle.cursor() as cursor:
                    cursor.execute(ROWS)
                    self.assertEqual(cursor.fetchone(), (0,))
                # one that holds a table is told, and cut off
                with self.assertRaisesRegex(psycopg2.OperationalError, CUT_OFF):
                    self.holder.cursor().execute("select 1")
                following = 1 if how == "truncate" else 2
                self.assertEqual(
                    ask(self.db.url, "insert into a values (default) returning id"), following
                )

            def test_3(self) -> None:
                self.idle.close()
                self.holder.close()

        with nothing_left():
            result = run(Case)
        assert (result.errors, result.failures) == ([], [])

    def test_there_are_no_tables(self) -> None:
        """Nothing is emptied."""
        with PostgreSQL(reset="truncate") as db:
            db.reset()

    def test_unknown_strategy(self) -> None:
        """Said where it is written."""
        said = r"^PostgreSQL\(\): reset='drop': write True, 'truncate', 'delete', or a function"
        with pytest.raises(InvalidArgument, match=said):
            PostgreSQL(reset="drop")

    def test_a_stop_that_nobody_waits_for(self) -> None:
        """The connections to the former server are closed, and the next class has its own."""
        ports: list[int] = []

        class One(SummonMixin, unittest.TestCase):
            db = PostgreSQL(reset=True, stop_wait=False)

            def test_1(self) -> None:
                ask(self.db.dsn, "CREATE TABLE more (n int)")
                ports.append(self.db.port)

            test_2 = test_1

        with nothing_left(), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ResourceWarning)
            result = run(One, type("Two", (One,), {}))
            gc.collect()
            reset()
        assert (result.errors, result.failures) == ([], [])
        assert len(ports) == 4 and len(set(ports)) == 2
        assert [str(each.message) for each in warned] == []


def test_in_workers(tmp_path: Path) -> None:
    """Each worker of pytest-xdist has a server of its own for all of its classes."""
    (tmp_path / "test_items.py").write_text(f"""
import os, unittest, psycopg2
from summon_testcase import PostgreSQL, SummonMixin

class Base(SummonMixin, unittest.TestCase):
    db = PostgreSQL(database="shop", template={OF_SHOP!r}, reset=True, scope="run")

    def test_finds_one(self):
        with psycopg2.connect(self.db.url) as client, client.cursor() as cursor:
            cursor.execute("select count(*) from item")
            assert cursor.fetchone() == (1,)
            cursor.execute("delete from item")
        with open({str(tmp_path / "ports")!r}, "a") as file:
            print(os.environ["PYTEST_XDIST_WORKER"], self.db.port, file=file)

class OneTest(Base): test_again = Base.test_finds_one
class TwoTest(Base): test_again = Base.test_finds_one
""")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", "test_items.py"],
        cwd=tmp_path,
        # what else is installed here would take longer to load than the tests take
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout
    used = (tmp_path / "ports").read_text().splitlines()
    workers = {line.split()[0] for line in used}
    assert len(used) == 5 and len(workers) == 2 == len(set(used))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server whose database can be replaced."""
    with nothing_left(), PostgreSQL(database="shop", template=OF_SHOP, reset=True) as db:
        yield db


class TestReset:
    """``reset()`` with ``reset=True``."""

    def test_clients_are_told_and_cut_off(self, server: PostgreSQL) -> None:
        """Whatever they do at that moment; they can connect again at once."""
        clients = [connect(server.url), psycopg2.connect(server.url), psycopg2.connect(server.url)]
        clients[1].cursor().execute("lock table item")
        clients[2].cursor().execute("listen news")
        server.reset()
        for client in clients:
            with pytest.raises(psycopg2.OperationalError, match=CUT_OFF):
                client.cursor().execute("select 1")
            client.close()
        assert ask(server.url, "select count(*) from item") == 1

    def test_many_times(self, server: PostgreSQL) -> None:
        """Faster than spares are made; none of those that were used is left."""
        for _ in range(5):
            ask(server.url, "delete from item")
            server.reset()
            assert ask(server.url, "select count(*) from item") == 1
        names = "select count(*) from pg_database where datname ~ 'shop|used'"
        assert ask(server.url_for_database("postgres"), names) <= 3

    def test_interrupted(self, server: PostgreSQL) -> None:
        """By a limit of time, while the server says nothing: the next one is done."""

        def late(number: int, frame: object) -> None:
            raise LookupError("late")

        ask(server.url, "delete from item")
        before = signal.signal(signal.SIGALRM, late)
        try:
            with server.paused():
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(LookupError, match="late"):
                    server.reset()
        finally:
            signal.signal(signal.SIGALRM, before)
        server.reset()
        assert ask(server.url, "select count(*) from item") == 1

    def test_in_silence(self, server: PostgreSQL) -> None:
        """The log, which the reports of failing tests show, is about tests."""
        before = Path(server.log_path).stat().st_size
        for _ in range(3):
            server.reset()
        assert Path(server.log_path).read_text()[before:] == ""

    @pytest.mark.parametrize("how", [True, "truncate", "delete"])
    def test_prepared(self, how: bool | str) -> None:
        """A transaction that was prepared holds the database, or its tables."""
        settings = {"max_prepared_transactions": 2}
        rows = "select count(*)::int from item"
        with PostgreSQL(database="shop", template=OF_SHOP, reset=how, settings=settings) as db:
            url = db.fresh("other")
            for place in (db.url, url):
                connection = connect(place)
                cursor = connection.cursor()
                cursor.execute("begin; insert into item (n) values (8)")
                cursor.execute(f"prepare transaction '{place}'")
                connection.close()
            db.reset()
            assert ask(db.url, rows) == (how is True)
            assert ask(db.fresh("other"), rows) == 1

    def test_idle(self) -> None:
        """Our own sessions are not ended for that."""
        version = subprocess.run([POSTGRES, "--version"], capture_output=True, text=True).stdout
        require(int(version.split()[2].split(".")[0]) >= 14, "older servers have no such limit")
        settings = {"idle_session_timeout": 1000}
        with PostgreSQL(database="shop", template=OF_SHOP, reset=True, settings=settings) as db:
            db.reset()
            for _ in range(2):  # when the second one begins, ours have done what they were told
                later = connect(db.url_for_database("postgres"))
                assert select.select([later.fileno()], [], [], PATIENCE)[0], "nothing is ended"
                later.close()
            db.reset()
            assert ask(db.url, "select n from item") == 7

    def test_refused(self) -> None:
        """What the server says is in the error."""
        with PostgreSQL(database="shop", template=SCHEMA[:50], reset=True, name="db") as db:
            db.reset()
            ask(db.url_for_database("postgres"), "drop database summon_template")
            with pytest.raises(
                SummonError, match=r"^db: .*reset=True.*summon_template.* does not exist"
            ):
                for _ in range(3):
                    db.reset()

    def test_a_copy_elsewhere(self, server: PostgreSQL) -> None:
        """It travels without its connections."""
        assert pickle.loads(pickle.dumps(server)).url == server.url


class TestFresh:
    """``fresh()``, for more databases."""

    def test_as_at_the_start(self, server: PostgreSQL) -> None:
        """Anew with each call, also while somebody is connected."""
        ask(server.url, "delete from item")
        for _ in range(2):
            url = server.fresh('my "other"')
            assert url == server.url_for_database('my "other"')
            assert ask(url, "select sum(n) from item") == 7
            assert ask(url, "show work_mem") == "123kB"
            ask(url, "delete from item")
            client = connect(url)
        client.close()

    def test_without_a_template(self) -> None:
        """It is empty; the server needs no reset=."""
        with PostgreSQL() as db:
            ask(db.url, "create table t ()")
            assert ask(db.fresh("other"), "select to_regclass('t')::text") is None

    def test_bad_names(self, server: PostgreSQL) -> None:
        """Those that the server needs itself, and no names."""
        for name in ("shop", "postgres", "template1", "summon_template"):
            with pytest.raises(InvalidArgument, match=r"fresh\('.*needs a database of that name"):
                server.fresh(name)
        with pytest.raises(InvalidArgument, match="database="):
            server.fresh("")
        with pytest.raises(InvalidArgument, match="database='template0': the server needs"):
            PostgreSQL(database="template0")
        with pytest.raises(NotRunning):
            PostgreSQL().fresh("other")
