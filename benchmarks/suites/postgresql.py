"""9: a fresh, empty database server for each TestCase, and a fresh database for each test."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from ..peers import databases
from ..report.results import US, Chart, Result, Verdict
from ..report.stats import Table
from ..rounds import Settings, shuffled
from ..samples import orders
from ..worker import ROOT, Say, Worker, WorkerFailed, once

PEER, CACHED, FLOOR = "testing.postgresql", "testing.postgresql, initdb cached", "floor"
AS_ROOT = f"{US}, as root"
WHOLE = "start and stop"
#: for each kind of test the seconds that it takes beside its three statements
LENGTHS = {"short tests": 0.0, "tests of 50 ms": 0.05}
TEST_PEER = "pytest-postgresql"
PATHS = "between two tests"
#: how often the tests are run, at most: a run of the peer takes ten seconds
MOST = 5
FIRST = "from the process to its first test"
#: how often that is measured in each round, since it takes no time
FIRSTS = 5
#: setpriv may execute programs that the user may not: so ask from within, as that user
_TRY = """
import subprocess, sys
import benchmarks.worker, testing.postgresql
subprocess.run([sys.executable, "-c", ""], check=True)
"""


def run(settings: Settings) -> Result:
    table = Table(
        "A fresh, empty PostgreSQL for a TestCase",
        "ms",
        base=(PEER,),
        note="initdb has run before, once, but for testing.postgresql as it is. The floor copies "
        "a directory, starts postgres without durability, and reads its output.",
    )
    fresh = Table(
        f"A fresh database of {orders.TABLES} tables for each test",
        "ms",
        base=(TEST_PEER,),
        note=f"{orders.TESTS} tests under pytest, each with a connection and three statements: the "
        "time from the end of the first to the end of the last, by their number. Between two tests "
        f"is what {US} takes of that. The first test is one of unittest, with a warm cache, in a "
        "module that imports no driver.",
    )
    result = Result([table, fresh], charts=[Chart("postgresql", table)])
    reason = _reason_to_skip()
    if reason:
        print(f"postgresql: skipped: {reason}")
        result.verdicts.append(Verdict("a fresh PostgreSQL", f"1/4 of {PEER}", reason, False))
        return result
    with _user() as (prefix, python, env), tempfile.TemporaryDirectory() as cache:
        workers = {"user": Worker(serve_databases, {}, prefix=prefix, python=python, env=env)}
        rows = dict.fromkeys((PEER, CACHED, FLOOR, US), "user")
        if prefix:
            os.chmod(cache, 0o711)
            workers["root"] = Worker(serve_databases, {}, env={"SUMMON_CACHE_DIR": cache})
            rows[AS_ROOT] = "root"
        for row, who in rows.items():
            try:
                workers[who].tell(row.removesuffix(", as root"))
                first = workers[who].hear()
                table.add("first of a run, initdb included", row, first["start"] + first["stop"])
            except WorkerFailed as error:
                table.remark(WHOLE, row, str(error)[:90])
        for _ in settings.rounds():
            for row in shuffled([row for row in rows if (WHOLE, row) not in table.remarks]):
                workers[rows[row]].tell(row.removesuffix(", as root"))
                said = workers[rows[row]].hear()
                table.add(WHOLE, row, said["start"] + said["stop"])
                for what in ("start", "stop"):
                    table.add(what, row, said[what])
        for worker in workers.values():
            worker.close()
        _each_test(fresh, settings, (prefix, python, env))
    result.at_most(f"{PATHS}, 50 ms each", fresh.samples(PATHS, "tests of 50 ms"), 3, "ms")
    result.ratio_at_most(
        f"{orders.TESTS} short tests, a fresh database each", fresh, "short tests", TEST_PEER, 1 / 4
    )
    result.at_most(FIRST, fresh.samples(FIRST, US), 150, "ms")
    for row in rows:
        if row.startswith(US):
            result.ratio_at_most(f"{row}: time per TestCase", table, WHOLE, PEER, 1 / 4, row)
    return result


def _each_test(
    table: Table, settings: Settings, user: tuple[tuple[str, ...], str, dict[str, str]]
) -> None:
    """Measure tests that each have a database of their own."""
    prefix, python, env = user
    by = {TEST_PEER: "orders_pytest_postgresql", US: "orders_summon"}
    # the first run fills the cache
    for measured in (False, *(True for _ in range(min(settings.runs, MOST)))):
        for row in shuffled(list(by)):
            for what, seconds in LENGTHS.items():
                variables = {**env, "SECONDS_OF_A_TEST": str(seconds)}
                said = once(
                    run_tests, {"module": by[row]}, prefix=prefix, python=python, env=variables
                )
                if measured:
                    table.add(what, row, said["each"])
                    for took in said["resets"]:
                        table.add(PATHS, what, took)
        for _ in range(FIRSTS):
            first = _first(prefix, python, env)
            if measured:
                table.add(FIRST, US, first)


def run_tests(parameters: dict[str, Any], say: Say) -> None:
    """Worker: the tests of a module under pytest."""
    import pytest

    ends: list[float] = []

    class Clock:
        def pytest_runtest_logfinish(self) -> None:
            ends.append(time.monotonic())

    path = os.path.join(ROOT, "benchmarks", "samples", f"{parameters['module']}.py")
    words = [path, "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    with contextlib.redirect_stdout(sys.stderr):
        status = pytest.main([*words, f"--rootdir={ROOT}"], plugins=[Clock()])
    if status or len(ends) != orders.TESTS:
        raise WorkerFailed(f"pytest ended with {status} after {len(ends)} tests")
    each = (ends[-1] - ends[0]) / (len(ends) - 1) * 1e3
    module = sys.modules[f"benchmarks.samples.{parameters['module']}"]
    resets = [took * 1e3 for took in getattr(module, "RESETS", ())]
    say({"each": each, "resets": resets})


def _first(prefix: tuple[str, ...], python: str, env: dict[str, str]) -> float:
    """Milliseconds from the beginning of a process of unittest to its first test."""
    words = [*prefix, python, "-m", "unittest", "benchmarks.samples.orders_first"]
    began = time.monotonic()
    ran = subprocess.run(
        words, env={**os.environ, **env}, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return (float(ran.stdout) - began) * 1e3


def serve_databases(parameters: dict[str, Any], say: Say) -> None:
    """Worker: database servers, one after the other, in a process that need not be root."""
    ways: dict[str, Any] = {}
    try:
        for line in sys.stdin:
            row = line.strip()
            if row not in ways:
                ways[row] = databases.WAYS[row]()
            say(_one(ways[row]))
    finally:
        for way in ways.values():
            way.close()


def _one(way: Any) -> dict[str, float]:
    import pg8000.native

    began = time.monotonic()
    port = way.start()
    started = time.monotonic()
    connection = pg8000.native.Connection("postgres", "127.0.0.1", "postgres", port)
    connection.run("create table fresh (n int)")
    connection.close()
    stopping = time.monotonic()
    way.stop()
    ended = time.monotonic()
    return {"start": (started - began) * 1e3, "stop": (ended - stopping) * 1e3}


def _reason_to_skip() -> str:
    import summon_testcase

    if not hasattr(summon_testcase, "PostgreSQL"):
        return "summon_testcase has no PostgreSQL() yet"
    for module, peer in {"testing": PEER, "pytest_postgresql": TEST_PEER}.items():
        if not find_spec(module):
            return f"{peer} is not installed"
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        return "setpriv is not installed, and testing.postgresql refuses to run as root"
    return ""


@contextmanager
def _user() -> Iterator[tuple[tuple[str, ...], str, dict[str, str]]]:
    """How to run Python as a user other than root: a prefix, an interpreter, variables."""
    if os.geteuid() != 0:
        yield (), sys.executable, {}
        return
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    prefix = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    path = os.pathsep.join((ROOT, sysconfig.get_path("purelib")))
    with tempfile.TemporaryDirectory(prefix="summon-bench-") as directory:
        os.chown(directory, user.pw_uid, user.pw_gid)
        env = {"PYTHONPATH": path, "HOME": directory, "TMPDIR": directory}
        env |= {"SUMMON_CACHE_DIR": directory, "PYTHONDONTWRITEBYTECODE": "1"}
        yield (*prefix, "--"), _python(prefix, env), env


def _python(prefix: tuple[str, ...], env: dict[str, str]) -> str:
    """An interpreter that this user may run: ours, or the system's."""
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            [*prefix, "--", python, "-c", _TRY],
            env={**os.environ, **env},
            cwd="/",
            capture_output=True,
        )
        if tried.returncode == 0:
            return python
    raise WorkerFailed(f"no Python that {prefix[1]} can run: {tried.stderr.decode()[-200:]}")
