"""The ready-made MariaDB: fresh for each start, fast, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from summon_testcase import InvalidArgument, SimpleExecutor, SummonError, SummonMixin
from summon_testcase.services import MariaDB

from ..doubles import DATA_MEMORY, archives_of
from ..needs import find, needs
from ..samples import eventually

MARIADBD = find("mariadbd", package="mariadb-server")

SCHEMA = "create table item (n int); insert into item values (1), (2);"
COUNT = "select count(*) from item"
#: hard names: each character has a meaning somewhere
NAME = "my `Shop`/é%"


def connect(db: MariaDB, database: str = "test", port: int | None = None) -> Any:
    """A connection of the usual client."""
    import pymysql

    return pymysql.connect(
        host=db.host,
        port=port or db.port,
        user="root",
        database=database,
        ssl_disabled=True,
        autocommit=True,
    )


def ask(db: MariaDB, question: str, database: str = "test") -> Any:
    """The first column of the first row of an answer."""
    with connect(db, database) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
        return row and row[0]


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """A block whose servers leave none of their files, in memory or on the disk."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="s-", dir=memory) as ours:
        os.chmod(ours, 0o711)

        def data() -> set[Path]:
            places = (ours, tempfile.gettempdir())
            return {p for place in places for p in Path(place).glob("summon-*/ibdata1")}

        before = data()
        with mock.patch(DATA_MEMORY, ours):
            yield
        assert data() == before


@needs("mariadbd", package="mariadb-server")
class DatabaseTest(SummonMixin, unittest.TestCase):
    """A database of one's own, which is there from the beginning."""

    db = MariaDB(database=NAME, options=["--max-connections=77"])
    client = SimpleExecutor(
        ["mariadb", "-u", "root", "-e", "select 6 * 7 as n"], env=[db], one_shot=True
    )

    def test_what_clients_read(self) -> None:
        """The variables of MariaDB's own clients, and those of applications."""
        self.assertIn("| 42 |", self.client.tail())
        told = self.db.env()
        self.assertEqual(told["DATABASE_URL"], self.db.url)
        self.assertEqual(ask(self.db, "select database()", told["MYSQL_DATABASE"]), NAME)

    def test_urls(self) -> None:
        """By the convention of most clients, and by SQLAlchemy's."""
        where = f"root@127.0.0.1:{self.db.port}/"
        self.assertEqual(self.db.url, f"mysql://{where}my%20%60Shop%60/%C3%A9%25")
        self.assertEqual(self.db.url_for_database("mysql"), f"mysql://{where}mysql")
        self.assertEqual(self.db.url_with("pymysql"), self.db.url.replace(":", "+pymysql:", 1))

    def test_how_it_is_set(self) -> None:
        """Letters are UTF-8, nothing waits for a disk, and further arguments count."""
        for name, value in {
            "character_set_database": "utf8mb4",
            "innodb_flush_method": "nosync",
            "log_bin": "0",
            "max_connections": "77",
        }.items():
            self.assertEqual(str(ask(self.db, f"select @@{name}", NAME)), value, name)

    def test_bad_names(self) -> None:
        """They are refused before anything is started."""
        for name in ("", "a\nb", "x" * 65, "a ", 3):
            with self.assertRaisesRegex(InvalidArgument, r"^MariaDB\(\): database="):
                MariaDB(database=name)  # type: ignore[arg-type]
        with self.assertRaisesRegex(InvalidArgument, r"^MariaDB\(\): install="):
            MariaDB(install="x")


def die(db: MariaDB) -> None:
    os.kill(db.pid, signal.SIGKILL)
    eventually(lambda: not db.running(), "it has died")


class TestLife:
    """Its data live as long as the service."""

    def test_restarts_keep_the_data(self) -> None:
        """Whatever ends the server: what was committed just before is there again."""
        db = MariaDB(name="db")
        with nothing_left():
            with db:
                ask(db, "create table t (n int)")
                ask(db, "create table u (n int) engine=Aria transactional=0")
                for n, end in enumerate([db.restart, db.kill, lambda: die(db)], 1):
                    ask(db, f"insert into t values ({n})")
                    ask(db, f"insert into u values ({n})")
                    end()
                    if not db.running():
                        db.start()
                    assert ask(db, "select count(*) from t") == n
                    if end == db.restart:
                        assert ask(db, "select count(*) from u") == 1
            with db:  # it begins afresh
                assert ask(db, "show tables") is None

    def test_another_directory_of_programs(self, tmp_path: Path) -> None:
        """Where the program beside the server may be missing."""
        (tmp_path / "mariadbd").symlink_to(MARIADBD)
        with pytest.raises(SummonError, match="may not pass through"):
            MariaDB(bindir=tmp_path).start()
        with MariaDB(program=MARIADBD) as db:
            assert ask(db, "select 6 * 7") == 42

    def test_an_option_that_does_not_exist(self) -> None:
        """The error shows what the server said, and no files are left."""
        with nothing_left(), pytest.raises(SummonError, match="unknown option '--no-such'"):
            MariaDB(options=["--no-such"]).start()


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache that has what mariadb-install-db makes."""
    with MariaDB() as db:
        (made,) = map(Path, archives_of(db))
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        monkeypatch.setenv("SUMMON_CACHE_DIR", place)
        mine = Path(place, made.parent.name)
        mine.mkdir()
        # with its owner and mode
        subprocess.run(["cp", "-a", made, mine], check=True)
        yield mine


def archives(cache: Path) -> set[Path]:
    """What is cached."""
    return set(cache.glob("*.archive"))


class TestTemplate:
    """``template=``, what makes the schema."""

    def test_file(self, cache: Path, tmp_path: Path) -> None:
        """It is run once, also what only the client of MariaDB understands."""
        dump = tmp_path / "dump.sql"
        dump.write_text(
            f"{SCHEMA}\ndelimiter //\n"
            "create procedure fill() begin insert into item values (3); end//\ndelimiter ;\n"
        )
        with nothing_left():
            for _ in range(2):
                with MariaDB(database=NAME, template=dump) as db:
                    ask(db, "call fill()", NAME)
                    assert ask(db, COUNT, NAME) == 3
        assert len(archives(cache)) == 2

    def test_command(self, tmp_path: Path) -> None:
        """It is told where the database is."""
        (tmp_path / "schema.sql").write_text(SCHEMA)
        words = "sh -c 'mariadb -uroot $MYSQL_DATABASE <schema.sql'"
        with MariaDB(template=words, cwd=tmp_path) as db:
            assert ask(db, COUNT) == 2

    def test_how_sql_begins(self) -> None:
        """What is no command."""
        procedure = "create procedure p() begin select 1; end//"
        for begin in ("# our schema\n", f"delimiter //\n{procedure}\ndelimiter ;\n", "\ufeff"):
            with MariaDB(template=begin + SCHEMA) as db:
                assert ask(db, COUNT) == 2, begin

    @pytest.mark.parametrize("program", ["mariadb", "no-such"])
    def test_no_autocommit(self, cache: Path, program: str) -> None:
        """Whatever the sessions of tests begin with, rows are there."""
        find_program = MariaDB._find

        def named(self: MariaDB, word: str, path: str | None, cwd: str) -> str:
            return find_program(self, program if word == "mariadb" else word, path, cwd)

        db = MariaDB(options=["--autocommit=0"], template=SCHEMA, reset=True)
        with mock.patch.object(MariaDB, "_find", named), db:
            assert ask(db, COUNT) == 2
            ask(db, "delete from item")
            db.reset()
            assert ask(db, COUNT) == 2

    def test_localhost(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Clients go to our server, and not to another one at the usual Unix socket."""
        with contextlib.ExitStack() as stack:
            place = stack.enter_context(tempfile.TemporaryDirectory())
            os.chmod(place, 0o777)
            other = MariaDB(database="shop", options=[f"--socket={place}/other.sock"])
            stack.enter_context(other)
            monkeypatch.setenv("MYSQL_UNIX_PORT", f"{place}/other.sock")
            db = MariaDB(host="localhost", database="shop", template=SCHEMA)
            stack.enter_context(db)
            assert ask(db, COUNT, "shop") == 2
            assert ask(other, "show tables", "shop") is None
            words = ["mariadb", "-uroot", "-e", "select concat('port ', @@port) as p"]
            client = SimpleExecutor(words, env=[db], one_shot=True)
            stack.enter_context(client)
            assert f"port {db.port}" in "\n".join(client.tail())
            assert "localhost" not in db.url

    def test_another_file(self, cache: Path, tmp_path: Path) -> None:
        """SQL that reads other files is run anew, unless a key says when."""
        part, schema = tmp_path / "part.sql", tmp_path / "schema.sql"
        for word in ("source", "\\."):
            schema.write_text(f"create table u (n int);\n{word} {part}\n")
            for number in (1, 2):
                part.write_text(f"create table item (n int); insert into item values ({number});")
                with MariaDB(template=schema) as db:
                    assert ask(db, "select n from item") == number, word
                with MariaDB(template=schema, template_key=part) as db:
                    assert ask(db, "select n from item") == number, word
        assert len(archives(cache)) == 5

    def test_places(self, cache: Path) -> None:
        """The server on which it is made is told what the declared one is."""
        said = f"set @here = '{os.path.dirname(__file__)}'"
        options = ["--init-connect=set @here = '{here}'"]
        template = "create table item as select @@init_connect as n"
        with MariaDB(options=options, template=template) as db:
            assert ask(db, "select n from item") == ask(db, "select @@init_connect") == said

    def test_time_zone(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is that of this run, and not that of the run that has filled the cache."""
        template = "create table item (n timestamp); insert into item values ('2020-01-01 12:00')"
        for zone, seconds in (("Asia/Tokyo", 9 * 3600), ("Europe/Lisbon", 0)):
            monkeypatch.setenv("TZ", zone)
            with MariaDB(template=template) as db:
                told = ask(db, "select unix_timestamp(n) from item")
                assert told + seconds == 1577880000

    def test_without_the_client(self) -> None:
        """The server is asked without it."""
        find_program = MariaDB._find

        def without(self: MariaDB, word: str, path: str | None, cwd: str) -> str:
            return find_program(self, "no-such" if word == "mariadb" else word, path, cwd)

        with mock.patch.object(MariaDB, "_find", without):
            with MariaDB(template=SCHEMA) as db:
                assert ask(db, COUNT) == 2
            with pytest.raises(SummonError, match=r"template= failed: .*error in your SQL syntax"):
                MariaDB(template="create tabl").start()

    def test_failure(self, cache: Path) -> None:
        """What it says is in the error, and nothing is cached."""
        with nothing_left(), pytest.raises(SummonError, match="no_such' doesn't exist"):
            MariaDB(template=f"{SCHEMA} insert into no_such values (1)").start()
        assert len(archives(cache)) == 1

    def test_damage(self, cache: Path, tmp_path: Path) -> None:
        """Archives that are cut off, or not as this version needs them, are made anew."""
        (empty,) = archives(cache)
        with MariaDB(template=SCHEMA):
            (made,) = archives(cache) - {empty}
        os.truncate(made / "1.tar", 1 << 20)
        for half in sorted(empty.iterdir()):
            place = tmp_path / half.stem
            place.mkdir()
            subprocess.run(["tar", "-xf", half, "-C", place], check=True)
            shutil.rmtree(place / "mysql", ignore_errors=True)
            files = sorted(path.name for path in place.iterdir())
            subprocess.run(["tar", "-cf", half, "-C", place, *files], check=True)
        with nothing_left():
            with MariaDB(template=SCHEMA) as db:
                assert ask(db, COUNT) == 2
            with MariaDB() as db:
                assert ask(db, "select 6 * 7") == 42
