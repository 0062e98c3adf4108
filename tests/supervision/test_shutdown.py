"""What happens at a fork and at the end, and that one function makes a process as good as new."""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import summon_testcase
from summon_testcase import HTTPCoordinatedExecutor, SimpleExecutor, SummonTestCase

from ..cases import run
from ..doubles import reset, warn_of_orphans
from ..places import linux
from ..reliability.scene import nothing_left, run_program
from ..samples import alive, eventually, parent, service

pytestmark = linux

#: facts about the system, and modules, that are as good for the next start
LASTING = {"system.ports._leases._lock_block", "unpatched._loaded"}


def modules() -> dict[str, Any]:
    """All of the package, but for the programs, by their names in it; imported now."""
    found = {}
    for module in pkgutil.walk_packages(summon_testcase.__path__, "summon_testcase."):
        name = module.name.partition(".")[2]
        if not name.startswith(("keeper", "asker", "__main__")):
            found[name] = importlib.import_module(module.name)
    return found


def state() -> dict[str, object]:
    """What the package's modules hold that may change, and the objects that they have made."""
    found: dict[str, object] = {}
    for name, module in modules().items():
        if name == "supervision.shutdown":
            continue  # what is registered stays so
        for key, value in vars(module).items():
            if type(value).__module__.startswith("summon_testcase."):
                found |= {f"{name}.{key}.{k}": plain(v) for k, v in vars(value).items()}
            elif not key.startswith("__"):
                found[f"{name}.{key}"] = plain(value)
    return {key: value for key, value in found.items() if key not in LASTING}


def plain(value: object) -> object:
    """Something that does not change when the value does not."""
    if isinstance(value, dict | list | set):
        return len(value)
    return value if isinstance(value, bool | int | str | tuple | None) else type(value)


def descriptors() -> list[str]:
    places = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sorted(os.readlink(place) for place in places if os.path.lexists(place))


def test_a_reset_process_is_as_good_as_new(mark: str) -> None:
    """Whatever has been started, and has failed to: nothing runs, and nothing is remembered."""

    class It(SummonTestCase):
        web = HTTPCoordinatedExecutor(
            service("answers.py", "{port}", mark), "http://localhost:{port}/", scope="run"
        )
        module = SimpleExecutor(service("silent.py", mark), scope="module")

        def test(self) -> None:
            pass

    class Fails(SummonTestCase):
        it = SimpleExecutor(["sh", "-c", "exit 3"], until=lambda it: False, scope="run")

        def test(self) -> None:
            pass

    reset()
    before, open_before = state(), descriptors()
    alone = SimpleExecutor(service("silent.py", mark))
    for _ in range(2):
        alone.start()
        with pytest.warns(RuntimeWarning, match="orphaned"):
            warn_of_orphans()
        result = run(It, Fails)
        assert (result.testsRun, len(result.errors)) == (2, 1)
        assert "not again in this process" not in result.errors[0][1]
        assert alone.running() and It.web.running()
        warden = parent(parent(It.web.pid))
        changed = {key for key, _ in state().items() ^ before.items()}
        assert {
            *("system.ports._leases._leased", "system.netlink._shared.diag"),
            *("output.log._run_directory", "readiness.asking._asker._socket"),
            *("supervision.warden._warden", "supervision.process._processes"),
            *("supervision.starting._warned", "executors.running._alive"),
            *("testing.pool.holders", "testing.pool._tried"),
        } <= changed
        reset()
        nothing_left(mark)
        eventually(lambda pid=warden: not alive(pid), "the warden has ended")
        assert not alone.running()
        assert state().items() ^ before.items() == set()
        assert descriptors() == open_before


AT_EXIT = """
import atexit, os, sys
from summon_testcase import *
mark = sys.argv[1]
place = os.environ["TMPDIR"]
POLITE = 'trap "echo stopped >$1; exit 0" TERM; echo up; while :; do read never || sleep 0.1; done'
def one(name):
    words = ["/bin/sh", "-c", POLITE, mark, f"{place}/{name}"]
    return OutputCoordinatedExecutor(words, "up", expected_exit=0)
def told(when):
    print(when, "running:", first.running(), "files:", sorted(os.listdir(place)) != STOPPED)
STOPPED = ["first", "second"]
atexit.register(told, "before the first start,")
first = one("first").start()
atexit.register(told, "after it,")
second = one("second").start()
"""


def test_at_exit(mark: str, tmp_path: Path) -> None:
    """Services are stopped, then the warden goes, then the files; between the user's handlers."""
    done = run_program(AT_EXIT, tmp_path, mark)
    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        [
            "after it, running: True files: True",
            "before the first start, running: False files: False",
        ],
    )
    assert [Path(tmp_path, name).read_text() for name in ("first", "second")] == ["stopped\n"] * 2
    nothing_left(mark)
