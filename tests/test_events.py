"""What is told of services, tests and runs, in which order; and that telling disturbs nothing."""

from __future__ import annotations

import ast
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

import summon_testcase
from summon_testcase import (
    Executor,
    FileCoordinatedExecutor,
    Note,
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    SummonTestCase,
    emit,
    orchestrated,
    services,
    subscribe,
    summoned,
)
from summon_testcase.events import (
    Event,
    ServiceDied,
    ServiceEvent,
    ServiceFailed,
    ServicePaused,
    ServiceReady,
    ServiceRestarted,
    ServiceSpawned,
    ServiceStarting,
    ServiceStopped,
    TestBegan,
    TestEnded,
    Warned,
)

from .cases import run
from .needs import needs
from .places import linux
from .reliability.scene import nothing_left, run_program
from .samples import BARE, eventually, service

pytestmark = linux

SECRET = "hunter2-of-events"
E = TypeVar("E", bound=Event)


@contextmanager
def heard() -> Iterator[list[Event]]:
    """The events of a block, but for that of the first start in a process."""
    events: list[Event] = []
    end = subscribe(lambda event: type(event).__name__.startswith("Run") or events.append(event))
    try:
        yield events
    finally:
        end()


def names(events: list[Event], *services: str) -> list[str]:
    """What has happened, without "Service", to all services or to some."""
    chosen = [e for e in events if not services or getattr(e, "service", None) in services]
    return [type(event).__name__.removeprefix("Service") for event in chosen]


def of(kind: type[E], events: list[Event]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


LIFE = ["Starting", "Spawned", "Ready"]
STOP = ["Stopping", "Stopped"]


@needs("redis-server")
def test_the_story_of_a_testcase() -> None:
    """From the start to the stop of a class, with a kill and a restart in its tests."""

    class Story(SummonTestCase):
        cache = services.Redis(reset=True, env={"PASSWORD": SECRET})

        def test_1_uses(self) -> None:
            pass

        def test_2_kills(self) -> None:
            self.cache.kill()

        def test_3_restarts(self) -> None:
            self.cache.restart()

    with heard() as events:
        assert run(Story).wasSuccessful()
    assert names(events) == [
        *LIFE,
        *("TestBegan", "TestEnded", "Reset"),
        *("TestBegan", "Killed", "Stopped", "TestEnded", "Restarted", *LIFE),
        *("Reset", "TestBegan", *STOP, "Restarted", *LIFE, "TestEnded"),
        *STOP,
    ]
    starting, spawned, ready = events[:3]
    assert isinstance(starting, ServiceStarting)
    assert (starting.kind, starting.scope, starting.after) == ("Redis", "class", ())
    assert isinstance(spawned, ServiceSpawned) and spawned.log.endswith(".log")
    assert spawned.command[0].endswith("redis-server") and spawned.pid
    assert isinstance(ready, ServiceReady) and ready.looks >= 1 and ready.after > 0
    assert ready.url.startswith("redis://") and ready.refusal
    whose = {(e.service, e.owner, e.number) for e in of(ServiceEvent, events)}
    assert whose == {("cache", Story.__qualname__, starting.number)}
    assert [e.at for e in events] == sorted(e.at for e in events)
    assert [e.reason for e in of(ServiceRestarted, events)] == [
        "a test had stopped it",
        "restart()",
    ]
    killed, *stopped = of(ServiceStopped, events)
    assert (killed.how, killed.after) == ("was killed by SIGKILL", 0)
    assert {(e.how, e.after > 0) for e in stopped} == {("exited with status 0", True)}
    began = of(TestBegan, events)[0]
    assert (began.test, began.services) == (Story("test_1_uses").id(), ("cache",))
    assert {e.outcome for e in of(TestEnded, events)} == {"passed"}
    assert SECRET not in repr(events)


def test_a_start_that_fails() -> None:
    """It has begun, and has failed; and the test has an error."""

    class Fails(SummonTestCase):
        it = OutputCoordinatedExecutor(["sh", "-c", "exit 3"], "up", env={"X": SECRET})

        def test(self) -> None:
            pass

    with heard() as events:
        assert len(run(Fails).errors) == 1
    assert names(events) == ["Starting", "Spawned", "Failed", "TestBegan", "TestEnded"]
    (failed,) = of(ServiceFailed, events)
    assert failed.error == "it: exited with status 3 before it was ready"
    assert failed.how == "exited with status 3" and failed.refusal.startswith("0 bytes of output")
    assert failed.looks >= 1
    (ended,) = of(TestEnded, events)
    assert (ended.outcome, ended.message) == ("error", failed.error)
    assert SECRET not in repr(events)


def test_a_start_that_is_cancelled(mark: str) -> None:
    """Where another one fails, the other starts have failed too: each start has its end."""
    waits = OutputCoordinatedExecutor(service("silent.py", mark), "up")
    with heard() as events, pytest.raises(ProcessExited):
        orchestrated(waits=waits, exits=SimpleExecutor("true", until=lambda it: False)).start()
    assert names(events, "exits")[-1] == names(events, "waits")[-1] == "Failed"
    assert {e.service: e.error for e in of(ServiceFailed, events)}["waits"] == "cancelled"


def test_a_death(mark: str) -> None:
    """It is told once, when it is noticed; then the reason of the next start names it."""

    class Dies(SummonTestCase):
        it = SimpleExecutor(service("silent.py", mark), restart=True)

        def test_1(self) -> None:
            os.kill(self.it.pid, signal.SIGKILL)
            eventually(lambda: not self.it.running(), "the death")

        def test_2(self) -> None:
            pass

    with heard() as events, pytest.MonkeyPatch.context() as patch:
        patch.setattr("logging.Logger.warning", lambda *said: None)
        run(Dies)
    revived = ["TestEnded", "Warned", *STOP, "Restarted", *LIFE, "TestBegan"]
    assert names(events) == [*LIFE, "TestBegan", "Died", *revived, "TestEnded", *STOP]
    (died,) = of(ServiceDied, events)
    assert died.how == "was killed by SIGKILL" and died.when.startswith("during ")
    (restarted,) = of(ServiceRestarted, events)
    assert restarted.reason.startswith("it: was killed by SIGKILL during ")
    (warned,) = of(Warned, events)
    assert (warned.level, warned.service) == ("warning", "it")


@pytest.mark.parametrize("end", ["", " & read it"])
def test_a_death_has_the_moment_at_which_it_was(mark: str, end: str) -> None:
    """And not that at which it is noticed; also that of a daemon, whose parent has ended."""
    script, path = f"sh -c 'echo $$ >$0; exec sleep 600' $0{end}", "{tmpdir}/it.pid"
    it = FileCoordinatedExecutor(["sh", "-c", script, path, mark], path)
    with heard() as events, pytest.raises(ProcessExited), it:
        if end:
            it.sendline()
            eventually(lambda: it.exit_code == 0, "the end of the parent")
        os.kill(int(Path(it.path).read_text()), signal.SIGKILL)
        eventually(lambda: not it.running(), "its end")
        known = time.monotonic()
    assert names(events) == [*LIFE, "Died", *STOP]
    assert events[2].at <= events[3].at <= known < events[4].at


def test_a_stop_finds_a_death(mark: str) -> None:
    it = OutputCoordinatedExecutor(["sh", "-c", "echo up; read it; exit 3", mark], "up")
    with heard() as events, pytest.raises(ProcessExited), it:
        it.sendline("")
        eventually(lambda: not it.running(), "its end")
    assert names(events) == [*LIFE, "Died", *STOP]


def test_pauses(mark: str) -> None:
    """Blocks in a block freeze nothing more; a stop in a block has no end of the pause."""
    it = SimpleExecutor(service("silent.py", mark))
    with heard() as events:
        with it, it.paused(), it.paused():
            assert names(events) == [*LIFE, "Paused"]
        assert names(events) == [*LIFE, "Paused", "Resumed", *STOP]
        with it.start().paused():
            it.kill()
        it.start().stop()
    assert len(of(ServicePaused, events)) == 2
    assert names(events)[7:] == [*LIFE, "Paused", "Killed", "Stopped", *LIFE, *STOP]


def test_numbers(mark: str) -> None:
    """A service keeps its number as long as its port; another life of its own has another one."""
    it = SimpleExecutor(service("silent.py", mark), name="it")
    with heard() as events:
        with it:
            it.restart()
        with it:
            pass
    first, again, new = (e.number for e in of(ServiceStarting, events))
    assert first == again != new


class Own(Executor):
    """An executor of the user's."""

    url = "http://user:password@localhost:1/path"

    def __init__(self, fails: str = "", after: Any = ()) -> None:
        self.fails, self.after = fails, after

    def start(self) -> Own:
        if self.fails == "start":
            raise ValueError("no start")
        return self

    def stop(self) -> None:
        if self.fails == "stop":
            raise ValueError("no stop")


class Thing:
    """Something that is no executor."""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Group(Orchestrator):
    """An orchestrator whose start is the user's."""

    def start(self) -> Group:
        super().start()
        return self


OWN = ["Starting", "Ready", "Stopping", "Stopped"]


def test_executors_of_ones_own() -> None:
    """Whatever has a start and a stop, in a TestCase, an orchestrator or a block."""

    class Owner(SummonTestCase):
        own = Own()
        wrapped: Any = summoned(Thing(), scope="module")
        group = Group({"one": Own()}, after="own")
        plain = Orchestrator([Thing(), Own(after=[])], name="plain")

        def test(self) -> None:
            pass

    with heard() as events:
        assert run(Owner).wasSuccessful()
    for name in ("own", "wrapped", "group", "one", "Thing 1", "Own 2"):
        assert names(events, name) == OWN, name
    assert names(events, "plain") == []
    starting = {e.service: e for e in of(ServiceStarting, events)}
    owner = Owner.__qualname__
    assert {e.owner for e in starting.values() if e.service != "Thing 1"} == {owner}
    assert starting["group"].after == ("own",)
    numbers = [e.number for e in starting.values() if e.service != "Thing 1"]
    assert len(set(numbers)) == len(numbers) and all(numbers)
    assert {e.url for e in of(ServiceReady, events) if e.service == "own"} == {
        "http://localhost:1/path"
    }
    with heard() as events, Own():
        pass
    assert names(events) == OWN


def test_a_sequence(mark: str) -> None:
    """Each waits for the one before it, also without a reference."""
    one, two = (SimpleExecutor(service("silent.py", mark), name=name) for name in ("one", "two"))
    with heard() as events, orchestrated(one, two):
        pass
    assert [e.after for e in of(ServiceStarting, events)] == [(), ("one",)]


def test_own_ones_that_fail() -> None:
    with heard() as events, pytest.raises(ValueError, match="no start"), Own("start"):
        pass
    assert names(events) == ["Starting", "Failed"]
    assert of(ServiceFailed, events)[0].error == "ValueError: no start"
    with heard() as events, pytest.raises(ValueError, match="no stop"), orchestrated(Own("stop")):
        pass
    assert names(events) == OWN
    assert of(ServiceStopped, events)[0].error == "ValueError: no stop"


def test_one_that_calls_ours_is_told_once(mark: str) -> None:
    class It(SimpleExecutor):
        def start(self) -> It:
            return super().start()

        def stop(self, *arguments: Any) -> None:
            super().stop(*arguments)

    with heard() as events:
        with orchestrated(it=It(service("silent.py", mark))):
            pass
        with It(service("silent.py", mark)):
            pass
        with orchestrated(it=summoned(It(service("silent.py", mark)))):
            pass
    assert names(events) == [*LIFE, *STOP] * 3


def test_two_threads(mark: str) -> None:
    """Each event comes in the thread in which it happens."""
    told: list[tuple[str, str]] = []

    def tell(event: Event) -> None:
        if isinstance(event, ServiceEvent):
            told.append((threading.current_thread().name, event.service))

    def use(name: str) -> None:
        with SimpleExecutor(service("silent.py", mark), name=name):
            pass

    end = subscribe(tell)
    threads = [threading.Thread(target=use, args=[name], name=name) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end()
    assert sorted(told) == [("one", "one")] * 5 + [("two", "two")] * 5


def test_a_subscriber_that_raises(mark: str) -> None:
    """It is a warning, and the service and other subscribers do not notice."""

    def fails(event: Event) -> None:
        raise ValueError("no")

    end = subscribe(fails)
    with heard() as events, pytest.warns(RuntimeWarning, match=r"has failed: ValueError\('no'\)"):
        with SimpleExecutor(service("silent.py", mark)) as it:
            assert it.running()
        end()
        end()
    assert names(events) == [*LIFE, *STOP]


@contextmanager
def interrupting(moment: str) -> Iterator[None]:
    """A block in which a signal comes at one kind of event, whose handler raises."""

    def too_late(number: int, frame: object) -> None:
        raise TimeoutError("the test's own")

    def interrupted(event: Event) -> None:
        if type(event).__name__ == moment:
            os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, too_late)
    end = subscribe(interrupted)
    try:
        with pytest.raises(TimeoutError, match="the test's own"):
            yield
    finally:
        end()
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("moment", [*LIFE, *STOP])
def test_an_interrupt_in_a_subscriber(moment: str, mark: str) -> None:
    """What a signal handler raises there arrives at the caller, and nothing is left."""
    with interrupting(f"Service{moment}"), SimpleExecutor(service("silent.py", mark)):
        pass
    nothing_left(mark)


@pytest.mark.parametrize("moment", ["TestBegan", "TestEnded"])
def test_an_interrupt_when_a_test_is_told(moment: str) -> None:
    """The result object then has its own methods again."""

    class It(SummonTestCase):
        it = Own()

        def test(self) -> None:
            pass

    result = unittest.TestResult()
    with interrupting(moment):
        It("test").run(result)
    assert not [name for name in vars(result) if name.startswith("add")]


def test_a_note() -> None:
    with heard() as events:
        emit(Note(text="seen", attachment="/tmp/it.png"))
    assert [(type(e), getattr(e, "text", "")) for e in events] == [(Note, "seen")]


def test_an_event_is_a_value() -> None:
    one = Note(at=1.0, text="seen")
    assert one == Note(at=1.0, text="seen") != Note(at=2.0, text="seen")
    assert hash(one) == hash(Note(at=1.0, text="seen"))
    assert repr(one) == "Note(at=1.0, text='seen', service='', attachment='')"
    change: Callable[[Any], None]
    for change in (lambda it: setattr(it, "text", "x"), lambda it: delattr(it, "text")):
        with pytest.raises(AttributeError, match="Note cannot be changed"):
            change(one)
    for wrong in ({}, {"text": "x", "tetx": "x"}):
        with pytest.raises(TypeError, match="Note has at, text, service, attachment, not"):
            Note(**wrong)  # type: ignore[arg-type]


LAZY = """
import sys, summon_testcase
assert {"Note", "emit", "subscribe"} <= {*dir(summon_testcase), *summon_testcase.__all__}
assert "summon_testcase.events" not in sys.modules
from summon_testcase import Note, emit, subscribe
assert (emit, Note) == (summon_testcase.events.emit, summon_testcase.events.Note)
try:
    summon_testcase.emti
except AttributeError as error:
    print(error)
"""


def test_they_are_imported_when_first_used(tmp_path: Path) -> None:
    done = run_program(LAZY, tmp_path)
    said = "module 'summon_testcase' has no attribute 'emti'\n"
    assert (done.stderr, done.stdout) == ("", said)


RUNS = """
import multiprocessing, os, sys
from summon_testcase import SimpleExecutor, SummonTestCase, subscribe
mark = sys.argv[1]
def told(event):
    kind = type(event).__name__
    if not kind.startswith("Test"):
        os.write(1, f"{who} {kind} {getattr(event, 'service', '')}\\n".encode())
def use(name):
    global who
    who = name
    with SimpleExecutor(["sh", "-c", "read never", mark], name=name):
        pass
who = "parent"
subscribe(told)
service = SimpleExecutor(["sh", "-c", "read never", mark], name="kept").start()
if not (pid := os.fork()):
    who = "bare"
    service.stop()
    sys.exit()
os.waitpid(pid, 0)
if not (pid := os.fork()):
    use("child")
    sys.exit()
os.waitpid(pid, 0)
def run_class():
    global who
    who = "worker"
    class It(SummonTestCase):
        worker = SimpleExecutor(["sh", "-c", "read never", mark], scope="run")
        def test(self):
            pass
    It("test").run()
worker = multiprocessing.get_context("fork").Process(target=run_class)
worker.start()
worker.join()
"""


def test_runs_of_processes(mark: str, tmp_path: Path) -> None:
    """Each process that starts something has a run, whose end is the last that it tells."""
    done = run_program(RUNS, tmp_path, mark)
    life = [f"Service{name}" for name in LIFE + STOP]
    of_child = ["RunBegan ", *(f"{kind} {{0}}" for kind in life), "RunEnded "]
    wanted = [
        *(f"parent {line}" for line in ["RunBegan ", *(f"{kind} kept" for kind in life[:3])]),
        *(f"{name} {line.format(name)}" for name in ("child", "worker") for line in of_child),
        *(f"parent {line}" for line in [*(f"{kind} kept" for kind in life[3:]), "RunEnded "]),
    ]
    assert done.stdout.splitlines() == wanted, done.stderr


OUTCOMES = """
import os, unittest
from summon_testcase import Executor, SummonMixin, subscribe
from {module} import {base} as TestCase

def told(event):
    if type(event).__name__ == "TestEnded":
        with open(os.environ["TOLD"], "a") as file:
            print(repr((event.test.rpartition(".")[2], event.outcome, event.message)), file=file)

subscribe(told)

class Own(Executor):
    def start(self):
        return self
    def stop(self):
        pass

class OutcomesTest(SummonMixin, TestCase):
    it = Own()
    def late(self):
        self.fail("late")
    def test_errors(self):
        raise KeyError("it")
    def test_fails(self):
        self.fail("no")
    def test_worse(self):
        self.addCleanup(self.late)
        raise KeyError("early")
    def test_passes(self):
        pass
    def test_skips(self):
        self.skipTest("not now")
    def test_parts(self):
        for i in range(3):
            with self.subTest(i=i):
                if i != 1:
                    self.fail(str(i))
    @unittest.expectedFailure
    def test_expected(self):
        self.fail("as expected")
    @unittest.expectedFailure
    def test_unexpected(self):
        pass
"""
ENDS = {
    "test_errors": ("error", "KeyError: 'it'"),
    "test_fails": ("failed", "AssertionError: no"),
    "test_worse": ("error", "KeyError: 'early'\nAssertionError: late"),
    "test_passes": ("passed", ""),
    "test_skips": ("skipped", "not now"),
    "test_parts": ("failed", "(i=0) AssertionError: 0\n(i=2) AssertionError: 2"),
    "test_expected": ("expected failure", "AssertionError: as expected"),
    "test_unexpected": ("unexpected success", ""),
}
PLAIN = "unittest", "TestCase"


@pytest.mark.parametrize(
    "command, base",
    [
        (["unittest", "test_outcomes"], PLAIN),
        (["pytest", "-q", "test_outcomes.py"], PLAIN),
        (["nose2", "test_outcomes"], PLAIN),
        (["django", "test", "--settings=settings"], ("django.test", "SimpleTestCase")),
        (["twisted.trial", "test_outcomes"], ("twisted.trial.unittest", "TestCase")),
        (["testtools.run", "test_outcomes"], ("testtools", "TestCase")),
    ],
    ids=["unittest", "pytest", "nose2", "django", "trial", "testtools"],
)
def test_outcomes(command: list[str], base: tuple[str, str], tmp_path: Path) -> None:
    """Each runner tells in its own way how a test has ended."""
    if importlib.util.find_spec(command[0].partition(".")[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    module, kind = base
    text = OUTCOMES.replace("{module}", module).replace("{base}", kind)
    Path(tmp_path, "test_outcomes.py").write_text(text)
    Path(tmp_path, "settings.py").write_text("SECRET_KEY = 'x'")
    told = Path(tmp_path, "told")
    path = os.pathsep.join([str(tmp_path), str(Path(summon_testcase.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**os.environ, **BARE, "TOLD": str(told), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    ends = {name: rest for name, *rest in map(ast.literal_eval, told.read_text().splitlines())}
    wanted = {name: list(end) for name, end in ENDS.items()}
    if kind == "TestCase" and module != "unittest":
        # they have errors of their own, end a test at the first failing part, trial has another
        # decorator for failures that are expected, and testtools reports the last error only
        for odd in ("test_parts", "test_expected", "test_unexpected", "test_worse"):
            del wanted[odd], ends[odd]
        wanted = {n: [e, m.replace("AssertionError", "FailTest")] for n, (e, m) in wanted.items()}
        ends = {n: [e, m.replace("AssertionError", "FailTest")] for n, (e, m) in ends.items()}
    assert ends == wanted, said
