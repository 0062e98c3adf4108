"""Many services in the right order: sequences, graphs, roll-back, and stops that fail."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import threading
import time
import types
import unittest
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    DependencyCycle,
    Executor,
    InvalidArgument,
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    StopFailed,
    SummonError,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    UnknownReference,
    orchestrated,
)

from ..samples import PATIENCE, alive, eventually, marked, meets, service, text


@pytest.fixture
def events() -> list[str]:
    """What was done to the foreign executors of a test, in order."""
    return []


async def a_turn() -> None:
    """Let others go on."""
    await asyncio.sleep(0)


class Foreign:
    """Anything with start and stop: no base, no name, no other method."""

    def __init__(
        self,
        label: str,
        events: list[str],
        fails: BaseException | None = None,
        fails_to_stop: BaseException | None = None,
    ) -> None:
        self.label, self.events = label, events
        self.fails, self.fails_to_stop = fails, fails_to_stop

    def start(self) -> None:
        self.events.append(f"start {self.label}")
        if self.fails:
            raise self.fails

    def stop(self) -> None:
        self.events.append(f"stop {self.label}")
        if self.fails_to_stop:
            raise self.fails_to_stop


class Named(Foreign, Executor):
    """One with the optional base, which so can say what it comes after."""

    def __init__(self, label: str, events: list[str], after: Any = (), **o: Any) -> None:
        super().__init__(label, events, **o)
        self.after = tuple(after)

    def start(self) -> Named:
        super().start()
        return self


RECORDS = """
trap 'echo stop $1 >>$2; exit 0' TERM
eval "$3"
echo start $1 >>$2
echo ready
while :; do sleep 0.01; done
"""


def recording(
    name: str, record: Path, mark: str, first: str = "", **options: Any
) -> OutputCoordinatedExecutor:
    """A process that writes down when it gets ready, and when it is stopped.

    :param first: shell words that it runs before it is ready.
    """
    command = ["sh", "-c", RECORDS, mark, name, str(record), first]
    return OutputCoordinatedExecutor(command, "ready\n", name=name, **options)


class TestOrder:
    def test_a_sequence_is_started_in_order(self, mark: str, tmp_path: Path) -> None:
        """Each starts when the one before it is ready, however long that takes."""
        record = tmp_path / "record"
        slow = recording("slow", record, mark, "sleep 0.3")
        quick = recording("quick", record, mark)
        with Orchestrator([slow, quick]) as both:
            assert both.running()
        assert text(record).split("\n") == [
            "start slow",
            "start quick",
            "stop quick",
            "stop slow",
            "",
        ]
        assert not both.running()
        assert marked(mark) == []

    def test_references_make_the_order(self, mark: str) -> None:
        """A service starts after those that its templates name, wherever they are written."""
        web = OutputCoordinatedExecutor(
            service("tells.py", "{db.port}", "{cache.name}:{db.pid}", mark),
            r"(.*)\ntold\n",
            env={"DB": "{db.host}:{db.port}", "CACHE": "{cache.key}"},
        )
        db = TCPCoordinatedExecutor(service("serves.py", "tcp", "{port}", "{tmpdir}/s", mark))
        cache = OutputCoordinatedExecutor(
            service("slow_banner.py", 0.2, "key=abc", mark), r"key=(?P<key>\w+)\n"
        )
        with orchestrated(web=web, db=db, cache=cache):
            assert web.match is not None
            told = json.loads(web.match.group(1))
            assert told["argv"] == [str(db.port), f"cache:{db.pid}"]
            assert told["env"]["DB"] == f"127.0.0.1:{db.port}"
            assert told["env"]["CACHE"] == "abc"
        assert marked(mark) == []

    def test_a_mapping_starts_in_parallel(self, mark: str, tmp_path: Path) -> None:
        """Each of ten is ready when all of them have been started."""
        script = f"{meets(tmp_path, 10)}; echo up; sleep 1000"
        ten = {
            f"s{number}": OutputCoordinatedExecutor(
                ["sh", "-c", script, mark], "up", timeout=PATIENCE
            )
            for number in range(10)
        }
        with orchestrated(**ten):
            assert all(executor.running() for executor in ten.values())
        assert marked(mark) == []

    def test_they_stop_in_parallel(self, mark: str, tmp_path: Path) -> None:
        """Each of ten ends when all of them have been asked to."""
        script = f"trap '{meets(tmp_path, 10)}; exit 0' TERM; echo up; while :; do sleep 0.01; done"
        ten = {
            f"s{number}": OutputCoordinatedExecutor(["sh", "-c", script, mark], "up")
            for number in range(10)
        }
        Orchestrator(ten).start().stop()
        assert marked(mark) == []

    def test_a_diamond(self, mark: str, tmp_path: Path) -> None:
        """Two that need one, and one that needs both: each waits for exactly what it needs."""
        record = tmp_path / "record"
        top = recording("top", record, mark, after=["left", "right"])
        waits_for_right = f"until grep -q right {record}; do sleep 0.01; done"
        left = recording("left", record, mark, waits_for_right, after="base")
        right = recording("right", record, mark, after="base")
        base = recording("base", record, mark)
        with orchestrated(top=top, left=left, right=right, base=base):
            pass
        lines = text(record).splitlines()
        assert lines[:4] == ["start base", "start right", "start left", "start top"]
        assert lines[4] == "stop top"
        assert sorted(lines[5:7]) == ["stop left", "stop right"]
        assert lines[7] == "stop base"

    def test_after_by_name_and_by_object(self, events: list[str]) -> None:
        """`after` takes names and executors, foreign ones too."""
        foreign = Foreign("foreign", events)
        last = Named("last", events, after=[foreign, "middle"])
        middle = Named("middle", events, after=[foreign])
        with orchestrated(last=last, middle=middle, foreign=foreign):
            assert events == ["start foreign", "start middle", "start last"]
        assert events[3:] == ["stop last", "stop middle", "stop foreign"]

    def test_a_sequence_is_a_graph_too(self, mark: str) -> None:
        """Named members of a sequence may refer to those before them."""
        db = SimpleExecutor(service("silent.py", mark), name="db", port=4711)
        web = OutputCoordinatedExecutor(
            service("tells.py", "{db.port}", mark), r"(.*)\ntold\n", name="web"
        )
        with Orchestrator([db, web]):
            assert '"argv": ["4711"]' in web.tail()[0]

    def test_nothing_to_start(self) -> None:
        """An orchestrator of nothing starts and stops nothing."""
        with Orchestrator({}), Orchestrator([]), orchestrated() as none:
            assert none == ()


class TestNesting:
    def test_groups_in_groups(self, events: list[str]) -> None:
        """An orchestrator is an executor: started and stopped as one."""
        a, b, c, d = (Foreign(label, events) for label in "abcd")
        inner = Orchestrator([b, c], name="inner")
        with Orchestrator([a, inner, d]):
            assert events == ["start a", "start b", "start c", "start d"]
        assert events[4:] == ["stop d", "stop c", "stop b", "stop a"]

    def test_orchestrated_in_orchestrated(self, events: list[str]) -> None:
        """``orchestrated(…)`` itself may be a member."""
        a, b, c = (Foreign(label, events) for label in "abc")
        with orchestrated(a, orchestrated(b=b, c=c)):
            assert events[0] == "start a" and set(events[1:]) == {"start b", "start c"}
        assert events[-1] == "stop a"
        assert sorted(events[3:5]) == ["stop b", "stop c"]

    def test_references_reach_outwards(self, mark: str) -> None:
        """A member of a group may refer to what is declared around the group."""
        db = TCPCoordinatedExecutor(service("serves.py", "tcp", "{port}", "{tmpdir}/s", mark))
        web = OutputCoordinatedExecutor(service("tells.py", "{db.port}", mark), r"(.*)\ntold\n")
        with orchestrated(group=Orchestrator({"web": web}), db=db):
            assert f'"argv": ["{db.port}"]' in web.tail()[0]

    def test_a_group_fails_as_one(self, events: list[str]) -> None:
        """If a member of an inner group fails, all of both groups is stopped again."""
        a, b = Foreign("a", events), Foreign("b", events)
        bad = Foreign("bad", events, fails=RuntimeError("no"))
        with pytest.raises(RuntimeError, match="no"):
            Orchestrator([a, Orchestrator([b, bad])]).start()
        assert events == ["start a", "start b", "start bad", "stop b", "stop a"]

    def test_after_of_a_group(self, events: list[str]) -> None:
        """A group may come after another member."""
        inner = Orchestrator([Foreign("in", events)], after=["first"])
        with orchestrated(inner=inner, first=Foreign("first", events)):
            assert events == ["start first", "start in"]


class TestOrchestrated:
    def test_a_context_manager_gives_the_executors(self, mark: str) -> None:
        """The block is given the executors, in the order in which they were written."""
        one, two = (SimpleExecutor(service("silent.py", mark)) for _ in range(2))
        with orchestrated(one, two) as (a, b):
            assert (a, b) == (one, two)
            assert one.running() and two.running()
        assert not one.running() and not two.running()

    def test_a_decorator(self, mark: str) -> None:
        """The services run for each call of the function, and its result comes through."""
        executor = SimpleExecutor(service("silent.py", mark))

        @orchestrated(executor)
        def answer(number: int) -> tuple[int, bool]:
            """Documented."""
            return number, executor.running()

        assert answer.__doc__ == "Documented."
        for number in (1, 2):
            assert answer(number) == (number, True)
            assert not executor.running()

    def test_a_decorated_function_raises(self, events: list[str]) -> None:
        """An error of the function comes through, after the stop."""

        @orchestrated(Foreign("a", events))
        def fails() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        assert events == ["start a", "stop a"]

    def test_coroutine_functions(self, events: list[str]) -> None:
        """The services run until the coroutine ends; those at the same time share them."""

        @orchestrated(Foreign("a", events))
        async def answer(number: int) -> int:
            events.append(f"begin {number}")
            await a_turn()
            events.append(f"end {number}")
            if number == 3:
                raise ZeroDivisionError
            return number

        async def both() -> list[int]:
            return await asyncio.gather(answer(1), answer(2))

        assert inspect.iscoroutinefunction(answer)
        assert asyncio.run(both()) == [1, 2]
        assert events == ["start a", "begin 1", "begin 2", "end 1", "end 2", "stop a"]
        with pytest.raises(ZeroDivisionError):
            asyncio.run(answer(3))
        assert events[6:] == ["start a", "begin 3", "end 3", "stop a"]

    def test_what_gives_a_coroutine(self, events: list[str]) -> None:
        """Also where nobody can tell before the call that it gives something to wait for."""

        async def answer(_: object = None) -> str:
            await a_turn()
            return events[-1]

        class Calling:
            __call__ = answer

        for function in (lambda: answer(), partial(answer, None), Calling(), partial(Calling())):
            assert asyncio.run(orchestrated(Foreign("a", events))(function)()) == "start a"
            assert events[-1] == "stop a"

    def test_what_types_makes_a_coroutine_of(self, events: list[str]) -> None:
        """A generator function that can be awaited still can."""

        @orchestrated(Foreign("a", events))
        @types.coroutine
        def answer() -> Iterator[Any]:
            yield from a_turn().__await__()
            return events[-1]

        async def asks() -> str:
            return await answer()  # type: ignore[misc, no-any-return]

        assert asyncio.run(asks()) == "start a"
        assert events == ["start a", "stop a"]

    def test_without_parentheses(self) -> None:
        """The services are missing; that the function is none says little."""

        async def wait() -> None: ...

        class Case(unittest.TestCase): ...

        for it in (lambda: None, wait, Case, staticmethod(print)):
            with pytest.raises(
                InvalidArgument, match=r"given .* alone, .* write @orchestrated\(…\)"
            ):
                orchestrated(it)

    def test_a_deferred(self, events: list[str]) -> None:
        """What twisted calls one is waited for too."""
        from twisted.internet.defer import Deferred

        deferred: Any = Deferred()
        results: list[object] = []
        assert orchestrated(Foreign("a", events))(lambda: deferred)() is deferred
        assert events == ["start a"]
        deferred.addCallback(results.append)
        deferred.callback(3)
        assert (events, results) == (["start a", "stop a"], [3])

    def test_generator_functions(self, events: list[str]) -> None:
        """The services run from the first value until the generator ends, or is closed."""

        @orchestrated(Foreign("a", events))
        def numbers() -> Iterator[int]:
            events.append(f"got {yield 1}")
            with pytest.raises(ValueError):
                yield 2
            yield 3

        made: Any = numbers()
        assert inspect.isgeneratorfunction(numbers) and events == []
        assert (next(made), made.send("x"), made.throw(ValueError)) == (1, 2, 3)
        assert events == ["start a", "got x"]
        assert list(made) == []
        assert events.pop() == "stop a"
        made = numbers()
        next(made)
        made.close()
        assert events[2:] == ["start a", "stop a"]

    def test_a_function_around_a_generator_function(self, events: list[str]) -> None:
        """The services run while the generator that another decorator's function makes does."""

        def numbers() -> Iterator[int]:
            events.append("body")
            yield 1

        assert list(orchestrated(Foreign("a", events))(lambda: numbers())()) == [1]
        assert events[-3:] == ["start a", "body", "stop a"]

    @pytest.mark.parametrize("manager", [contextmanager, asynccontextmanager])
    def test_a_context_manager(self, manager: Any) -> None:
        """Its block would begin when the services are gone; the other way round it is right."""

        def numbers() -> Iterator[int]:
            yield 1

        with pytest.raises(InvalidArgument, match="@contextmanager above @orchestrated"):
            orchestrated(Foreign("a", []))(manager(numbers))
        events: list[str] = []
        with contextmanager(orchestrated(Foreign("a", events))(numbers))():
            assert events == ["start a"]
        assert orchestrated(Foreign("b", []))(orchestrated(Foreign("c", []))(lambda: 3))() == 3

    def test_async_generator_functions(self, events: list[str]) -> None:
        """As generators; what is sent and thrown arrives."""

        @orchestrated(Foreign("a", events))
        async def numbers() -> AsyncIterator[int]:
            events.append(f"got {yield 1}")
            try:
                yield 2
            except ValueError:
                events.append("caught")
                yield 3

        async def use() -> None:
            made: Any = numbers()
            found = (await made.__anext__(), await made.asend("x"), await made.athrow(ValueError()))
            assert found == (1, 2, 3)
            assert [number async for number in made] == []
            assert events == ["start a", "got x", "caught", "stop a"]
            made = numbers()
            await made.__anext__()
            await made.aclose()
            assert events[4:] == ["start a", "stop a"]
            with pytest.raises(KeyError):
                async with asynccontextmanager(numbers)():
                    raise KeyError

        assert inspect.isasyncgenfunction(numbers)
        asyncio.run(use())
        assert events[6:] == ["start a", "stop a"]

    def test_what_gives_an_async_generator(self, events: list[str]) -> None:
        """Also where only the call shows that it does."""

        async def lasts() -> AsyncIterator[str]:
            yield events[-1]

        async def used() -> list[str]:
            return [each async for each in orchestrated(Foreign("a", events))(lambda: lasts())()]

        assert asyncio.run(used()) == ["start a"]
        assert events[-1] == "stop a"

    def test_calls_in_calls(self, events: list[str]) -> None:
        """A function that calls itself, or another one with the same decorator, shares."""
        with_a = orchestrated(Foreign("a", events))

        @with_a
        def factorial(number: int) -> int:
            return number * factorial(number - 1) if number else 1

        @with_a
        def twice(number: int) -> int:
            return 2 * factorial(number)

        assert (twice(3), events) == (12, ["start a", "stop a"])

    def test_threads(self, mark: str) -> None:
        """Of threads that call at the same time none runs without the services."""
        executor = SimpleExecutor(service("silent.py", mark))
        barrier = threading.Barrier(8)

        @orchestrated(executor)
        def running(_: int) -> bool:
            return executor.running()

        def call(number: int) -> bool:
            barrier.wait()
            return running(number)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(call, range(8)))
        assert not executor.running()

    def test_methods_of_classes(self, events: list[str]) -> None:
        """Static methods and class methods stay what they are, above and below."""
        with_a = orchestrated(Foreign("a", events))

        class Mine:
            @with_a
            @staticmethod
            def one(number: int) -> int:
                return number

            @with_a
            @classmethod
            def two(cls, number: int) -> tuple[object, int]:
                return cls, number

            @staticmethod
            @with_a
            def three(number: int) -> int:
                return number

        assert (Mine().one(1), Mine.two(2), Mine().three(3)) == (1, (Mine, 2), 3)
        assert events == ["start a", "stop a"] * 3

    def test_a_class_is_refused(self, events: list[str]) -> None:
        """Its tests would be lost; the error says what to write."""
        with pytest.raises(InvalidArgument, match=r"class ShopTest\(SummonMixin, TestCase\)"):

            @orchestrated(Foreign("a", events))
            class ShopTest(unittest.TestCase):
                pass

        with pytest.raises(InvalidArgument, match="decorates functions, not 3"):
            orchestrated(Foreign("a", events))(3)  # type: ignore[type-var]

    def test_the_body_raises(self, mark: str, tmp_path: Path) -> None:
        """All are stopped in reverse order when the body raises."""
        record = tmp_path / "record"
        with pytest.raises(KeyboardInterrupt):
            with orchestrated(*(recording(name, record, mark) for name in "abc")):
                raise KeyboardInterrupt
        assert text(record).splitlines()[3:] == ["stop c", "stop b", "stop a"]
        assert marked(mark) == []

    def test_without_a_block(self, events: list[str]) -> None:
        """start() and stop() do what the block does."""
        both = orchestrated(Foreign("a", events), Foreign("b", events))
        assert both.start() is both
        both.stop()
        both.stop()
        assert events == ["start a", "start b", "stop b", "stop a"]

    def test_both_kinds_are_refused(self, events: list[str]) -> None:
        """A sequence and a mapping at the same time have no order."""
        with pytest.raises(InvalidArgument, match=r"either positional arguments.*or keyword"):
            orchestrated(Foreign("a", events), b=Foreign("b", events))

    def test_no_executor(self) -> None:
        """What has no start and stop, or is a class, is refused and named."""
        with pytest.raises(InvalidArgument, match="db: str has no start"):
            orchestrated(db="redis-server")
        with pytest.raises(InvalidArgument, match="db: is the class Foreign, not an instance"):
            orchestrated(db=Foreign)


class TestRollBack:
    def test_what_had_started_is_stopped(self, mark: str, tmp_path: Path) -> None:
        """In a sequence the first is stopped again, the third is never started."""
        record = tmp_path / "record"
        a, c = recording("a", record, mark), recording("c", record, mark)
        b = SimpleExecutor(service("exits.py", 1, 9, mark), one_shot=True, name="b")
        with pytest.raises(ProcessExited) as caught:
            Orchestrator([a, b, c]).start()
        assert caught.value.executor == "b"
        assert text(record).splitlines() == ["start a", "stop a"]
        assert not a.running() and not c.running()
        assert marked(mark) == []

    def test_the_culprit_comes_first(self, mark: str, tmp_path: Path) -> None:
        """The error names who failed, then what became of the others, in this order."""
        record = tmp_path / "record"
        early = recording("early", record, mark)
        slow = OutputCoordinatedExecutor(service("silent.py", mark), "never", timeout=300)
        bad = SimpleExecutor(service("exits.py", 1, 9, mark), one_shot=True, after=["early"])
        late = SimpleExecutor(service("silent.py", mark), after=["bad"])
        began = time.monotonic()
        with pytest.raises(ProcessExited) as caught:
            Orchestrator({"slow": slow, "late": late, "bad": bad, "early": early}).start()
        assert time.monotonic() - began < 60
        message = str(caught.value)
        assert message.startswith("bad: exited with status 9 before it was ready\n")
        assert caught.value.consequences == (
            "still starting, cancelled: slow",
            "started, stopped again: early",
            "not started: late",
        )
        assert message.splitlines()[-3:] == [f"  {said}" for said in caught.value.consequences]
        assert text(record).splitlines() == ["start early", "stop early"]
        assert marked(mark) == []

    def test_a_stop_that_fails_while_rolling_back(self, events: list[str]) -> None:
        """It is told at the end, and does not take the culprit's place."""
        stubborn = Named("stubborn", events, fails_to_stop=StopFailed("stubborn: did not end"))
        bad = Foreign("bad", events, fails=SummonError("bad: no"))
        with pytest.raises(SummonError) as caught:
            Orchestrator([stubborn, Foreign("b", events), bad]).start()
        assert caught.value.message == "bad: no"
        assert caught.value.consequences[-1].endswith(": stubborn: did not end")
        assert events[-2:] == ["stop b", "stop stubborn"]

    def test_it_can_be_started_again(self, events: list[str]) -> None:
        """After a failed start the same orchestrator can be started."""
        flaky = Foreign("flaky", events, fails=RuntimeError("once"))
        group = Orchestrator([Foreign("a", events), flaky])
        with pytest.raises(RuntimeError):
            group.start()
        flaky.fails = None
        events.clear()
        with group:
            pass
        assert events == ["start a", "start flaky", "stop flaky", "stop a"]

    def test_interrupted(self, mark: str) -> None:
        """Ctrl-C while services are starting leaves nothing of them."""

        def interrupt(executor: SimpleExecutor) -> bool:
            assert len(marked(mark)) == 2
            raise KeyboardInterrupt

        slow = OutputCoordinatedExecutor(service("silent.py", mark), "never")
        other = SimpleExecutor(service("silent.py", mark), until=interrupt)
        with pytest.raises(KeyboardInterrupt):
            orchestrated(slow=slow, other=other).start()
        assert marked(mark) == []
        assert not slow.running() and not other.running()


class TestStop:
    def test_every_stop_is_attempted(self, events: list[str]) -> None:
        """Several errors are reported together, each with its message."""
        a = Foreign("a", events, fails_to_stop=RuntimeError("a hangs"))
        b = Foreign("b", events)
        c = Foreign("c", events, fails_to_stop=StopFailed("c: was killed"))
        group = Orchestrator([a, b, c]).start()
        with pytest.raises(StopFailed, match="2 services did not stop") as caught:
            group.stop()
        assert events[3:] == ["stop c", "stop b", "stop a"]
        assert [str(error) for error in caught.value.errors] == ["c: was killed", "a hangs"]
        assert "c: was killed\nForeign 1: a hangs" in str(caught.value)
        assert not group.running()

    def test_one_error_is_raised_as_it_is(self, events: list[str]) -> None:
        """A single error needs no wrapping."""
        error = RuntimeError("a hangs")
        group = Orchestrator([Foreign("a", events, fails_to_stop=error)]).start()
        with pytest.raises(RuntimeError) as caught:
            group.stop()
        assert caught.value is error

    def test_stop_is_idempotent(self, events: list[str]) -> None:
        """A second stop, and one before any start, do nothing."""
        group = Orchestrator([Foreign("a", events)])
        group.stop()
        group.start()
        group.stop()
        group.stop()
        assert events == ["start a", "stop a"]

    def test_a_deaf_one_does_not_hold_up_the_others(self, mark: str, tmp_path: Path) -> None:
        """All are stopped although one had to be killed, which is reported."""
        record = tmp_path / "record"
        deaf = OutputCoordinatedExecutor(service("deaf.py", mark), "deaf", stop_timeout=0.3)
        group = Orchestrator([recording("a", record, mark), deaf, recording("c", record, mark)])
        group.start()
        with pytest.raises(StopFailed, match="was killed"):
            group.stop()
        assert text(record).splitlines() == ["start a", "start c", "stop c", "stop a"]
        assert marked(mark) == []

    def test_who_has_died_meanwhile(self, mark: str) -> None:
        """A group of which one has died is not running, and is stopped, which says so."""
        one, two = (SimpleExecutor(service("silent.py", mark)) for _ in range(2))
        group = Orchestrator([one, two]).start()
        assert group.running()
        os.kill(one.pid, 9)
        eventually(lambda: not group.running(), "the group is not running")
        pid = two.pid
        with pytest.raises(ProcessExited) as caught:
            group.stop()
        assert caught.value.report is not None
        os.unlink(caught.value.report.log_path)
        assert not alive(pid)


class TestRefusals:
    """What is refused before anything is spawned."""

    def test_a_cycle_is_spelled_out(self, mark: str, tmp_path: Path) -> None:
        """The error has the way round, and nothing has been started."""
        record = tmp_path / "record"
        innocent = recording("innocent", record, mark)
        a = SimpleExecutor(["sleep", "1000", "{b.port}"])
        b = SimpleExecutor("sleep 1000", env={"C": "{c.name}"})
        c = SimpleExecutor("sleep 1000", after=["a"])
        with pytest.raises(DependencyCycle) as caught:
            orchestrated(innocent=innocent, a=a, b=b, c=c).start()
        cycle = caught.value.cycle
        assert cycle[0] == cycle[-1] and set(cycle) == {"a", "b", "c"}
        around = "a -> b -> c -> a -> b -> c"
        assert " -> ".join(cycle) in around
        assert " -> ".join(cycle) in caught.value.message
        assert not record.exists()

    def test_the_way_to_a_cycle_is_not_part_of_it(self) -> None:
        """Who refers to the members of a circle, but is not in it, is not named."""
        with pytest.raises(DependencyCycle) as caught:
            orchestrated(
                outside=SimpleExecutor("sleep 1", after=["a"]),
                a=SimpleExecutor("sleep 1", after=["b"]),
                b=SimpleExecutor("sleep 1", after=["a"]),
            ).start()
        assert caught.value.cycle == ("a", "b", "a")

    def test_a_cycle_with_the_order_of_a_sequence(self) -> None:
        """In a sequence, what refers to a later member waits for ever: refused."""
        web = SimpleExecutor("sleep {db.port}", name="web")
        db = SimpleExecutor("sleep 1000", name="db")
        with pytest.raises(DependencyCycle, match=r"web -> db -> web|db -> web -> db"):
            Orchestrator([web, db]).start()

    def test_after_itself(self) -> None:
        """`after` that names its own service is a cycle of one."""
        with pytest.raises(DependencyCycle, match="names itself") as caught:
            orchestrated(a=SimpleExecutor("sleep 1", after=["a"])).start()
        assert caught.value.cycle == ("a", "a")

    @pytest.mark.parametrize(
        "after, said", [("bd", "'bd'"), (SimpleExecutor("true", name="elsewhere"), "'elsewhere'")]
    )
    def test_unknown_after(self, after: object, said: str, mark: str) -> None:
        """`after` that names nobody who is declared is refused, and says who is."""
        web = SimpleExecutor(service("silent.py", mark), after=after)
        db = SimpleExecutor(service("silent.py", mark))
        with pytest.raises(InvalidArgument, match=f"web: after= names {said}.*write one of db"):
            orchestrated(web=web, db=db).start()
        assert not db.running()
        with pytest.raises(
            InvalidArgument, match=r"not declared here: there is nothing else here$"
        ):
            orchestrated(web=web).start()
        web = SimpleExecutor(service("silent.py", mark), after=Foreign("own", []))
        with pytest.raises(InvalidArgument, match=r"here: derive its class from Executor, or decl"):
            orchestrated(web=web, db=db).start()

    def test_unknown_reference(self, mark: str) -> None:
        """A template that names nobody suggests the nearest name; nothing is started."""
        redis = SimpleExecutor(service("silent.py", mark))
        web = SimpleExecutor("sleep {redsi.port}")
        with pytest.raises(UnknownReference, match=r"did you mean \{redis.port\}\?"):
            orchestrated(redis=redis, web=web).start()
        web = SimpleExecutor("sleep {redis.prot}", port=1)
        with pytest.raises(UnknownReference, match=r"did you mean \{redis.pid\}\?|redis.port"):
            orchestrated(redis=redis, web=web).start()
        assert not redis.running()

    def test_bad_input_deep_inside(self, mark: str) -> None:
        """Members of inner groups are checked before the first is started."""
        first = SimpleExecutor(service("silent.py", mark))
        bad = SimpleExecutor("no-such-program-anywhere")
        with pytest.raises(SummonError, match="no-such-program-anywhere"):
            Orchestrator([first, Orchestrator([bad])]).start()
        assert first.exit_code is None and not first.running()

    def test_a_member_that_expires(self, mark: str) -> None:
        """Timeouts of members count from their own start, not from the group's."""
        first = OutputCoordinatedExecutor(service("slow_banner.py", 0.6, "up", mark), "up")
        second = OutputCoordinatedExecutor(
            service("slow_banner.py", 0, "up", mark), "up", timeout=0.5
        )
        with Orchestrator([first, second]):
            pass
        never = OutputCoordinatedExecutor(service("silent.py", mark), "up", timeout=0.2)
        with pytest.raises(TimeoutExpired):
            Orchestrator([first, never]).start()
        assert not first.running()
