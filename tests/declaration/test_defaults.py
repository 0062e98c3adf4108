"""``summon = Defaults(...)``: what all services of a class get, unless they have their own."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import unittest
import warnings
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from summon_testcase import (
    REMOVED,
    Defaults,
    Executor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    Orchestrator,
    PostgreSQL,
    SimpleExecutor,
    SummonMixin,
    SummonTestCase,
    TCPCoordinatedExecutor,
    summoned,
)
from summon_testcase.declaration import options

from ..cases import run
from ..doubles import (
    Recorder,
    check_declared,
    env_of,
    is_shared,
    launch_of,
    limits_of,
    members_of,
    reset,
)
from ..samples import BARE, ROOT

HERE = os.path.dirname(os.path.abspath(__file__))


def sleeper(**options: Any) -> SimpleExecutor:
    return SimpleExecutor("sleep 600", **options)


class Slow(SimpleExecutor):
    """A subclass that gives arguments itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__("sleep 600", timeout=90, env={"KIND": "slow"}, **options)


class TestTaken:
    def test_each_argument(self) -> None:
        """Those that are named in the type take effect, and no others."""

        class Case:
            it = sleeper()
            summon = Defaults(
                scope="run",
                cwd="{here}",
                env={"A": "{name}"},
                timeout=20,
                stop_timeout=3,
                stop_wait=False,
                fails_on="boom",
                tty=False,
                optional=True,
                restart=2,
                shared=True,
            )

        launch = launch_of(Case.it)
        assert (launch.cwd, launch.env["A"], launch.tty) == (HERE, "it", False)
        assert Case.it.scope == "run"
        assert (limits_of(Case.it).timeout, limits_of(Case.it).stop_timeout) == (20, 3)
        assert set(get_type_hints(options.ClassOptions)) == {
            *("scope", "cwd", "env", "timeout", "stop_timeout", "stop_wait", "fails_on"),
            *("tty", "optional", "restart", "shared"),
        }
        assert is_shared(Case.it)
        assert repr(Case.summon).startswith("<Defaults of scope, cwd, env, timeout")

    def test_an_own_argument_wins(self) -> None:
        """Also if it says what would hold without any defaults; variables are merged."""

        class Case:
            summon = Defaults(
                scope="run", timeout=20, cwd="/", tty=False, env={"A": "1", "B": "1", "C": "1"}
            )
            it = sleeper(scope="class", timeout=None, cwd=None, tty=True, env={"B": "2", "C": None})

        launch = launch_of(Case.it)
        assert (Case.it.scope, limits_of(Case.it).timeout) == ("class", None)
        assert (launch.cwd, launch.tty) == (os.getcwd(), True)
        assert (launch.env["A"], launch.env["B"], "C" in launch.env) == ("1", "2", False)

    def test_what_a_subclass_of_an_executor_gives_is_its_own(self) -> None:
        class Case:
            summon = Defaults(timeout=20, stop_timeout=3, env={"KIND": "any", "A": "1"})
            slow = Slow()
            server = HTTPCoordinatedExecutor("x {port}", "http://{host}:{port}/")
            tcp = TCPCoordinatedExecutor("x {port}", "127.0.0.1", 4711)
            db = PostgreSQL()

        assert (limits_of(Case.slow).timeout, limits_of(Case.slow).stop_timeout) == (90, 3)
        assert env_of(Case.slow) == {"KIND": "slow", "A": "1"}
        for it in (Case.server, Case.tcp, Case.db):
            assert limits_of(it).timeout == 20
        assert Case.tcp.port == 4711

    def test_classes_inherit_and_add(self) -> None:
        """Argument by argument; services that a base has declared keep what they have."""

        class Base:
            summon = Defaults(scope="run", timeout=20, env={"A": "base", "B": "base"})
            first = sleeper()

        class Case(Base):
            summon = Defaults(timeout=30, env={"B": "case"})
            second = sleeper()

        class Last(Case):
            third = sleeper(timeout=40)

        class Without(Case):
            summon = REMOVED
            fourth = sleeper()

        assert Last.first is Case.first is Base.first
        for it, scope, timeout, env in (
            (Last.first, "run", 20, {"A": "base", "B": "base"}),
            (Last.second, "run", 30, {"A": "base", "B": "case"}),
            (Last.third, "run", 40, {"A": "base", "B": "case"}),
            (Without.fourth, "class", 60, {}),
        ):
            assert (it.scope, limits_of(it).timeout, env_of(it)) == (scope, timeout, env)

    def test_mixins(self) -> None:
        """A class need be no TestCase; one without defaults takes none from who inherits it."""

        class Services:
            plain = sleeper()

        class Ready(Services):
            summon = Defaults(timeout=20)
            ready = sleeper()

        class Case(Ready, SummonMixin, unittest.TestCase):
            more = Defaults(stop_timeout=3)
            own = sleeper()

        assert limits_of(Case.plain).timeout == 60
        assert (limits_of(Case.ready).timeout, limits_of(Case.ready).stop_timeout) == (20, 10)
        assert (limits_of(Case.own).timeout, limits_of(Case.own).stop_timeout) == (20, 3)

    def test_the_first_class_gives_them(self) -> None:
        """To one that several have, as its name."""
        shared = sleeper()

        class One:
            summon = Defaults(timeout=20)
            a = shared

        class Two:
            summon = Defaults(timeout=30, env={"A": "1"})
            b = shared
            a = One.a

        assert (shared.name, limits_of(shared).timeout, env_of(shared)) == ("a", 20, {})

        class Three:
            summon = Defaults(timeout=40)
            copied = copy.copy(One.a)
            fresh = copy.copy(sleeper())

        assert (limits_of(Three.copied).timeout, limits_of(Three.fresh).timeout) == (20, 40)
        assert limits_of(shared).timeout == 20
        assert limits_of(pickle.loads(pickle.dumps(shared))).timeout == 20

    def test_a_copy_shares_nothing(self) -> None:
        original = sleeper()

        class Case:
            summon = Defaults(timeout=20)
            it = copy.copy(original)

        assert (limits_of(original).timeout, limits_of(Case.it).timeout) == (60, 20)

    def test_groups(self) -> None:
        """Members get them too; their life is the group's."""
        inner = Orchestrator([sleeper()])

        class Short(Orchestrator):
            scope = "test"

        class Case:
            summon = Defaults(scope="run", timeout=20)
            group = Orchestrator({"one": sleeper(), "two": sleeper(timeout=5), "inner": inner})
            short = Short({"one": sleeper()})

        assert Case.group.scope == inner.scope == "run" and Case.short.scope == "test"
        members = members_of(Case.group)
        assert limits_of(members["one"]).timeout == 20 and members["one"].scope == "run"
        assert limits_of(members["two"]).timeout == 5
        assert limits_of(members_of(inner)["SimpleExecutor 1"]).timeout == 20
        assert members_of(Case.short)["one"].scope == "test"

    def test_executors_of_ones_own(self) -> None:
        """They have a scope, and so have things in summoned(), unless it was given."""

        class Own(Executor):
            pass

        class Scoped(Executor):
            scope = "class"

        set_later = Own()
        set_later.scope = "class"

        class Case:
            summon = Defaults(scope="run", timeout=20)
            own = Own()
            scoped = Scoped()
            later = set_later
            thing = summoned(Recorder("thing", []))
            said = summoned(Recorder("said", []), scope="class")
            wrapped = summoned(sleeper())

        scopes = {
            name: vars(Case)[name].scope
            for name in vars(Case)
            if hasattr(vars(Case)[name], "scope")
        }
        assert scopes == {
            **{"own": "run", "scoped": "class", "later": "class"},
            **{"thing": "run", "said": "class", "wrapped": "run"},
        }
        assert limits_of(Case.wrapped).timeout == 20


class TestRefusals:
    @pytest.mark.parametrize(
        "name", ["command", "port", "host", "name", "url", "shell", "after", "one_shot", "no_such"]
    )
    def test_arguments_of_one_service(self, name: str) -> None:
        with pytest.raises(InvalidArgument) as caught:
            Defaults(**{name: "x"})  # type: ignore[misc]
        said = str(caught.value)
        assert said.startswith(f"Defaults(): {name}= cannot be given for a whole class: ")
        assert (
            "write any of scope=, cwd=, env=, timeout=, stop_timeout=, stop_wait=, fails_on="
            in said
        )

    def test_a_slip(self) -> None:
        with pytest.raises(InvalidArgument, match=r"did you mean timeout=\? write any"):
            Defaults(timeuot=3)  # type: ignore[call-arg]

    @pytest.mark.parametrize(
        "name, value",
        [
            ("scope", "forever"),
            ("scope", None),
            ("timeout", -1),
            ("timeout", "20"),
            ("stop_timeout", None),
            ("cwd", 3),
            ("cwd", "~/x"),
            ("env", "A=secret"),
            ("env", ["db"]),
            ("env", {"A": ["secret"]}),
            ("env", {"A=secret": "b"}),
            ("fails_on", "("),
            ("tty", "yes"),
            ("optional", 1),
            ("restart", -1),
        ],
    )
    def test_values(self, name: str, value: Any) -> None:
        """As for one service, where they are written."""
        with pytest.raises(InvalidArgument, match=rf"^Defaults\(\): {name}=") as caught:
            Defaults(**{name: value})
        assert "secret" not in str(caught.value)

    def test_no_words(self) -> None:
        with pytest.raises(TypeError):
            Defaults("sleep 600")  # type: ignore[call-arg]

    def test_secrets(self, tmp_path: Path) -> None:
        """Their values are in no representation, and no variable of a traceback."""
        assert "secret" not in repr(Defaults(env={"A": "secret"}))
        (tmp_path / "test_it.py").write_text(
            "from summon_testcase import Defaults\n"
            "SECRET = lambda: chr(104) * 20\n"
            "def test_it(): Defaults(env={'A': SECRET(), 'B': [1]})\n"
            "def test_other(): Defaults(env={'A': SECRET()}, timeout=-1)\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--showlocals", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ROOT, "SUMMON_DEBUG": "1", **BARE},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "2 failed" in done.stdout and "h" * 20 not in done.stdout


class ScopesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(reset)

    def test_a_scope_for_all(self) -> None:
        """One class after the other finds the same services; no warning comes."""
        pids = []

        class Base(SummonTestCase):
            summon = Defaults(scope="run", env={"SELF": "{one.name} {name}"})
            one = sleeper()
            group = Orchestrator({"two": sleeper()})

            def test(self) -> None:
                pids.append((self.one.pid, members_of(self.group)["two"].pid))

        class Other(Base):
            summon = Defaults(timeout=5)
            last = sleeper(scope="test")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = run(Base, Other)
        self.assertEqual(result.errors + result.failures, [])
        self.assertEqual([str(warning.message) for warning in caught], [])
        self.assertEqual((len(pids), len(set(pids))), (2, 1))

    def test_here_is_where_the_service_is_declared(self) -> None:
        """As if it were written there, whoever gives the defaults."""
        module = type(sys)("elsewhere")
        vars(module).update(SimpleExecutor=SimpleExecutor, Defaults=Defaults, __file__="/etc/x.py")
        exec(
            "class Base:\n"
            "    summon = Defaults(cwd='{here}')\n"
            "    first = SimpleExecutor('sleep 600')\n",
            vars(module),
        )

        class Case(module.Base):  # type: ignore[misc, name-defined]
            second = sleeper(name="second")

        class Own(module.Base):  # type: ignore[misc, name-defined]
            second = SimpleExecutor("sleep 600")

        self.assertEqual(launch_of(Case.first).cwd, "/etc")
        self.assertEqual(launch_of(Own.second).cwd, HERE)
        check_declared(Case.second)
