"""How long services live: a test, a class, a module, or the run; and resets between tests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import unittest
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

from summon_testcase import (
    REMOVED,
    InvalidArgument,
    Orchestrator,
    SimpleExecutor,
    SummonTestCase,
    TCPCoordinatedExecutor,
    orchestrated,
    summoned,
)
from summon_testcase.errors import StartFailed
from summon_testcase.executors.executor import Executor

from ..cases import run, run_bare
from ..doubles import Recorder, reset
from ..samples import alive, service

SLEEPER = service("silent.py", "x")


class ScopesTest(unittest.TestCase):
    """What the tests below have in common."""

    def setUp(self) -> None:
        self.events: list[str] = []
        self.addCleanup(reset)

    def service(self, label: str, scope: Any = "class", **arguments: Any) -> Recorder:
        recorder = Recorder(label, self.events, **arguments)
        recorder.scope = scope
        return recorder

    def case(self, label: str, module: str = "one", tests: int = 1, **attributes: Any) -> Any:
        """A class with some tests that record that they ran."""

        def test(case: Any) -> None:
            self.events.append(label)

        for number in range(1, tests + 1):
            attributes.setdefault(f"test_{number}" if tests > 1 else "test", test)
        return type(label, (SummonTestCase,), {"__module__": module, **attributes})

    def assert_passed(self, result: unittest.TestResult) -> None:
        self.assertEqual((result.errors, result.failures), ([], []))

    def run_in_modules(self, *cases: Any) -> unittest.TestResult:
        """As run(), with modules of the names that the classes give."""
        modules = {case.__module__: mock.Mock(spec=[]) for case in cases}
        with mock.patch.dict(sys.modules, modules):
            return run(*cases)


class TestScopeTest(ScopesTest):
    def test_each_test_has_its_own(self) -> None:
        """A new process for each test, ready in setUp, and up in the clean-ups of the user."""

        class Case(SummonTestCase):
            own = SimpleExecutor(SLEEPER, scope="test")
            pids: list[int] = []

            def setUp(self) -> None:
                assert self.own.running()
                self.addCleanup(self.see_it)

            def see_it(self) -> None:
                assert self.own.running()
                self.pids.append(self.own.pid)

            def test_1(self) -> None:
                pass

            def test_2(self) -> None:
                raise ValueError

        result = run(Case)
        self.assertEqual(len(result.errors), 1)
        self.assertEqual(len(set(Case.pids)), 2)
        self.assertFalse(any(map(alive, Case.pids)))

    def test_nothing_is_up_between_tests(self) -> None:
        """It starts right before the test and stops right after, beside those of the class."""
        case = self.case("test", tests=2, own=self.service("own", "test"), db=self.service("db"))
        self.assert_passed(run(case))
        each = ["start own", "test", "stop own"]
        self.assertEqual(self.events, ["start db", *each, *each, "stop db"])

    def test_where_cleanups_do_not_run(self) -> None:
        """It stops when the test is interrupted, and after debug()."""

        def interrupted(case: Any) -> None:
            raise KeyboardInterrupt

        for call in (lambda test: test.run(unittest.TestResult()), lambda test: test.debug()):
            self.events.clear()
            case = self.case("case", own=self.service("own", "test"), test=interrupted)
            with self.assertRaises(KeyboardInterrupt):
                call(case("test"))
            self.assertEqual(self.events, ["start own", "stop own"])

    def test_a_start_that_fails(self) -> None:
        """It is the error of each test, and tried once."""
        own = self.service("own", "test", fails=StartFailed("own: no luck"))
        result = run(self.case("test", tests=3, own=own))
        self.assertEqual([len(result.errors), self.events], [3, ["start own"]])

    def test_a_stop_that_fails(self) -> None:
        """It is the error of the test, and the next one has another chance."""
        own = self.service("own", "test", fails_to_stop=StartFailed("own: stuck"))
        result = run(self.case("test", tests=2, own=own))
        self.assertEqual(len(result.errors), 2)
        self.assertIn("own: stuck", result.errors[0][1])
        self.assertEqual(self.events, ["start own", "test", "stop own"] * 2)

    def test_a_skipped_test_starts_none(self) -> None:
        """Neither for a skipped method nor for a class that is skipped."""
        skipped = unittest.skip("it is")(lambda case: None)
        case = self.case("test", own=self.service("own", "test"), test_skipped=skipped)
        self.assertEqual(len(run(case).skipped), 1)
        self.assertEqual(self.events, ["start own", "test", "stop own"])


class ModuleScopeTest(ScopesTest):
    def test_classes_of_a_module_share_it(self) -> None:
        """One start for all classes of a module that declare it, in order; then it stops."""
        db, mq = self.service("db", "module"), self.service("mq", "module")
        result = self.run_in_modules(
            self.case("first", db=db),
            self.case("plain"),
            self.case("second", db=db, mq=mq),
            self.case("elsewhere", "two", db=db),
        )
        self.assert_passed(result)
        self.assertEqual(
            self.events,
            [
                *("start db", "first", "plain", "start mq", "second", "stop mq", "stop db"),
                *("start db", "elsewhere", "stop db"),
            ],
        )

    def test_without_module_cleanups(self) -> None:
        """It stops when a class of another module starts."""
        db = self.service("db", "module")
        first, second = self.case("first", db=db), self.case("second", db=db)
        other = self.case("other", "two", mq=self.service("mq"))
        for case in (first, second, other):
            self.assert_passed(run_bare(case))
        self.assertEqual(
            self.events, ["start db", "first", "second", "stop db", "start mq", "other"]
        )

    def test_a_stop_that_fails(self) -> None:
        """It is an error of the module."""
        db = self.service("db", "module", fails_to_stop=OSError("stuck"))
        result = self.run_in_modules(self.case("first", db=db))
        self.assertEqual(len(result.errors), 1)
        self.assertIn("stuck", result.errors[0][1])

    def test_a_suite_inside_a_test(self) -> None:
        """The clean-ups of a suite that a test runs stop nothing that the test needs."""
        db = self.service("db", "module")
        inner = self.case("inner", "two", mq=self.service("mq", "module"))

        def test(case: Any) -> None:
            self.assert_passed(self.run_in_modules(inner))
            self.assertTrue(db.up)

        self.assert_passed(self.run_in_modules(self.case("outer", db=db, test=test)))
        self.assertFalse(db.up)
        self.assertEqual(self.events, ["start db", "start mq", "inner", "stop mq", "stop db"])


class RunScopeTest(ScopesTest):
    def test_all_classes_share_it(self) -> None:
        """Classes that inherit a declaration share one process, in all modules."""
        db, other = self.service("db", "run"), self.service("other", "run")
        result = self.run_in_modules(
            self.case("first", db=db, tests=2),
            self.case("second", "two", db=db),
            self.case("third", "two", db=other),
        )
        self.assert_passed(result)
        self.assertEqual(
            self.events, ["start db", "first", "first", "second", "start other", "third"]
        )
        reset()
        self.assertEqual(self.events[-2:], ["stop other", "stop db"])

    def test_removed_in_a_subclass(self) -> None:
        """A class that removes it does not start it."""
        db = self.service("db", "run")
        base = self.case("base", db=db)
        self.assert_passed(run(type("derived", (base,), {"db": REMOVED})))
        self.assertEqual(self.events, ["base"])

    def test_a_start_that_fails(self) -> None:
        """It is tried once for all classes; classes that need only its neighbour run."""
        bad = self.service("bad", "run", fails=StartFailed("bad: no luck", executor="bad"))
        good = self.service("good", "run")
        result = run(
            self.case("first", bad=bad, good=good),
            self.case("second", bad=bad),
            self.case("third", good=good),
        )
        self.assertEqual((len(result.errors), self.events.count("start bad")), (2, 1))
        self.assertEqual(self.events[-2:], ["start good", "third"])

    def test_it_stops_when_the_process_ends(self) -> None:
        """At exit, in reverse order; a forked worker has its own and leaves its parent's."""
        script = '''
            import os, sys, unittest
            from summon_testcase import SummonTestCase, TCPCoordinatedExecutor

            SERVER = """
            import os, signal, socket, sys
            name, port, log = sys.argv[1:]
            def stop(*_):
                os.write(os.open(log, os.O_WRONLY | os.O_APPEND), f"stop {name}\\\\n".encode())
                os._exit(0)
            signal.signal(signal.SIGTERM, stop)
            listener = socket.create_server(("127.0.0.1", int(port)))
            signal.pause()
            """

            def server(name, **options):
                command = [sys.executable, "-S", "-c", SERVER, name, "{port}", sys.argv[1]]
                return TCPCoordinatedExecutor(command, scope="run", **options)

            def passes(case):
                suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
                return suite.run(unittest.TestResult()).wasSuccessful()

            class Base(SummonTestCase):
                db = server("db")
                web = server("web", env={"DB": "{db.port}"})
                pids = set()
                def test(self):
                    self.pids.add((self.db.pid, self.web.pid))

            class Other(Base):
                pass

            assert passes(Base) and passes(Other) and len(Base.pids) == 1
            child = os.fork()
            if not child:
                assert passes(Other) and len(Base.pids) == 2
                sys.exit()
            assert os.waitpid(child, 0)[1] == 0
            with open(sys.argv[1], "a") as log:
                log.write("end\\n")
        '''
        with tempfile.NamedTemporaryFile("r") as log:
            done = subprocess.run(
                [
                    sys.executable,
                    "-W",
                    "error::RuntimeWarning",
                    "-c",
                    textwrap.dedent(script),
                    log.name,
                ],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assertEqual(
                log.read().split("\n"), ["stop web", "stop db", "end", "stop web", "stop db", ""]
            )

    def test_an_orchestrator(self) -> None:
        """A group has the scope that its attribute says."""
        group = Orchestrator({"a": self.service("a")})
        group.scope = "run"
        self.assert_passed(run(self.case("first", group=group), self.case("second", group=group)))
        self.assertEqual(self.events, ["start a", "first", "second"])


class ReferenceTest(ScopesTest):
    def test_a_narrow_one_uses_a_wide_one(self) -> None:
        """Templates and after= name services of a longer life, which start before."""

        class Case(SummonTestCase):
            client = SimpleExecutor("echo {web.port} {db.port}", one_shot=True, scope="test")
            web = SimpleExecutor([*SLEEPER, "{port}", "{db.port}"], after="db")
            db = SimpleExecutor([*SLEEPER, "{port}"], scope="run")

            def test(self) -> None:
                self.assertEqual(self.client.tail(1), [f"{self.web.port} {self.db.port}"])

        self.assert_passed(run(Case))

    def test_a_wide_one_cannot_use_a_narrow_one(self) -> None:
        """It is an error that says which scopes would do; nothing is started."""

        class ByTemplate(SummonTestCase):
            db = SimpleExecutor([*SLEEPER, "{port}"], scope="module")
            web = SimpleExecutor([*SLEEPER, "{db.port}"], scope="run")

            def test(self) -> None:
                pass

        class ByAfter(SummonTestCase):
            db = self.service("db", "module")
            web = SimpleExecutor(SLEEPER, scope="run", after=db)

            def test(self) -> None:
                pass

        for case in (ByTemplate, ByAfter):
            ((_, text),) = run(case).errors
            self.assertIn(
                "InvalidArgument: web: it refers to db, which would be gone before it: web has "
                "scope='run', db only scope='module'; give db scope='run' too, or web "
                "scope='module'",
                text,
            )
            self.assertFalse(case.web.running())
        self.assertEqual(self.events, [])

    def test_what_is_not_declared(self) -> None:
        """A reference to an unknown service is the same error as without scopes."""

        class Case(SummonTestCase):
            web = SimpleExecutor([*SLEEPER, "{dbb.port}"], scope="run")
            db = SimpleExecutor(SLEEPER)

            def test(self) -> None:
                pass

        ((_, text),) = run(Case).errors
        self.assertIn("did you mean {db.port}?", text)


class ArgumentTest(unittest.TestCase):
    def test_what_cannot_work_is_refused(self) -> None:
        """Another scope, a reset that is no function, or a strange restart, where it is written."""
        for arguments, words in {
            ("scope", "session"): "scope='session': write one of 'test', 'class', 'module', 'run'",
            ("reset", "FLUSHALL"): "reset='FLUSHALL': it has no way of its own: write a function",
            ("restart", -1): "restart=-1: write True, or how many times",
            ("restart", 1.5): "restart=1.5: write True, or how many times",
        }.items():
            for kind in (SimpleExecutor, TCPCoordinatedExecutor):
                with self.assertRaisesRegex(InvalidArgument, words):
                    kind("sleep 1", **dict([arguments]))  # type: ignore[arg-type]
        with self.assertRaisesRegex(InvalidArgument, "scope='session'"):
            summoned(mock.Mock(), scope="session")  # type: ignore[arg-type]
        with self.assertRaisesRegex(InvalidArgument, "reset=3"):
            summoned(mock.Mock(), reset=3)  # type: ignore[arg-type]

    def test_a_scope_of_a_custom_executor(self) -> None:
        """A class attribute that is no scope is the error of each test."""

        class Custom(Executor):
            scope = "session"  # type: ignore[assignment]

        class Case(SummonTestCase):
            custom = Custom()

            def test(self) -> None:
                pass

        ((_, text),) = run(Case).errors
        self.assertIn("custom: scope='session': write one of", text)


class ResetTest(ScopesTest):
    def test_before_each_test_but_the_first(self) -> None:
        """The argument is called with the executor, after the test before, before setUp."""

        class Case(SummonTestCase):
            db = SimpleExecutor(
                SLEEPER, reset=lambda executor: self.events.append(f"reset {executor.name}")
            )

            def setUp(case) -> None:
                self.events.append("setUp")

            def test_1(case) -> None:
                pass

            test_2 = test_3 = test_1

        self.assert_passed(run(Case))
        self.assertEqual(self.events, ["setUp", *["reset db", "setUp"] * 2])

    def resettable(self, scope: Any, fails: list[int] = []) -> Executor:  # noqa: B006
        events = self.events

        class Resettable(Recorder):
            count = 0

            def reset(self) -> None:
                events.append("reset")
                self.count += 1
                if self.count in fails:
                    raise ValueError("cannot be reset")

        resettable = Resettable("db", events)
        resettable.scope = scope
        return resettable

    def test_a_method(self) -> None:
        """An executor's own reset() is called likewise; never for a service of one test."""
        self.assert_passed(run(self.case("test", tests=2, db=self.resettable("class"))))
        self.assertEqual(self.events, ["start db", "test", "reset", "test", "stop db"])
        self.events.clear()
        self.assert_passed(run(self.case("test", tests=2, db=self.resettable("test"))))
        self.assertNotIn("reset", self.events)

    def test_before_the_setupclass_of_the_next_class(self) -> None:
        """What setUpClass puts into a shared service is there in the first test."""
        db = self.resettable("run")

        def set_up_class(cls: Any) -> None:
            self.events.append("setUpClass")

        one = self.case("one", db=db, setUpClass=classmethod(set_up_class))
        two = self.case("two", db=db, setUpClass=classmethod(set_up_class), tests=2)
        self.assert_passed(run(one, two))
        self.assertEqual(
            self.events,
            ["start db", "setUpClass", "one", "reset", "setUpClass", "two", "reset", "two"],
        )

    def test_its_failure_is_the_error_of_the_test(self) -> None:
        """The test does not run; the next one tries again."""
        db = self.resettable("class", fails=[1])
        result = run(self.case("test", tests=3, db=db))
        ((test, text),) = result.errors
        self.assertIn("test_2", str(test))
        self.assertIn("ValueError: cannot be reset", text)
        self.assertEqual(self.events, ["start db", "test", "reset", "reset", "test", "stop db"])

    def test_its_failure_before_setupclass(self) -> None:
        """It is the error of each test of that class, whose setUpClass does not run."""
        db = self.resettable("run", fails=[1])
        result = run(self.case("one", db=db), self.case("two", db=db, tests=2))
        self.assertEqual((len(result.errors), self.events.count("two")), (2, 0))

    def test_what_was_started_again(self) -> None:
        """A restart keeps the files of a service, of a group too, and so what it stores in them."""

        def one() -> SimpleExecutor:
            return SimpleExecutor(SLEEPER, reset=lambda it: (Path(it.tmpdir) / "data").unlink())

        inner = one()

        def data(case: Any) -> Path:
            db = inner if isinstance(case.db, Orchestrator) else case.db
            return Path(db.tmpdir, "data")

        class Case(SummonTestCase):
            db: Any = one()

            def setUp(case) -> None:
                case.assertFalse(data(case).exists())
                data(case).touch()

            def test_1(case) -> None:
                case.db.kill()

            def test_2(case) -> None:
                case.db.restart()

            def test_3(case) -> None:
                pass

        class GroupCase(Case):
            db = Orchestrator({"inner": inner})

            def test_1(case) -> None:
                case.db.stop()

            def test_2(case) -> None:
                pass

        for case in (Case, GroupCase):
            with self.subTest(case.__name__):
                self.assert_passed(run(case))

    def test_what_is_summoned(self) -> None:
        """``summoned`` takes a scope, and a reset; or the thing has one."""
        events = self.events

        class Broker:
            def start(self) -> None:
                events.append("start")

            def stop(self) -> None:
                events.append("stop")

        class Resettable(Broker):
            def reset(self) -> None:
                events.append("reset")

        for broker in (
            summoned(Broker(), scope="run", reset=lambda thing: events.append("reset")),
            summoned(Resettable(), scope="run"),
        ):
            events.clear()
            self.assert_passed(run(self.case("one", tests=2, broker=broker)))
            self.assert_passed(run(self.case("two", broker=broker)))
            self.assertEqual(events, ["start", "one", "reset", "one", "reset", "two"])
            reset()

    def test_members_of_an_orchestrator(self) -> None:
        """The members of a group that is declared as one are reset."""
        group = Orchestrator({"db": self.resettable("class")})
        self.assert_passed(run(self.case("test", tests=2, group=group)))
        self.assertEqual(self.events, ["start db", "test", "reset", "test", "stop db"])

    def test_a_group_with_a_reset_of_its_own(self) -> None:
        """It is called once, instead of those of its members; also if they are no executors."""
        events = self.events

        class Group(Orchestrator):
            def reset(self) -> None:
                events.append("group")

        class Thing:
            def start(self) -> None:
                pass

            stop = start

        def members() -> dict[str, Any]:
            return {"a": self.resettable("class"), "b": SimpleExecutor(SLEEPER)}

        for group in (
            Group(members()),
            Orchestrator({"inner": Group(members())}),
            summoned(Group(members())),
            Group({"thing": Thing()}),
        ):
            events.clear()
            self.assert_passed(run(self.case("test", tests=3, group=group)))
            said = [event for event in events if " " not in event]
            self.assertEqual(said, ["test", *["group", "test"] * 2])

    def test_an_executor_that_is_summoned(self) -> None:
        """It has a method reset(), which resets nothing if nothing was declared."""
        reset = lambda executor: self.events.append("reset")  # noqa: E731
        for thing, expected in (
            (SimpleExecutor(SLEEPER), []),
            (SimpleExecutor(SLEEPER, reset=reset), ["reset"]),
            (Orchestrator([SimpleExecutor(SLEEPER)]), []),
            (Orchestrator([SimpleExecutor(SLEEPER, reset=reset)]), ["reset"]),
        ):
            self.events.clear()
            self.assert_passed(run(self.case("test", tests=2, it=summoned(thing))))
            self.assertEqual(self.events, ["test", *expected, "test"])


if __name__ == "__main__":
    unittest.main()


class TriedOnceTest(ScopesTest):
    """A declaration that cannot start is tried once per process."""

    def late(self, **options: Any) -> Any:
        """An executor that is never ready, and records each start."""
        started = self.events

        class Late(SimpleExecutor):
            def prepare(self) -> None:
                started.append(self.name)

        return Late(SLEEPER, timeout=0.3, until=lambda e: False, **options)

    def told(self, result: unittest.TestResult, whose: str) -> None:
        self.assertTrue(result.errors)
        for _, text in result.errors:
            self.assertIn("not ready within 0.3 s", text)
            self.assertIn(f"tried {whose}, and not again in this process", text)

    def test_three_classes(self) -> None:
        """Of those that inherit it the first waits; the others say whose start it was."""
        for scope in ("class", "module", "run", "test"):
            with self.subTest(scope):
                del self.events[:]
                web = self.late(scope=scope)
                one = self.case("ShopTest", tests=2, web=web)
                two = type("CartTest", (one,), {"__module__": "two"})
                three = self.case("Third", module="three", web=web)
                result = self.run_in_modules(one)
                self.assertEqual(len(result.errors), 2)
                self.assertIn("not ready within 0.3 s", result.errors[0][1])
                if scope != "test":
                    self.assertNotIn("tried before", result.errors[0][1])
                whose = "before ShopTest.test_1" if scope == "test" else "before ShopTest"
                for case in (two, three):
                    self.told(self.run_in_modules(case), whose)
                self.assertEqual(self.events, ["web"])

    def test_a_dependency(self) -> None:
        """A failing service is an error of all classes that have it; others may still start."""
        db = self.late()
        web = SimpleExecutor([*SLEEPER, "{db.name}"])
        other = SimpleExecutor(SLEEPER)
        self.run_in_modules(self.case("ShopTest", db=db, web=web, other=other))
        self.told(self.run_in_modules(self.case("Next", db=db, web=web)), "before ShopTest")
        self.assertEqual(self.events, ["db"])
        self.assert_passed(self.run_in_modules(self.case("Other", other=other)))
        # with another database it is another start
        ready = SimpleExecutor(SLEEPER)
        self.assert_passed(self.run_in_modules(self.case("Replaced", db=ready, web=web)))

    def test_another_database(self) -> None:
        """A start that failed beside one service is tried again beside another."""
        web = SimpleExecutor(
            ["/bin/sh", "-c", 'test "$0" = good || exit 3', "{db.host}"], one_shot=True
        )
        bad, good = SimpleExecutor(SLEEPER, host="bad"), SimpleExecutor(SLEEPER, host="good")
        result = self.run_in_modules(self.case("Bad", db=bad, web=web))
        self.assertIn("exited with status 3", result.errors[0][1])
        self.assert_passed(self.run_in_modules(self.case("Good", db=good, web=web)))
        result = self.run_in_modules(self.case("BadAgain", db=bad, web=web))
        self.assertIn("tried before Bad, and not again", result.errors[0][1])

    def test_what_runs_for_somebody_else(self) -> None:
        """AlreadyRunning is not remembered: once the service is stopped it can be started."""
        web = SimpleExecutor(SLEEPER)
        cases = [self.case(name, web=web) for name in ("One", "Two")]
        with web:
            result = run(cases[0])
            self.assertIn("web: is running already (pid", result.errors[0][1])
            self.assertTrue(web.running())
        self.assert_passed(run(*cases))

    def test_what_is_declared_twice(self) -> None:
        """The second start is refused, and says why: the first is under way, or already over."""
        web = SimpleExecutor(SLEEPER)
        result = run(self.case("Case", web=web, again=web))
        said = r"web: is (being started already: by another thread, or it|running already \(pid)"
        self.assertRegex(result.errors[0][1], said)
        self.assertFalse(web.running())

    def test_errors_of_others(self) -> None:
        """An executor of the user's too, whatever it raises."""
        events = self.events

        class Own(Executor):
            def start(self) -> Any:
                events.append("own")
                raise ValueError("mine")

            def stop(self) -> None: ...

        own = Own()
        for label in ("One", "Two"):
            result = self.run_in_modules(self.case(label, own=own))
            self.assertIn("ValueError: mine", result.errors[0][1])
        if sys.version_info >= (3, 11):
            self.assertIn("tried before One, and not again", result.errors[0][1])
        self.assertEqual(events, ["own"])

    def test_in_a_group(self) -> None:
        """A group of which a member fails is one declaration."""
        group = Orchestrator({"inner": self.late()})
        self.run_in_modules(self.case("One", group=group))
        self.told(self.run_in_modules(self.case("Two", group=group)), "before One")
        self.assertEqual(self.events, ["inner"])


class WithoutATestCaseTest(unittest.TestCase):
    """Arguments for a TestCase, used in a plain block."""

    def test_reset(self) -> None:
        """It can be called, of one and of all."""
        calls: list[Any] = []
        one = SimpleExecutor(SLEEPER, reset=calls.append)

        class Own(SimpleExecutor):
            def reset(self) -> None:
                calls.append("own")

        own = Own(SLEEPER)
        with orchestrated(one=one, own=own, other=SimpleExecutor(SLEEPER)):
            one.reset()
            own.reset()
            self.assertEqual(calls, [one, "own"])
        with Orchestrator([one, Orchestrator([own])]) as group:
            group.reset()
        self.assertEqual(calls, [one, "own"] * 2)
        group.reset()  # of a group that does not run, too: the members' functions are called
        self.assertEqual(calls, [one, "own"] * 3)

    def test_nothing_to_reset(self) -> None:
        """Said, with what to write."""
        one = SimpleExecutor(SLEEPER, name="one")
        for thing in (one, Orchestrator([one], name="one")):
            with self.assertRaisesRegex(NotImplementedError, "one: nothing resets it: declare res"):
                thing.reset()

    def test_what_has_no_meaning(self) -> None:
        """scope= and restart= are told of, once, and by name; reset= can be called."""
        for start in (
            lambda one: one.start(),
            lambda one: orchestrated(it=one).start(),
            lambda one: Orchestrator([Orchestrator([one])]).start(),
        ):
            for options, said in (
                ({"scope": "run"}, "one: scope='run' has a meaning in a TestCase only"),
                ({"restart": True}, "one: restart= has a meaning in a TestCase only"),
                ({"alive": ["true"]}, "one: alive= has a meaning in a TestCase only: .* not asked"),
                ({"scope": "run", "restart": 1}, "'run' and restart= have a meaning in a TestC"),
            ):
                one = SimpleExecutor(SLEEPER, name="one", **options)  # type: ignore[arg-type]
                with self.assertWarnsRegex(RuntimeWarning, said) as caught:
                    start(one)
                self.assertEqual(caught.filename, __file__)
                one.stop()
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    with one:
                        one.restart()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with SimpleExecutor(SLEEPER, reset=print):
                pass

    def test_the_scope_of_what_is_no_service(self) -> None:
        """An executor of the user's, and a group, are told of likewise."""

        class Group(Orchestrator):
            scope = "run"

        for thing in (
            Recorder("one", []),
            Group([], name="one"),
            summoned(mock.Mock(), scope="run"),
            Orchestrator([Group([], name="one")]),
        ):
            thing.name, thing.scope = "one", "class" if type(thing) is Orchestrator else "run"
            said = "one: scope='run' has a meaning in a TestCase only"
            with self.assertWarnsRegex(RuntimeWarning, said) as caught, thing:
                pass
            self.assertEqual(caught.filename, __file__)

    def test_the_scope_of_a_member(self) -> None:
        """All of a group that a TestCase has live as long as the group."""

        class Case(SummonTestCase):
            group = Orchestrator({"two": SimpleExecutor(SLEEPER, scope="test")})

            def test(self) -> None:
                pass

        said = "two: scope='test' has no meaning within group, all of which has scope='class'"
        with self.assertWarnsRegex(RuntimeWarning, said):
            result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))

    def test_in_a_testcase(self) -> None:
        """There it has, whoever restarts it."""

        class Case(SummonTestCase):
            one = SimpleExecutor(SLEEPER, scope="test", restart=True)
            group = Orchestrator({"two": SimpleExecutor(SLEEPER, restart=1)})

            def test_1(self) -> None:
                self.one.restart()
                self.one.kill()
                self.one.start()
                self.group.stop()

            def test_2(self) -> None:
                pass

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))
