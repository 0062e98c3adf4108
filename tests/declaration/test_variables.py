"""Variables of services: what ``env()`` says, and what ``env=[db, cache]`` makes of it."""

from __future__ import annotations

import copy
import pickle
import sys
import unittest
from collections.abc import Callable
from typing import Any

import pytest

from summon_testcase import (
    DependencyCycle,
    Executor,
    InvalidArgument,
    NotRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    SummonTestCase,
    TCPCoordinatedExecutor,
    UnknownReference,
    orchestrated,
    summoned,
)

from ..cases import run
from ..doubles import check_declared, instance_of, launch_of, reset
from ..samples import eventually, text

LISTENS = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()
"""


class Cache(TCPCoordinatedExecutor):
    """A server that says by which variables its clients find it."""

    def __init__(self, **options: Any) -> None:
        super().__init__([sys.executable, "-S", "-c", LISTENS, "{port}"], **options)

    def env(self) -> dict[str, str]:
        return {"CACHE_URL": f"cache://{self.host}:{self.port}", "CACHE_DB": "{name}"}


class Clock(Executor):
    """An executor of one's own, which tells what the test wants."""

    def __init__(self, told: Any = None) -> None:
        self.told = {"TZ": "utc"} if told is None else told

    def start(self) -> Clock:
        return self

    def stop(self) -> None:
        pass

    def env(self) -> Any:
        return self.told


class Bare:
    """No executor, but startable."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Telling(Bare):
    def env(self) -> dict[str, str]:
        return {"TOLD": "by a thing"}


def sleeper(**options: Any) -> SimpleExecutor:
    return SimpleExecutor("sleep 600", **options)


def env_of_process(executor: SimpleExecutor) -> dict[str, str]:
    """What its process has in its environment, once it has replaced what spawned it."""
    place = f"/proc/{executor.pid}"
    eventually(lambda: "sleep" in text(f"{place}/comm"), "it sleeps")
    # which has its name a moment sooner than its environment
    lines = eventually(lambda: text(f"{place}/environ"), "its environment").split("\0")
    return dict(line.split("=", 1) for line in lines if line)


class TestOrder:
    def test_by_default_there_are_none(self) -> None:
        assert SimpleExecutor("x").env() == Executor().env() == Orchestrator([]).env() == {}

    @pytest.mark.parametrize("named", [True, False])
    def test_it_waits_and_is_told(self, named: bool) -> None:
        """As by after=; and what it is told is no template, whatever it looks like."""
        cache = Cache()
        web = sleeper(env=["cache" if named else cache])
        with orchestrated(web=web, cache=cache):
            env = env_of_process(web)
            assert env["CACHE_URL"] == f"cache://127.0.0.1:{cache.port}"
            assert env["CACHE_DB"] == "{name}"

    def test_later_ones_win(self) -> None:
        """Whatever they are; a mapping may remove a variable too."""
        first, second = Clock({"A": "1", "B": "1", "C": "1"}), Clock({"B": "2", "C": "2"})
        web = sleeper(env=[{"A": "0", "D": "{name}"}, first, second, {"C": None, "B": 3}])
        with orchestrated(first=first, second=second, web=web):
            env = env_of_process(web)
        assert (env["A"], env["B"], env["D"], "C" in env) == ("1", "3", "web", False)

    def test_whole_groups_and_things(self) -> None:
        """A group tells what its members do; an object in summoned() what its own env() says."""
        group = Orchestrator({"one": Clock({"A": "1", "B": "1"}), "two": Clock({"B": "2"})})
        web = sleeper(env=(group, "thing", "bare"))
        with orchestrated(web=web, group=group, thing=summoned(Telling()), bare=summoned(Bare())):
            env = env_of_process(web)
        assert (env["A"], env["B"], env["TOLD"]) == ("1", "2", "by a thing")

    def test_alone(self) -> None:
        """Without an orchestrator the other must run, as it must for a template."""
        cache = Cache(name="cache")
        web = sleeper(name="web", env=[cache])
        with pytest.raises(NotRunning, match=r"^cache: has no port, since it is not running"):
            web.start()
        with cache, web:
            assert env_of_process(web)["CACHE_URL"] == f"cache://127.0.0.1:{cache.port}"


class TestRefusals:
    @pytest.mark.parametrize(
        "item, said",
        [
            (None, "NoneType"),
            (3, "int"),
            (b"db", "bytes"),
            ("", "str"),
            ("DEBUG=secret", "str"),
            (["db"], "list"),
            (Cache, "type"),
            (Bare(), r"Bare, which has no method env\(\),"),
        ],
    )
    def test_items(self, item: Any, said: str) -> None:
        with pytest.raises(
            InvalidArgument, match=rf"^web: env= has {said} for an item: "
        ) as caught:
            sleeper(name="web", env=[{"A": "b"}, item])
        assert "secret" not in str(caught.value)
        assert 'write executors, names of services, and mappings, such as env=[db, {"NAME"' in str(
            caught.value
        )

    def test_mappings(self) -> None:
        """They are checked as a single one is."""
        with pytest.raises(InvalidArgument, match=r"env= has no text for 'A' but list"):
            sleeper(env=[{"A": [1]}])
        with pytest.raises(InvalidArgument, match=r"^web: env= is no mapping: write env=\[it\]$"):
            sleeper(name="web", env=Cache())

    def test_what_is_declared_nowhere(self) -> None:
        """As after=, and before anything is spawned."""
        with pytest.raises(UnknownReference, match="env= names 'chache', which is no declared ser"):
            sleeper(name="web", env=["chache"]).start()
        events: list[str] = []

        class Noted(Clock):
            def start(self) -> Noted:
                events.append("started")
                return self

        for env in (["chache"], [Cache(name="chache")]):
            with pytest.raises(
                InvalidArgument, match=r"web: env= names '?chache'?, which is not declared here"
            ):
                orchestrated(cache=Noted(), web=sleeper(env=env)).start()
        assert events == []

    def test_circles(self) -> None:
        one, two = sleeper(env=["two"]), sleeper(after="one")
        with pytest.raises(DependencyCycle, match="one -> two -> one"):
            orchestrated(one=one, two=two).start()
        with pytest.raises(DependencyCycle, match="one: env= names itself: remove it"):
            orchestrated(one=sleeper(env=["one"])).start()

    @pytest.mark.parametrize(
        "told, said",
        [
            ("A=1", "has returned str: have it return a dict of text"),
            ({"A=secret": "1"}, "has 'A=…' for a name"),
            ({"A": 1}, "has no text for 'A' but int"),
            ({"A": "secret\0"}, "has a value for 'A' that contains a NUL byte"),
        ],
    )
    def test_what_an_env_may_return(self, told: Any, said: str) -> None:
        web = sleeper(env=["clock"])
        with pytest.raises(InvalidArgument, match=rf"^clock: env\(\) {said}") as caught:
            orchestrated(clock=Clock(told), web=web).start()
        assert not web.running() and "secret" not in str(caught.value)

    def test_an_env_that_raises(self) -> None:
        """That is the error of the start."""

        class Broken(Clock):
            def env(self) -> dict[str, str]:
                raise RuntimeError("no idea")

        with pytest.raises(RuntimeError, match="no idea"):
            orchestrated(clock=Broken(), web=sleeper(env=["clock"])).start()


class TestCopies:
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
    def test_a_group_keeps_its_references(self, copied: Callable[[Any], Any]) -> None:
        cache = Cache()
        web = sleeper(env=[cache, {"A": "{cache.port}"}])
        whole = copied(Orchestrator({"web": web, "cache": cache}))
        assert not cache.running()
        with whole:
            assert "CACHE_URL" in whole.env()

    def test_a_running_one_keeps_its_secrets(self) -> None:
        cache = Cache(name="cache")
        with cache, sleeper(name="web", env=[cache, {"PASSWORD": "hunter2"}]) as web:
            data = pickle.dumps(web)
            there = pickle.loads(data)
            assert there.running() and b"hunter2" not in data and b"CACHE_URL" not in data
            assert pickle.loads(pickle.dumps(cache)).env() == cache.env()


class TestRestarts:
    def test_a_restart_asks_again(self) -> None:
        clock = Clock()
        web = sleeper(env=[clock])
        with orchestrated(clock=clock, web=web):
            clock.told = {"TZ": "cet"}
            assert env_of_process(web.restart())["TZ"] == "cet"

    def test_what_has_changed_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        """By the names of the variables alone."""

        class Web(OutputCoordinatedExecutor):
            def env(self) -> dict[str, str]:
                return {"WEB": f"secret:{self.port}", "SAME": "same"}

        told = Web("sh -c 'echo port $$; sleep 600'", r"port (?P<port>\d{1,4})\d*\n")
        with orchestrated(told=told, user=sleeper(env=[told])):
            before = told.port
            while told.restart().port == before:
                caplog.clear()
        (said,) = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
        assert said == (
            "user was started with the env() of told, where WEB changed when told was started "
            "again: restart() user too"
        )


class ScopesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(reset)

    def test_in_a_test_case(self) -> None:
        """A service that lives longer is told too, and keeps its address for the next class."""
        seen = []

        class Base(SummonTestCase):
            cache = Cache(scope="run")
            web = sleeper(env=[cache, {"A": "b"}], scope="test")

            def test(self) -> None:
                seen.append(env_of_process(self.web)["CACHE_URL"])

        class Other(Base):
            pass

        result = run(Base, Other)
        self.assertEqual(result.errors + result.failures, [])
        self.assertEqual(len(set(seen)), 1)
        self.assertEqual(len(seen), 2)

    def test_a_shorter_life(self) -> None:
        class Case(SummonTestCase):
            cache = Cache(scope="test")
            web = sleeper(env=[cache])

            def test(self) -> None:
                self.fail("is not reached")

        ((_, said),) = run(Case).errors
        self.assertIn("web: it refers to cache, which would be gone before it", said)

    def test_a_start_that_failed_is_tried_again_beside_another(self) -> None:
        """Since it may succeed with the variables of another service."""

        class Base(SummonTestCase):
            clock: Any = Clock({"STATUS": "3"})
            web = SimpleExecutor(
                [sys.executable, "-c", "import os; exit(int(os.environ['STATUS']))"],
                one_shot=True,
                env=["clock"],
            )

            def test(self) -> None:
                pass

        class Other(Base):
            clock = Clock({"STATUS": "0"})

        class Same(Base):
            pass

        result = run(Base, Other, Same)
        self.assertEqual([test.id().split(".")[-2] for test, _ in result.errors], ["Base", "Same"])
        self.assertIn("not again in this process", result.errors[1][1])


def test_a_launch_has_all_of_them() -> None:
    """And the check before it needs none that is not running."""
    cache = Cache(name="cache")
    web = sleeper(name="web", env=[cache])
    check_declared(web)
    with cache:
        assert launch_of(web).env["CACHE_URL"] == cache.env()["CACHE_URL"]
        assert instance_of(cache).told_env == {}
