"""The ready-made PostgreSQL: fresh for each start, fast, gone afterwards."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from summon_testcase import (
    InvalidArgument,
    PostgreSQL,
    RequirementMissing,
    SimpleExecutor,
    SummonMixin,
    orchestrated,
)

from ..another_user import NOBODY, interpreter_for_all, packages_for_all
from ..doubles import DATA_MEMORY, program_of
from ..needs import needs
from ..places import require, root
from ..samples import PATIENCE, ROOT, eventually

postgres = needs("postgres", package="postgresql")


def connect(dsn):
    """A connection of the usual client."""
    import psycopg2

    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    return connection


def ask(dsn, question):
    """The first column of the first row of an answer."""
    connection = connect(dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


@contextlib.contextmanager
def nothing_left():
    """A block whose servers leave none of their files, in memory or on the disk."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    # other suites that run now have servers in memory too
    with tempfile.TemporaryDirectory(prefix="s-", dir=memory) as ours:
        os.chmod(ours, 0o711)

        def clusters():
            places = (ours, tempfile.gettempdir())
            return {p for place in places for p in Path(place).glob("summon-*/PG_VERSION")}

        before = clusters()
        with mock.patch(DATA_MEMORY, ours):
            yield
        unittest.TestCase().assertEqual(clusters(), before)


@postgres
class DeclaredTest(SummonMixin, unittest.TestCase):
    """As a class attribute."""

    db = PostgreSQL()

    def test_is_reached_by_dsn_and_by_url(self):
        """Both ways of naming it reach the same server."""
        question = "select setting from pg_settings where name = 'port'"
        self.assertEqual(ask(self.db.dsn, question), str(self.db.port))
        self.assertEqual(ask(self.db.url, question), str(self.db.port))

    def test_durability_is_off(self):
        """Nothing waits for a disk."""
        self.assertEqual(ask(self.db.dsn, "show fsync"), "off")


@postgres
class DatabaseTest(SummonMixin, unittest.TestCase):
    """A database of one's own, which is there from the beginning."""

    db = PostgreSQL(database='my "Shop"/é')
    again = PostgreSQL(database='my "Shop"/é', user="me/you")
    client = SimpleExecutor(
        ["{python}", "-c", "import os; print(os.environ['PGDATABASE'])"], env=[db], one_shot=True
    )

    def test_it_is_there(self):
        """All ways of naming it lead to it."""
        for server in (self.db, self.again):
            for place in (server.dsn, server.url, server.url_for_database('my "Shop"/é')):
                self.assertEqual(ask(place, "select current_database()"), 'my "Shop"/é')
            self.assertEqual(
                ask(server.url_for_database("postgres"), "select current_database()"), "postgres"
            )

    def test_what_clients_read(self):
        """The variables of libpq, and the URL of others."""
        told = self.db.env()
        self.assertEqual(told["DATABASE_URL"], self.db.url)
        with mock.patch.dict(os.environ, told):
            self.assertEqual(ask("", "select current_database()"), 'my "Shop"/é')
        self.assertEqual(self.client.tail(), ['my "Shop"/é'])

    def test_a_driver(self):
        """SQLAlchemy is told one in the URL."""
        self.assertEqual(
            self.db.url_with("psycopg"), self.db.url.replace("postgresql:", "postgresql+psycopg:")
        )

    def test_bad_names(self):
        """They are refused before anything is started."""
        for name in ("", "a\nb", "x" * 64, 3):
            with self.assertRaisesRegex(InvalidArgument, r"^PostgreSQL\(\): database="):
                PostgreSQL(database=name)


def die(db):
    os.kill(db.pid, signal.SIGKILL)
    eventually(lambda: not db.running(), "it has died")


@postgres
class LifeTest(unittest.TestCase):
    """Its data live as long as the service."""

    def test_restarts_keep_the_data(self):
        """Whatever ends the server: what was committed just before is there again."""
        with nothing_left(), PostgreSQL(name="db") as db:
            ask(db.dsn, "create table t (n int); create unlogged table u (n int)")
            for n, end in enumerate([db.restart, db.kill, lambda: die(db)], 1):
                ask(db.dsn, f"insert into t values ({n}); insert into u values ({n})")
                end()
                if not db.running():
                    db.start()
                self.assertEqual(ask(db.dsn, "select count(*) from t"), n)
                if end == db.restart:
                    self.assertEqual(ask(db.dsn, "select count(*) from u"), 1)
            with db.stopped():
                pass
            self.assertEqual(ask(db.dsn, "select count(*) from t"), 3)

    def test_migrations(self):
        """They are done once, and stay in all tests of the class; the next class begins empty."""

        class Case(SummonMixin, unittest.TestCase):
            db = PostgreSQL(restart=True)
            migrate = SimpleExecutor(
                [sys.executable, "-c", MIGRATION, "{db.dsn}"],
                one_shot=True,
                env={"PYTHONPATH": os.pathsep.join(sys.path)},
            )

            def setUp(self):
                self.assertEqual(ask(self.db.dsn, "select count(*) from t"), 1)

            def test_1(self):
                with self.db.stopped():
                    pass

            def test_2(self):
                self.db.kill()

            def test_3(self):
                die(self.db)

            def test_4(self):
                self.db.stop()

            def test_5(self):
                self.db.restart()
                self.setUp()

            def test_6(self):
                pass

        class Next(Case):
            pass

        with nothing_left(), self.assertLogs("summon_testcase", "WARNING"):
            for case in (Case, Next):
                result = unittest.TestResult()
                unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
                self.assertEqual((result.errors, result.failures), ([], []))


MIGRATION = """
import psycopg2, sys
with psycopg2.connect(sys.argv[1]) as connection:
    connection.cursor().execute("create table t (n int); insert into t values (1)")
"""


@postgres
class FreshTest(unittest.TestCase):
    """Each start is a new, empty server."""

    def test_nothing_is_left_of_the_one_before(self):
        """A table made in one is not in the next, nor are its files."""
        db = PostgreSQL(name="db")
        with nothing_left():
            for _ in range(2):
                with db:
                    self.assertIsNone(ask(db.dsn, "select to_regclass('t')::text"))
                    ask(db.dsn, "create table t (n int)")
                    self.assertEqual(ask(db.dsn, "select to_regclass('t')::text"), "t")

    def test_two_at_once(self):
        """Two servers do not meet."""
        with orchestrated(a=PostgreSQL(), b=PostgreSQL(settings={"fsync": "on"})) as (a, b):
            self.assertEqual((ask(a.dsn, "show fsync"), ask(b.dsn, "show fsync")), ("off", "on"))

    def test_the_options_of_initdb_are_used(self):
        """Another option makes another template."""
        with PostgreSQL(initdb=["--data-checksums"], user="owner") as db:
            self.assertEqual(ask(db.dsn, "show data_checksums"), "on")
            self.assertEqual(ask(db.dsn, "select current_user::text"), "owner")

    def test_a_setting_that_does_not_exist(self):
        """The error shows what the server said, and no files are left."""
        unknown = self.assertRaisesRegex(Exception, "unrecognized configuration parameter")
        with nothing_left(), unknown:
            PostgreSQL(settings={"no_such_setting": "1"}).start()

    def test_another_directory_of_programs(self):
        """A relative one starts from cwd=, and a link is followed for a server that may not."""
        programs = os.path.dirname(program_of(PostgreSQL(), "postgres"))
        with tempfile.TemporaryDirectory() as place:  # entered by nobody but us
            os.symlink(programs, os.path.join(place, "bin"))
            for options in (
                {"bindir": os.path.join(place, "bin")},
                {"bindir": "bin", "cwd": place},
                {"bindir": os.path.relpath(programs), "cwd": "{tmpdir}"},
            ):
                with PostgreSQL(**options) as db:
                    self.assertEqual(ask(db.dsn, "select 6 * 7"), 42)


class MissingTest(unittest.TestCase):
    """Without PostgreSQL."""

    def test_says_what_to_install(self):
        """The error names the package, which lets a TestCase skip its tests."""
        with self.assertRaisesRegex(RequirementMissing, "Debian package postgresql"):
            PostgreSQL(bindir="/nowhere").start()


@postgres
class ProcessTest(unittest.TestCase):
    """In other processes."""

    PROGRAM = """
import os, sys
sys.path.append({root!r})
import summon_testcase
from summon_testcase import PostgreSQL
db = PostgreSQL().start()
files = os.path.dirname(db.log_path)
print(db.pid, os.path.realpath(db.log_path[:-4] + ".elsewhere"), files, flush=True)
sys.stdin.read()
db.stop()
"""

    def begin(self, **options):
        program = self.PROGRAM.format(root=ROOT)
        process = subprocess.Popen(
            [*options.pop("prefix", ()), options.pop("python", sys.executable), "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        return process

    def test_the_runner_is_killed(self):
        """Neither the server nor its files outlive the test process."""
        process = self.begin()
        pid, data, _ = process.stdout.readline().split()
        self.assertTrue(os.path.exists(os.path.join(data, "PG_VERSION")))
        process.send_signal(signal.SIGKILL)
        eventually(lambda: not os.path.exists(data), "its files are gone")
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the server is gone")

    def test_our_directory_is_removed(self):
        """By a clean-up of the user's own: the data in another place are removed all the same."""
        process = self.begin()
        _, data, files = process.stdout.readline().split()
        shutil.rmtree(files)
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(data))

    def test_one_initdb_for_all(self):
        """Processes that start together share one template."""
        with tempfile.TemporaryDirectory() as cache:
            os.chmod(cache, 0o711)
            env = {**os.environ, "SUMMON_CACHE_DIR": cache}
            processes = [self.begin(env=env) for _ in range(3)]
            for process in processes:
                self.assertTrue(process.stdout.readline())
            archives = [p for p in Path(cache).glob("*/*") if p.suffix != ".lock"]
            self.assertEqual(len(archives), 1, archives)
            for process in processes:
                process.stdin.close()
                self.assertEqual(process.wait(30), 0)

    @root
    def test_as_another_user(self):
        """Without privileges the server runs as the user of the tests."""
        python = interpreter_for_all()
        require(python, "there is no Python that every user may run")
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
        with tempfile.TemporaryDirectory() as cache:
            os.chown(cache, NOBODY, NOBODY)
            os.chmod(cache, 0o755)
            process = self.begin(
                python=python,
                prefix=user,
                env={**os.environ, "TMPDIR": cache, "PYTHONPATH": packages_for_all()},
                cwd=cache,
            )
            pid = process.stdout.readline().split()[0]
            self.assertEqual(os.stat(f"/proc/{pid}").st_uid, NOBODY)
            process.stdin.close()
            self.assertEqual(process.wait(30), 0)
