"""The schema of PostgreSQL: made once, by SQL, a command or a function, and cached."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from summon_testcase import (
    InvalidArgument,
    Orchestrator,
    PostgreSQL,
    ProcessExited,
    SimpleExecutor,
    SummonError,
    orchestrated,
)

from ..another_user import NOBODY, interpreter_for_all, packages_for_all
from ..doubles import DATA_MEMORY
from ..needs import find
from ..places import require, root
from ..samples import ROOT
from .test_postgresql import ask, connect, nothing_left

SCHEMA = "create table item (n int); insert into item values (1), (2);"
#: a line of a shell that has the data of initdb look as those of an old version
OLD = 'while [ "$1" != -D ]; do shift; done; echo 9.6 >"$2/PG_VERSION"\n'
COUNT = "select count(*)::int from item"

POSTGRES = find("postgres", package="postgresql")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A cache that has what initdb makes."""
    with pytest.MonkeyPatch.context() as patch, contextlib.contextmanager(places)() as place:
        patch.setenv("SUMMON_CACHE_DIR", str(place))
        with PostgreSQL():
            yield place


@pytest.fixture
def cache(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another such cache."""
    with contextlib.contextmanager(places)() as place:
        monkeypatch.setenv("SUMMON_CACHE_DIR", str(place))
        # with owners and modes, or the server could not read them
        subprocess.run(["cp", "-a", f"{made}/.", place], check=True)
        yield place


def places() -> Iterator[Path]:
    """A new directory; not pytest's, which other users may not enter."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        yield Path(place)


def archives(cache: Path) -> set[Path]:
    """What is cached."""
    found = {path for path in cache.glob("*/*") if path.suffix != ".lock"}
    assert all(path.suffix == ".archive" for path in found), found
    return found


class TestTemplate:
    """``template=``, what makes the schema."""

    def twice(self, declare: Callable[[], PostgreSQL], cache: Path, kept: bool = True) -> None:
        """Start two servers as two processes would that share a cache."""
        for _ in range(2):
            with declare() as db:
                assert ask(db.url, COUNT) == 2
        assert len(archives(cache)) == 1 + kept

    def test_text(self, cache: Path) -> None:
        """SQL; another text makes another schema."""
        with nothing_left():
            self.twice(lambda: PostgreSQL(database="shop", template=SCHEMA), cache)
            with PostgreSQL(database="shop", template=SCHEMA.replace("(2)", "(2), (3)")) as db:
                assert ask(db.url, COUNT) == 3

    def test_path(self, cache: Path, tmp_path: Path) -> None:
        """A file, as pg_dump writes it; what is in it counts, and its place does not."""
        dump = tmp_path / "dump.sql"
        dump.write_text("create table item (n int);\ncopy item from stdin;\n1\n2\n\\.\n")
        self.twice(lambda: PostgreSQL(template=dump), cache)
        moved = dump.rename(tmp_path / "moved.sql")
        with PostgreSQL(template="moved.sql", cwd=tmp_path):
            assert len(archives(cache)) == 2
        moved.write_text(SCHEMA + "insert into item values (3)")
        with PostgreSQL(template=moved) as db:
            assert ask(db.url, COUNT) == 3

    @pytest.mark.parametrize("text", ["start transaction; {}; commit;", "vacuum; {}", "\ufeff{}"])
    def test_how_sql_begins(self, cache: Path, tmp_path: Path, text: str) -> None:
        """What is no command, as a text and as a file."""
        path = tmp_path / "schema.sql"
        path.write_text(text.format(SCHEMA))
        for template in (text.format(SCHEMA), path):
            with PostgreSQL(template=template) as db:
                assert ask(db.url, COUNT) == 2

    def test_command(self, cache: Path, tmp_path: Path) -> None:
        """It is told where the database is, and is run again when what its key names changes."""
        schema, ran = tmp_path / "schema", tmp_path / "ran"
        schema.mkdir()
        (schema / "1.sql").write_text(SCHEMA)
        words = ["sh", "-c", 'echo $PGDATABASE $X >>ran; psql -d "$DATABASE_URL" -f schema/1.sql']

        def declare() -> PostgreSQL:
            return PostgreSQL(
                database="shop",
                template=words,
                template_key=[Path("schema"), 1],
                cwd=tmp_path,
                env={"X": "{port}"},
            )

        self.twice(declare, cache)
        assert ran.read_text().count("shop ") == 1
        (schema / "1.sql").write_text(SCHEMA + "insert into item values (3)")
        with declare() as db:
            assert ask(db.url, COUNT) == 3
        assert ran.read_text().count("shop ") == 2

    def test_command_without_a_key(self, cache: Path, tmp_path: Path) -> None:
        """It is run once by each process, since nobody knows what it reads."""
        (tmp_path / "schema.sql").write_text(SCHEMA)
        db = PostgreSQL(template="psql {url} -f schema.sql", cwd=tmp_path)
        with nothing_left():
            for _ in range(2):
                with db:
                    assert ask(db.url, COUNT) == 2
                    (tmp_path / "schema.sql").unlink(missing_ok=True)
            assert len(archives(cache)) == 1
            del db

    def test_function(self, cache: Path) -> None:
        """It is given the URL; a connection that it leaves open is no obstacle."""
        held = []

        def make(url: str) -> None:
            held.append(connect(url))
            held[0].cursor().execute(SCHEMA)

        self.twice(lambda: PostgreSQL(template=make, template_key="1"), cache)
        assert len(held) == 1
        held[0].close()

    def test_without_psql(self, cache: Path, tmp_path: Path) -> None:
        """The server is asked without it; only the data of a dump need it."""
        programs = Path(POSTGRES).parent

        def without_psql(self: PostgreSQL, name: str) -> str | None:
            return None if name == "psql" else str(programs / name)

        with mock.patch.object(PostgreSQL, "_program_at", without_psql):
            (tmp_path / "schema.sql").write_text(SCHEMA, encoding="utf-8-sig")
            with PostgreSQL(template=tmp_path / "schema.sql") as db:
                assert ask(db.url, COUNT) == 2
            with pytest.raises(
                SummonError, match='template= failed: syntax error at or near "tabl'
            ):
                PostgreSQL(template="create tabl").start()
            with pytest.raises(SummonError, match="COPY FROM stdin needs psql"):
                PostgreSQL(template=SCHEMA + "copy item from stdin").start()
        assert len(archives(cache)) == 2


#: the schema that the tests of :class:`TestAnother` make: who has made it
MADE_BY = "create table item as select '{}'::text as n"
WHO = "select n from item"


class TestAnother:
    """What is declared alike in two places, or at two times, is not the same."""

    def test_project(self, cache: Path, tmp_path: Path) -> None:
        """A command, in two directories."""
        for name in ("one", "two"):
            place = tmp_path / name
            place.mkdir()
            (place / "schema.sql").write_text(MADE_BY.format(name))
            words = ["psql", "{url}", "-f", "schema.sql"]
            for _ in range(2):
                with PostgreSQL(template=words, template_key=1, cwd=place) as db:
                    assert ask(db.url, WHO) == name
        assert len(archives(cache)) == 3

    def test_variable(self, cache: Path) -> None:
        """A command that reads one."""
        words = ["sh", "-c", f'psql -c "{MADE_BY.format("$TENANT")}"']
        for name in ("one", "two"):
            with PostgreSQL(template=words, template_key=1, env={"TENANT": name}) as db:
                assert ask(db.url, WHO) == name

    def test_module(self, cache: Path, tmp_path: Path) -> None:
        """Functions of the same name."""
        for name in ("one", "two"):
            path = tmp_path / f"{name}.py"
            program = f"from {__name__} import ask, MADE_BY\n"
            path.write_text(f"{program}def make(url): ask(url, MADE_BY.format({name!r}))")
            spec = importlib.util.spec_from_file_location("schemas", path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            for _ in range(2):
                with PostgreSQL(template=module.make, template_key=1) as db:
                    assert ask(db.url, WHO) == name
        assert len(archives(cache)) == 3

    def test_object(self, cache: Path) -> None:
        """Callables that are no functions: nobody knows what is in them."""

        class Tenant:
            def __init__(self, name: str) -> None:
                self.name = name

            def make(self, url: str) -> None:
                ask(url, MADE_BY.format(self.name))

        def make(name: str, url: str) -> None:
            ask(url, MADE_BY.format(name))

        for name in ("one", "two"):
            for function in (functools.partial(make, name), Tenant(name).make):
                with PostgreSQL(template=function, template_key=1) as db:
                    assert ask(db.url, WHO) == name
        assert len(archives(cache)) == 1

    def test_file(self, cache: Path, tmp_path: Path) -> None:
        """SQL that reads other files is run anew, unless a key says when."""
        part, schema = tmp_path / "part.sql", tmp_path / "schema.sql"
        texts = [
            f"\\i {part}",
            "select 1; \\ir part.sql",
            f"create table item (n text);\n\\copy item from '{part}'",
        ]
        for number, text in enumerate(texts):
            schema.write_text(text)
            for name in ("one", "two"):
                part.write_text(name if "copy" in text else MADE_BY.format(name))
                with PostgreSQL(template=schema) as db:
                    assert ask(db.url, WHO) == name, text
                with PostgreSQL(template=schema, template_key=part) as db:
                    assert ask(db.url, WHO) == name, text
            assert len(archives(cache)) == 3 + 2 * number

    def test_time_zone(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is that of this run, and not that of the run that has filled the cache."""
        template = "create table item as select '2020-01-01 12:00'::timestamptz as n"
        for zone, seconds in (("Asia/Tokyo", 9 * 3600), ("Europe/Lisbon", 0)):
            monkeypatch.setenv("TZ", zone)
            with PostgreSQL(template=template) as db:
                assert ask(db.url, "show timezone") == zone
                told = ask(db.url, "select extract(epoch from n)::int from item")
                assert told + seconds == 1577880000

    def test_shell(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Variables of libpq that the developer has for another server change nothing."""
        for name, value in {
            "PGCLIENTENCODING": "LATIN1",
            "PGSSLMODE": "require",
            "PGOPTIONS": "-c no_such=1",
            "PGHOSTADDR": "127.0.0.9",
            "PGSERVICE": "no_such",
            "PGTARGETSESSIONATTRS": "read-only",
        }.items():
            monkeypatch.setenv(name, value)
        db = PostgreSQL(database="grün", template=MADE_BY.format("grün"))
        words = ["psql", "-XAtc", "select length(n), current_setting('client_encoding') from item"]
        group = Orchestrator({"db": db})
        with group:
            for env in ([db], [group]):
                with SimpleExecutor(words, env=env, one_shot=True) as client:
                    assert client.tail() == ["4|UTF8"]
            own = SimpleExecutor(words, env=[{"PGCLIENTENCODING": "LATIN1"}, db], one_shot=True)
            with own:
                assert own.tail() == ["4|LATIN1"]
            shown = SimpleExecutor(["sh", "-c", "echo $PGSSLMODE"], env=[db], one_shot=True)
            with shown:
                assert shown.tail() == ["disable"]
        # a command is a client, too
        with PostgreSQL(template=["psql", "-XAtc", MADE_BY.format("command")]):
            pass


class TestPlaces:
    """What the declared server is told is also told to the one on which the schema is made."""

    def test_here(self, cache: Path) -> None:
        """The directory of the module that declares it."""
        settings = {"our.place": "{here}"}
        template = "create table item as select current_setting('our.place') as n"
        with PostgreSQL(settings=settings, template=template) as db:
            assert ask(db.url, WHO) == os.path.dirname(__file__)

    PROGRAM = """
from summon_testcase import PostgreSQL
hba = "local all all trust\\nhost all all all trust\\n"
settings = {"hba_file": "{tmpdir}/hba.conf"}
template = ["sh", "-c", 'test "$(cat {tmpdir}/text)" = {port}']
with PostgreSQL(files={"hba.conf": hba, "text": "{port}"}, settings=settings, template=template):
    print("ready")
"""

    def test_files(self) -> None:
        """Also to commands."""
        python, prefix = interpreter_for_all(), list[str]()
        require(python, "there is no Python that every user may run")
        with contextlib.contextmanager(places)() as place:
            env = {**os.environ, "TMPDIR": str(place), "PYTHONPATH": packages_for_all()}
            env.pop("SUMMON_CACHE_DIR", None)
            if os.geteuid() == 0:
                os.chown(place, NOBODY, NOBODY)
                ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
                prefix = ["setpriv", *ids, "--"]
            done = subprocess.run(
                [*prefix, str(python), "-c", self.PROGRAM],
                env=env,
                cwd=place,
                capture_output=True,
                text=True,
            )
        assert (done.stdout, done.returncode) == ("ready\n", 0), done.stderr

    @root
    def test_of_root(self) -> None:
        """The server's user may not enter it: that is said before anything is spawned."""
        db = PostgreSQL(files={"hba.conf": ""}, settings={"hba_file": "{tmpdir}/hba.conf"})
        with pytest.raises(InvalidArgument, match=r"settings= has \{tmpdir\}, which only .* root"):
            db.start()


class TestFailure:
    """A template that cannot be made."""

    def test_its_output_is_in_the_error(self, cache: Path) -> None:
        """And nothing is cached, so that it is tried again."""
        with nothing_left():
            for template, said in {
                "create table item(n int); select 1/0": "division by zero",
                "sh -c 'echo no migrations; exit 3'": "no migrations",
            }.items():
                with pytest.raises(SummonError, match=said):
                    PostgreSQL(template=template, template_key=1).start()

            def fail(url: str) -> None:
                raise LookupError("no migrations")

            with pytest.raises(LookupError, match="no migrations"):
                PostgreSQL(template=fail).start()
        assert len(archives(cache)) == 1

    def test_bad_input(self, tmp_path: Path) -> None:
        """Where it is written, or before anything is spawned."""
        for template in ("", 3, [], [None]):
            with pytest.raises(InvalidArgument, match="template"):
                PostgreSQL(template=template)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match=r"template_key= says when .* there is none"):
            PostgreSQL(template_key="1")
        with pytest.raises(InvalidArgument, match=r"template=.*no.sql' cannot be read: No such"):
            PostgreSQL(template=tmp_path / "no.sql").start()
        with pytest.raises(InvalidArgument, match=r"template_key=.*no' cannot be read: No such"):
            PostgreSQL(template=SCHEMA, template_key=tmp_path / "no").start()
        with pytest.raises(SummonError, match="alembick"):
            PostgreSQL(template="alembick upgrade head").start()


class TestCache:
    """What is kept for other processes, which may be killed, or have another version."""

    def test_cut_off(self, cache: Path) -> None:
        """An archive that is not whole, or is none, is made anew."""
        with PostgreSQL(template=SCHEMA):
            whole = archives(cache)

        def between_two_files(half: Path) -> None:
            # where tar finds nothing wrong
            with tarfile.open(half) as tar:
                end = tar.getmembers()[-3].offset
            os.truncate(half, end)

        for name, damage in (
            ("1.tar", between_two_files),
            ("2.tar", between_two_files),
            ("1.tar", lambda half: os.truncate(half, 1 << 20)),
            ("2.tar", os.unlink),
        ):
            for archive in whole:
                damage(archive / name)
            with nothing_left(), PostgreSQL(template=SCHEMA) as db:
                assert ask(db.url, COUNT) == 2

    def test_halves_need_nothing_of_each_other(self, cache: Path) -> None:
        """Each makes the directories that it needs: tar may miss what the other one makes."""
        with PostgreSQL(template=SCHEMA):
            for archive in archives(cache):
                for half in archive.iterdir():
                    with tarfile.open(half) as tar:
                        names = [os.path.normpath(member.name) for member in tar]
                    for place, name in enumerate(names):
                        assert os.path.dirname(name) in ("", *names[:place]), name

    def test_of_another_version(self, cache: Path, tmp_path: Path) -> None:
        """As the server would say; it is made anew."""
        for archive in archives(cache):
            half = archive / "1.tar"
            subprocess.run(["tar", "-xf", half, "-C", tmp_path], check=True)
            (tmp_path / "PG_VERSION").write_text("9.6\n")
            files = sorted(path.name for path in tmp_path.iterdir())
            subprocess.run(["tar", "-cf", half, "-C", tmp_path, *files], check=True)
        with PostgreSQL(template=SCHEMA) as db:
            assert ask(db.url, COUNT) == 2

    def test_a_server_of_another_version(self, cache: Path) -> None:
        """It cannot start with what its initdb makes: its words are in the error."""
        programs = Path(POSTGRES).parent
        with contextlib.contextmanager(places)() as place:
            for name, more in (("initdb", OLD), ("postgres", "")):
                script = place / name
                script.write_text(f'#!/bin/sh\nset -e\n"{programs}/{name}" "$@"\n{more}')
                script.chmod(0o755)
            said = r"initialized by PostgreSQL version 9\.6, which is not compatible"
            with nothing_left(), pytest.raises(ProcessExited, match=said):
                PostgreSQL(bindir=place).start()

    @pytest.mark.parametrize("value", ["relative", "~/own"])
    def test_its_place(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        """A relative one is as the first start has found it; a tilde is the home directory."""
        unique = f"{value}-{cache.name}"
        monkeypatch.setenv("HOME", str(cache))
        monkeypatch.setenv("SUMMON_CACHE_DIR", unique)
        monkeypatch.chdir(cache)
        for _ in range(2):
            with PostgreSQL(template=SCHEMA) as db:
                assert ask(db.url, COUNT) == 2
            monkeypatch.chdir(tmp_path)
        assert len(archives(cache / unique.replace("~/", ""))) == 2

    PROGRAM = """
import sys
sys.path.append({root!r})
from summon_testcase import PostgreSQL
def make(url):
    print("made", flush=True)
    sys.stdin.readline()
    from tests.services.test_postgresql import ask
    ask(url, {schema!r})
with PostgreSQL(template=make, template_key=1, timeout=None) as db:
    print("ready", flush=True)
"""

    def test_several_at_once(self, cache: Path) -> None:
        """One makes it, the others wait; if it is killed, another one makes it."""
        program = self.PROGRAM.format(root=ROOT, schema=SCHEMA)
        with contextlib.ExitStack() as stack:

            def begin() -> subprocess.Popen[str]:
                process = stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-c", program],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
                stack.callback(process.kill)
                return process

            first = begin()
            assert first.stdout is not None and first.stdout.readline() == "made\n"
            others = [begin() for _ in range(2)]
            first.kill()
            for process in others:
                # the one that does not make it reads nothing
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            said = sorted(process.communicate(timeout=60)[0] for process in others)
        assert said == ["made\nready\n", "ready\n"]
        assert len(archives(cache)) == 2

    def test_what_nobody_uses_is_removed(self, cache: Path) -> None:
        """When something new is made."""
        with PostgreSQL(template=SCHEMA):
            old = archives(cache)
        for archive in old:
            os.utime(archive, (1e9, 1e9))
        with PostgreSQL(template=SCHEMA + "select 1"):
            # initdb's is in use
            assert len(archives(cache)) == 2


def test_memory_that_is_full(cache: Path, tmp_path: Path) -> None:
    """The data are on the disk, then."""
    require(root(), "a small tmpfs can be mounted")
    small = Path(tempfile.mkdtemp())
    mounted = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(small)]
    try:
        require(subprocess.run(mounted).returncode == 0, "a small tmpfs can be mounted")
        with mock.patch(DATA_MEMORY, str(small)), PostgreSQL(template=SCHEMA) as db:
            assert ask(db.url, COUNT) == 2
            assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", str(small)], check=False)
        small.rmdir()


def test_its_own_commands_may_refer_to_others() -> None:
    """A template may need another service."""
    template = ["psql", "-d", "{url}", "-c", "create table item as select {first.port} as n"]
    with orchestrated(first=PostgreSQL(), db=PostgreSQL(template=template)) as (first, db):
        assert ask(db.url, "select n from item") == first.port
