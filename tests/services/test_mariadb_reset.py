"""MariaDB forgets what a test has left in its database."""

from __future__ import annotations

import os
import signal
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import InvalidArgument, SummonError, SummonMixin
from summon_testcase.services import MariaDB

from ..needs import find
from ..samples import eventually
from .test_mariadb import NAME, connect

find("mariadbd", package="mariadb-server")

#: seeds, references that delete, computed columns, triggers, other engines, numbers
SCHEMA = """
create table kind (id int auto_increment primary key, name text, size int as (length(name)));
insert into kind (name) values ('tea'), ('milk');
create table `an ``item``` (id int auto_increment primary key, kind int,
    foreign key (kind) references kind (id) on delete cascade);
insert into `an ``item``` values (1, 1), (7, 2);
create table empty (id int auto_increment primary key, n int);
insert into empty (n) values (1), (2);
delete from empty;
create table plain (n int) engine=MyISAM;
create table log (n int);
create table watched (n int);
create trigger watch after delete on watched for each row insert into log values (old.n);
create view kinds as select name from kind;
"""
ITEM = "`an ``item```"
STATE = {
    "select group_concat(id, name, size order by id) from kind": "1tea3,2milk4",
    f"select group_concat(id, '-', kind order by id) from {ITEM}": "1-1,7-2",
    "select count(*) from empty": 0,
    "select count(*) from plain": 0,
    "select count(*) from log": 0,
    "select count(*) from watched": 0,
    "select count(*) from kinds": 2,
    "select group_concat(auto_increment order by table_name) from information_schema.tables"
    " where table_schema = database()": "8,3,3",
}


def ran(db: MariaDB, *statements: str) -> Any:
    """The first column of the first row of the last answer."""
    with connect(db, NAME) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        row = cursor.fetchone()
        return row and row[0]


def check(db: MariaDB) -> None:
    for question, answer in STATE.items():
        assert ran(db, question) == answer, question


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    with MariaDB(database=NAME, template=SCHEMA, reset=True) as db:
        yield db


class TestFresh:
    """``reset=True``."""

    def test_in_silence(self, server: MariaDB) -> None:
        """The log, which the reports of failing tests show, is about tests."""
        ready = f"port: {server.port}"
        eventually(
            lambda: ready in Path(server.log_path).read_text(), "its last words of the start"
        )
        before = Path(server.log_path).stat().st_size
        server.reset()
        assert Path(server.log_path).read_text()[before:] == ""

    @pytest.mark.parametrize(
        "statements",
        [
            ["insert into kind (name) values ('new')"],
            ["update kind set name = 'x'", f"insert into {ITEM} (kind) values (1)"],
            # what InnoDB deletes by itself is not counted
            ["delete from kind"],
            ["truncate plain", "set foreign_key_checks = 0", "truncate kind"],
            ["insert into empty (n) values (1)", "delete from empty"],
            ["begin", "insert into empty (n) values (1)", "rollback"],
            ["insert into plain values (1)"],
            ["insert into watched values (1)", "delete from watched"],
            ["create temporary table mine as select * from kind", "drop temporary table mine"],
        ],
        ids=lambda statements: statements[0],
    )
    def test_rows(self, server: MariaDB, statements: list[str]) -> None:
        """What a test does with rows is undone, while the server goes on."""
        pid = server.pid
        for _ in range(2):
            ran(server, *statements)
            server.reset()
            check(server)
        assert server.pid == pid

    @pytest.mark.parametrize(
        "statements",
        [
            ["alter table kind drop column size"],
            ["create table more (n int)"],
            ["drop view kinds", "create user me", "create database other"],
            [f"drop database `{NAME.replace('`', '``')}`"],
        ],
        ids=lambda statements: statements[0],
    )
    def test_schemas(self, server: MariaDB, statements: list[str]) -> None:
        """What a test does with schemas and users is undone by a new beginning."""
        ran(server, *statements)
        server.reset()
        check(server)
        with connect(server, "mysql") as connection, connection.cursor() as cursor:
            assert cursor.execute("show databases where `database` = 'other'") == 0
            assert cursor.execute("select user from user where user = 'me'") == 0

    def test_sessions(self, server: MariaDB) -> None:
        """They live on, unless one holds a table that is to be restored."""
        import pymysql

        pid = server.pid
        for hold in ("select 1", "begin", "lock tables kind write"):
            idle, busy = connect(server, NAME), connect(server, NAME)
            with busy.cursor() as cursor:
                cursor.execute(hold)
                cursor.execute("insert into kind (name) values ('new')")
            server.reset()
            check(server)
            for connection, ended in ((idle, hold.startswith("lock")), (busy, hold != "select 1")):
                if not ended:
                    connection.ping(reconnect=False)
                    connection.close()
                else:
                    with pytest.raises(pymysql.err.OperationalError):
                        connection.ping(reconnect=False)
            # what is done to a locked table is not counted
            assert (server.pid == pid) == (hold != "lock tables kind write")

    @pytest.mark.parametrize("end", [MariaDB.restart, MariaDB.kill, None])
    def test_a_new_life(self, server: MariaDB, end: Callable[[MariaDB], object] | None) -> None:
        """What was changed before a restart, or a death, is forgotten too."""
        ran(server, "insert into kind (name) values ('new')")
        if end is None:
            os.kill(server.pid, signal.SIGKILL)
            eventually(lambda: not server.running(), "it has died")
        else:
            end(server)
        if not server.running():
            server.start()
        server.reset()
        check(server)


class FreshTest(SummonMixin, unittest.TestCase):
    """In a TestCase, and without a template: the database is empty."""

    db = MariaDB(reset=True)

    def test_a(self) -> None:
        with connect(self.db) as connection, connection.cursor() as cursor:
            self.assertEqual(cursor.execute("show tables"), 0)
            cursor.execute("create table t (n int)")

    def test_b(self) -> None:
        self.test_a()


@pytest.mark.parametrize("how", ["truncate", "delete"])
def test_emptied(how: str) -> None:
    """All rows are removed, also those of the template, and no trigger adds any."""
    with MariaDB(database=NAME, template=SCHEMA, reset=how) as db:
        pid = db.pid
        for statement in (
            "insert into kind (name) values ('new')",
            "insert into watched values (1)",
            "create table more as select 1 as n",
        ):
            ran(db, statement)
            db.reset()
            for table in ("kind", ITEM, "empty", "plain", "log", "watched"):
                assert ran(db, f"select count(*) from {table}") == 0, table
        assert ran(db, "select count(*) from more") == 0
        ran(db, "insert into kind (name) values ('new')")
        assert (ran(db, "select id from kind") == 1) == (how == "truncate")
        assert db.pid == pid


def test_bad_input() -> None:
    """Before anything is started, and if there is no such database any more."""
    with pytest.raises(InvalidArgument, match=r"^MariaDB\(\): reset='drop': write True, 'truncate"):
        MariaDB(reset="drop")
    with pytest.raises(InvalidArgument, match="that the server does not need itself"):
        MariaDB(database="summon_template")
    with MariaDB(reset="delete") as db:
        with connect(db) as connection, connection.cursor() as cursor:
            cursor.execute("drop database test")
        with pytest.raises(SummonError, match="reset='delete' has failed: Unknown database 'test'"):
            db.reset()
