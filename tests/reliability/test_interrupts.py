"""Ctrl-C, and signal handlers that stop services, at any moment of a start or a stop.

What interrupts is raised, or called, from a trace function at the N-th line that is executed
inside the package; then again for the next N, through all of the start or the stop.  The long
form takes every N.  Lines that begin with "with" or "try" are passed over, since the interpreter
itself handles no signal there: at the one the tracer also sees the end of such a block, before
the lock is given back; the other is a step of its own between two blocks, and part of neither.
"""

from __future__ import annotations

import contextlib
import itertools
import linecache
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import summon_testcase
from summon_testcase import (
    AlreadyRunning,
    HTTPCoordinatedExecutor,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    SummonError,
    TimeoutExpired,
    orchestrated,
)
from summon_testcase.system import ports
from summon_testcase.testing import farewells
from summon_testcase.testing.pool import ServicePool

from ..doubles import redeclare, stop_all_at_exit
from ..places import linux
from ..samples import eventually, marked, service, status
from .scene import LONG, UP, Belongings, run_program, sh

PACKAGE = str(Path(summon_testcase.__file__).parent)
#: seconds within which each call must end, even on a busy machine; less than any limit inside
IN_TIME = 8.0

pytestmark = linux


@pytest.fixture(autouse=True)
def no_resource_warnings() -> Iterator[None]:
    """Ignore ResourceWarnings: objects that an interrupt has left half-made close themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


class AtLine:
    """A block in which something is done at the N-th line inside the package."""

    def __init__(self, number: int, action: Callable[[], object]) -> None:
        self.number, self.action = number, action
        self.count = 0
        #: the line at which it was done
        self.where = ""

    def _enter(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        path, line = frame.f_code.co_filename, frame.f_lineno
        source = linecache.getline(path, line).lstrip()
        if event == "line" and not source.startswith(("with ", "try:")):
            self.count += 1
            if self.count == self.number:
                self.where = f"{Path(path).name}:{line}, in {frame.f_code.co_name}"
                sys.settrace(None)
                self.action()
        return self._line

    def __enter__(self) -> AtLine:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(None)


def interrupt() -> None:
    """Do what Python's handler of SIGINT does."""
    raise KeyboardInterrupt


#: exceptions of handlers: that of SIGINT, and those by which tests limit their time
#: and errors of another service, which a handler stops, or waits for
KINDS: list[type[BaseException]] = [KeyboardInterrupt, TimeoutError, RuntimeError, TimeoutExpired]


class Interrupt:
    """A handler that raises one exception, which must arrive unchanged."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.error = kind("it took too long")
        self.came = False

    def __call__(self) -> None:
        self.came = True
        raise self.error

    def arrived(self, call: Callable[[], object]) -> bool:
        """Whether it came out of a call."""
        try:
            call()
        except BaseException as error:
            if error is not self.error:
                raise
            assert error.__cause__ is None and not error.__suppress_context__
            # whose frames would keep alive what has been interrupted
            error.__traceback__ = error.__context__ = None
            return True
        return False


def one(mark: str) -> Any:
    """A single executor, with a port and a banner."""
    return OutputCoordinatedExecutor(sh(UP, mark, "{port}"), "up\n", name="it")


def four(mark: str) -> Any:
    """A graph of four."""
    return Orchestrator(
        {
            "a": one(mark),
            "b": SimpleExecutor(sh(UP, mark, "{a.port}")),
            "c": OutputCoordinatedExecutor(sh(UP, mark), "up\n", after="a"),
            "d": one(mark),
        }
    )


def web(mark: str) -> Any:
    """An executor that the asker asks."""
    return HTTPCoordinatedExecutor(
        service("answers.py", "{port}", "busy=2", mark), url="http://{host}:{port}/", name="it"
    )


MAKERS = [one, four]


def numbers(short: int) -> Iterator[int]:
    """The numbers of lines to interrupt: all in the long form, else one in so many."""
    begin = 1 if LONG else 1 + random.randrange(short)
    step = 1 if LONG else short
    while True:
        yield begin
        begin += step


def interrupts(short: int) -> Iterator[tuple[int, Interrupt]]:
    """The numbers of lines, each with an exception; the kinds take turns."""
    kinds = itertools.cycle(random.sample(KINDS, len(KINDS)))
    return ((number, Interrupt(next(kinds))) for number in numbers(short))


@pytest.mark.parametrize("make, short", [(one, 29), (four, 171), (web, 331)])
def test_interrupted_start(make: Callable[[str], Any], short: int, mark: str) -> None:
    """Nothing runs, nothing is lost, the interrupt comes through, and it can start again."""
    it = make(mark)
    it.start().stop()
    before = Belongings()
    for number, interrupt in interrupts(short):
        began = time.monotonic()
        with AtLine(number, interrupt) as at:
            interrupted = interrupt.arrived(it.start)
        assert interrupted == bool(at.where), at.where
        if not interrupted:
            it.stop()
            break
        assert time.monotonic() - began < IN_TIME, at.where
        assert not marked(mark), at.where
        assert not it.running(), at.where
        lost = before.lost()
        # one of thousands, where the port was found and nobody had been told yet
        assert lost.pop("ports", 1) == 1
        before.ports = Belongings().ports
        assert lost == {}, at.where
        it.start().stop()
    assert number > 400


@pytest.mark.parametrize("make, short", [(one, 11), (four, 61)])
def test_interrupted_stop(make: Callable[[str], Any], short: int, mark: str) -> None:
    """Nothing runs, nothing is lost, and the interrupt comes through.

    But for the first lines, before which nobody has been asked to stop anything.
    """
    it = make(mark)
    it.start().stop()
    before = Belongings()
    for number, interrupt in interrupts(short):
        it.start()
        began = time.monotonic()
        with AtLine(number, interrupt) as at:
            interrupted = interrupt.arrived(it.stop)
        assert interrupted == bool(at.where), at.where
        assert time.monotonic() - began < IN_TIME, at.where
        if number <= 8 and marked(mark):
            assert it.running()
            it.stop()
        assert not marked(mark), at.where
        assert not it.running(), at.where
        assert before.lost() == {}, at.where
        if not interrupted:
            break
    assert number > 100


def test_interrupted_farewell(mark: str) -> None:
    """At the end of a class with ``stop_wait=False``, and when the process waits for it.

    The interrupt comes through, and the end of the process leaves nothing.
    """
    services = {"a": one(mark), "b": one(mark)}
    services["b"].after = ("a",)
    for each in services.values():
        redeclare(each, stop_wait=False)
    pool = ServicePool("class", "Case")

    def end() -> None:
        pool.stop()
        farewells.wait(farewells.under_way())

    pool.bring_up(services, services, "before")
    end()
    before = Belongings()
    for number, interrupt in interrupts(97):
        pool.bring_up(services, services, "before")
        began = time.monotonic()
        with AtLine(number, interrupt) as at:
            interrupted = interrupt.arrived(end)
        assert interrupted == bool(at.where), at.where
        stop_all_at_exit()
        assert time.monotonic() - began < IN_TIME, at.where
        assert not marked(mark), at.where
        assert not any(each.running() for each in services.values()), at.where
        assert before.lost() == {}, at.where
        if not interrupted:
            break
    assert number > 300


def test_interrupted_lease() -> None:
    """If a port needs a new block, an interrupt leaves neither port nor block locked."""
    leases = ports.Leases()
    last = leases.lease()
    while leases.locked() == 1:
        last = leases.lease()
    leases.release(last)
    assert leases.locked() == 1
    before = Belongings()
    for number, interrupt in interrupts(1):
        with AtLine(number, interrupt) as at:
            interrupted = interrupt.arrived(leases.lease)
        if not interrupted:
            break
        assert leases.locked() == 1, at.where
        assert before.lost() == {}, at.where
    assert number > 20
    leases.forget()


def test_interrupted_pause(mark: str) -> None:
    """Wherever the interrupt comes: the service goes on, and the interrupt comes through."""
    it = one(mark).start()
    for number in numbers(3):
        began = time.monotonic()
        with AtLine(number, interrupt) as at:
            try:
                with it.paused(), it.paused():
                    pass
                interrupted = False
            except KeyboardInterrupt:
                interrupted = True
        assert interrupted == bool(at.where), at.where
        assert time.monotonic() - began < IN_TIME, at.where
        eventually(lambda: status(it.pid)[0] == "S", f"it goes on: {at.where}")
        if not interrupted:
            break
    assert number > 60
    it.stop()


def test_interrupted_send(mark: str) -> None:
    """The interrupt comes through; text sent later arrives whole, after text already taken."""
    it = OutputCoordinatedExecutor(["sh", "-c", "echo up; tr -d x", mark], "up\n", tty=False)
    it.start()
    for number in numbers(31):
        with AtLine(number, interrupt) as at:
            try:
                it.send("x" * 300_000)
                interrupted = False
            except KeyboardInterrupt:
                interrupted = True
        assert interrupted == bool(at.where), at.where
        began = time.monotonic()
        it.sendline("x" * 100_000 + str(number))
        assert time.monotonic() - began < IN_TIME, at.where
        if not interrupted:
            break
    assert number > 150
    it.send_eof()
    eventually(lambda: not it.running(), "it has read all")
    assert all(line.isdigit() for line in it.tail(1000)[1:]), it.tail(1000)
    it.stop()


@pytest.mark.parametrize(
    "what, make, short",
    [
        ("start", one, 29),
        ("start", four, 171),
        ("stop", one, 23),
        ("stop", four, 91),
        ("wait_for_output", one, 23),
    ],
)
def test_stopped_by_a_handler(what: str, make: Callable[[str], Any], short: int, mark: str) -> None:
    """A handler stops a service during its start, stop or wait: no hang, no leak.

    A start either fails, or (if the handler came before there was anything to stop) succeeds.
    """
    it = make(mark)
    it.start().stop()
    before = Belongings()
    outcomes: Counter[str] = Counter()

    def handler() -> None:
        it.stop()

    for number in numbers(short):
        if what != "start":
            it.start()
        began = time.monotonic()
        outcome = "done"
        with AtLine(number, handler) as at:
            try:
                if what == "wait_for_output":
                    it.wait_for_output("never", timeout=0.02)
                else:
                    getattr(it, what)()
            except SummonError as error:
                outcome = type(error).__name__
        outcomes[outcome] += 1
        assert time.monotonic() - began < IN_TIME, at.where
        if outcome != "done" or what == "stop":
            assert what == "wait_for_output" or not marked(mark), at.where
        it.stop()
        assert not marked(mark), at.where
        if outcome != "done":
            _forget_logs(before)
        assert before.lost() == {}, at.where
        it.start().stop()
        if not at.where:
            break
    if what == "start":
        assert outcomes["done"] and set(outcomes) <= {
            "done",
            "SpawnFailed",
            "StartFailed",
            "ProcessExited",
        }
    elif what == "stop":
        assert set(outcomes) == {"done"}
    else:
        assert outcomes["TimeoutExpired"] and outcomes["ProcessExited"]


def test_started_by_another_thread(mark: str) -> None:
    """While a start clears away what has died, another thread starts it too: one of them does."""
    it = one(mark)
    it.start().stop()
    before = Belongings()
    outcomes: Counter[str] = Counter()

    def start() -> None:
        try:
            it.start()
            outcomes["done"] += 1
        except AlreadyRunning:
            outcomes["AlreadyRunning"] += 1

    def other() -> None:
        threads.append(threading.Thread(target=start))
        threads[-1].start()
        # it may have to wait for a lock that this thread holds here
        threads[-1].join(0.5)

    for number in numbers(29):
        it.start()
        os.kill(it.pid, signal.SIGKILL)
        eventually(lambda: not it.running(), "its death")
        outcomes.clear()
        threads: list[threading.Thread] = []
        with AtLine(number, other) as at:
            start()
        for thread in threads:
            thread.join()
        assert outcomes == ({"done": 1, "AlreadyRunning": 1} if at.where else {"done": 1}), at.where
        assert it.running(), at.where
        it.stop()
        assert before.lost() == {}, at.where
        if not at.where:
            break
    assert number > 100


def _forget_logs(before: Belongings) -> None:
    """Remove the logs that errors have named."""
    for name in Belongings().files:
        if name.endswith(".log") and name not in before.files:
            Path(summon_testcase.output.log.run_directory(), name).unlink()


@contextlib.contextmanager
def alarm(action: Callable[[], object], seconds: float) -> Iterator[list[bool]]:
    """A block in which a real signal comes after some time."""
    came = []

    def handler(number: int, frame: object) -> None:
        came.append(True)
        action()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield came
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, before)


def quickest(it: Any) -> float:
    """Seconds of the quickest of a few starts and stops: a moment within them is never too late."""
    taken = []
    for _ in range(5):
        began = time.monotonic()
        it.start().stop()
        taken.append(time.monotonic() - began)
    return min(taken)


class AtReturn(AtLine):
    """A block in which something is done as a function of the package returns.

    :param name: of the function.
    """

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        super().__init__(0, action)
        self.name = name

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "return" and frame.f_code.co_name == self.name:
            sys.settrace(None)
            self.action()
        return self._line


@pytest.mark.parametrize("last", ["run", "_started", "_begin", "start"])
@pytest.mark.parametrize("make", [one, four, lambda mark: orchestrated(one(mark))])
def test_interrupted_when_all_is_done(make: Callable[[str], Any], last: str, mark: str) -> None:
    """Ctrl-C as one of the last functions of a start returns: it is not running then."""
    it = make(mark)
    for start in (it.start, it.__enter__):
        with AtReturn(last, interrupt):
            try:
                start()
            except KeyboardInterrupt:
                eventually(lambda: not marked(mark), "nothing runs")
        it.stop()


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("make", MAKERS)
def test_interrupted_at_a_random_moment(
    make: Callable[[str], Any], kind: type[BaseException], mark: str
) -> None:
    """A real signal, between any two instructions and inside of system calls."""
    it = make(mark)
    usual = quickest(it)
    before = Belongings()
    interrupted = unlucky = 0
    for _ in range(2000 if LONG else 50):
        done: list[str] = []

        def start_and_stop(done: list[str] = done) -> None:
            it.start()
            done.append("start")
            it.stop()
            done.append("stop")

        interrupt = Interrupt(kind)
        try:
            with alarm(interrupt, random.uniform(0.0001, usual * 1.2)):
                interrupted += interrupt.arrived(start_and_stop)
        except kind as error:
            # the signal came before the call, or after it and before the end of the block
            assert error is interrupt.error and done in ([], ["start", "stop"])
            error.__traceback__ = error.__context__ = None
        # the interrupt was not swallowed
        assert "stop" in done or interrupt.came
        if done == ["start"] and it.running():
            # the interrupt came between start and stop
            it.stop()
        assert not marked(mark), done
        lost = before.lost()
        if set(lost) <= {"ports", "descriptors"} and set(lost.values()) <= {1}:
            # it came between what makes a port ours, or a socket (in the standard library), and
            # whoever would have given it back
            unlucky += len(lost)
            before = Belongings()
        else:
            assert lost == {}, done
    assert interrupted > 5
    assert unlucky <= 2 + interrupted / 100
    it.start().stop()


@pytest.mark.parametrize("make", MAKERS)
def test_stopped_by_a_real_signal(make: Callable[[str], Any], mark: str) -> None:
    """The handler of a real signal stops it at a random moment of start, wait and stop."""
    it = make(mark)
    usual = quickest(it)
    before = Belongings()
    stopped = 0
    for _ in range(2000 if LONG else 30):
        began = time.monotonic()
        with alarm(it.stop, random.uniform(0.0001, usual * 1.2)) as came:
            try:
                it.start()
                it.stop()
            except SummonError:
                _forget_logs(before)
            stopped += bool(came)
        assert time.monotonic() - began < IN_TIME
        it.stop()
        assert not marked(mark)
        assert before.lost() == {}
    assert stopped > 5


REAL = """
import os, signal, sys, time
from summon_testcase import *
from tests.samples import eventually, marked, status
mark, when = sys.argv[1:]
it = OutputCoordinatedExecutor(
    ["/bin/sh", "-c", 'trap "" TERM; echo up; while :; do sleep 0.1; done', mark],
    "up" if when != "start" else "never", stop_timeout=60, timeout=60)
def interrupted(call):
    # the shell's job: SIGINT for the whole foreground group, once the call waits
    test = os.getpid()
    if os.fork() == 0:
        eventually(lambda: len(marked(mark)) > 1 and status(test)[0] == "S", "it waits")
        os.kill(test, signal.SIGINT)
        os._exit(0)
    began = time.monotonic()
    try:
        call()
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - began < 5, it.running())
    os.wait()
if when != "start":
    it.start()
interrupted({
    "start": it.start, "stop": it.stop, "wait": lambda: it.wait_for_output("never", timeout=60),
    "output": lambda: it.output().read(),
}[when])
it.kill()
"""


@pytest.mark.parametrize(
    "when, running", [("start", False), ("stop", False), ("wait", True), ("output", True)]
)
def test_a_real_interrupt(when: str, running: bool, mark: str, tmp_path: Path) -> None:
    """SIGINT ends what blocks at once: start and stop kill, a wait leaves the service alone."""
    done = run_program(REAL, tmp_path, mark, when)
    assert done.stderr == "" and done.stdout == f"interrupted True {running}\n"
    assert not marked(mark)
