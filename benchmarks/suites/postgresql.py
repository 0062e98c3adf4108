"""9: a fresh, empty database server for each TestCase."""

from __future__ import annotations

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
from ..worker import ROOT, Say, Worker, WorkerFailed

PEER, CACHED, FLOOR = "testing.postgresql", "testing.postgresql, initdb cached", "floor"
AS_ROOT = f"{US}, as root"
WHOLE = "start and stop"
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
    result = Result([table], charts=[Chart("postgresql", table)])
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
    for row in rows:
        if row.startswith(US):
            result.ratio_at_most(f"{row}: time per TestCase", table, WHOLE, PEER, 1 / 4, row)
    return result


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
    if not find_spec("testing"):
        return "testing.postgresql is not installed"
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
