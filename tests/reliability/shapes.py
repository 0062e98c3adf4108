"""Services that are hard to get rid of, by the shape of their processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from summon_testcase import (
    FileCoordinatedExecutor,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    TCPCoordinatedExecutor,
    services,
)

from ..needs import binary, locate
from ..samples import service

HERE = Path(__file__).resolve().parent

#: servers that shapes need, and their Debian packages
SERVERS = {
    "nginx": ("nginx", "nginx-light"),
    "redis": ("redis-server", "redis-server"),
    "rabbitmq": ("rabbitmq-server", "rabbitmq-server"),
    "celery": ("celery", "celery"),
}

NGINX = """
daemon on;
worker_processes 2;
pid nginx.pid;
error_log error.log;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    server { listen %s:%s; }
}
"""

# $0 is the marker, which is thus in the command line; the process that starts last says "up", or
# each of those that start side by side
_SHELL = """
sleep 1000 &
(sleep 1000; :) &
sh -c 'sleep 1000 | cat; :' "$0" &
echo up
wait
"""
_SETSID = """
setsid sh -c 'echo up; sleep 1000; :' "$0" &
setsid sh -c 'echo up; exec "$@"' "$0" "$@" &
wait
"""
_ENV = """
setsid env -i PATH="$PATH" sh -c 'echo up; exec "$@"' "$0" "$@" &
env -i PATH="$PATH" sh -c 'echo up; exec "$@"' "$0" "$@" &
wait
"""
_BOTH = "(up\n){2}"


class Shape:
    """One service of some shape.

    :param name: of the shape.
    :param word: what all that it starts is found by: it is in its command lines, in its
        environment, in the name of the directory it runs in.
    :param work: where that directory is made.
    """

    def __init__(self, name: str, word: str, work: Path) -> None:
        self.name = name
        self.mark = f"{word}-{name}"
        self.place = work / self.mark
        self.place.mkdir(exist_ok=True)

    def executor(self) -> SimpleExecutor:
        """The executor that starts it."""
        make: Callable[[], SimpleExecutor] = getattr(self, self.name)
        return make()

    def _common(self) -> dict[str, object]:
        return {
            "cwd": self.place,
            "env": {"MARK": self.mark},
            "stop_timeout": 0.5,
            "name": self.name,
        }

    def _says_up(self, command: list[str], said: str = "up") -> SimpleExecutor:
        return OutputCoordinatedExecutor(command, said, **self._common())  # type: ignore[arg-type]

    def plain(self) -> SimpleExecutor:
        """One process."""
        command = service("silent.py", self.mark)
        return SimpleExecutor(command, **self._common())  # type: ignore[arg-type]

    def shell(self) -> SimpleExecutor:
        """A shell, its background children, and theirs."""
        return self._says_up(["sh", "-c", _SHELL, self.mark])

    def setsid(self) -> SimpleExecutor:
        """Children in sessions of their own."""
        silent = service("silent.py", self.mark)
        return self._says_up(["sh", "-c", _SETSID, self.mark, *silent], _BOTH)

    def daemon(self) -> SimpleExecutor:
        """A process that forked twice, has no terminal, and is no longer in our directory."""
        pid = f"{self.place}/it.pid"
        return FileCoordinatedExecutor(
            service("daemon.py", pid, self.mark),
            path=pid,
            **self._common(),  # type: ignore[arg-type]
        )

    def env(self) -> SimpleExecutor:
        """Children that took nothing of the environment with them."""
        silent = service("silent.py", self.mark)
        return self._says_up(["sh", "-c", _ENV, self.mark, *silent], _BOTH)

    def deaf(self) -> SimpleExecutor:
        """A process that ignores SIGHUP, SIGINT and SIGTERM."""
        return self._says_up(service("deaf.py", self.mark), "deaf")

    def nginx(self) -> SimpleExecutor:
        """nginx as a daemon, with two workers."""
        script = 'printf "$1" "$2" "$3" >nginx.conf; exec "$4" -e stderr -p . -c nginx.conf'
        words = [NGINX.replace("\n", " "), "{host}", "{port}", binary("nginx")]
        return TCPCoordinatedExecutor(
            ["sh", "-c", script, self.mark, *words],
            **self._common(),  # type: ignore[arg-type]
        )

    def redis(self) -> SimpleExecutor:
        """Redis as a daemon."""
        options = "--daemonize yes --save '' --bind {host} --port {port} --dir ."
        return TCPCoordinatedExecutor(
            f"{binary('redis-server')} {options}",
            **self._common(),  # type: ignore[arg-type]
        )

    def chain(self, how: str = "fork") -> SimpleExecutor:
        """A process that keeps forking and ending."""
        command = service("chain.py", how, self.mark, self.mark)
        return self._says_up(command)

    def chain_setsid(self) -> SimpleExecutor:
        """The same, in a new session each time."""
        return self.chain("setsid")

    def rabbitmq(self) -> SimpleExecutor:
        """RabbitMQ, whose epmd is a daemon that has left it."""
        return services.RabbitMQ(**self._common())

    def celery(self) -> SimpleExecutor:
        """A Celery worker that is connected to RabbitMQ."""
        common = self._common()
        common["env"] = ["rabbitmq", common["env"]]
        # the one that is installed is for the Python of these tests, which others may not run
        program = self.place / "celery"
        program.write_text(f"#!{sys.executable}\nfrom celery.__main__ import main\nmain()\n")
        program.chmod(0o755)
        return services.Celery("tests.services.tasks", program=program, **common)

    def flood(self) -> SimpleExecutor:
        """A process that writes as fast as it can."""
        return self._says_up(["yes", self.mark], self.mark)


#: the rows of the matrix
NAMES = (
    *("plain", "shell", "setsid", "daemon", "env", "deaf", "nginx", "redis"),
    *("chain", "chain_setsid"),
)
#: the rows that take seconds to start, so that the short form has them in a cell of their own
SLOW = ("rabbitmq", "celery")


def available(slow: bool = True) -> list[str]:
    """The shapes whose servers are installed.

    :param slow: whether those of ``SLOW`` are among them.
    """
    names = [*NAMES, *SLOW] if slow else NAMES
    found = [name for name in names if name not in SERVERS or locate(SERVERS[name][0])]
    # the worker's broker is the other shape
    return [name for name in found if name != "celery" or "rabbitmq" in found]


def processes(word: str) -> dict[int, str]:
    """The processes that have a word somewhere, and the shape, which follows the word.

    In the command line, the environment or the name of the directory.
    """
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for read in (_content("cmdline"), _content("environ"), _directory):
            try:
                text = read(name)
            except OSError:
                continue
            if word in text:
                found[int(name)] = text.partition(word)[2].partition("/")[0].partition("\0")[0][1:]
                break
    return found


def _content(file: str) -> Callable[[str], str]:
    return lambda pid: Path("/proc", pid, file).read_bytes().decode("utf-8", "replace")


def _directory(pid: str) -> str:
    return os.readlink(f"/proc/{pid}/cwd")
