"""Real and odd servers are asked in their own protocols whether they are ready."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis

from summon_testcase import (
    PostgreSQL,
    SimpleExecutor,
    TCPCoordinatedExecutor,
    TimeoutExpired,
)
from summon_testcase.asker.protocols import PROTOCOLS
from summon_testcase.errors import InvalidArgument, PortInUse
from summon_testcase.readiness.probe import Probe
from summon_testcase.readiness.protocols import ProtocolProbe
from summon_testcase.system.addresses import remember

from ..doubles import ask_first, limits_of
from ..needs import binary, certificate, find, needs
from ..places import linux
from ..samples import eventually
from .asked import (
    IDLE,
    ME,
    Service,
    both_ways,
    check,
    leased,
    look,
    occupied,
    running,
)

ROOT = os.geteuid() == 0

#: answers every connection in one way
ODD = """
import socket, struct, sys, threading, time
where, how = sys.argv[1:]

def silent(peer):
    time.sleep(1000)

def closes(peer):
    peer.close()

def resets(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()

def dribbles(peer):
    for byte in b"+PON" * 10_000:
        peer.sendall(bytes([byte]))
        time.sleep(0.05)

def garbage(peer):
    peer.sendall(b"HTTP/1.1 400 Bad Request\\r\\n")
    time.sleep(1000)

def floods(peer):
    while True:
        peer.sendall(b"-" * 65536)

def late(peer):
    time.sleep(1)
    peer.sendall(b"+PONG\\r\\n")

def loading(peer):
    time.sleep(0.1)
    peer.sendall(b"-LOADING Redis is loading the dataset in memory\\r\\n")

def answer(peer):
    try:
        globals()[how](peer)
    except OSError:
        pass

if "/" in where:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen()
else:
    listener = socket.create_server(("127.0.0.1", int(where)))
print("listening", flush=True)
while True:
    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
"""


@contextlib.contextmanager
def odd(how: str, protocol: str = "redis", **options: Any) -> Iterator[tuple[ProtocolProbe, Any]]:
    """A server that answers in an odd way, and the probe that asks it."""
    with leased() as port, running(ODD, port, how) as (service, _):
        probe = ProtocolProbe(protocol, "127.0.0.1", port, **options)
        check(probe)
        try:
            yield probe, service
        finally:
            probe.close()


def refusal(how: str, **options: Any) -> str:
    """The refusal of such a server, with HERE for its address."""
    with odd(how, **options) as (probe, service):
        return (look(probe, service) or "ready").replace(f"127.0.0.1:{probe.port}", "HERE")


@both_ways
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("closes", "no answer from HERE: it closed the connection"),
        ("resets", "no answer from HERE: it closed the connection"),
        ("garbage", "HERE says 'HTTP/1.1 400 Bad Request'"),
        ("floods", f"HERE says {'-' * 80!r}"),
        ("loading", "HERE says '-LOADING Redis is loading the dataset in memory'"),
        ("late", "ready"),
    ],
)
def test_odd_servers(how: str, said: str, ask_kernel: bool) -> None:
    """Another answer than that of Redis is a refusal in words; a late answer is waited for."""
    assert refusal(how, ask_kernel=ask_kernel) == said


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_silence_is_a_refusal_in_time(protocol: str) -> None:
    """A server that accepts a connection and says nothing is refused when the time is over."""
    said = refusal("silent", protocol=protocol, request_timeout=0.2)
    assert said == "no answer within 0.2 s from HERE"


@pytest.mark.parametrize("protocol", ["redis", "smtp", "ssh", "nats"])
def test_dribbling_extends_nothing(protocol: str) -> None:
    """A byte now and then does not keep a question alive; what has come is shown."""
    said = refusal("dribbles", protocol=protocol, request_timeout=0.5)
    assert said.startswith("no answer within 0.5 s from HERE, only '+"), said


def test_nobody_listens() -> None:
    """Where nobody listens the refusal is that of TCP, whether or not the kernel is asked."""
    with leased() as port:
        for options in ({}, {"ask_kernel": False}):
            probe = ProtocolProbe("redis", "127.0.0.1", port, **options)
            assert look(check(probe), ME) == f"connection refused by 127.0.0.1:{port}"
            assert occupied(probe, "cache") is None
            probe.close()


@both_ways
def test_one_of_several_addresses(ask_kernel: bool) -> None:
    """Of the addresses of a name one is enough."""
    remember("several.test", ["::1", "127.0.0.2", "127.0.0.1"])
    with odd("late", ask_kernel=ask_kernel) as (probe, service):
        assert look(dataclasses.replace(probe, host="several.test"), service) is None


@linux
def test_stranger_is_named() -> None:
    """An answer by another process is no readiness."""
    with odd("late") as (probe, stranger), running(IDLE) as (service, _):
        with pytest.raises(PortInUse) as caught:
            look(probe, service)
        assert caught.value.owner_pid == stranger.pid
        error = occupied(probe, "cache")
        assert error is not None
        assert error.owner_pid == stranger.pid
        other = dataclasses.replace(probe, awaits_other=True)
        assert occupied(other, "cache") is None


def test_unix_socket(tmp_path: Path) -> None:
    """A path is asked instead of a port."""
    path = str(tmp_path / "s")
    probe = ProtocolProbe("redis", path=path)
    assert look(check(probe), ME) == f"no socket at {path} yet"
    with running(ODD, path, "loading") as (service, _):
        assert (
            look(probe, service) == f"{path} says '-LOADING Redis is loading the dataset in memory'"
        )
        assert occupied(probe, "cache") is not None
    # it has been seen listening, so that the next question is for the asker
    assert look(probe, service) == f"connection refused by {path}"
    os.unlink(path)
    assert look(probe, service) == f"cannot ask {path}: No such file or directory"
    probe.close()
    assert look(probe, service) == f"no socket at {path} yet"


def test_words() -> None:
    """What is waited for names protocol and place; a password is in no words."""
    probe = ProtocolProbe("redis", "127.0.0.1", 6379, user="me", password="secret")
    assert probe.describe() == "an answer in the redis protocol from 127.0.0.1:6379"
    assert "secret" not in repr(probe)
    assert ProtocolProbe("redis", "::1", 1).describe().endswith(" from [::1]:1")
    assert ProtocolProbe("redis", path="/tmp/s").describe().endswith(" from /tmp/s")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"protocol": "gopher", "host": "127.0.0.1", "port": 70}, "give one of amqp, memcached, "),
        ({"protocol": "redis", "host": "127.0.0.1"}, "port 0 cannot be connected to"),
        ({"protocol": "redis", "path": "/" + "x" * 200}, "path of a unix socket has at most"),
    ],
)
def test_impossible(arguments: dict[str, Any], said: str) -> None:
    """Arguments that can never succeed are refused, with a reason."""
    with pytest.raises(InvalidArgument, match=said):
        ProtocolProbe(**arguments).check()


# -- real servers --


class Speaks(TCPCoordinatedExecutor):
    """Ready when it answers in its protocol, as ready-made services are."""

    def __init__(self, command: Any, protocol: str, asks: Any = (), **options: Any) -> None:
        super().__init__(command, **options)
        self._protocol, self._asks = protocol, dict(asks)

    def _readiness(self) -> list[Probe]:
        if "path" in self._asks:
            return [ProtocolProbe(self._protocol, path=self._fill(self._asks["path"]))]
        return [ProtocolProbe(self._protocol, self._host, self._port_now(), **self._asks)]


REDIS = f"{binary('redis-server')} --bind {{host}} --port {{port}} --dir {{tmpdir}}"
CALM = f"{REDIS} --save '' --hz 500"


@needs("redis-server")
@pytest.mark.parametrize(
    "asks", [{}, {"password": "secret"}, {"user": "default", "password": "secret"}]
)
def test_redis(asks: dict[str, str]) -> None:
    """It is ready at once, with and without a password."""
    protected = f" --requirepass {asks['password']}" if asks else ""
    with Speaks(CALM + protected, "redis", asks) as it:
        client = redis.Redis(it.host, it.port, password=asks.get("password"))
        assert client.ping()
        client.close()


@needs("redis-server")
def test_redis_at_a_unix_socket() -> None:
    with Speaks(f"{CALM} --unixsocket {{tmpdir}}/s", "redis", {"path": "{tmpdir}/s"}) as it:
        assert it.running()


@needs("redis-server")
def test_redis_that_wants_a_password() -> None:
    """Redis tells nobody without the password whether it has loaded its data."""
    it = Speaks(f"{CALM} --requirepass secret", "redis", timeout=2)
    with pytest.raises(TimeoutExpired) as caught:
        it.start()
    assert "waited for: an answer in the redis protocol from 127.0.0.1:" in str(caught.value)
    assert " says '-NOAUTH Authentication required.'" in str(caught.value)
    it = Speaks(f"{CALM} --requirepass secret", "redis", {"password": "wrong"}, timeout=2)
    with pytest.raises(TimeoutExpired, match=r" says '-WRONGPASS "):
        it.start()


@needs("redis-server")
def test_redis_that_loads(tmp_path: Path) -> None:
    """It listens, and refuses, before it has loaded its data."""
    with Speaks(CALM.replace("{tmpdir}", str(tmp_path)), "redis") as it:
        client = redis.Redis(it.host, it.port)
        client.mset({f"key {number}": "value" * 20 for number in range(1000)})
        client.save()
        client.close()
    # microseconds for each key
    slow = "--key-load-delay 1000 --loading-process-events-interval-bytes 1024"
    with SimpleExecutor(f"{REDIS.replace('{tmpdir}', str(tmp_path))} {slow}") as server:
        probe = ProtocolProbe("redis", server.host, server.port)
        seen = set()
        while (said := look(probe, Service(server.pid, server.pid))) is not None:
            seen.add(said.partition(" says ")[2])
        probe.close()
        assert "'-LOADING Redis is loading the dataset in memory'" in seen
        client = redis.Redis(server.host, server.port)
        assert client.dbsize() == 1000
        client.close()


@needs("redis-server")
def test_redis_that_expects_tls(tmp_path: Path) -> None:
    """A server that expects TLS is refused, and its output says why."""
    pem, key = certificate(tmp_path)
    tls = f"--tls-cert-file {pem} --tls-key-file {key} --tls-auth-clients no"
    command = CALM.replace("--port {port}", f"--port 0 --tls-port {{port}} {tls}")
    with pytest.raises(TimeoutExpired) as caught:
        Speaks(command, "redis", timeout=2).start()
    assert re.search(
        r"last answer: no answer from 127.0.0.1:\d+: it closed the connection", str(caught.value)
    )
    assert "SSL routines::wrong version number" in str(caught.value)


@contextlib.contextmanager
def postgresql(**options: Any) -> Iterator[PostgreSQL]:
    """A server whose own protocol is asked before its output."""
    find("postgres", package="postgresql")
    with leased() as port:
        db = PostgreSQL(port=port, **options)
        ask_first(db, ProtocolProbe("postgresql", "127.0.0.1", port))
        with db:
            yield db


def test_postgresql() -> None:
    """It is ready when it lets somebody in, and not while it recovers."""
    with postgresql(settings={"wal_level": "replica", "hot_standby": False}) as db:
        with contextlib.closing(psycopg2.connect(db.dsn)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SHOW data_directory")
                (directory,) = cursor.fetchone()
        db.kill()
        # from now on it waits for more to recover from
        Path(directory, "standby.signal").touch()
        limits_of(db).timeout = 3
        with pytest.raises(TimeoutExpired) as caught:
            db.start()
    assert " says 'the database system is " in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        # the password is the name of the program that reads the file
        {"initdb": ["--auth=scram-sha-256", "--pwfile=/proc/self/comm"]},
        {"user": "me"},
    ],
)
def test_postgresql_that_lets_nobody_in(options: Any) -> None:
    """It has started when it asks for a password, or knows that there is no such user."""
    with postgresql(**options) as db:
        with pytest.raises(psycopg2.OperationalError, match=r"password|role"):
            psycopg2.connect(host=db.host, port=db.port, user="postgres", dbname="postgres")


@pytest.fixture(scope="module")
def mariadb_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with the data of a MariaDB that has not been started yet."""
    data = tmp_path_factory.mktemp("mariadb")
    install = [
        find("mariadb-install-db", package="mariadb-server"),
        *("--no-defaults", f"--datadir={data}", "--skip-test-db"),
        *("--auth-root-authentication-method=normal", "--innodb-log-file-size=4M"),
        *(["--user=root"] if ROOT else []),
    ]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return str(data)


@needs("mariadbd", package="mariadb-server")
@pytest.mark.parametrize("asks", [{}, {"user": "nobody"}, {"path": "{tmpdir}/s"}])
def test_mariadb(asks: dict[str, str], mariadb_data: str) -> None:
    """It is ready when it answers a query, or knows that there is no such user."""
    user = " --user=root" if ROOT else ""
    serve = (
        f"{binary('mariadbd')} --no-defaults --datadir={mariadb_data} --bind-address={{host}} "
        f"--port={{port}} --socket={{tmpdir}}/s --pid-file={{tmpdir}}/p "
        f"--innodb-buffer-pool-size=8M{user}"
    )
    with Speaks(serve, "mysql", asks) as it:
        assert it.running()
        if "user" in asks:
            denied = "Access denied for user 'nobody'"
            eventually(lambda: any(denied in line for line in it.tail()), "it says so")


@needs("memcached")
def test_memcached() -> None:
    user = " -u root" if ROOT else ""
    command = f"{binary('memcached')} -l {{host}} -p {{port}} -U 0 -m 8{user}"
    with Speaks(command, "memcached") as it:
        assert it.running()
    with Speaks(f"{command} -Y /dev/null", "memcached") as it:
        assert it.running()


@needs("nats-server")
@pytest.mark.parametrize("protected", ["", " --user me --pass secret"])
def test_nats(protected: str) -> None:
    command = f"{binary('nats-server')} -a {{host}} -p {{port}}{protected}"
    with Speaks(command, "nats", stop_signal=signal.SIGINT) as it:
        assert it.running()


@needs("mosquitto")
@pytest.mark.parametrize("anonymous", ["true", "false"])
def test_mosquitto(anonymous: str) -> None:
    settings = f"listener {{port}} {{host}}\nallow_anonymous {anonymous}\npersistence false"
    script = f"printf '{settings}' >{{tmpdir}}/conf; exec {binary('mosquitto')} -c {{tmpdir}}/conf"
    with Speaks(script.replace("\n", "\\n"), "mqtt", shell=True) as it:
        assert it.running()


@needs("sshd", package="openssh-server")
def test_sshd() -> None:
    with Speaks(
        "ssh-keygen -q -t ed25519 -N '' -f {tmpdir}/key && "
        f"exec {binary('sshd')} -D -e -f /dev/null -h {{tmpdir}}/key -p {{port}} "
        "-o ListenAddress={host} -o PidFile=none -o UsePAM=no",
        "ssh",
        shell=True,
    ) as it:
        assert it.running()


def test_smtp() -> None:
    command = f"{sys.executable} -m aiosmtpd -n -l {{host}}:{{port}} -c aiosmtpd.handlers.Sink"
    with Speaks(command, "smtp", stop_signal=signal.SIGINT) as it:
        assert it.running()
