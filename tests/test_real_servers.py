"""Real servers as class attributes of a TestCase, each spoken to by its usual client."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pymemcache
import redis
import requests
from redis.backoff import NoBackoff
from redis.retry import Retry

from summon_testcase import (
    CommandCoordinatedExecutor,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    NotifyCoordinatedExecutor,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    StopFailed,
    SummonMixin,
    TCPCoordinatedExecutor,
    UnixSocketCoordinatedExecutor,
    summoned,
)
from summon_testcase.system.procfs import tcp_states

from .doubles import command_of
from .needs import binary, locate, needs
from .places import root
from .samples import HERE, PATIENCE, eventually, text

#: files for the servers: their configuration, an application, small services
SERVERS = HERE / "servers"
ROOT = os.geteuid() == 0


def script(name: str) -> str:
    """The command that runs one of our own services."""
    return shlex.join([sys.executable, str(SERVERS / name)])


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def processes_of(directory: str) -> set[int]:
    """Processes that name a directory in their command line, or work in it (needs /proc)."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            said = [(entry / "cmdline").read_bytes(), os.fsencode(os.readlink(entry / "cwd"))]
        except OSError:
            continue
        if any(os.fsencode(directory) in words for words in said):
            found.add(int(entry.name))
    return found


class ServersTest(SummonMixin, unittest.TestCase):
    """Assertions that the tests below share."""

    def assert_daemonized(self, service: Any) -> None:
        """It runs, though the process that was spawned has ended well."""
        eventually(lambda: service.exit_code == 0, "it has forked itself away")
        self.assertTrue(service.running())

    def assert_nothing_outlives(self, service: Any, pid_file: str) -> None:
        """A stop of a daemon ends it, and all that it started."""
        directory = service.tmpdir
        path = Path(directory, pid_file)
        # the server may listen before it writes its pid file
        eventually(lambda: text(path).endswith("\n"), "its pid file is written")
        pids = {int(path.read_text())}
        self.assertTrue(all(map(is_alive, pids)))
        if os.path.isdir("/proc/self"):
            pids |= processes_of(directory)
        with service.stopped():
            self.assertFalse(service.running())
            self.assertEqual([pid for pid in pids if is_alive(pid)], [])
            self.assertEqual(processes_of(directory), set())
            self.assertTrue(os.path.exists(directory))
        self.assertTrue(service.running())

    def assert_keeps(
        self, service: Any, write: Callable[[int], object], read: Callable[[], int]
    ) -> None:
        """Data are there after each way to stop the server and start it again."""
        place = service.port, service.tmpdir

        def stopped() -> None:
            with service.stopped():
                self.assertFalse(service.running())

        def killed() -> None:
            service.kill()
            service.start()

        for number, again in enumerate((service.restart, stopped, killed)):
            write(number)
            pid = service.pid
            again()
            self.assertNotEqual(service.pid, pid)
            self.assertEqual((service.port, service.tmpdir), place)
            self.assertEqual(read(), number, again)


# -- redis --

REDIS = f"{binary('redis-server')} --bind {{host}} --port {{port}} --dir {{tmpdir}} --save ''"


def redis_client(service: Any, timeout: float = PATIENCE) -> redis.Redis:
    """A client that does not try again."""
    return redis.Redis(
        service.host, service.port, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


def redis_answers(service: Any) -> bool:
    """For until=: whether it answers a ping; its errors count as "not yet"."""
    with redis_client(service) as client:
        return bool(client.ping())


@needs("redis-server")
class RedisTest(ServersTest):
    redis = TCPCoordinatedExecutor(REDIS)

    def setUp(self) -> None:
        self.client = redis_client(self.redis)
        self.addCleanup(self.client.close)

    def test_stores(self) -> None:
        """It answers at once, since the test runs only when it is ready."""
        self.client.set("answer", 42)
        self.assertEqual(self.client.get("answer"), b"42")

    def test_restart_keeps_the_port(self) -> None:
        """A restart is a new process at the old port."""
        port, pid = self.redis.port, self.redis.pid
        self.assertEqual(self.client.info("server")["process_id"], pid)
        self.redis.restart()
        self.assertEqual(self.redis.port, port)
        self.assertNotEqual(self.redis.pid, pid)
        self.assertEqual(self.client.info("server")["process_id"], self.redis.pid)

    def test_stopped_for_a_block(self) -> None:
        """stopped() refuses connections inside its block; after it the same client works."""
        self.client.ping()
        with self.redis.stopped():
            with self.assertRaises(redis.ConnectionError):
                self.client.ping()
        self.assertTrue(self.client.ping())

    @needs("redis-cli", package="redis-tools")
    def test_stopped_by_its_own_command(self) -> None:
        """A stop command stops it instead of a signal, which would show in its status."""
        own = TCPCoordinatedExecutor(
            REDIS,
            stop_command="redis-cli -h {host} -p {port} shutdown nosave",
            stop_signal=signal.SIGKILL,
        )
        with own:
            pass
        self.assertEqual(own.exit_code, 0)

    def test_paused_for_a_block(self) -> None:
        """paused() lets a ping time out inside its block; after it the server goes on."""
        self.client.set("kept", "yes")
        pid = self.redis.pid
        with self.redis.paused(), redis_client(self.redis, timeout=0.1) as hasty:
            with self.assertRaises(redis.TimeoutError):
                hasty.ping()
        self.assertEqual(self.client.get("kept"), b"yes")
        self.assertEqual(self.redis.pid, pid)

    def test_output(self) -> None:
        """A test can wait for a line of its log."""
        self.client.config_set("loglevel", "verbose")
        with redis_client(self.redis) as other:
            other.ping()
            self.redis.wait_for_output(r"Accepted 127\.0\.0\.1:\d+", timeout=PATIENCE)


@needs("redis-server")
class RedisPersistentTest(ServersTest):
    # its port is open before it has loaded its data
    redis = OutputCoordinatedExecutor(
        f"{REDIS} --appendonly yes --appendfsync always", banner="Ready to accept connections"
    )

    def test_1_keeps_its_data(self) -> None:
        """Its data file is in a directory that lives as long as the class."""
        with redis_client(self.redis) as client:
            self.assert_keeps(
                self.redis, lambda n: client.set("n", n), lambda: int(client.get("n") or -1)
            )
        self.redis.stop()

    def test_2_of_the_test_before(self) -> None:
        """It has been started again for this test, with what it had."""
        with redis_client(self.redis) as client:
            self.assertEqual(client.get("n"), b"2")


@needs("redis-server")
class RedisUnixSocketTest(ServersTest):
    redis = UnixSocketCoordinatedExecutor(
        f"{binary('redis-server')} --port 0 --unixsocket {{tmpdir}}/redis.sock --save ''",
        path="{tmpdir}/redis.sock",
    )

    def test_answers(self) -> None:
        """It is ready when its unix socket accepts, and has no need of a port."""
        with redis.Redis(unix_socket_path=self.redis.path) as client:
            self.assertTrue(client.ping())
            self.assertEqual(client.config_get("port"), {"port": "0"})


@needs("redis-server")
class RedisNotifyTest(ServersTest):
    redis = NotifyCoordinatedExecutor(
        REDIS + " --supervised systemd", fails_on="compiled without libsystemd"
    )

    def test_answers(self) -> None:
        """It is ready when it has said so by libsystemd's sd_notify."""
        with redis_client(self.redis) as client:
            self.assertTrue(client.ping())


@needs("redis-server")
class RedisDaemonTest(ServersTest):
    DAEMON = REDIS + " --daemonize yes --pidfile {tmpdir}/redis.pid"
    by_file = FileCoordinatedExecutor(DAEMON, path="{tmpdir}/redis.pid", until=redis_answers)
    by_port = TCPCoordinatedExecutor(DAEMON)

    def test_main_process_has_gone(self) -> None:
        """A daemon is running though the process that was spawned has ended well."""
        for daemon in (self.by_file, self.by_port):
            with self.subTest(daemon), redis_client(daemon) as client:
                self.assert_daemonized(daemon)
                pid = client.info("server")["process_id"]
                self.assertNotEqual(pid, daemon.pid)

    def test_nothing_outlives_a_stop(self) -> None:
        """A stop ends the daemon, whichever way it was waited for."""
        for daemon in (self.by_file, self.by_port):
            with self.subTest(daemon):
                self.assert_nothing_outlives(daemon, "redis.pid")

    def test_death_is_noticed(self) -> None:
        """A daemon that ended by itself is not running; it can be started again."""
        with redis_client(self.by_file) as client:
            client.shutdown(nosave=True)
        eventually(lambda: not self.by_file.running(), "it has ended")
        self.by_file.start()
        self.assertTrue(redis_answers(self.by_file))
        eventually(lambda: self.by_file.exit_code == 0, "it has forked itself away")


# -- postgres --


class OwnedDirectory:
    """A temporary directory of some user: ``{tmpdir}`` of a service is closed to others."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.tmpdir = ""

    def start(self) -> None:
        self.tmpdir = tempfile.mkdtemp(prefix="summon-test-")
        if ROOT:
            shutil.chown(self.tmpdir, self.user, self.user)

    def stop(self) -> None:
        shutil.rmtree(self.tmpdir)


#: postgres refuses to run as root
AS_POSTGRES = (
    f"{binary('setpriv')} --reuid=postgres --regid=postgres --clear-groups " if ROOT else ""
)
POSTGRES = (
    f"{AS_POSTGRES}{binary('postgres')} -D {{home.tmpdir}}/data -h {{host}} -p {{port}} "
    "-c unix_socket_directories='' -c fsync=off -c full_page_writes=off "
    "-c synchronous_commit=off -c shared_buffers=4MB"
)


def postgres_query(service: Any, sql: str) -> Any:
    """The first row that a statement gives, if any."""
    address = {"host": service.host, "port": service.port}
    with closing(psycopg2.connect(user="postgres", dbname="postgres", **address)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone() if cursor.description else None


class PostgresCluster:
    """A cluster of its own, in a directory that outlives restarts of the server."""

    home = summoned(OwnedDirectory("postgres"))
    initdb = SimpleExecutor(
        f"{AS_POSTGRES}{binary('initdb')} -D {{home.tmpdir}}/data --no-sync -A trust "
        "-U postgres --locale=C -E UTF8",
        cwd="/",
        one_shot=True,
    )


@needs("postgres", package="postgresql")
class PostgresTest(PostgresCluster, ServersTest):
    # it listens before it takes queries: the port alone would be too early
    postgres = TCPCoordinatedExecutor(
        POSTGRES,
        cwd="/",
        after="initdb",
        stop_signal=signal.SIGINT,  # the fast shutdown: SIGTERM waits for clients
        until=lambda service: postgres_query(service, "SELECT 1"),
    )

    def test_query(self) -> None:
        """It answers a query."""
        self.assertEqual(postgres_query(self.postgres, "SELECT 6 * 7"), (42,))

    def test_data_outlive_a_restart(self) -> None:
        """What is in another service's directory is still there after a restart."""
        postgres_query(self.postgres, "CREATE TABLE kept AS SELECT 'yes' AS said")
        self.postgres.restart()
        self.assertEqual(postgres_query(self.postgres, "SELECT said FROM kept"), ("yes",))

    @root
    def test_other_user(self) -> None:
        """Run by root, it is another user's process, and is stopped all the same."""
        self.assertNotEqual(os.stat(f"/proc/{self.postgres.pid}").st_uid, 0)
        pids = processes_of(self.home.tmpdir)
        self.assertIn(self.postgres.pid, pids)
        with self.postgres.stopped():
            self.assertEqual(processes_of(self.home.tmpdir), set())
            self.assertEqual([pid for pid in pids if is_alive(pid)], [])

    def test_stop_with_a_client(self) -> None:
        """A connected client does not hold up the stop."""
        address = {"host": self.postgres.host, "port": self.postgres.port}
        with closing(psycopg2.connect(user="postgres", dbname="postgres", **address)) as client:
            with self.postgres.stopped():
                with self.assertRaises(psycopg2.OperationalError):
                    client.cursor().execute("SELECT 1")


@needs("postgres", package="postgresql")
@needs("pg_isready", package="postgresql-client")
class PostgresIsReadyTest(PostgresCluster, ServersTest):
    postgres = CommandCoordinatedExecutor(
        POSTGRES,
        probe=f"{binary('pg_isready')} -h {{host}} -p {{port}} -t 1",
        cwd="/",
        after=PostgresCluster.initdb,
        stop_signal=signal.SIGINT,
    )

    def test_query(self) -> None:
        """Once pg_isready is content it answers a query."""
        self.assertEqual(postgres_query(self.postgres, "SELECT 6 * 7"), (42,))


# -- nginx --


def nginx(daemon: str, upstream: str = "{host}:{port}") -> str:
    """A command line for the shell, which writes the configuration before it starts nginx."""
    return (
        f"sed 's|@LISTEN@|{{host}}:{{port}}|; s|@UPSTREAM@|{upstream}|' "
        f"{shlex.quote(str(SERVERS / 'nginx.conf.in'))} > '{{tmpdir}}/nginx.conf' && "
        f"exec {binary('nginx')} -e stderr -p '{{tmpdir}}' -c '{{tmpdir}}/nginx.conf' "
        f"-g 'daemon {daemon};'"
    )


def fetch(url: str, **arguments: Any) -> requests.Response:
    """The answer to a request, without the proxies of the environment."""
    with requests.Session() as session:
        session.trust_env = False
        method = "POST" if "data" in arguments else "GET"
        return session.request(method, url, timeout=PATIENCE, **arguments)


@needs("nginx", package="nginx-light")
class NginxTest(ServersTest):
    nginx = HTTPCoordinatedExecutor(nginx("off"), url="http://{host}:{port}/", shell=True)

    def test_serves(self) -> None:
        """It answers requests, and its access log is its output."""
        self.assertEqual(fetch(self.nginx.url_for("/hello")).text, "nginx itself")
        self.nginx.wait_for_output(r'"GET /hello HTTP/1\.1" 200 ', timeout=PATIENCE)

    def test_main_process(self) -> None:
        """The shell gave way to nginx: its pid is that of the master."""
        pid_file = Path(self.nginx.tmpdir, "nginx.pid")
        self.assertEqual(int(pid_file.read_text()), self.nginx.pid)

    def test_reload(self) -> None:
        """Its pid takes signals, and its error log is its output too."""
        os.kill(self.nginx.pid, signal.SIGHUP)
        self.nginx.wait_for_output(r"\[notice\] .* reconfiguring", timeout=PATIENCE)
        self.assertEqual(fetch(self.nginx.url).status_code, 200)


def nginx_answers(service: Any) -> bool:
    """For until=: whether it has a worker.

    Both its port and its pid file are there earlier, and a SIGTERM in between makes nginx
    wait for another signal before it ends.
    """
    return fetch(service.url_for("/")).ok


@needs("nginx", package="nginx-light")
class NginxDaemonTest(ServersTest):
    by_file = FileCoordinatedExecutor(
        nginx("on"), path="{tmpdir}/nginx.pid", shell=True, until=nginx_answers
    )
    by_port = TCPCoordinatedExecutor(nginx("on"), shell=True, until=nginx_answers)

    def test_serves(self) -> None:
        """A daemon serves though the process that was spawned has ended well."""
        for daemon in (self.by_file, self.by_port):
            with self.subTest(daemon):
                self.assert_daemonized(daemon)
                self.assertEqual(fetch(daemon.url_for("/")).text, "nginx itself")

    def test_nothing_outlives_a_stop(self) -> None:
        """A stop ends the master and its workers, whichever way they were waited for."""
        for daemon in (self.by_file, self.by_port):
            with self.subTest(daemon):
                self.assert_nothing_outlives(daemon, "nginx.pid")


# -- memcached --

MEMCACHED = f"{binary('memcached')} -l {{host}} -p {{port}} -U 0 -m 8" + (
    " -u root" if ROOT else ""
)


@needs("memcached")
class MemcachedTest(ServersTest):
    memcached = TCPCoordinatedExecutor(MEMCACHED)
    daemon = TCPCoordinatedExecutor(MEMCACHED + " -d -P {tmpdir}/memcached.pid")

    def test_stores(self) -> None:
        """It stores what pymemcache gives it, in the foreground and as a daemon."""
        for service in (self.memcached, self.daemon):
            address = (service.host, service.port)
            client = pymemcache.Client(address, connect_timeout=PATIENCE, timeout=PATIENCE)
            with self.subTest(service), closing(client):
                client.set("answer", "42", noreply=False)
                self.assertEqual(client.get("answer"), b"42")


# -- mariadb --


@needs("mariadbd", package="mariadb-server")
@needs("mariadb-install-db", package="mariadb-server")
@needs("mariadb", package="mariadb-client")
class MariaDBTest(ServersTest):
    AS_ROOT = " --user=root" if ROOT else ""
    CLIENT = "--no-defaults --protocol=tcp --host={host} --port={port} --user=root"

    datadir = SimpleExecutor(
        f"{binary('mariadb-install-db')} --no-defaults --datadir={{tmpdir}}/data "
        f"--auth-root-authentication-method=normal --skip-test-db{AS_ROOT}",
        one_shot=True,
    )
    mariadb = CommandCoordinatedExecutor(
        f"{binary('mariadbd')} --no-defaults --datadir={{datadir.tmpdir}}/data "
        "--bind-address={host} --port={port} --socket={tmpdir}/mariadb.sock "
        "--pid-file={tmpdir}/mariadb.pid --innodb-buffer-pool-size=8M "
        f"--innodb-flush-log-at-trx-commit=1{AS_ROOT}",
        probe=f"{binary('mariadb-admin')} {CLIENT} ping",
    )

    def query(self, sql: str) -> str:
        """What the command line client prints."""
        words = self.CLIENT.format(host=self.mariadb.host, port=self.mariadb.port).split()
        command = [binary("mariadb"), *words, "--batch", "--skip-column-names", "-e", sql]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout

    def test_query(self) -> None:
        """It answers a query, from the directory that a one-shot service made for it."""
        self.query("CREATE DATABASE shop; CREATE TABLE shop.orders SELECT 42 AS number")
        self.assertEqual(self.query("SELECT number FROM shop.orders"), "42\n")

    def test_restart_1_keeps_its_data(self) -> None:
        """The directory that the one-shot made is that of a life, and it is not run again."""
        self.query("CREATE DATABASE kept; CREATE TABLE kept.numbers (n INT)")
        self.assert_keeps(
            self.mariadb,
            lambda n: self.query(f"INSERT INTO kept.numbers VALUES ({n})"),
            lambda: int(self.query("SELECT MAX(n) FROM kept.numbers")),
        )
        self.mariadb.kill()

    def test_restart_2_after_a_kill(self) -> None:
        """It has been started again for this test, with what it had."""
        self.assertEqual(self.query("SELECT COUNT(*) FROM kept.numbers"), "3\n")


# -- mosquitto --


class MQTTClient:
    """As much of MQTT 3.1.1 as the test needs."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), PATIENCE)
        self.stream = self.socket.makefile("rb")

    def close(self) -> None:
        self.stream.close()
        self.socket.close()

    def send(self, kind: int, *parts: bytes) -> None:
        body = b"".join(parts)
        assert len(body) < 128
        self.socket.sendall(bytes([kind, len(body)]) + body)

    def receive(self) -> tuple[int, bytes]:
        kind, size = self.stream.read(2)
        return kind, self.stream.read(size)

    @staticmethod
    def text(text: str) -> bytes:
        return len(text).to_bytes(2, "big") + text.encode()


@needs("mosquitto")
class MosquittoTest(ServersTest):
    mosquitto = OutputCoordinatedExecutor(
        [binary("mosquitto"), "-p", "{port}"],
        banner=r"mosquitto version (?P<version>[\d.]+) running\n",
        fails_on=r"Error: ",
    )

    def test_publishes(self) -> None:
        """What is published comes to its subscriber."""
        client = MQTTClient(self.mosquitto.host, self.mosquitto.port)
        with closing(client):
            # clean session, keep alive for a minute
            client.send(0x10, client.text("MQTT"), b"\x04\x02\0\x3c", client.text("tester"))
            self.assertEqual(client.receive(), (0x20, b"\0\0"))
            client.send(0x82, b"\0\1", client.text("greetings"), b"\0")
            self.assertEqual(client.receive(), (0x90, b"\0\1\0"))
            client.send(0x30, client.text("greetings"), b"hello")
            self.assertEqual(client.receive(), (0x30, client.text("greetings") + b"hello"))

    def test_banner(self) -> None:
        """A group of its banner is an attribute."""
        self.assertRegex(self.mosquitto.version, r"^\d+\.\d+")


# -- gunicorn, and a stack of three --

GUNICORN = shlex.join([sys.executable, "-m", "gunicorn"]) + (
    " app:app --bind {host}:{port} --worker-tmp-dir {tmpdir} --no-control-socket --access-logfile -"
)


class GunicornTest(ServersTest):
    web = HTTPCoordinatedExecutor(GUNICORN, url="http://{host}:{port}/health", cwd=SERVERS)

    def test_waits_for_health(self) -> None:
        """A server that first answers 503 is asked until it answers 200, then no more."""
        self.assertEqual(fetch(self.web.url_for("/healthy-answers")).text, "1")

    def test_output(self) -> None:
        """What it logs for a request can be waited for."""
        fetch(self.web.url_for("/nowhere"))
        match = self.web.wait_for_output(r'"GET /nowhere HTTP/1\.1" (\d+)', timeout=PATIENCE)
        self.assertEqual(match[1], "404")


# -- uvicorn --


class UvicornTest(ServersTest):
    """It uses colours on a terminal, and here it is told to."""

    web = OutputCoordinatedExecutor(
        shlex.join([sys.executable, "-m", "uvicorn"]) + " asgi:app --port {port} --use-colors",
        banner=r"^INFO: +Uvicorn running on http://127\.0\.0\.1:(?P<port>\d+) \(Press CTRL\+C.*\)$",
        env={"FORCE_COLOR": 1, "TERM": "xterm-256color"},
        cwd=SERVERS,
    )

    def test_output(self) -> None:
        """What it says is matched, shown and found as if it had no colours."""
        self.assertIn(b"\x1b[", Path(self.web.log_path).read_bytes())
        fetch(f"http://127.0.0.1:{self.web.port}/a?b=c")
        match = self.assertOutput(self.web, r'^INFO: .* "GET /a\?b=c HTTP/1\.1" (\d+) OK$')
        self.assertEqual(match[1], "200")
        with self.assertRaisesRegex(AssertionError, '"GET /a.b=c HTTP/1.1" 200 OK'):
            self.assertNoOutput(self.web, r"1\.1\" 200 OK$")
        self.assertNotIn("\x1b", "".join(self.web.tail()))

    def test_raw_output(self) -> None:
        """With raw=True the bytes are matched, as output() and the log have them."""
        fetch(f"http://127.0.0.1:{self.web.port}/raw")
        self.web.wait_for_output(r"/raw HTTP/1\.1\x1b\[0m", timeout=PATIENCE, raw=True)
        self.assertIn("\x1b[0m", self.web.output().readline())

    def test_a_graceful_end(self) -> None:
        """It has all of the time to end: a second SIGINT would cut its clients off."""
        web = HTTPCoordinatedExecutor(
            [sys.executable, "-m", "uvicorn", "asgi:app", "--port", "{port}"],
            "http://{host}:{port}/",
            cwd=SERVERS,
            stop_signal=signal.SIGINT,
            stop_timeout=4,
        ).start()
        answers: list[str] = []
        client = threading.Thread(
            target=lambda: answers.append(fetch(web.url_for("/slow/3")).text), daemon=True
        )
        client.start()
        eventually(lambda: tcp_states(web.port).count(1), "it is connected")
        web.stop()
        client.join(PATIENCE)
        self.assertEqual((answers, web.exit_code), (["well"], 0))

    def test_a_failed_start(self) -> None:
        """An error has no colours either."""
        twice = SimpleExecutor(
            [*command_of(self.web)[:-2], str(self.web.port), "--use-colors"],
            env={"FORCE_COLOR": 1},
            cwd=SERVERS,
            one_shot=True,
        )
        with self.assertRaisesRegex(ProcessExited, "ERROR: .*address already in use") as caught:
            twice.start()
        self.assertNotIn("\x1b", str(caught.exception))
        assert caught.exception.report is not None
        os.unlink(caught.exception.report.log_path)


@needs("redis-server")
@needs("nginx", package="nginx-light")
class ShopTest(ServersTest):
    # declared upside down: the order comes from what they refer to
    nginx = HTTPCoordinatedExecutor(
        nginx("off", upstream="{web.host}:{web.port}"),
        url="http://{host}:{port}/app/health",
        shell=True,
    )
    web = HTTPCoordinatedExecutor(
        GUNICORN,
        url="http://{host}:{port}/health",
        env={"REDIS_URL": "redis://{redis.host}:{redis.port}"},
        cwd=SERVERS,
    )
    redis = TCPCoordinatedExecutor(REDIS)

    def test_counts_visits(self) -> None:
        """A request goes through nginx and gunicorn to redis, and back."""
        with redis_client(self.redis) as client:
            client.set("visits", 41)
            self.assertEqual(fetch(self.nginx.url_for("/app/count")).text, "42")
            self.assertEqual(client.get("visits"), b"42")

    def test_takes_large_bodies(self) -> None:
        """nginx has directories of its own for bodies that do not fit into memory."""
        answer = fetch(self.nginx.url_for("/app/length"), data=b"x" * 200_000)
        self.assertEqual(answer.text, "200000")
        self.assertTrue(Path(self.nginx.tmpdir, "body").is_dir())

    def test_without_redis(self) -> None:
        """The stack answers while one of it is stopped, and recovers with it."""
        with self.redis.stopped():
            self.assertEqual(fetch(self.nginx.url_for("/app/count")).status_code, 503)
        self.assertEqual(fetch(self.nginx.url_for("/app/count")).text, "1")

    def test_without_gunicorn(self) -> None:
        """nginx finds its upstream again, at the port that it had before."""
        with self.web.stopped():
            self.assertEqual(fetch(self.nginx.url_for("/app/count")).status_code, 502)
        self.assertEqual(fetch(self.nginx.url_for("/app/count")).status_code, 200)


# -- sd_notify, and a daemon that does not want to go --


# not needs(): NotifyTest below does without
@unittest.skipUnless(locate("systemd-notify"), "systemd-notify is not installed")
class SystemdNotifyTest(ServersTest):
    service = NotifyCoordinatedExecutor(
        f"sleep 0.2; touch {{tmpdir}}/warm; {binary('systemd-notify')} --ready; exec sleep 1000",
        shell=True,
    )

    def test_ready(self) -> None:
        """What systemd-notify says counts, though it is a child of the service."""
        self.assertTrue(Path(self.service.tmpdir, "warm").exists())
        self.assertTrue(self.service.running())


class NotifyTest(ServersTest):
    service = NotifyCoordinatedExecutor(script("notifier.py") + " {tmpdir}/warm")

    def test_ready(self) -> None:
        """Only READY=1 counts, not a STATUS= before it."""
        self.assertEqual(Path(self.service.tmpdir, "warm").read_text(), "warm\n")

    def test_restart(self) -> None:
        """A new run is waited for anew."""
        self.service.restart()
        self.assertEqual(Path(self.service.tmpdir, "warm").read_text(), "warm\n")


class StubbornDaemonTest(ServersTest):
    daemon = FileCoordinatedExecutor(
        script("stubborn.py") + " {tmpdir}/stubborn.pid",
        path="{tmpdir}/stubborn.pid",
        stop_timeout=0.3,
    )
    inattentive = FileCoordinatedExecutor(
        script("stubborn.py") + " {tmpdir}/stubborn.pid 1",
        path="{tmpdir}/stubborn.pid",
        stop_timeout=2,
    )

    def setUp(self) -> None:
        for service in (self.daemon, self.inattentive):
            if not service.running():
                service.start()
            self.addCleanup(service.kill)

    def test_is_asked_again(self) -> None:
        """A daemon that missed the first SIGTERM gets another after half of stop_timeout."""
        pid = int(Path(self.inattentive.tmpdir, "stubborn.pid").read_text())
        self.inattentive.stop()
        self.assertFalse(is_alive(pid))

    def test_is_killed(self) -> None:
        """A daemon that ignores SIGTERM is killed at the end of stop_timeout, and told of."""
        pid = int(Path(self.daemon.tmpdir, "stubborn.pid").read_text())
        self.assertNotEqual(pid, self.daemon.pid)
        with self.assertRaisesRegex(StopFailed, "did not end within 0.3 s of SIGTERM") as caught:
            self.daemon.stop()
        # the log is kept for those who read the error
        os.remove(caught.exception.report.log_path)
        self.assertFalse(is_alive(pid))
        self.assertFalse(self.daemon.running())

    def test_kill(self) -> None:
        """kill() does not ask it."""
        pid = int(Path(self.daemon.tmpdir, "stubborn.pid").read_text())
        self.daemon.kill()
        self.assertFalse(is_alive(pid))
