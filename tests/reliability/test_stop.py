"""Stop is bounded and idempotent, and any thread, atexit or forked child may call it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    AlreadyRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    StopFailed,
    SummonError,
)
from summon_testcase.supervision import stopping

from ..doubles import instance_of, keeper_pid
from ..places import linux
from ..samples import alive, eventually, marked
from .scene import LONG, UP, Belongings, at_random, forget_log, nothing_left, run_program, sh

#: seconds that a stop without obstacles may take on a busy machine
IN_TIME = 8.0
DEAF = 'trap "" TERM HUP INT; echo up; while :; do read never || sleep 0.1; done'

pytestmark = linux


def one(mark: str, **options: Any) -> OutputCoordinatedExecutor:
    """A service with a banner."""
    return OutputCoordinatedExecutor(sh(UP, mark, "{port}"), "up\n", **options)


def deaf(mark: str, **options: Any) -> OutputCoordinatedExecutor:
    """A service that ignores its signal, and must be killed."""
    return OutputCoordinatedExecutor(sh(DEAF, mark), "up\n", **{"stop_timeout": 0.3, **options})


def at_once(*calls: Callable[[], object]) -> list[BaseException]:
    """Call each function in a thread of its own, at the same moment; the exceptions."""
    barrier = threading.Barrier(len(calls))
    errors: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread hangs"
    return errors


def rounds(short: int) -> range:
    """How often a race is run."""
    return range(short * 20 if LONG else short)


class TestBounded:
    def test_killed_after_its_time(self, mark: str) -> None:
        """A service that ignores its signal is killed after stop_timeout: StopFailed."""
        it = deaf(mark).start()
        began = time.monotonic()
        with pytest.raises(StopFailed, match=r"did not end within 0\.3 s of SIGTERM"):
            it.stop()
        assert 0.3 <= time.monotonic() - began < IN_TIME
        assert not marked(mark)

    def test_no_time_at_all(self, mark: str) -> None:
        """A stop_timeout of 0 kills at once."""
        it = deaf(mark, stop_timeout=0).start()
        with pytest.raises(StopFailed):
            it.stop()
        assert not marked(mark)

    def test_a_family_of_deaf(self, mark: str) -> None:
        """Children in sessions of their own count, too."""
        script = 'for i in 1 2 3; do setsid sh -c "$1" "$0" & done; wait'
        every_child_is_deaf = "(up\n){3}"
        it = OutputCoordinatedExecutor(
            sh(script, mark, DEAF), every_child_is_deaf, stop_timeout=0.3
        ).start()
        assert len(marked(mark)) >= 4
        with pytest.raises(StopFailed):
            it.stop()
        assert not marked(mark)

    def test_stopped_keeper(self, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A keeper that does not answer (SIGSTOP) is given up, and killed with its service."""
        it = SimpleExecutor(sh(UP, mark), stop_timeout=0.2).start()
        keeper = keeper_pid(it)
        os.kill(keeper, signal.SIGSTOP)
        # seconds that a keeper has for its answer
        monkeypatch.setattr(stopping, "ANSWER", 0.5)
        with pytest.raises(StopFailed, match="its keeper was killed"):
            it.stop()
        assert not alive(keeper) and not marked(mark)

    def test_many_deaf_in_parallel(self, mark: str) -> None:
        """Ten that must be killed cost the time of one; all are reported."""
        group = Orchestrator({f"deaf{n}": deaf(mark, stop_timeout=1) for n in range(10)}).start()
        began = time.monotonic()
        with pytest.raises(StopFailed) as caught:
            group.stop()
        assert time.monotonic() - began < IN_TIME
        assert len(caught.value.errors) == 10
        assert not marked(mark)


class TestIdempotent:
    def test_again_and_again(self, mark: str) -> None:
        """A second stop does nothing, nor does the stop of an executor that never ran."""
        for it in (one(mark), Orchestrator([one(mark), one(mark)])):
            it.stop()
            it.start()
            for _ in range(3):
                it.stop()
            assert not it.running() and not marked(mark)

    def test_after_it_has_ended(self, mark: str) -> None:
        """The stop of a service that has ended by itself removes its processes and files."""
        before = Belongings()
        it = OutputCoordinatedExecutor(
            sh('sh -c "sleep 1000; :" "$0" & echo up', mark), "up\n"
        ).start()
        eventually(lambda: it.exit_code == 0, "it has ended")
        assert marked(mark)
        it.stop()
        it.stop()
        assert not marked(mark) and before.lost() == {}

    def test_kill_and_stop(self, mark: str) -> None:
        """In any order."""
        it = one(mark).start()
        it.kill()
        it.stop()
        it.start().stop()
        it.kill()
        assert not marked(mark)

    @pytest.mark.parametrize("how", ["kill", "SIGQUIT", "cancelled stop"])
    def test_killed_while_it_is_stopped(self, how: str, mark: str) -> None:
        """Whoever waits for the stop is not told that it took too long: the kill was wished for."""
        script = 'trap "echo asked" TERM; echo up; while :; do sleep 0.01; done'
        it = OutputCoordinatedExecutor(sh(script, mark), "up\n", stop_timeout=60).start()

        async def use() -> None:
            stop = asyncio.create_task(it.stop_async())
            await it.wait_for_output_async("asked\n", 30)
            if how == "cancelled stop":
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(it.stop_async(), 0.1)
            else:
                it.kill(signal.SIGQUIT if how == "SIGQUIT" else None)
            await stop

        asyncio.run(use())
        assert not it.running() and not marked(mark)


class TestThreads:
    def test_eight_stop_the_same(self, mark: str) -> None:
        """Many threads stop a service once, by one signal; all return when it is gone."""
        script = 'trap "echo asked; exit 0" TERM; echo up; while :; do read never; done'
        it = OutputCoordinatedExecutor(sh(script, mark), "up\n", expected_exit=143)
        it.start().stop()
        before = Belongings()
        for _ in rounds(5):
            pid = it.start().pid

            def stop(pid: int = pid) -> None:
                it.stop()
                assert not alive(pid)

            assert at_once(*[stop] * 8) == []
            assert not it.running()
        assert before.lost() == {}

    def test_asked_once(self, mark: str, tmp_path: Path) -> None:
        """Eight stops send one signal: a second one would cut short the end of some servers."""
        asked = tmp_path / "asked"
        script = f'trap "echo x >> {asked}" TERM; echo up; read never; read never; sleep 0.3'
        it = OutputCoordinatedExecutor(sh(script, mark), "up\n", stop_timeout=30).start()
        called: list[None] = []

        def stop() -> None:
            called.append(None)
            it.stop()

        def let_it_end() -> None:
            eventually(lambda: len(called) == 8, "all of them stop it")
            it.sendline("\n\n")

        assert at_once(*[stop] * 8, let_it_end) == []
        assert asked.read_text() == "x\n"
        assert not marked(mark)

    def test_eight_stop_what_is_deaf(self, mark: str) -> None:
        """Each call gets StopFailed; together they take the time of one."""
        it = deaf(mark, stop_timeout=1).start()
        began = time.monotonic()
        errors = at_once(*[it.stop] * 8)
        assert 1 <= time.monotonic() - began < IN_TIME
        assert errors and all(isinstance(error, StopFailed) for error in errors)
        assert not marked(mark)

    def test_eight_stop_different_ones(self, mark: str) -> None:
        """Services do not wait for each other."""
        services = [one(mark) for _ in range(8)]
        services[0].start().stop()
        before = Belongings()
        for _ in rounds(3):
            assert at_once(*[service.start for service in services]) == []
            assert len(marked(mark)) == 8
            assert at_once(*[service.stop for service in services]) == []
            assert not marked(mark)
        assert before.lost() == {}

    def test_eight_stop_a_group(self, mark: str) -> None:
        """A group of foreign and of own members: each foreign one is stopped once."""

        class Foreign:
            def __init__(self) -> None:
                self.stops: list[int] = []

            def start(self) -> None: ...

            def stop(self) -> None:
                self.stops.append(1)

        foreign = Foreign()
        group = Orchestrator({"a": one(mark), "b": foreign, "c": one(mark, after="a")})
        for number in rounds(3):
            group.start()
            pids = marked(mark)

            def stop(pids: list[int] = pids) -> None:
                group.stop()
                assert not any(map(alive, pids))

            assert at_once(*[stop] * 8) == []
            assert len(foreign.stops) == number + 1

    def test_start_and_stop_at_once(self, mark: str) -> None:
        """Whichever call is first: no hang, nothing lost, and a last stop leaves nothing."""
        it = one(mark)
        it.start().stop()
        before = Belongings()
        for _ in rounds(20):

            def stop() -> None:
                at_random(0.01)
                it.stop()

            for error in at_once(it.start, stop):
                assert isinstance(error, SummonError), error
                forget_log(error)
            it.stop()
            assert not marked(mark)
        del error
        assert before.lost() == {}

    def test_start_and_stop_of_a_group(self, mark: str) -> None:
        """The same for a graph of four."""
        group = Orchestrator(
            {"a": one(mark), "b": one(mark), "c": one(mark, after="a"), "d": one(mark, after="c")}
        )
        group.start().stop()
        before = Belongings()
        for _ in rounds(6):

            def stop() -> None:
                at_random(0.03)
                group.stop()

            for error in at_once(group.start, stop):
                assert isinstance(error, SummonError), error
                forget_log(error)
            group.stop()
            assert not marked(mark)
        assert set(before.lost()) <= {"files"}

    def test_two_start_the_same(self, mark: str) -> None:
        """Of two starts at the same time one is refused."""
        for it in (one(mark, name="it"), Orchestrator({"a": one(mark), "b": one(mark)})):
            for _ in rounds(4):
                errors = at_once(it.start, it.start)  # type: ignore[attr-defined]
                assert [type(error) for error in errors] == [AlreadyRunning]
                assert it.running()  # type: ignore[attr-defined]
                it.stop()  # type: ignore[attr-defined]
                assert not marked(mark)

    def test_all_at_once(self, mark: str) -> None:
        """Eight threads start, stop, kill and restart two services as they like."""
        services = [one(mark), one(mark)]
        for service in services:
            service.start().stop()
        before = Belongings()
        errors: list[BaseException] = []
        end = time.monotonic() + (60 if LONG else 1)

        def play() -> None:
            dice = random.Random()
            while time.monotonic() < end:
                service = dice.choice(services)
                try:
                    getattr(service, dice.choice(["start", "stop", "kill", "restart"]))()
                except SummonError as error:
                    errors.append(error)

        assert at_once(*[play] * 8) == []
        for service in services:
            service.stop()
        assert not marked(mark)
        for error in errors:
            forget_log(error)
        del errors[:]
        for service in services:
            service.start().stop()
        assert set(before.lost()) <= {"files"}

    def test_two_wait_for_the_same_output(self, mark: str) -> None:
        """A message of the keeper that one thread has read reaches the other."""
        script = "echo up; while read line; do echo $line; done"
        it = OutputCoordinatedExecutor(sh(script, mark), "up\n").start()
        called: list[None] = []

        def wait() -> None:
            called.append(None)
            began = time.monotonic()
            it.wait_for_output(f"{line}\n", timeout=IN_TIME)
            assert time.monotonic() - began < IN_TIME / 2

        def tell() -> None:
            eventually(lambda: len(called) == 4, "all of them wait")
            it.sendline(line)

        for number in rounds(4):
            line = f"number {number}"
            called.clear()
            mark_before = instance_of(it).mark
            assert at_once(*[wait] * 4, tell) == [], mark_before
            instance_of(it).mark = instance_of(it).log.size()
        it.stop()


AT_EXIT = """
import atexit, os, sys, threading
from summon_testcase import *
mark, how = sys.argv[1:]
it = OutputCoordinatedExecutor(["/bin/sh", "-c", "echo up; read never", mark], "up")
def stop():
    it.stop()
    print("stopped", it.running())
if how == "before":
    atexit.register(stop)
it.start()
if how == "after":
    atexit.register(stop)
if how == "thread":
    thread = threading.Thread(target=it.stop)
    thread.start()
if how == "error":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("how", ["before", "after", "thread", "error", "nothing"])
def test_at_exit(how: str, mark: str, tmp_path: Path) -> None:
    """An atexit handler may stop it, whenever registered; without one it is stopped, too."""
    done = run_program(AT_EXIT, tmp_path, mark, how)
    assert done.stderr == ""
    assert done.stdout == ("stopped False\n" if how in ("before", "after") else "")
    nothing_left(mark)
    eventually(lambda: not os.listdir(tmp_path), "its files are gone")


FORKED = """
import os, sys, threading, time, signal
from summon_testcase import *
from tests.samples import marked
mark, threads = sys.argv[1:]
it = OutputCoordinatedExecutor(["/bin/sh", "-c", "echo up; read never", mark], "up")
group = Orchestrator({"it": it, "other": SimpleExecutor(["/bin/sh", "-c", "read never", mark])})
group.start()
pid, going = it.pid, True
def ask():
    while going:
        it.running()
        it.tail()
if threads == "threads":
    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers: asker.start()
for _ in range(6):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        it.stop(); it.kill(); group.stop(); it.stop()
        assert not it.running()
        own = OutputCoordinatedExecutor(["/bin/sh", "-c", "echo up; read never", mark], "up")
        with own:
            assert own.running()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert it.running() and group.running() and it.pid == pid
going = False
assert len(marked(mark)) == 2, marked(mark)
group.stop()
assert not marked(mark)
print("well")
"""


@pytest.mark.parametrize("threads", ["none", "threads"])
def test_in_a_forked_child(threads: str, mark: str, tmp_path: Path) -> None:
    """A forked child cannot stop the parent's services, and owns those that it starts itself."""
    done = run_program(
        "import warnings; warnings.simplefilter('ignore')" + FORKED, tmp_path, mark, threads
    )
    assert (done.stderr, done.stdout) == ("", "well\n")
    nothing_left(mark)
