"""Tests that use the services of a stack which runs already, instead of starting their own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    AlreadyRunning,
    AttachFailed,
    Defaults,
    InvalidArgument,
    PostgreSQL,
    SimpleExecutor,
    SummonError,
    SummonTestCase,
    subscribe,
)
from summon_testcase.events import Event, ServiceDied, ServiceRestarted, Warned
from summon_testcase.scheduling.deadline import Deadline
from summon_testcase.services import Redis
from summon_testcase.services.client import Client as Conversation
from summon_testcase.services.mariadb_connection import Connection as Session
from summon_testcase.stacks import registry
from summon_testcase.stacks.client import Client

from ..cases import run
from ..doubles import reset
from ..needs import find, needs
from ..places import unshare
from ..programs import STRICT, line, program
from ..samples import (
    PATIENCE,
    ROOT,
    alive,
    eventually,
    frozen_for_a_moment,
    marker,
    parent,
    processes_with,
    status,
)
from .sql import ask, names

find("redis-server")
find("postgres", package="postgresql")

HEAD = """
import os
from summon_testcase import OutputCoordinatedExecutor, PostgreSQL, SimpleExecutor, SummonTestCase
from summon_testcase.services import MariaDB, Redis
from tests.stacks.sql import ask

class ShopTest(SummonTestCase):
"""
CACHE = """
    cache = Redis(options=["--loglevel", "debug"], scope="run", shared=True)
"""
DATABASE = """
    db = PostgreSQL(
        database="shop",
        template="create table orders (id int); insert into orders values (7)",
        env={"TOKEN": "hush"},
        reset=True,
        scope="run",
        shared=True,
    )
"""
SHOP = f"""{HEAD}{CACHE}{DATABASE}
    def find_only_what_the_template_has(self):
        self.assertEqual(ask(self.db, "select * from orders"), [["7"]])
        ask(self.db, "insert into orders values (8)")
        with open(os.environ.get("SEEN", os.devnull), "a") as file:
            print(self.cache.pid, self.db.env()["PGDATABASE"], self.db.url, file=file)

    test_1 = test_2 = test_3 = test_4 = find_only_what_the_template_has
"""
ON_MARIADB = f"""{HEAD}
    db = MariaDB(
        database="shop",
        template="create table orders (id int); insert into orders values (7)",
        reset=True,
        scope="run",
        shared=True,
    )
"""
DIVIDED = f"""{HEAD}
    class Divided(Redis):
        divided = False

        def _attach(self):
            self.divided = True

    cache = Divided(scope="run", shared=True)
    used = Divided(scope="run", shared=True)
    web = SimpleExecutor("sleep 600", env=[used], scope="run", shared=True)
"""
FRAIL = f"""{HEAD}
    frail = OutputCoordinatedExecutor(
        "test -e broken && exit 3; echo up; exec sleep 600",
        "up",
        shell=True,
        scope="run",
        shared=True,
    )
"""
TOLD = f"""{HEAD}
    told = OutputCoordinatedExecutor(
        "echo word $$ port $(( $$ % 1000 + 1024 )); exec sleep 600",
        r"word (?P<word>\\d+) port (?P<port>\\d+)\\n",
        shell=True,
        scope="run",
        shared=True,
    )
"""
OWNER = """
from summon_testcase.cli.target import load
from summon_testcase.scheduling.steps import run as take
from summon_testcase.stacks.owner import Owner
from summon_testcase.stacks.registry import Registration

target = load("shop.py")
entry = Registration(how="up", target=target.text, file=target.file, name=target.name)
restart = "RESTART" in os.environ
owner = Owner(target.orchestrator, entry, restart=restart, tell=lambda name, what: None)
try:
    take(owner.steps(lambda: say("up")))
finally:
    target.orchestrator.stop()
    entry.remove()
"""


class Stack:
    """A stack in a process of its own, and the tests that use it."""

    def __init__(self, process: subprocess.Popen[str], place: Path, text: str) -> None:
        self.process, self.place, self._text = process, place, text
        self.entry = registry.find()

    def service(self, name: str) -> dict[str, Any]:
        with Client(self.entry) as client:
            answer: dict[str, Any] = client.ask("describe", service=name)["service"]
        return answer

    def case(self, text: str = "", **tests: Any) -> Any:
        """The class as the file has it, or would have it now, with these tests.

        :param text: of the file, if it has changed.
        """
        path = self.place / "shop.py"
        path.write_text(text or self._text)
        spec = importlib.util.spec_from_file_location("shop", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return type("ShopTest", (module.ShopTest,), {**dict.fromkeys(TESTS), **tests})

    def databases(self) -> list[str]:
        return names(int(self.service("db")["port"]))


@contextmanager
def brought_up(text: str) -> Iterator[Stack]:
    """A stack of a file with some text; it may end before the block does."""
    place, mark = Path(tempfile.mkdtemp(prefix="r")), marker()
    (place / "shop.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(place))
        patch.setenv("SUMMON_ATTACH", "1")
        patch.setenv("SUMMON_CACHE_DIR", tempfile.gettempdir())
        patch.chdir(place)
        with program(OWNER, mark, place) as process:
            assert line(process) == ["up"]
            stack = Stack(process, place, text)
            yield stack
            if process.poll() is None:
                with Client(stack.entry) as client:
                    assert client.ask("down") == {"ok": True}
                said, complaints = process.communicate(timeout=PATIENCE)
                assert (said, complaints, process.returncode) == ("", "", 0)
    eventually(lambda: not processes_with(str(place)), "nothing is left")
    shutil.rmtree(place, ignore_errors=True)  # a warden may remove its files just now


TESTS = ("test_1", "test_2", "test_3", "test_4")


@pytest.fixture(scope="module")
def up() -> Iterator[Stack]:
    with brought_up(SHOP) as stack:
        yield stack


@pytest.fixture
def stack(up: Stack) -> Iterator[Stack]:
    yield up
    reset()


def nap(**options: Any) -> SimpleExecutor:
    return SimpleExecutor("sleep 600", scope="run", shared=True, **options)


def run_alone(stack: Stack, text: str) -> subprocess.CompletedProcess[str]:
    """Run the first test of the class in a process of its own, if the file had some text."""
    (stack.place / "shop.py").write_text(text)
    return subprocess.run(
        [*STRICT, "-m", "unittest", "-q", "shop.ShopTest.test_1"],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )


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


def test_several_workers_share_it(place: Path) -> None:
    (place / "shop.py").write_text(SHOP)
    seen = place / "seen"
    tests = ["-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "shop.py"]
    done = subprocess.run(
        [*STRICT, "-m", "summon_testcase", "run", "shop.py", "--", *STRICT, *tests],
        cwd=place,
        env={**os.environ, "PYTHONPATH": ROOT, "TMPDIR": str(place), "SEEN": str(seen)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [each.split() for each in seen.read_text().splitlines()]
    assert len(lines) == 4
    assert len({pid for pid, _, _ in lines}) == 1
    databases = {name for _, name, _ in lines}
    assert len(databases) == 2
    assert all(url.endswith(f"/{name}") for _, name, url in lines)


def test_more_databases_of_its_own(stack: Stack) -> None:
    """Other processes may give theirs the same name."""

    def test(case: Any) -> None:
        url = case.db.fresh("other")
        case.assertTrue(url.endswith(f"/other_summon_{os.getpid()}"), url)
        case.assertEqual(ask(case.db, "select * from orders", url), [["7"]])
        case.assertNotIn("other", stack.databases())
        for name in "shop", case.db.env()["PGDATABASE"]:
            with case.assertRaisesRegex(InvalidArgument, "needs a database of that name"):
                case.db.fresh(name)

    passed(stack.case(test_1=test, test_2=test))
    reset()
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


def test_two_threads_start_it_again(stack: Stack) -> None:
    """One of them is told that it is running already."""

    def test(case: Any) -> None:
        case.cache.kill()
        with ThreadPoolExecutor(2) as threads:
            found = [threads.submit(case.cache.start).exception for _ in range(2)]
            errors = [error for get in found if (error := get()) is not None]
        case.assertEqual([type(error) for error in errors], [AlreadyRunning])
        case.assertTrue(case.cache.running())

    passed(stack.case(test=test))


def test_somebody_else_restarts_it(stack: Stack) -> None:
    def test(case: Any) -> None:
        with Client(stack.entry) as client:
            client.ask("restart", service="cache")
        assert case.cache.running()
        assert case.cache.pid == stack.service("cache")["pid"]
        # its log is another one now
        case.cache.wait_for_output("Ready to accept", timeout=PATIENCE)

    passed(stack.case(test=test))


def test_somebody_else_restarts_its_database_server(stack: Stack) -> None:
    """What was prepared on the former one for the next reset has gone with it."""

    def find_only_what_the_template_has(case: Any) -> None:
        case.assertEqual(ask(case.db, "select * from orders"), [["7"]])
        ask(case.db, "insert into orders values (8)")

    def restart(case: Any) -> None:
        find_only_what_the_template_has(case)
        with Client(stack.entry) as client:
            client.ask("restart", service="db")
        case.assertEqual(ask(case.db, "select * from orders"), [["7"], ["8"]])

    def reset_it(case: Any) -> None:
        restart(case)
        case.db.reset()  # nobody has looked at it since
        find_only_what_the_template_has(case)

    first, last = find_only_what_the_template_has, restart
    passed(stack.case(test_1=first, test_2=restart, test_3=reset_it, test_4=first, test_5=last))
    reset()
    assert stack.databases() == ["postgres", "shop"]


def test_somebody_else_restarts_what_tells_its_address() -> None:
    """It has another one then."""

    def test(case: Any) -> None:
        before = case.told.word
        with Client(stack.entry) as client:
            client.ask("restart", service="told")
            now = client.ask("describe", service="told")["service"]
        case.assertTrue(case.told.running())
        after = case.told.port, case.told.url, case.told.word
        case.assertEqual(after, (now["port"], now["url"], now["groups"]["word"]))
        case.assertNotEqual(case.told.word, before)

    with brought_up(TOLD) as stack:
        passed(stack.case(test=test))
        reset()


def test_what_it_writes(stack: Stack) -> None:
    def test(case: Any) -> None:
        with Conversation(case.cache) as client:
            client.expect(b"PING\r\n", b"+PONG\r\n")
        case.cache.wait_for_output("Accepted 127.0.0.1", timeout=PATIENCE)
        case.cache.wait_for_output("Client closed", timeout=PATIENCE)
        case.assertIn("Client closed", "".join(case.cache.tail(5)))
        case.assertIn("Accepted", case.cache.output().readline())
        with case.assertRaisesRegex(InvalidArgument, r"send\(\) cannot reach it, since it belongs"):
            case.cache.send("hello")
        case.fail("on purpose")

    ((_, said),) = run(stack.case(test=test)).failures
    assert "cache wrote during this test:" in said
    assert "Accepted 127.0.0.1" in said
    assert "Ready to accept" not in said


def test_what_it_has_written_a_moment_ago(stack: Stack) -> None:
    def test(case: Any) -> None:
        with frozen_for_a_moment(parent(case.cache.pid)):
            with socket.create_connection(("127.0.0.1", case.cache.port)) as client:
                client.sendall(b"PING\r\n")
                case.assertEqual(client.recv(100), b"+PONG\r\n")
                host, port = client.getsockname()
            case.assertIn(f"Accepted {host}:{port}", "".join(case.cache.tail()))

    passed(stack.case(test=test))


def test_an_owner_that_does_not_answer(stack: Stack) -> None:
    """Tests go on, with the output that is in the log."""

    def stop(case: Any) -> None:
        stack.process.send_signal(signal.SIGSTOP)

    def test(case: Any) -> None:
        case.assertIn("Ready to accept", "".join(case.cache.tail()))

    try:
        passed(stack.case(test_1=stop, test_2=test))
    finally:
        stack.process.send_signal(signal.SIGCONT)


def test_what_was_written_before_is_of_no_interest(stack: Stack) -> None:
    def fail(cls: Any) -> None:
        with Conversation(cls.cache) as client:
            client.expect(b"PING\r\n", b"+PONG\r\n")
        cls.cache.wait_for_output("Accepted 127.0.0.1", timeout=PATIENCE)
        raise RuntimeError("on purpose")

    case = stack.case(test=lambda case: None, setUpClass=classmethod(fail))
    error = error_of(case)
    assert "Accepted 127.0.0.1" in error
    assert "Ready to accept" not in error


def test_a_death(stack: Stack) -> None:
    def test(case: Any) -> None:
        os.kill(case.cache.pid, signal.SIGKILL)
        eventually(lambda: not case.cache.running(), "its end")
        known.append(time.monotonic())
        case.fail("no answer")

    known: list[float] = []
    told: list[Event] = []
    unsubscribe = subscribe(told.append)
    result = run(stack.case(test=test))
    unsubscribe()
    (died,) = (event for event in told if isinstance(event, ServiceDied))
    assert died.at <= known[0]  # and not when it was noticed
    ((_, said),) = result.failures + result.errors
    owner = f"shop.py in {stack.place} (pid {stack.entry.pid})"
    assert f"cache: was killed by SIGKILL in the stack of {owner} during ShopTest.test" in said
    reset()
    # whoever attaches it next has it started
    passed(stack.case(test=lambda case: case.assertTrue(case.cache.running())))


def test_somebody_else_stops_it(stack: Stack) -> None:
    """That is no death which the declaration could have avoided."""

    def stop(case: Any) -> None:
        with Client(stack.entry) as client:
            client.ask("stop", service="cache")

    def stop_in_a_pause(case: Any) -> None:
        with case.cache.paused():
            stop(case)

    def pause_what_is_stopped(case: Any) -> None:
        stop(case)
        with case.cache.paused():
            case.fail("it is paused")

    stopped = (
        "cache: was stopped by another process that uses the stack of "
        rf"shop.py in {stack.place} \(pid {stack.entry.pid}\) "
    )
    for test in stop, stop_in_a_pause:
        error = error_of(stack.case(test=test))
        unittest.TestCase().assertRegex(error, f"{stopped}during ShopTest.test\n")
        reset()
    error = error_of(stack.case(test=pause_what_is_stopped))
    unittest.TestCase().assertRegex(error, f"{stopped}before it should be paused")
    reset()
    passed(stack.case(test=lambda case: None))


def test_a_restart_of_somebody_else_that_fails() -> None:
    """Nobody has wanted it to end."""

    def test(case: Any) -> None:
        Path("broken").touch()
        with Client(stack.entry) as client, case.assertRaisesRegex(SummonError, "status 3"):
            client.ask("restart", service="frail")

    with brought_up(FRAIL) as stack:
        assert "frail: exited with status 3 in the stack of" in error_of(stack.case(test=test))
        reset()


def test_a_death_that_is_mended_has_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that at which the process of the tests has noticed it."""

    def test(case: Any) -> None:
        pid = case.cache.pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: stack.service("cache")["pid"] != pid, "its owner has mended it")
        known.append(time.monotonic())

    known: list[float] = []
    told: list[Event] = []
    monkeypatch.setenv("RESTART", "1")
    with brought_up(f"{HEAD}{CACHE}") as stack:
        end = subscribe(told.append)
        passed(stack.case(test=test))
        end()
        reset()
    (died,) = (event for event in told if isinstance(event, ServiceDied))
    assert died.at <= known[0]


def test_a_death_that_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--restart`` it is no error, and is told nevertheless, unless it was asked for."""

    def test_1_dies(case: Any) -> None:
        # whether its owner has noticed that already makes no difference
        os.kill(case.cache.pid, signal.SIGKILL)
        case.fail("no answer")

    def test_2_goes_on(case: Any) -> None:
        case.assertTrue(case.cache.running())

    def test_3_is_asked_for(case: Any) -> None:
        with Client(stack.entry) as client:
            client.ask("restart", service="cache")
        case.fail("on purpose")

    monkeypatch.setenv("RESTART", "1")
    with brought_up(f"{HEAD}{CACHE}") as stack:
        told: list[Any] = []
        end = subscribe(told.append)
        case = stack.case(test_1=test_1_dies, test_2=test_2_goes_on, test_3=test_3_is_asked_for)
        result = run(case)
        end()
        assert result.errors == []
        (_, first), (_, last) = result.failures
        owner = f"shop.py in {stack.place} (pid {stack.entry.pid})"
        said = f"cache: was killed by SIGKILL in the stack of {owner}, and was started again there"
        assert said in first
        assert "SIGKILL" not in last
        assert [event.text for event in told if isinstance(event, Warned)] == [said]
        died, restarted = (e for e in told if isinstance(e, ServiceDied | ServiceRestarted))
        assert (type(died), type(restarted)) == (ServiceDied, ServiceRestarted)
        reset()


def test_a_death_in_the_last_moment_of_a_test(stack: Stack) -> None:
    def test(case: Any) -> None:
        os.kill(case.cache.pid, signal.SIGKILL)

    for _ in range(5):
        assert "during ShopTest.test" in error_of(stack.case(test=test))
        reset()
    passed(stack.case(test=lambda case: case.assertTrue(case.cache.running())))


def test_one_that_hangs(stack: Stack) -> None:
    pid = stack.service("cache")["pid"]

    def test(case: Any) -> None:
        os.kill(pid, signal.SIGSTOP)

    text = SHOP.replace("cache = Redis(", "cache = Redis(alive=True, timeout=0.3, ")
    try:
        error = error_of(stack.case(text, test=test))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "cache: did not answer within 0.3 s" in error


@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_a_process_that_is_killed_leaves_no_fault(stack: Stack, fault: str) -> None:
    end = f"    def test_1(self):\n        self.cache.{fault}()\n        os.kill(os.getpid(), 9)\n"
    before = stack.service("cache")["pid"]
    done = run_alone(stack, SHOP + end)
    assert done.returncode == -signal.SIGKILL, done.stderr
    eventually(lambda: stack.service("cache")["state"] == "running", "it is started again")
    assert stack.service("cache")["pid"] != before
    assert len(stack.databases()) > 2

    def test(case: Any) -> None:
        # the next process has dropped what that one has left
        case.assertEqual(stack.databases(), ["postgres", "shop", f"shop_summon_{os.getpid()}"])

    passed(stack.case(test=test))


@pytest.mark.parametrize(
    "fault", ["cache.restart()", "cache.stop(); self.cache.start()", "cache.kill()", "cache.stop()"]
)
def test_the_end_of_a_process_is_no_fault(stack: Stack, fault: str) -> None:
    """Also if the service was, for a moment, all that the process had."""
    test = f"""
    def test_1(self):
        self.{fault}
        print(self.cache.running() and self.cache.pid)
"""
    done = run_alone(stack, f"{HEAD}{CACHE}{test}")
    assert done.returncode == 0, done.stderr
    after = stack.service("cache")
    assert after["state"] == "running"
    assert done.stdout in (f"{after['pid']}\n", "False\n")


@pytest.mark.parametrize("fault", ["restart", "kill", "stop"])
def test_its_database_is_dropped_after_a_fault(stack: Stack, fault: str) -> None:
    test = f"    def test_1(self):\n        self.db.{fault}()\n"
    done = run_alone(stack, f"{HEAD}{DATABASE}{test}")
    assert (done.returncode, "Warning" in done.stderr) == (0, False), done.stderr
    assert stack.service("db")["state"] == "running"
    assert stack.databases() == ["postgres", "shop"]


def test_a_start_beside_it_that_fails(stack: Stack) -> None:
    before = stack.service("cache")["pid"]
    case = stack.case(test=lambda case: None)
    fails = SimpleExecutor("exit 3", shell=True, until=lambda it: False, scope="run")
    more = type("More", (case,), {"fails": fails, "test": lambda case: None})
    fails.__set_name__(more, "fails")
    passed(case)
    assert "fails: exited with status 3" in error_of(more)
    # others still use it, and so may this process
    assert stack.service("cache")["pid"] == before
    passed(case)


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


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ({"cache": Redis(shared=True)}, "cache: shared=True, and scope='class': write scope="),
        (
            {"cache": Redis(scope="run"), "web": nap(env={"URL": "{cache.url}"})},
            "web: shared=True, and it refers to cache, which is not shared",
        ),
        (
            {"db": PostgreSQL(scope="run", shared=True, reset=True), "web": nap(env=["db"])},
            "db: reset= would be one for all processes, since web, which is shared, too, refers",
        ),
    ],
    ids=["a shorter scope", "what it refers to", "a reset for all"],
)
def test_what_cannot_be_shared(services: dict[str, Any], said: str) -> None:
    case = type("Refused", (SummonTestCase,), {"test": lambda case: None, **services})
    for name, service in services.items():
        service.__set_name__(case, name)
    assert said in error_of(case)
    reset()


def test_a_reset_that_would_be_one_for_all() -> None:
    with pytest.raises(InvalidArgument, match=r"shared=True and reset= contradict each other"):
        Redis(scope="run", shared=True, reset=True)

    class Case(SummonTestCase):
        summon = Defaults(scope="run", shared=True)
        cache = Redis(reset=True)

        def test(self) -> None:
            """Never reached."""

    assert "cache: shared=True and reset= contradict each other" in error_of(Case)
    reset()


@needs("mariadbd", package="mariadb-server")
def test_mariadb() -> None:
    def query(address: tuple[str, int], database: str, statement: str) -> list[Any]:
        with Session(address, database) as session:
            return session.ask(statement, Deadline(PATIENCE))

    def test(case: Any) -> None:
        address, name = (case.db.host, case.db.port), case.db.env()["MYSQL_DATABASE"]
        assert name == f"shop_summon_{os.getpid()}"
        assert query(address, name, "select * from orders") == [["7"]]
        query(address, name, "insert into orders values (8); create table more (id int)")
        # a process that was killed would have left this
        query(address, name, "create database if not exists shop_summon_999999999")

    with brought_up(ON_MARIADB) as stack:
        address = "127.0.0.1", int(stack.service("db")["port"])
        for _ in range(2):
            passed(stack.case(test=test, test_again=test))
            reset()
        passed(stack.case(test=lambda case: None))
        reset()
        assert query(address, "", "show databases like 'shop%'") == [["shop"]]


def test_an_owner_that_ends_during_tests() -> None:
    with brought_up(DIVIDED) as stack:
        process = stack.process

        def test(case: Any) -> None:
            # what another shared service refers to is the same for all
            assert (case.cache.divided, case.used.divided) == (True, False)
            process.kill()
            process.wait()
            pids = case.cache.pid, case.used.pid, case.web.pid
            eventually(lambda: not any(map(alive, pids)), "its warden kills what it has started")
            case.fail("on purpose")

        case = stack.case(test=test, test_after=lambda case: None)
        result = run(case)
        owner = rf"the owner of shop.py in {stack.place} \(pid {process.pid}\) is gone"
        assert len(result.failures + result.errors) >= 2
        for _, said in result.errors:
            unittest.TestCase().assertRegex(said, rf"cache: {owner}.* during ShopTest.test")
        with pytest.raises(AttachFailed, match=owner):
            case.cache.restart()
        reset()


def test_a_stack_of_another_container() -> None:
    """Its pids mean nothing here, or other processes."""
    there = unshare("--pid", "--fork", "--kill-child", "--mount-proc")
    shop = f"{HEAD}\n    nap = SimpleExecutor('sleep 600', scope='run', shared=True)\n"
    with brought_up(f"{shop}\n    def test(self):\n        pass\n") as stack:
        for said, instead in ("1", "write SUMMON_ATTACH=auto"), (stack.entry.path, "unset SUMMON"):
            done = subprocess.run(
                [*there, sys.executable, "-m", "unittest", "shop.py"],
                env={**os.environ, "PYTHONPATH": ROOT, "SUMMON_ATTACH": said},
                capture_output=True,
                text=True,
                timeout=PATIENCE * 2,
            )
            assert f"run the tests where the stack runs, or {instead}" in done.stderr
