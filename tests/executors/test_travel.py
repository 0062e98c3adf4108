"""Executors and tests that travel to other processes, and copies of them."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    NotRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    PostgreSQL,
    SimpleExecutor,
    SummonTestCase,
    TCPCoordinatedExecutor,
    orchestrated,
)

from ..doubles import has_started, members_of
from ..needs import needs
from ..samples import ROOT, eventually, service

LISTENS = (
    "import socket, sys, time\n"
    "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "print('port', s.getsockname()[1], 'of', 'web', flush=True)\n"
    "while True: s.accept()[0].sendall(b'hello')\n"
)


class Client(TCPCoordinatedExecutor):
    """A subclass with what a project adds."""

    def __init__(self, *args: Any, database: int = 0, **options: Any) -> None:
        super().__init__(*args, **options)
        self._database = database

    def ask(self) -> tuple[int, bytes]:
        with socket.create_connection((self.host, self.port), 60) as connection:
            return self._database, connection.recv(5)


def listener(**options: Any) -> Client:
    return Client([sys.executable, "-c", LISTENS, "{port}"], **options)


def in_worker(function: Callable[..., Any], *args: object) -> Any:
    """What a function returns in a spawned worker."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(function, args).get(60)


def refusals(it: Any) -> list[str]:
    """What is said to who wants more than to know where it is."""
    said = []
    wanted = ["start", "stop", "kill"]
    if isinstance(it, SimpleExecutor):
        wanted += ["restart", "output", "wait", "__enter__"]
        calls = [getattr(it, name) for name in wanted]
        calls.append(lambda: it.wait_for_output("x"))
        calls.append(lambda: it.send("x"))
        calls.append(lambda: it.signal(1))
        calls.append(lambda: orchestrated(it).start())
        calls.append(lambda: it.paused().__enter__())
        calls.append(lambda: it.stopped().__enter__())
    else:
        calls = [getattr(it, name) for name in wanted]
    for call in calls:
        try:
            call()
        except NotRunning as error:
            said.append(error.message)
    assert len(said) == len(calls), said
    assert it.running()
    return said


def told(it: Any) -> dict[str, Any]:
    names = ("name", "host", "port", "url", "pid", "tmpdir", "log_path", "command", "path", "dsn")
    facts = {name: getattr(it, name) for name in names if hasattr(it, name)}
    return {**facts, "running": it.running(), "exit_code": it.exit_code, "tail": it.tail()}


def look(it: Any) -> tuple[dict[str, Any], set[str], Any]:
    return told(it), set(refusals(it)), it.ask() if isinstance(it, Client) else None


def test_a_running_one_arrives_with_its_address() -> None:
    """And with the methods that a subclass adds; what would change it is refused."""
    with listener(name="web", database=3, env={"SECRET": "x"}, until=lambda it: True) as web:
        facts, said, answer = in_worker(look, web)
        assert facts == told(web)
        assert answer == (3, b"hello")
        (sentence,) = said
        assert sentence.startswith(f"web: belongs to process {os.getpid()}, which has started it")
        assert b"SECRET" not in pickle.dumps(web)
        # the traveller's stop has changed nothing here
        assert web.running() and web.ask() == (3, b"hello")
        again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(web))))
        assert told(again) == told(web)
    assert not again.running()


def test_a_daemon(mark: str) -> None:
    """It runs, although its main process has ended, until it is stopped."""
    command = service("daemon.py", "{tmpdir}/it.pid", mark)
    with FileCoordinatedExecutor(command, path="{tmpdir}/it.pid") as daemon:
        eventually(lambda: daemon.exit_code == 0, "its main process has ended")
        assert in_worker(told, daemon) == told(daemon)
        again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(daemon))))
        assert daemon.running() and again.running()
    assert not again.running()


@pytest.mark.parametrize(
    "make",
    [
        lambda: OutputCoordinatedExecutor(
            [sys.executable, "-c", LISTENS, "0"], r"port (?P<port>\d+) of (?P<who>\w+)\n"
        ),
        lambda: FileCoordinatedExecutor("sh -c 'touch {tmpdir}/f; sleep 600'", "{tmpdir}/f"),
        lambda: HTTPCoordinatedExecutor(
            [sys.executable, "-m", "http.server", "{port}", "--bind", "{host}"],
            "http://{host}:{port}/",
            answer=lambda code, headers, body: True,
            auth=("user", "secret"),
        ),
    ],
    ids=["output", "file", "http"],
)
def test_every_flavour_travels(make: Callable[[], Any]) -> None:
    with make() as it:
        data = pickle.dumps(it)
        assert b"secret" not in data
        there = pickle.loads(data)
        # asked first, since only its owner can wait until all output is in the log
        facts = told(it)
        assert told(there) == facts
        if it.match:
            assert there.who == it.who == "web"
            assert there.match.group(0) == it.match.group(0)
            assert there.match["who"] == there.match.group("who") == "web"
            assert there.match.groups() == it.match.groups()
            assert there.match.groupdict() == it.match.groupdict()


@needs("initdb", package="postgresql")
def test_a_database_travels() -> None:
    with PostgreSQL() as db:
        assert told(pickle.loads(pickle.dumps(db))) == told(db)


def test_an_orchestrator_travels() -> None:
    """With references among its members."""
    whole = Orchestrator(
        {"web": listener(), "app": SimpleExecutor("sh -c 'sleep 600' {web.port}", after="web")}
    )
    with whole:
        there = pickle.loads(pickle.dumps(whole))
        assert there.running() and len(set(refusals(there))) == 1
        assert members_of(there)["web"].ask() == (0, b"hello")
        assert members_of(there)["app"].command == members_of(whole)["app"].command
        assert whole.running()
    assert not there.running()


def start_there(it: Any) -> Any:
    with it:
        return it.ask(), it.running()


def test_one_that_does_not_run_is_started_there() -> None:
    it = listener(name="web", database=5)
    assert in_worker(start_there, it) == ((5, b"hello"), True)
    with it:
        pass
    assert in_worker(start_there, it) == ((5, b"hello"), True)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_is_a_declaration(copied: Callable[[Any], Any]) -> None:
    """It has not been started, whatever the original does."""
    with listener(until=lambda it: True) as web:
        other = copied(web)
        assert not other.running()
        with other:
            assert other.port != web.port and other.pid != web.pid
            assert other.ask() == web.ask()
        assert web.running()
    whole = Orchestrator({"web": listener(), "app": SimpleExecutor("sleep 600", after="web")})
    with whole:
        other = copied(whole)
        assert not has_started(other)
        if copied is copy.deepcopy:
            with other:
                assert members_of(other)["web"].pid != members_of(whole)["web"].pid
        assert whole.running()


class TravellingTest(SummonTestCase):
    """A test whose methods run in spawned workers too."""

    web = listener(alive=lambda it: True)
    own = SimpleExecutor(service("repl.py", "x"), scope="test")
    whole = Orchestrator({"a": SimpleExecutor("sleep 600")})

    def setUp(self) -> None:
        self.word = "word"

    def work(self, number: int) -> tuple[Any, ...]:
        assert self.own.running() and self.whole.running()
        return number, self.word, self.web.ask(), self.web.pid, set(refusals(self.web))

    def test_in_a_worker(self) -> None:
        number, word, answer, pid, said = in_worker(self.work, 4)
        self.assertEqual((number, word, answer, pid), (4, "word", (0, b"hello"), self.web.pid))
        self.assertEqual(len(said), 1)
        self.assertTrue(self.web.running())

    def test_a_copy_has_the_same(self) -> None:
        self.assertIs(copy.copy(self).web, self.web)


FORKSERVER = """
import multiprocessing
from summon_testcase import OutputCoordinatedExecutor

def look(it):
    return it.port, it.who, it.running()

if __name__ == "__main__":
    banner = r"(?P<port>\\d+) (?P<who>.)\\n"
    it = OutputCoordinatedExecutor("sh -c 'echo 4711 x; sleep 600'", banner)
    with it, multiprocessing.get_context("forkserver").Pool(1) as pool:
        print(pool.apply(look, (it,)))
"""


def test_the_fork_server(tmp_path: Path) -> None:
    """What Python 3.14 does by default."""
    program = tmp_path / "program.py"
    program.write_text(FORKSERVER)
    env = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=env)
    assert done.stdout == "(4711, 'x', True)\n", done.stderr
