"""Starts, stops and waits on an asyncio event loop, whose other tasks go on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import IsolatedAsyncioTestCase

import anyio
import pytest

from summon_testcase import (
    AlreadyRunning,
    Executor,
    HTTPCoordinatedExecutor,
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    StartFailed,
    SummonMixin,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    orchestrated,
    tracebacks,
)

from ..cases import run
from ..programs import assert_nothing_left, line, program
from ..samples import eventually, marked, service

WEB = "{python} -m http.server --bind {host} {port}"
#: a service that asks a server before it is ready, for each line, and before it ends
ASKS = """
import os, signal, socket, sys
def ask(what):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.sendall(what.encode() + b"\\n")
        # not print(), which the signal may have interrupted
        os.write(1, connection.makefile("rb").readline())
def end(*_):
    ask("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
ask("begin")
for each in sys.stdin:
    ask(each.strip())
"""


class Server:
    """A server on the loop of a test: it answers each line, a moment later."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = (await reader.readline()).decode().strip()
        self.asked.append(said)
        await asyncio.sleep(0.02)
        writer.write(f"yes, {said}\n".encode())
        await writer.drain()
        writer.close()

    def client(self, mark: str, **options: Any) -> OutputCoordinatedExecutor:
        """A service that needs the answers of this server."""
        command = ["{python}", "-c", ASKS, str(self.port), mark]
        return OutputCoordinatedExecutor(command, "yes, begin\n", **options)


def slow(mark: str) -> OutputCoordinatedExecutor:
    """A service that runs at once, and is not ready within any time that a test has."""
    return OutputCoordinatedExecutor(service("silent.py", mark), "never")


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def not_warned() -> Iterator[None]:
    """As if nothing had been warned of yet; these tests run with warnings as errors."""
    tracebacks.forget()
    yield
    tracebacks.forget()


def test_a_service_that_calls_back_into_the_loop(mark: str) -> None:
    async def use() -> None:
        async with Server() as server:
            async with orchestrated(server.client(mark), SimpleExecutor("sleep 60")) as (one, two):
                assert one.running() and two.running()
                one.sendline("and now")
                match = await one.wait_for_output_async("yes, (and .*)\n", 5)
                assert match[1] == "and now"
            assert not one.running()
            async with server.client(mark) as one:
                assert one.running()
            assert await one.start_async() is one
            await one.stop_async()
            await one.stop_async()
            assert server.asked == [*("begin", "and now", "end"), *("begin", "end") * 2]

    asyncio.run(use())
    assert not marked(mark)


def test_a_stack_that_fails_is_rolled_back_while_the_loop_goes_on(mark: str) -> None:
    async def use() -> None:
        async with Server() as server:
            bad = SimpleExecutor("false", one_shot=True)
            stack = Orchestrator([server.client(mark, name="one"), bad])
            with pytest.raises(StartFailed, match="false") as caught:
                await stack.start_async()
            assert "started, stopped again: one" in str(caught.value)
            # it was stopped politely, and so could ask
            assert server.asked == ["begin", "end"]
            assert not stack.running()

    asyncio.run(use())
    assert not marked(mark)


@pytest.mark.parametrize("kind", ["alone", "stack", "block"])
def test_a_cancelled_start_leaves_nothing_running(mark: str, kind: str) -> None:
    async def start(server: Server) -> None:
        if kind == "alone":
            await slow(mark).start_async()
        elif kind == "stack":
            await Orchestrator([server.client(mark), slow(mark)]).start_async()
        else:
            async with orchestrated(server.client(mark), slow(mark)):
                raise AssertionError("it is not reached")

    async def use() -> None:
        async with Server() as server:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(start(server), 0.3)
            assert not marked(mark)
        # another one, since the limit may have come before the answer, so that no end follows
        async with Server() as server:
            task = asyncio.create_task(start(server))
            number = 1 if kind == "alone" else 2
            await asyncio.to_thread(eventually, lambda: len(marked(mark)) >= number, "they run")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not marked(mark)
            assert server.asked.count("begin") == server.asked.count("end")

    asyncio.run(use())


def test_a_cancelled_stop_kills_and_a_cancelled_wait_does_not(mark: str) -> None:
    async def use() -> None:
        deaf = OutputCoordinatedExecutor(service("deaf.py", mark), "deaf", stop_timeout=60)
        await deaf.start_async()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(deaf.wait_for_output_async("never"), 0.05)
        assert deaf.running()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(deaf.stop_async(), 0.1)
        assert not deaf.running() and not marked(mark)
        async with deaf:
            os.kill(deaf.pid, signal.SIGKILL)
            with pytest.raises(ProcessExited):
                await deaf.wait_for_output_async("never")
            deaf.wait()

    asyncio.run(use())


def test_tasks_wait_for_the_same_and_for_many_at_once() -> None:
    async def use() -> None:
        webs = [HTTPCoordinatedExecutor(WEB, url="http://{host}:{port}/") for _ in range(3)]
        await asyncio.gather(*(web.start_async() for web in webs))
        web = webs[0]
        with pytest.raises(AlreadyRunning):
            await web.start_async()
        waits = [asyncio.create_task(web.wait_for_output_async("GET /tea", 5)) for _ in range(3)]
        with pytest.raises(TimeoutExpired):
            await web.wait_for_output_async("GET /tea", 0.02)
        _, writer = await asyncio.open_connection(web.host, web.port)
        writer.write(b"GET /tea HTTP/1.0\r\n\r\n")
        assert [match[0] for match in await asyncio.gather(*waits)] == ["GET /tea"] * 3
        writer.close()
        await asyncio.gather(*(web.stop_async() for web in webs))
        assert not any(web.running() for web in webs)

    asyncio.run(use())
    before = descriptors()
    asyncio.run(use())
    assert descriptors() == before


def test_a_stop_from_outside_ends_the_start_of_a_task(mark: str) -> None:
    async def use() -> None:
        one = slow(mark)
        task = asyncio.create_task(one.start_async())
        await asyncio.to_thread(eventually, lambda: marked(mark), "it runs")
        await asyncio.to_thread(one.stop)
        with pytest.raises(ProcessExited):
            await task

    asyncio.run(use())
    assert not marked(mark)


def test_deaths_in_a_block_are_told() -> None:
    async def die(error: Exception | None) -> None:
        services = {name: SimpleExecutor("sleep 60") for name in "ab"}
        async with orchestrated(**services) as (a, _):
            a.signal(signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: not a.running(), "it has ended")
            if error is not None:
                raise error

    with pytest.raises(ProcessExited, match="a: was killed by SIGKILL"):
        asyncio.run(die(None))
    with pytest.raises(KeyError) as caught:
        asyncio.run(die(KeyError("x")))
    notes = getattr(caught.value, "__notes__", None) or [str(caught.value.__cause__)]
    assert "a: was killed by SIGKILL" in "".join(notes)


class Own(SimpleExecutor):
    """Starts and stops in its own way."""

    calls: list[str] = []

    def start(self) -> Own:
        self.calls.append("start")
        return super().start()

    def stop(self, signal: int | None = None, timeout: float | None = None) -> None:
        self.calls.append("stop")
        super().stop(signal, timeout)


class Plain(Executor):
    """An executor that runs no process."""

    up = False

    def start(self) -> Plain:
        self.up = True
        return self

    def stop(self) -> None:
        self.up = False


def test_what_is_overridden_is_called_as_it_is() -> None:
    async def use() -> None:
        plain = Plain()
        async with Own("sleep 60") as own, plain:
            assert own.running() and plain.up
        assert not own.running() and not plain.up

    Own.calls.clear()
    asyncio.run(use())
    assert Own.calls == ["start", "stop"]


def test_blocking_forms_warn_once_with_the_name_of_the_other() -> None:
    class Test(SummonMixin, IsolatedAsyncioTestCase):
        # what the library itself starts and stops inside of a loop is no matter of the user's
        each = SimpleExecutor("echo hello; sleep 60", shell=True, scope="test")

        async def test(self) -> None:
            one = SimpleExecutor("echo hello; sleep 60", shell=True)
            calls: list[tuple[str, str, Callable[[], object]]] = [
                ("start()", "await …start_async()", one.start),
                (
                    "wait_for_output()",
                    "await …wait_for_output_async()",
                    lambda: one.wait_for_output("h"),
                ),
                (
                    "assertOutput()",
                    "await self.assertOutputAsync()",
                    lambda: self.assertOutput(one, "e"),
                ),
                ("stop()", "await …stop_async()", one.stop),
                ("with", "async with", lambda: in_block(one)),
                (
                    "with orchestrated(…)",
                    "async with orchestrated(…)",
                    lambda: in_block(orchestrated(one)),
                ),
            ]
            for name, other, call in calls:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    call()
                assert [w.filename for w in caught] == [__file__], name
                assert str(caught[0].message).startswith(name)
                assert str(caught[0].message).endswith(f"Write {other}")
            for _, _, call in calls:
                call()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(Test)
    assert (result.errors, result.failures, result.testsRun) == ([], [], 1)


def in_block(thing: contextlib.AbstractContextManager[object]) -> None:
    with thing:
        pass


def test_no_warning_without_a_loop_in_this_thread_or_another_form() -> None:
    one = SimpleExecutor("sleep 60")

    @orchestrated(one)
    async def decorated() -> None:
        assert one.running()

    async def use() -> None:
        await asyncio.to_thread(one.start)
        one.restart()
        with one.stopped():
            assert not one.running()
        await asyncio.to_thread(one.stop)
        await decorated()

    asyncio.run(use())
    with one:
        pass


def test_in_a_testcase() -> None:
    class Test(SummonMixin, IsolatedAsyncioTestCase):
        cat = SimpleExecutor("cat", tty=False)

        async def test_finds(self) -> None:
            self.cat.sendline("tea 3")
            match = await self.assertOutputAsync(self.cat, r"tea (\d+)\n")
            self.assertEqual(match[1], "3")

        async def test_misses(self) -> None:
            await self.assertOutputAsync(self.cat, "bread", 0.02, "there is none")

    result = run(Test)
    assert result.testsRun == 2 and not result.errors
    ((_, said),) = result.failures
    assert "bread" in said and "there is none" in said


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thread_of_anyio_starts_it_on_any_loop(backend: str) -> None:
    one = TCPCoordinatedExecutor(WEB)

    async def use() -> None:
        await anyio.to_thread.run_sync(one.start)
        assert one.running()
        await anyio.to_thread.run_sync(one.stop)
        if backend == "trio":
            with pytest.raises(RuntimeError, match=r"anyio.to_thread.run_sync\(service.start\)"):
                await one.start_async()
        assert not one.running()

    anyio.run(use, backend=backend)


def test_ctrl_c_in_a_start_leaves_nothing(mark: str, place: Path) -> None:
    source = """
import asyncio
async def use():
    say("begins")
    async with orchestrated(silent(), OutputCoordinatedExecutor(service("silent.py", MARK), "no")):
        say("is not reached")
try:
    asyncio.run(use())
except KeyboardInterrupt:
    say("interrupted", len(marked(MARK)))
"""
    with program(source, mark, place) as process:
        assert line(process) == ["begins"]
        while len(marked(mark)) < 2:
            pass
        process.send_signal(signal.SIGINT)
        assert line(process) == ["interrupted", "0"]
        assert process.wait(15) == 0
    assert_nothing_left(mark, place)


def test_a_coroutine_that_is_dropped_leaves_nothing_running(mark: str) -> None:
    async def use() -> None:
        start = slow(mark).start_async()
        while not marked(mark):
            # as a task does it
            pause = start.send(None)
            if pause is not None:
                pause._asyncio_future_blocking = False
                await asyncio.wait([pause])
        start.close()
        assert not marked(mark)

    asyncio.run(use())
