"""``database()`` and ``url()``: what settings are given, and what they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from summon_testcase import (
    HTTPCoordinatedExecutor,
    InvalidArgument,
    PostgreSQL,
    SimpleExecutor,
    TCPCoordinatedExecutor,
)
from summon_testcase.django import database, url
from summon_testcase.services import MariaDB, RabbitMQ, Redis

from .. import doubles
from ..samples import ROOT


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What the settings of one test name, the next one does not know."""
    yield
    doubles.reset()


def test_a_database() -> None:
    server = PostgreSQL(database="shop", user="owner")
    entry = database(server, CONN_MAX_AGE=60, TEST={"NAME": "tests"})
    assert entry == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "owner",
        "HOST": "127.0.0.1",
        "PORT": str(server.port),
        "CONN_MAX_AGE": 60,
        "TEST": {"NAME": "tests"},
    }
    assert not server.running()


def test_other_databases() -> None:
    entry = database(MariaDB(), NAME="shop")
    assert (entry["ENGINE"], entry["NAME"]) == ("django.db.backends.mysql", "shop")
    server = TCPCoordinatedExecutor("serve {port}", port=5432)
    entry = database(server, ENGINE="backends.own", NAME="shop")
    assert (entry["ENGINE"], entry["PORT"]) == ("backends.own", "5432")


def test_an_address_stays_what_it_is() -> None:
    cache = Redis()
    assert url(cache) == url(cache) == f"redis://127.0.0.1:{cache.port}/0" == cache.url
    assert url(Redis()) != url(cache)
    assert re.fullmatch(r"amqp://guest:guest@127\.0\.0\.1:\d+/%2F", url(RabbitMQ()))


def test_names() -> None:
    first, second, own = Redis(), Redis(), Redis(name="sessions")
    for cache in (first, second, own):
        url(cache)
    assert [cache.name for cache in (first, second, own)] == ["redis", "redis-2", "sessions"]


def test_a_process_that_is_a_service_of_tests_is_told_where_the_others_are() -> None:
    place = {"HOST": "127.0.0.1", "PORT": "20000"}
    names = {"shop": "test_shop_2", "archive": "test_archive_2"}
    told = {"postgresql": {**place, "NAMES": names}, "redis": "redis://127.0.0.1:20002/0"}
    with mock.patch.dict("os.environ", SUMMON_DJANGO=json.dumps(told)):
        server = PostgreSQL()
        for name in ("shop", "archive", "unused"):
            entry = database(server, NAME=name)
            assert {key: entry[key] for key in place} == place
            assert entry["NAME"] == names.get(name, "unused")
        assert url(Redis()) == told["redis"]
        other = Redis(name="other")
        assert url(other) == other.url


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: database("x"), "database(): 'x' is no service: write an executor, such as Postg"),
        (lambda: url(PostgreSQL), "PostgreSQL'> is no service: write an executor, such as Redis()"),
        (lambda: database(Redis()), "is no database server that is known here: write PostgreSQL()"),
        (lambda: database(Redis(), ENGINE="x"), "write PostgreSQL() or MariaDB(), or NAME=, too"),
        (lambda: database(PostgreSQL(), PORT=1), "database(): PORT= is the service's own: leave"),
        (lambda: database(PostgreSQL(reset=True)), "database(): reset= of a service would empty"),
        (lambda: database(PostgreSQL(), TEST="x"), "database(): TEST='x': write a dict, such as"),
        (lambda: url(Redis(shared=True)), "url(): shared=True has no meaning here"),
        (
            lambda: url(HTTPCoordinatedExecutor("x {port}", "http://{host}:{port}/")),
            "url(): httpcoordinatedexecutor has no address before its start",
        ),
        (
            lambda: [url(Redis(name="x")), url(SimpleExecutor("x", name="x"))],
            "two services are called 'x': write another name= for one of them",
        ),
    ],
)
def test_bad_input(call: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(said)):
        call()


def test_importing_settings_starts_nothing_and_imports_no_django() -> None:
    program = (
        "import os, sys, threading\n"
        "from summon_testcase.django import database, url\n"
        "from summon_testcase.services import PostgreSQL, Redis\n"
        "database(PostgreSQL()), url(Redis())\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'django']\n"
        "assert threading.active_count() == 1\n"
        "try:\n    os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError:\n    pass\n"
        "else:\n    raise AssertionError('it has a child')\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
