"""Tests that use the services of a stack which runs already, instead of starting their own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import AttachFailed, InvalidArgument, SummonMixin, TCPCoordinatedExecutor
from summon_testcase.services import Redis
from summon_testcase.services.client import Client as Conversation
from summon_testcase.stacks import registry
from summon_testcase.stacks.client import Client

from ..cases import run
from ..doubles import reset
from ..needs import find
from ..programs import STRICT, line, program
from ..samples import PATIENCE, ROOT, alive, eventually, kill_marked, marked, marker, status

find("redis-server")
find("postgres", package="postgresql")

SHOP = """
import os
from summon_testcase import PostgreSQL, SummonTestCase
from summon_testcase.services import Redis
from summon_testcase.services.client import Client as Conversation
from tests.stacks.sql import ask

class ShopTest(SummonTestCase):
    cache = Redis(options=["--loglevel", "debug"], scope="run", shared=True)
    db = PostgreSQL(
        database="shop",
        template="create table orders (id int); insert into orders values (7)",
        env={"TOKEN": "hush"},
        reset=True,
        scope="run",
        shared=True,
    )

    def find_only_what_the_template_has(self):
        self.assertEqual(ask(self.db, "select * from orders"), [["7"]])
        ask(self.db, "insert into orders values (8)")
        with open(os.environ.get("SEEN", os.devnull), "a") as file:
            print(self.cache.pid, self.db.env()["PGDATABASE"], self.db.url, file=file)

    test_1 = test_2 = test_3 = test_4 = find_only_what_the_template_has
"""
OWNER = """
from summon_testcase.cli.target import load
from summon_testcase.scheduling.steps import run as take
from summon_testcase.stacks.owner import Owner
from summon_testcase.stacks.registry import Registration

target = load("shop.py")
entry = Registration(how="up", target=target.text, file=target.file, name=target.name)
owner = Owner(target.orchestrator, entry, tell=lambda name, what: None)
try:
    take(owner.steps(lambda: say("up")))
finally:
    target.orchestrator.stop()
    entry.remove()
"""


class Stack:
    """A stack in a process of its own, and the tests that use it."""

    def __init__(self, process: subprocess.Popen[str], place: Path) -> None:
        self.process, self.place = process, place
        self.entry = registry.find()

    def service(self, name: str) -> dict[str, Any]:
        with Client(self.entry) as client:
            answer: dict[str, Any] = client.ask("describe", service=name)["service"]
        return answer

    def case(self, text: str = SHOP, **tests: Any) -> Any:
        """The class, as the file has it now, with other tests."""
        path = self.place / "shop.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("shop", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["shop"] = module
        spec.loader.exec_module(module)
        if not tests:
            return module.ShopTest
        return type("ShopTest", (module.ShopTest,), {**dict.fromkeys(TESTS), **tests})

    def databases(self) -> list[str]:
        from .sql import names

        return names(int(self.service("db")["port"]))


TESTS = ("test_1", "test_2", "test_3", "test_4")


@pytest.fixture(scope="module")
def here() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="r"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(place))
        patch.setenv("SUMMON_ATTACH", "1")
        patch.setenv("SUMMON_CACHE_DIR", tempfile.gettempdir())
        patch.chdir(place)
        (place / "shop.py").write_text(SHOP)
        yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def up(here: Path) -> Iterator[Stack]:
    mark = marker()
    with program(OWNER, mark, here) as process:
        assert line(process) == ["up"]
        stack = Stack(process, here)
        yield stack
        with Client(stack.entry) as client:
            assert client.ask("down") == {"ok": True}
        said, complaints = process.communicate(timeout=PATIENCE)
        assert (said, complaints, process.returncode) == ("", "", 0)
    kill_marked(mark)


@pytest.fixture
def stack(up: Stack) -> Iterator[Stack]:
    yield up
    reset()
    sys.modules.pop("shop", None)


def passed(case: type[unittest.TestCase]) -> None:
    result = run(case)
    assert (result.failures, result.errors) == ([], [])
    assert result.testsRun


def error_of(case: type[unittest.TestCase]) -> str:
    ((_, said),) = run(case).errors
    return said


def test_it_uses_what_runs(stack: Stack) -> None:
    seen: list[Any] = []

    def test(self: Any) -> None:
        seen.append(
            (self.cache.pid, self.cache.port, self.cache.url, self.db.url, self.cache.env())
        )

    before = stack.service("cache")
    passed(stack.case(test=test))
    ((pid, port, url, database, env),) = seen
    assert (pid, port, url) == (before["pid"], before["port"], before["url"])
    assert env == {"REDIS_URL": url}
    assert database.endswith(f"/shop_summon_{os.getpid()}")
    reset()
    # its end is only that this process uses it no more
    assert stack.service("cache")["pid"] == pid
    assert stack.databases() == ["postgres", "shop"]


def test_several_workers_share_it(stack: Stack) -> None:
    seen = stack.place / "seen"
    done = subprocess.run(
        [*STRICT, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "shop.py"],
        env={**os.environ, "PYTHONPATH": ROOT, "SEEN": str(seen)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [each.split() for each in seen.read_text().splitlines()]
    assert len(lines) == 4
    assert {pid for pid, _, _ in lines} == {str(stack.service("cache")["pid"])}
    databases = {name for _, name, _ in lines}
    assert len(databases) == 2
    assert all(url.endswith(f"/{name}") for _, name, url in lines)
    assert stack.databases() == ["postgres", "shop"]


def test_faults_reach_its_owner(stack: Stack) -> None:
    def test(case: Any) -> None:
        cache = case.cache
        first, port = cache.pid, cache.port
        with cache.stopped():
            case.assertFalse(cache.running())
            case.assertEqual(stack.service("cache")["state"], "stopped")
        case.assertEqual((cache.running(), cache.port), (True, port))
        case.assertNotEqual(cache.pid, first)
        case.assertEqual(stack.service("cache")["pid"], cache.pid)
        with cache.paused(), cache.paused():
            case.assertEqual(stack.service("cache")["state"], "paused")
            case.assertEqual(status(cache.pid)[0], "T")
        case.assertEqual(stack.service("cache")["state"], "running")
        cache.restart()
        cache.signal(signal.SIGUSR2)
        cache.wait(PATIENCE)
        case.assertEqual(cache.exit_code, -signal.SIGUSR2)

    def test_begins_with_one_that_runs(case: Any) -> None:
        case.cache.kill()
        case.assertFalse(case.cache.running())
        # runs again when these tests are over

    passed(stack.case(test=test, test_begins=test_begins_with_one_that_runs))
    reset()
    assert stack.service("cache")["state"] == "running"


def test_what_it_writes(stack: Stack) -> None:
    def test(case: Any) -> None:
        with Conversation(case.cache) as client:
            client.expect(b"PING\r\n", b"+PONG\r\n")
        case.cache.wait_for_output("Accepted 127.0.0.1", timeout=PATIENCE)
        case.assertIn("Client closed", "".join(case.cache.tail(5)))
        case.assertIn("Accepted", case.cache.output().readline())
        with case.assertRaisesRegex(InvalidArgument, r"send\(\) cannot reach it, since it belongs"):
            case.cache.send("hello")
        case.fail("on purpose")

    ((_, said),) = run(stack.case(test=test)).failures
    assert "cache wrote during this test:" in said
    assert "Accepted 127.0.0.1" in said
    assert "Ready to accept" not in said


def test_a_death(stack: Stack) -> None:
    def test(case: Any) -> None:
        os.kill(case.cache.pid, signal.SIGKILL)
        case.fail("no answer")

    result = run(stack.case(test=test))
    ((_, said),) = result.failures + result.errors
    owner = f"shop.py (process {stack.entry.pid})"
    assert f"cache: was killed by SIGKILL in the stack of {owner} during ShopTest.test" in said
    reset()
    # whoever attaches it next has it started
    passed(stack.case(test=lambda case: case.assertTrue(case.cache.running())))


def test_a_process_that_is_killed_leaves_no_fault(stack: Stack) -> None:
    text = (
        SHOP + "    def test_1(self):\n        self.cache.kill()\n        os.kill(os.getpid(), 9)\n"
    )
    (stack.place / "shop.py").write_text(text)
    before = stack.service("cache")["pid"]
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-q", "shop.ShopTest.test_1"],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    eventually(lambda: stack.service("cache")["state"] == "running", "it is started again")
    assert stack.service("cache")["pid"] != before
    assert len(stack.databases()) > 2
    # the next process drops what that one has left
    passed(stack.case(test=lambda case: None))
    reset()
    assert stack.databases() == ["postgres", "shop"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"debug"',
            '"verbose"',
            "cache: .* command= and options=: run `summon down` and",
        ),
        ("values (7)", "values (9)", "db: .* with another template=:"),
        ('"hush"', '"sneaky"', "db: .* with another env=:"),
        ("reset=True", "settings={'work_mem': '64MB'}", "db: .* another reset= and settings=:"),
    ],
)
def test_a_declaration_that_has_changed(stack: Stack, old: str, new: str, said: str) -> None:
    case = stack.case(SHOP.replace(old, new), test=lambda case: None)
    error = error_of(case)
    unittest.TestCase().assertRegex(error, said)
    assert "hush" not in error and "sneaky" not in error
    reset()
    assert stack.databases() == ["postgres", "shop"]


def test_a_service_that_no_stack_has(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SHOP.replace("cache =", "more =").replace("self.cache", "self.more")

    def test(case: Any) -> None:
        case.assertNotEqual(case.more.pid, stack.service("cache")["pid"])
        case.assertEqual(case.db.port, stack.service("db")["port"])

    error = error_of(stack.case(text, test=test))
    assert "more: no running stack has it, and SUMMON_ATTACH=1: run" in error
    assert "`summon up -d shop.py:ShopTest`" in error
    for value in ("auto", stack.entry.path):
        reset()
        monkeypatch.setenv("SUMMON_ATTACH", value)
        passed(stack.case(text, test=test))
    for value, said in (
        ("yes", "SUMMON_ATTACH='yes': write 1, so"),
        ("/no/stack.json", "the stack that SUMMON_ATTACH=/no/stack.json names has ended"),
    ):
        reset()
        monkeypatch.setenv("SUMMON_ATTACH", value)
        assert said in error_of(stack.case(text, test=test))


def test_a_server_that_another_shared_service_uses_is_not_divided(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUMMON_ATTACH", "0")
    server = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int('{port}'))"

    def web(**options: Any) -> TCPCoordinatedExecutor:
        return TCPCoordinatedExecutor([sys.executable, "-c", server], scope="run", **options)

    class Case(SummonMixin, unittest.TestCase):
        cache = Redis(scope="run", shared=True)

        def test(self) -> None:
            self.fail("not reached")

    del Case.cache
    for attributes, said in (
        ({"cache": Redis(scope="class", shared=True)}, "cache: shared=True, and scope='class'"),
        (
            {
                "cache": Redis(scope="run"),
                "web": web(shared=True, env={"CACHE": "{cache.url}"}),
            },
            "web: shared=True, and it refers to cache, which is not shared",
        ),
    ):
        assert said in error_of(type("Refused", (Case,), attributes))
        reset()
    with pytest.raises(InvalidArgument, match=r"shared=True and reset= contradict each other"):
        Redis(scope="run", shared=True, reset=True)


def test_an_owner_that_ends_during_tests(
    here: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(tempfile.mkdtemp(prefix="r"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.chdir(place)
    (place / "shop.py").write_text(
        SHOP.partition("    db =")[0] + "    def test(self):\n        pass\n"
    )
    with program(OWNER, mark, place) as process:
        assert line(process) == ["up"]
        other = Stack(process, place)

        def test(case: Any) -> None:
            process.kill()
            process.wait()
            eventually(lambda: not alive(case.cache.pid), "its warden kills what it has started")
            case.fail("on purpose")

        text = (place / "shop.py").read_text()
        case = other.case(text, test=test, test_after=lambda case: None)
        result = run(case)
        owner = rf"the owner of shop.py in {place} \(pid {process.pid}\) is gone"
        assert len(result.failures + result.errors) >= 2
        for _, said in result.errors:
            unittest.TestCase().assertRegex(said, rf"cache: {owner}.* during ShopTest.test")
        with pytest.raises(AttachFailed, match=owner):
            case.cache.restart()
        reset()
        sys.modules.pop("shop", None)
    eventually(lambda: not marked(str(place)), "nothing is left")
    shutil.rmtree(place)
