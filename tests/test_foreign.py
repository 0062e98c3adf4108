"""An exception of a signal handler arrives at the caller, and is not taken for our own error."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    Executor,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    SummonTestCase,
    TimeoutExpired,
)
from summon_testcase.foreign import is_foreign, suppress

from .reliability.scene import run_program


class Late(TimeoutError):
    """The exception that handlers of these tests raise."""


@contextlib.contextmanager
def alarm(handler: Callable[..., object], seconds: float = 0.3) -> Iterator[None]:
    """A block in which SIGALRM comes."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def plain(number: int, frame: object) -> None:
    raise Late("too slow")


def deep(number: int, frame: object) -> None:
    plain(number, None)


class Object:
    def method(self, number: int, frame: object) -> None:
        raise Late("too slow")

    def __call__(self, *args: object) -> None:
        raise Late("too slow")


def decorated(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return wrapper


HANDLERS = {
    "function": plain,
    "calls another": deep,
    "method": Object().method,
    "object": Object(),
    "decorated": decorated(plain),
    "partial": functools.partial(Object.method, Object()),
    "lambda": lambda *_: plain(0, None),
}


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_handler_is_known_by_its_frame(kind: str) -> None:
    """Exceptions of a handler are recognised, whatever kind of callable it is."""
    with alarm(HANDLERS[kind], 0.02):
        try:
            signal.pause()
        except Late as error:
            assert is_foreign(error)
        with pytest.raises(Late), suppress(OSError):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            signal.pause()


def test_errors_of_calls_are_not_foreign() -> None:
    """Errors of the system, and exceptions that a function raises, are not foreign."""
    with suppress(OSError):
        os.stat("/nonexistent")
    with suppress(TimeoutError):
        raise TimeoutError("its own")
    try:
        raise OSError
    except OSError as error:
        assert not is_foreign(error)


def other(number: int, frame: object) -> None:
    """A handler that waits for the output of another service, which does not come."""
    raise TimeoutExpired("other: too slow")


#: prints the files that Python's import looks for in a first start; a handler may run at each
IMPORTS = """
import os, signal, sys
from summon_testcase import *

found = {True: [], False: []}

def trace(frame, event, arg):
    if "importlib" in frame.f_code.co_filename and frame.f_code.co_name == "_path_stat":
        blocked = signal.SIGALRM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        found[blocked].append(frame.f_locals["path"])

web = [sys.executable, "-m", "http.server", "--bind", "{host}", "{port}"]
it = {
    "tcp": lambda: TCPCoordinatedExecutor(web),
    "output": lambda: OutputCoordinatedExecutor("sh -c 'echo up; exec sleep 60'", "up"),
    "http": lambda: HTTPCoordinatedExecutor(web, url="http://{host}:{port}/"),
    "file": lambda: FileCoordinatedExecutor("sh -c 'echo >$0; sleep 60' {tmpdir}/f", "{tmpdir}/f"),
    "group": lambda: Orchestrator([SimpleExecutor("sleep 60", until=lambda it: True)]),
}[sys.argv[1]]()
sys.settrace(trace)
it.start()
it.stop()
sys.settrace(None)
print(len(found[True]) > 20, found[False])
"""


def never() -> SimpleExecutor:
    return OutputCoordinatedExecutor("sleep 600", "never", name="it", timeout=60)


MADE = pytest.mark.parametrize(
    "make",
    [
        never,
        lambda: Orchestrator({"a": SimpleExecutor("sleep 600"), "b": never(), "c": never()}),
        lambda: SimpleExecutor("sleep 600", until=lambda it: signal.pause()),
    ],
    ids=["one", "graph", "until"],
)


@MADE
def test_a_limit_of_the_test_ends_a_start(make: Callable[[], Any]) -> None:
    """A limit of time ends a start, also in the user's own callable; nothing is left running."""
    it = make()
    with pytest.raises(Late, match=r"^too slow$"), alarm(plain):
        it.start()
    assert not it.running()


@MADE
def test_an_error_of_another_service_ends_a_start(make: Callable[[], Any]) -> None:
    """A handler may raise an error of this package, about another service."""
    it = make()
    with pytest.raises(TimeoutExpired) as caught, alarm(other):
        it.start()
    assert str(caught.value).splitlines()[0] == "other: too slow"
    assert caught.value.executor is None
    assert not it.running()


@pytest.mark.parametrize("flavour", ["tcp", "output", "http", "file", "group"])
def test_no_handler_comes_into_an_import(flavour: str, place: Path) -> None:
    """Python's import takes an OSError of a handler for a missing file; ours arrives."""
    done = run_program(IMPORTS, place, flavour)
    assert (done.stdout, done.stderr) == ("True []\n", "")


def test_what_until_raises_itself_counts_as_not_yet() -> None:
    """A TimeoutError of the user's callable, as of a request, is not taken for a handler's."""

    def until(it: SimpleExecutor) -> bool:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutExpired, match="until= raised TimeoutError: no answer"):
        SimpleExecutor("sleep 600", until=until, timeout=0.1).start()


def test_a_limit_of_the_test_ends_a_stop() -> None:
    """An exception of a handler ends the stop, which then kills."""
    it = OutputCoordinatedExecutor(
        ["sh", "-c", 'trap "" TERM; echo up; while :; do sleep 0.1; done'], "up\n", stop_timeout=60
    )
    for what in (it, Orchestrator([it])):
        what.start()
        with pytest.raises(Late), alarm(plain):
            what.stop()
        assert not it.running()


class Slow(Executor):
    """A slow member, so that a handler can run before the first member was asked to stop."""

    stops = False
    after = ("it",)

    def __getattribute__(self, name: str) -> Any:
        if name == "stop" and super().__getattribute__("stops"):
            self.stops = False
            signal.raise_signal(signal.SIGALRM)
        return super().__getattribute__(name)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.mark.parametrize("leave", [False, True], ids=["stop", "with"])
def test_an_error_of_another_service_ends_a_stop(leave: bool) -> None:
    """The stop of a group then kills, even if it had hardly begun."""
    it, slow = SimpleExecutor("sleep 600"), Slow()
    group = Orchestrator({"it": it, "slow": slow}).start()
    with pytest.raises(TimeoutExpired, match=r"^other: too slow$"), alarm(other, 60):
        slow.stops = True
        if leave:
            with contextlib.ExitStack() as stack:
                stack.push(group)
        else:
            group.stop()
    assert not it.running()


class InATestCase(unittest.TestCase):
    """In a TestCase the runner collects the errors."""

    def outcome(self, case: type[unittest.TestCase]) -> unittest.TestResult:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
        return unittest.TextTestRunner(io.StringIO()).run(suite)

    def test_of_the_class(self) -> None:
        """It is the error of setUpClass, and the start is tried again later."""
        slow = True

        class SlowTest(SummonTestCase):
            it = SimpleExecutor("sleep 600", until=lambda it: not slow)

            def test(self) -> None:
                self.assertTrue(self.it.running())

        with alarm(plain):
            result = self.outcome(SlowTest)
        where = f"setUpClass ({SlowTest.__module__}.{SlowTest.__qualname__})"
        self.assertEqual([str(test) for test, _ in result.errors], [where])
        self.assertIn("Late: too slow", result.errors[0][1])
        self.assertFalse(SlowTest.it.running())
        slow = False
        self.assertEqual(self.outcome(SlowTest).errors, [])

    def test_of_a_test(self) -> None:
        """It is the error of the test."""
        slow = True

        class SlowTest(SummonTestCase):
            it = SimpleExecutor("sleep 600", until=lambda it: not slow, scope="test")

            def test(self) -> None:
                self.assertTrue(self.it.running())

        with alarm(plain):
            result = self.outcome(SlowTest)
        self.assertEqual(len(result.errors), 1)
        self.assertIn("Late: too slow", result.errors[0][1])
        slow = False
        self.assertEqual(self.outcome(SlowTest).errors, [])
