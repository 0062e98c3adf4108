"""11: ready-made services, beside the same servers started by hand."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from glob import glob
from typing import Any, NamedTuple

from summon_testcase import proxy, services
from summon_testcase.asker.protocols import PROTOCOLS, Talk, Unready

from ..peers import kernel
from ..report.results import US, Chart, Result, Verdict
from ..report.stats import Table, median
from ..rounds import Budget, Settings, shuffled

FLOOR = "floor"
#: where servers are that are not on the PATH of a user; RabbitMQ's comes first, since on the PATH
#: is one that becomes another user
_PATH = os.pathsep.join(
    [
        "/usr/lib/rabbitmq/bin",
        os.path.dirname(sys.executable),
        os.environ.get("PATH", os.defpath),
        "/usr/sbin",
        *sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True),
    ]
)
_ENV = {**os.environ, "PATH": _PATH}
_ROOT = os.geteuid() == 0
_SHOP = """
import celery

def web(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"open"]

async def live(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"open"})

work = celery.Celery("shop", broker="memory://")
"""


def speaks(protocol: str) -> Callable[[int], bool]:
    """Whether a server gives the answer of a ready one in a protocol."""

    def ask(port: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                PROTOCOLS[protocol](Talk(sock))
            return True
        except (Unready, EOFError, OSError):
            return False

    return ask


def serves(path: str) -> Callable[[int], bool]:
    """Whether a server answers a request, with no status that says "not yet"."""

    def ask(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, 5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 500
        except (http.client.HTTPException, OSError):
            return False
        finally:
            connection.close()

    return ask


def _as(user: str) -> str:
    """What makes a command that of another user, for a server that refuses to be root's."""
    return f"setpriv --reuid={user} --regid={user} --clear-groups " if _ROOT else ""


class Server(NamedTuple):
    """A server, as we declare it and as one starts it by hand.

    ``{port}``, ``{dir}`` for an empty directory, ``{once}`` for the one in which ``once`` has run,
    ``{python}``, and further ports such as ``{port1}`` are filled in.
    """

    #: the words with which we declare it
    ours: str
    #: the program that must be installed
    program: str
    command: str
    #: whether it is ready, or the words of its output that say so
    ready: Callable[[int], bool] | bytes
    stop: int = signal.SIGTERM
    files: Mapping[str, str] = {}
    #: a command that is run once, before anything is measured
    once: str = ""
    #: a command that removes what is left after the stop
    after: str = ""


_NGINX = f"""daemon off; pid {{dir}}/pid; {"user root;" if _ROOT else ""} events {{}}
http {{
  access_log off; client_body_temp_path {{dir}}/a; proxy_temp_path {{dir}}/b;
  fastcgi_temp_path {{dir}}/c; uwsgi_temp_path {{dir}}/d; scgi_temp_path {{dir}}/e;
  server {{ listen 127.0.0.1:{{port}}; root {{dir}}; }}
}}"""
_SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {once}/key
PidFile none
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""
_POSTGRES = " ".join(
    f"-c {setting}"
    for setting in (
        *("fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"),
        *("autovacuum=off", "unix_socket_directories=", "dynamic_shared_memory_type=mmap"),
    )
)
_MARIADB = """--no-defaults --datadir={dir}/data --bind-address=127.0.0.1 --port={port} --socket=
--skip-log-bin --skip-name-resolve --innodb-buffer-pool-size=16M --innodb-log-file-size=4M
--innodb-flush-log-at-trx-commit=2 --innodb-doublewrite=0 --innodb-flush-method=nosync
--innodb-fast-shutdown=2 --performance-schema=OFF"""
_RABBITMQ = """HOME={dir} RABBITMQ_MNESIA_BASE={dir} RABBITMQ_LOG_BASE={dir} RABBITMQ_LOGS=-
RABBITMQ_CONFIG_FILE={dir}/none RABBITMQ_ENABLED_PLUGINS_FILE={dir}/plugins
RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT={port}
RABBITMQ_DIST_PORT={port1} ERL_EPMD_PORT={port2} ERL_EPMD_ADDRESS=127.0.0.1
RUNNING_UNDER_SYSTEMD=true"""

SERVERS = {
    "Redis": Server(
        "Redis()",
        "redis-server",
        "redis-server --bind 127.0.0.1 --port {port} --dir {dir} --save '' --appendonly no"
        " --hz 500 --dynamic-hz no",
        speaks("redis"),
    ),
    "Memcached": Server(
        "Memcached()",
        "memcached",
        f"memcached -l 127.0.0.1 -p {{port}} -U 0 -m 16 -t 1 {'-u nobody' if _ROOT else ''}",
        speaks("memcached"),
        signal.SIGKILL,
    ),
    "Mosquitto": Server(
        "Mosquitto()",
        "mosquitto",
        "mosquitto -c {dir}/it.conf",
        speaks("mqtt"),
        signal.SIGKILL,
        files={"it.conf": "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"},
    ),
    "NATS": Server(
        "NATS()",
        "nats-server",
        "nats-server -a 127.0.0.1 -p {port}",
        speaks("nats"),
        signal.SIGINT,
    ),
    "Nginx": Server(
        "Nginx()",
        "nginx",
        "nginx -e stderr -p {dir} -c {dir}/nginx.conf",
        serves("/"),
        files={"nginx.conf": _NGINX},
    ),
    "WSGI (gunicorn)": Server(
        "WSGI('shop:web', cwd=place)",
        "gunicorn",
        "gunicorn -b 127.0.0.1:{port} --worker-tmp-dir {dir} shop:web",
        serves("/"),
    ),
    "ASGI (uvicorn)": Server(
        "ASGI('shop:live', cwd=place)",
        "uvicorn",
        "uvicorn --host 127.0.0.1 --port {port} shop:live",
        serves("/"),
    ),
    "Celery": Server(
        "Celery('shop', cwd=place)",
        "celery",
        "celery -A shop worker -l INFO -P solo -c 1 --without-gossip --without-mingle"
        " --without-heartbeat",
        b" ready.",
    ),
    "Moto": Server(
        "Moto()",
        "moto_server",
        "moto_server -H 127.0.0.1 -p {port}",
        serves("/moto-api/"),
    ),
    "SMTP": Server(
        "SMTP()",
        "aiosmtpd",
        "aiosmtpd -n -l 127.0.0.1:{port} -c aiosmtpd.handlers.Mailbox {dir}/mail",
        speaks("smtp"),
        signal.SIGINT,
    ),
    "SSH": Server(
        "SSH()",
        "sshd",
        f"{shutil.which('sshd', path=_PATH)} -D -e -f {{dir}}/sshd_config",
        speaks("ssh"),
        files={"sshd_config": _SSHD},
        once="ssh-keygen -q -t ed25519 -N '' -f {once}/key",
    ),
    "TCPProxy": Server(
        "TCPProxy(to='127.0.0.1:9')",
        sys.executable,
        f"{{python}} -I -S -E {os.path.dirname(proxy.__file__)}/program.py {{dir}}/control"
        " 127.0.0.1 {port} 127.0.0.1:9",
        lambda port: kernel.tcp_probe(("127.0.0.1", port)),
    ),
    "Xvfb": Server(
        "Xvfb()",
        "Xvfb",
        "sh -c 'exec Xvfb -displayfd 1 -screen 0 1280x800x24 -noreset -nolisten tcp -nolisten unix"
        " -nolock 2>/dev/null'",
        b"\n",
    ),
    "Chromedriver": Server(
        "Chromedriver()",
        "chromedriver",
        "chromedriver --port={port}",
        serves("/status"),
    ),
    "PostgreSQL": Server(
        "PostgreSQL()",
        "postgres",
        f"{_as('postgres')}sh -c 'cp -a {{once}}/data {{dir}}/data && exec postgres -D {{dir}}/data"
        f" -p {{port}} {_POSTGRES}'",
        speaks("postgresql"),
        signal.SIGQUIT,
        once=f"{_as('postgres')}initdb -D {{once}}/data -U postgres --auth=trust --encoding=UTF8"
        " --locale=C --no-sync --wal-segsize=1",
    ),
    "MariaDB": Server(
        "MariaDB()",
        "mariadbd",
        f"{_as('mysql')}sh -c 'cp -a {{once}}/data {{dir}}/data && exec mariadbd {_MARIADB}'",
        speaks("mysql"),
        signal.SIGKILL,
        once=f"{_as('mysql')}mariadb-install-db --no-defaults --datadir={{once}}/data"
        " --auth-root-authentication-method=normal --innodb-log-file-size=4M",
    ),
    "RabbitMQ": Server(
        "RabbitMQ()",
        "rabbitmq-server",
        f"env {_RABBITMQ} rabbitmq-server",
        speaks("amqp"),
        signal.SIGQUIT,
        files={"plugins": "[].\n"},
        after="epmd -port {port2} -kill",
    ),
}


def run(settings: Settings) -> Result:
    table = Table(
        "Ready-made services",
        "ms",
        base=(FLOOR,),
        note="Each is started until it is ready, and stopped. The floor is the same server with "
        "the same options, started with Popen and asked in its protocol every millisecond; the "
        "floors of databases copy a directory. SSH() makes new keys, its floor has some.",
    )
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    budget = Budget(settings.budget)
    with tempfile.TemporaryDirectory(prefix="summon-bench-", dir=memory) as place:
        os.chmod(place, 0o711)
        with open(os.path.join(place, "shop.py"), "w") as stream:
            stream.write(_SHOP)
        ways: dict[str, dict[str, Any]] = {}
        for name, server in SERVERS.items():
            try:
                ways[name] = _ways(server, place, settings.ground.port)
            except Exception as error:
                for row in (US, FLOOR):
                    table.remark(f"{name}: ready", row, _told(error))
        for _ in settings.rounds():
            for name, rows in ways.items():
                for row in shuffled(list(rows)):
                    if not budget.left((name, row)):
                        table.remark(f"{name}: ready", row, f"stopped after {settings.budget:g} s")
                        continue
                    began = time.monotonic()
                    try:
                        ready, stopped = rows[row]()
                        table.add(f"{name}: ready", row, ready)
                        table.add(f"{name}: stop", row, stopped)
                    except Exception as error:
                        table.remark(f"{name}: ready", row, f"failed once: {_told(error)}")
                    budget.spend((name, row), began)
    result = Result([table], charts=[Chart("services", table)])
    for what in ("ready", "stop"):
        added = {
            name: table.median(f"{name}: {what}", US) - table.median(f"{name}: {what}", FLOOR)
            for name in ways
        }
        said = "not measured"
        if added:
            most = max(added, key=lambda name: added[name])
            said = f"{median(added.values()):.3g} ms (most: {added[most]:.3g}, {most})"
        subject = f"ready-made services, {what}: what is added to the floor, median of {len(ways)}"
        result.verdicts.append(Verdict(subject, "reported", said, bool(added)))
    return result


def _ways(server: Server, place: str, free: Callable[[], int]) -> dict[str, Any]:
    """The two ways to start a server, each of which has been gone once.

    :raises FileNotFoundError: if it is not installed.
    """
    if not shutil.which(server.program, path=_PATH):
        raise FileNotFoundError(f"not installed: {server.program}")
    once = _directory(place)
    if server.once:
        words = shlex.split(server.once.replace("{once}", once))
        subprocess.run(words, cwd=place, env=_ENV, stdout=subprocess.DEVNULL, check=True)
    ways = {
        US: lambda: _summoned(server, place),
        FLOOR: lambda: by_hand(server, place, once, free),
    }
    for way in ways.values():
        way()
    return ways


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:90]


def _directory(place: str) -> str:
    """A new directory in which the user of a server may write."""
    directory = tempfile.mkdtemp(dir=place)
    os.chmod(directory, 0o777)
    return directory


def _summoned(server: Server, place: str) -> tuple[float, float]:
    """Milliseconds until it is ready, and until it is stopped, as we start it."""
    executor = eval(
        server.ours, {"place": place, **{n: getattr(services, n) for n in dir(services)}}
    )
    began = time.monotonic()
    executor.start()
    ready = time.monotonic()
    executor.stop()
    return (ready - began) * 1e3, (time.monotonic() - ready) * 1e3


def by_hand(server: Server, place: str, once: str, free: Callable[[], int]) -> tuple[float, float]:
    """The same, by hand.

    :param place: where its directory is made.
    :param once: the directory in which its command ``once`` has run.
    :param free: gives a free port.
    :raises RuntimeError: if it ends instead.
    """
    directory, port = _directory(place), free()
    known = {"port": str(port), "dir": directory, "once": once, "python": sys.executable}
    known |= {f"port{number}": str(free()) for number in (1, 2)}

    def fill(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], match[0]), text)

    began = time.monotonic()
    for name, text in server.files.items():
        with open(os.path.join(directory, name), "w") as stream:
            stream.write(fill(text))
    said = isinstance(server.ready, bytes)
    process = subprocess.Popen(
        shlex.split(fill(server.command)),
        cwd=place,
        env=_ENV,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if said else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        if isinstance(server.ready, bytes):
            assert process.stdout is not None
            kernel.scan(process.stdout.fileno(), server.ready)
        else:
            while not server.ready(port):
                if process.poll() is not None:
                    raise RuntimeError(f"{server.program} has ended with {process.returncode}")
                time.sleep(0.001)
        ready = time.monotonic()
        process.send_signal(server.stop)
        process.communicate()
        stopped = time.monotonic()
    finally:
        process.kill()
        process.wait()
        if server.after:
            words = shlex.split(fill(server.after))
            subprocess.run(words, env=_ENV, stdout=subprocess.DEVNULL, check=True)
        shutil.rmtree(directory)
    return (ready - began) * 1e3, (stopped - ready) * 1e3
