"""Services in a TestCase: when they start and stop, and what happens if they cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest
import warnings
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any
from unittest import mock

from summon_testcase import (
    REMOVED,
    PostgreSQL,
    SimpleExecutor,
    SummonMixin,
    SummonTestCase,
    orchestrated,
    summoned,
)
from summon_testcase.errors import RequirementMissing, StartFailed
from summon_testcase.executors.declared import declared
from summon_testcase.executors.executor import Executor

from ..cases import run, run_bare
from ..doubles import Recorder
from ..samples import BARE


def depth_of(traceback: TracebackType | None) -> int:
    return len(list(walk_tb(traceback)))


class ServicesTest(unittest.TestCase):
    """What the tests below have in common."""

    def setUp(self) -> None:
        self.events: list[str] = []
        self.addCleanup(self.leave_nothing_up)

    def leave_nothing_up(self) -> None:
        class Last(SummonTestCase):
            last = Recorder("last", [])

            def test(self) -> None:
                pass

        run(Last)  # its start stops what was left over

    def service(self, label: str, **arguments: Any) -> Recorder:
        return Recorder(label, self.events, **arguments)

    def assert_passed(self, result: unittest.TestResult, tests: int = 1) -> None:
        self.assertEqual((result.errors, result.failures), ([], []))
        self.assertEqual(result.testsRun, tests)


class DeclarationTest(ServicesTest):
    def test_the_services_of_bases_start_first(self) -> None:
        """Declarations are collected over the MRO, those of the bases first."""

        class Declares:
            first = self.service("first")

        class Base(Declares, SummonTestCase):
            second = self.service("second")

        class Derived(Base):
            third = self.service("third")

            def test(self) -> None:
                self.test_sees = [self.first.up, self.second.up, self.third.up]
                assert self.test_sees == [True, True, True]

        self.assert_passed(run(Derived))
        starts = [event for event in self.events if event.startswith("start")]
        self.assertCountEqual(starts, ["start first", "start second", "start third"])
        self.assertEqual(list(declared(Derived)), ["first", "second", "third"])

    def test_a_removed_service_does_not_start(self) -> None:
        """``name = REMOVED`` or None in a subclass takes a service away there, not in the base."""

        class Base(SummonTestCase):
            kept = self.service("kept")
            one = self.service("one")
            other = self.service("other")

            def test(self) -> None:
                pass

        class Derived(Base):
            one = REMOVED
            other = None  # type: ignore[assignment]

        self.assert_passed(run(Derived))
        self.assertEqual(self.events, ["start kept", "stop kept"])
        self.assertCountEqual(declared(Base), ["kept", "one", "other"])

    def test_an_override_replaces(self) -> None:
        """A service declared again under its name replaces that of the base."""

        class Base(SummonTestCase):
            db = self.service("old")

            def test(self) -> None:
                pass

        class Derived(Base):
            db = self.service("new")

        self.assert_passed(run(Derived))
        self.assertEqual(self.events, ["start new", "stop new"])

    def test_the_mixin_right_of_the_testcase_is_refused(self) -> None:
        """The mixin right of TestCase is a TypeError at once, which says how to write it."""
        with self.assertRaisesRegex(
            TypeError, r"Shop: .*left of TestCase; write class Shop\(SummonMixin, TestCase\)"
        ):
            type("Shop", (unittest.TestCase, SummonMixin), {})

        class Services(SummonMixin):
            pass

        with self.assertRaisesRegex(TypeError, r"write class Shop\(Services, Isolated"):
            type("Shop", (unittest.IsolatedAsyncioTestCase, Services), {})

        type("Shop", (Services, unittest.IsolatedAsyncioTestCase), {})

    def test_a_mixin_of_the_user_needs_no_testcase(self) -> None:
        """A subclass of the mixin without TestCase lends its services to several classes."""

        class Services(SummonMixin):
            db = self.service("db")

            def test(self) -> None:
                assert self.db.up

        class One(Services, unittest.TestCase):
            pass

        class Two(Services, unittest.TestCase):
            pass

        self.assert_passed(run(One, Two), tests=2)
        self.assertEqual(self.events, ["start db", "stop db"] * 2)

    def test_tests_without_a_testcase(self) -> None:
        """A warning for what pytest would run without services, when the class is created."""
        source = """
            from unittest import TestCase
            from summon_testcase import SimpleExecutor, SummonMixin

            class Shared:
                db = SimpleExecutor("sleep 1000")
                def test_it(self):
                    assert self.db.running()

            class TestLost(Shared, SummonMixin): ...
            class TestServices(SummonMixin):  # no tests
                db = Shared.db
            class TestLostAgain(TestServices):
                test_it = Shared.test_it
            class TestsToInherit(Shared, SummonMixin):
                __test__ = False
            class SharedTests(Shared, SummonMixin): ...
            class TestFound(Shared, SummonMixin, TestCase): ...
            class TestFoundAgain(SharedTests, TestCase): ...
            class TestInherited(TestsToInherit, TestCase):
                __test__ = True
        """
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "test_it.py").write_text(textwrap.dedent(source))
            command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "no:cacheprovider"]
            done = subprocess.run(
                command,
                cwd=directory,
                env={**os.environ, **BARE},
                capture_output=True,
                text=True,
                check=False,
            )
        said = re.findall(r"RuntimeWarning: (\w+) has tests and a SummonMixin", done.stdout)
        self.assertEqual(said, ["TestLost", "TestLostAgain"], done.stdout)
        self.assertIn("class TestLost(Shared, SummonMixin, TestCase)", done.stdout)
        self.assertIn("test_it.py:10: RuntimeWarning", done.stdout)
        self.assertIn("2 failed, 3 passed", done.stdout)

    def test_what_is_no_service_by_mistake(self) -> None:
        """A class in the place of an executor, and orchestrated(), are warnings at once."""

        class Clock(Executor):
            pass

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")

            class Mistaken(SummonTestCase):
                db = PostgreSQL
                clock = Clock
                both = orchestrated(SimpleExecutor("sleep 1"))

            class Inherits(Mistaken):
                pass

            class Meant(SummonTestCase):
                server_class = PostgreSQL
                Server = Clock
                kind_of_server = SimpleExecutor  # needs a command
                error = ValueError

                class Inner(Clock):
                    pass

        self.assertEqual(
            [str(warning.message) for warning in caught],
            [
                "Mistaken.db is the class PostgreSQL, not an instance, and is not started: write "
                "db = PostgreSQL()",
                "Mistaken.clock is the class Clock, not an instance, and is not started: write "
                "clock = Clock()",
                "Mistaken.both is orchestrated(…), which is for blocks and functions, and is not "
                "started: write both = Orchestrator(…)",
            ],
        )
        self.assertEqual({warning.filename for warning in caught}, {__file__})

    def test_mock_patchers_are_left_alone(self) -> None:
        """Other objects with start and stop are not started by surprise."""
        patcher = mock.patch.object(os, "sep", "patched")

        class Patched(SummonTestCase):
            separator = patcher
            other = mock.Mock()

            def test(self) -> None:
                assert os.sep != "patched"

        self.assert_passed(run(Patched))
        Patched.other.start.assert_not_called()

    def test_summoned_wraps_what_is_no_executor(self) -> None:
        """``summoned(thing)`` is started and stopped; the attribute is the thing itself."""
        events = self.events

        class Broker:
            port = 4321

            def start(self) -> None:
                events.append("start broker")

            def stop(self) -> None:
                events.append("stop broker")

        real = Broker()

        class Trade(SummonTestCase):
            broker = summoned(real)
            declared_port = broker.port

            def test(self) -> None:
                assert self.broker is real
                assert type(self).broker is real

        self.assert_passed(run(Trade))
        self.assertEqual(events, ["start broker", "stop broker"])
        self.assertEqual(Trade.declared_port, 4321)

    def test_others_refer_to_what_is_summoned(self) -> None:
        """Templates of other services may name what the wrapped object knows, once it runs."""
        events = self.events

        class Broker:
            def start(self) -> None:
                self.port = 4321

            def stop(self) -> None:
                events.append("stop broker")

        class Trade(SummonTestCase):
            client = SimpleExecutor("echo port {broker.port}", one_shot=True)
            broker = summoned(Broker())

            def test(self) -> None:
                assert self.client.tail(1) == ["port 4321"], self.client.tail(1)

        self.assert_passed(run(Trade))
        self.assertEqual(events, ["stop broker"])

    def test_summoned_refuses_what_cannot_stop(self) -> None:
        """``summoned`` of an object without start or stop is an error where it is written."""
        with self.assertRaisesRegex(TypeError, r"no stop\(\) method"):
            summoned(mock.Mock(spec=["start"]))

    def test_a_class_rebuilt_from_its_attributes_starts_once(self) -> None:
        """Decorators that build a class anew from another's attributes do no harm."""

        class Original(SummonTestCase):
            db = self.service("db")

            @classmethod
            def setUpClass(cls) -> None:
                cls.seen = cls.db.up

            def test(self) -> None:
                assert self.seen

        rebuilt: Any = type("Rebuilt", (Original,), dict(vars(Original)))
        self.assert_passed(run(rebuilt))
        self.assertEqual(self.events, ["start db", "stop db"])


class HooksTest(ServicesTest):
    def test_the_order_of_a_class(self) -> None:
        """Services are up in all hooks and in the clean-ups of the user, with no super() at all."""
        events = self.events

        class Ordinary(SummonTestCase):
            db = self.service("db")

            @classmethod
            def setUpClass(cls) -> None:
                events.append(f"setUpClass {cls.db.up}")
                cls.addClassCleanup(lambda: events.append(f"clean-up {cls.db.up}"))

            @classmethod
            def tearDownClass(cls) -> None:
                events.append(f"tearDownClass {cls.db.up}")

            def test_one(self) -> None:
                events.append("test")

            test_two = test_one

        self.assert_passed(run(Ordinary), tests=2)
        self.assertEqual(
            events,
            [
                "start db",
                "setUpClass True",
                "test",
                "test",
                "tearDownClass True",
                "clean-up True",
                "stop db",
            ],
        )

    def test_a_chain_of_super_starts_once(self) -> None:
        """Each setUpClass of a chain runs once, and the services start once, before all."""
        events = self.events

        class Base(SummonTestCase):
            db = self.service("db")

            @classmethod
            def setUpClass(cls) -> None:
                super().setUpClass()
                events.append(f"Base {cls.__name__}")

            @classmethod
            def tearDownClass(cls) -> None:
                events.append("down Base")
                super().tearDownClass()

        class Middle(Base):
            pass

        class Derived(Middle):
            web = self.service("web")

            @classmethod
            def setUpClass(cls) -> None:
                super().setUpClass()
                events.append(f"Derived {cls.__name__}")

            @classmethod
            def tearDownClass(cls) -> None:
                events.append("down Derived")
                super().tearDownClass()

            def test(self) -> None:
                pass

        self.assert_passed(run(Derived))
        self.assertCountEqual(events[:2], ["start db", "start web"])
        self.assertEqual(
            events[2:6], ["Base Derived", "Derived Derived", "down Derived", "down Base"]
        )
        self.assertCountEqual(events[6:], ["stop db", "stop web"])

    def test_a_base_called_by_name_starts_nothing_of_its_own(self) -> None:
        """``Base.setUpClass()`` in place of super() does not start the services twice."""

        class Base(SummonTestCase):
            db = self.service("db")

        class Derived(Base):
            @classmethod
            def setUpClass(cls) -> None:
                Base.setUpClass()

            def test(self) -> None:
                assert self.db.up

        self.assert_passed(run(Derived))
        self.assertEqual(self.events, ["start db", "stop db"])

    def test_hooks_of_other_mixins_are_called(self) -> None:
        """A cooperative mixin on the right of ours has its setUpClass called."""
        events = self.events

        class Other:
            @classmethod
            def setUpClass(cls) -> None:
                super().setUpClass()  # type: ignore[misc]
                events.append("other")

        class Both(SummonMixin, Other, unittest.TestCase):
            db = self.service("db")

            def test(self) -> None:
                pass

        self.assert_passed(run(Both))
        self.assertEqual(events, ["start db", "other", "stop db"])

    def test_a_setupclass_that_raises(self) -> None:
        """Services stop after the clean-ups when setUpClass raises; all errors are reported."""
        events = self.events

        class Raising(SummonTestCase):
            db = self.service("db")

            @classmethod
            def setUpClass(cls) -> None:
                cls.addClassCleanup(cls.clean_up)
                raise ValueError("of setUpClass")

            @classmethod
            def clean_up(cls) -> None:
                events.append(f"clean-up {cls.db.up}")
                raise ValueError("of the clean-up")

            def test(self) -> None:
                events.append("test")

        with self.assertRaisesRegex(ValueError, "of setUpClass"):
            Raising.setUpClass()  # as runners without class clean-ups do
        self.assertEqual(events, ["start db", "clean-up True", "stop db"])
        Raising.doClassCleanups()
        events.clear()

        messages = [text.splitlines()[-1] for _, text in run(Raising).errors]
        self.assertEqual(messages, ["ValueError: of setUpClass", "ValueError: of the clean-up"])
        self.assertEqual(events, ["start db", "clean-up True", "stop db"])

    def test_a_skip_in_setupclass(self) -> None:
        """SkipTest in setUpClass stays a skip, and the services stop."""

        class Skipping(SummonTestCase):
            db = self.service("db")

            @classmethod
            def setUpClass(cls) -> None:
                raise unittest.SkipTest("not today")

            def test(self) -> None:
                pass

        result = run(Skipping)
        self.assertEqual([reason for _, reason in result.skipped], ["not today"])
        self.assertEqual(result.errors, [])
        self.assertEqual(self.events, ["start db", "stop db"])

    def test_an_interrupt_in_setupclass(self) -> None:
        """KeyboardInterrupt or SystemExit in setUpClass stops the services and goes on."""
        for reason in (KeyboardInterrupt, SystemExit):
            with self.subTest(reason.__name__):
                self.events.clear()

                class Interrupted(SummonTestCase):
                    db = self.service("db")
                    reason_to_go = reason

                    @classmethod
                    def setUpClass(cls) -> None:
                        raise cls.reason_to_go

                    def test(self) -> None:
                        pass

                with self.assertRaises(reason):
                    run(Interrupted)
                self.assertEqual(self.events, ["start db", "stop db"])

    def test_an_interrupted_start(self) -> None:
        """KeyboardInterrupt during a start stops what had started, and is no cached failure."""

        class Interrupted(SummonTestCase):
            db = self.service("db")
            web = self.service("web", fails=KeyboardInterrupt())

            def test(self) -> None:
                pass

        for attempt in (run, run_bare):
            self.events.clear()
            with self.assertRaises(KeyboardInterrupt):
                attempt(Interrupted)
            self.assertEqual(self.events.count("start db"), self.events.count("stop db"))
            self.assertEqual(self.events.count("start web"), 1)

    def test_a_service_that_fails_to_stop(self) -> None:
        """An error of a stop is reported once, with the class; the others are stopped."""

        class Stuck(SummonTestCase):
            db = self.service("db")
            web = self.service("web", fails_to_stop=OSError("stuck"))

            def test(self) -> None:
                pass

        result = run(Stuck)
        self.assertEqual(len(result.errors), 1)
        self.assertIn("stuck", result.errors[0][1])
        self.assertIn("stop db", self.events)

    def test_async_tests(self) -> None:
        """The mixin works with IsolatedAsyncioTestCase, whose hooks see the services."""
        events = self.events

        class Asynchronous(SummonMixin, unittest.IsolatedAsyncioTestCase):
            db = self.service("db")

            async def asyncSetUp(self) -> None:
                events.append(f"asyncSetUp {self.db.up}")

            async def test(self) -> None:
                events.append("test")

        self.assert_passed(run(Asynchronous))
        self.assertEqual(events, ["start db", "asyncSetUp True", "test", "stop db"])


class FallbackTest(ServicesTest):
    """Runners that leave hooks out."""

    def declare(self, label: str, *bases: type, **attributes: Any) -> Any:
        def test(case: Any) -> None:
            self.events.append(f"test {label}")
            assert case.db.up

        attributes = {"db": self.service(label), "test": test, **attributes}
        return type(label, bases or (SummonTestCase,), attributes)

    def test_a_test_starts_what_no_setupclass_did(self) -> None:
        """Where setUpClass is never called, the first test starts, the next class stops."""
        one, two = self.declare("one"), self.declare("two")
        for case in (one, one, two):
            self.assert_passed(run_bare(case))
        self.assertEqual(
            self.events, ["start one", "test one", "test one", "stop one", "start two", "test two"]
        )

    def test_a_setupclass_that_is_patched_away(self) -> None:
        """A setUpClass replaced after the class was made does not keep services from starting."""
        case = self.declare("one")
        case.setUpClass = classmethod(lambda cls: None)
        self.assert_passed(run(case))
        self.assertEqual(self.events, ["start one", "test one"])

    def test_without_class_cleanups(self) -> None:
        """Without class clean-ups, services past tearDownClass stop when another class starts."""
        one, two = self.declare("one"), self.declare("two")
        for case in (one, two):
            case.setUpClass()
            self.assert_passed(run_bare(case))
            case.tearDownClass()
        self.assertEqual(
            self.events, ["start one", "test one", "stop one", "start two", "test two"]
        )

    def test_a_class_whose_cleanup_is_due_is_left_alone(self) -> None:
        """Between its tests too, a class keeps its services while its clean-up is to come."""
        one, two = self.declare("one"), self.declare("two")
        one.setUpClass()
        self.assert_passed(run_bare(one))
        self.assert_passed(run_bare(two))
        self.assertTrue(one.db.up)
        one.tearDownClass()
        one.doClassCleanups()
        self.assertFalse(one.db.up)

    def test_a_class_within_a_test_of_another(self) -> None:
        """A class run inside a test stops nothing that the outer test needs."""
        inner = self.declare("inner")

        def test(case: Any) -> None:
            self.assert_passed(run(inner))
            self.assertTrue(case.db.up)

        outer = self.declare("outer", test=test)
        self.assert_passed(run_bare(outer))
        self.assert_passed(run(outer))
        self.assertEqual(
            self.events,
            ["start outer", *["start inner", "test inner", "stop inner"] * 2, "stop outer"],
        )

    def test_nested_definitions(self) -> None:
        """A TestCase defined in the body of another is a class of its own."""

        class Outer(SummonTestCase):
            db = self.service("outer")

            class Inner(SummonTestCase):
                db = self.service("inner")

                def test(self) -> None:
                    assert self.db.up

            def test(self) -> None:
                assert self.db.up

        self.assert_passed(run(Outer, Outer.Inner), tests=2)
        self.assertEqual(self.events, ["start outer", "stop outer", "start inner", "stop inner"])

    def test_classes_share_inherited_declarations(self) -> None:
        """An inherited declaration starts again for each class, after the other let go of it."""
        base = self.declare("base")
        derived = type("Derived", (base,), {"more": self.service("more")})
        self.assert_passed(run(base, derived), tests=2)
        self.assertEqual(self.events.count("start base"), 2)
        self.assertEqual(self.events.count("stop base"), 2)

        self.events.clear()
        base.setUpClass()  # and no tearDownClass before the next one
        derived.setUpClass()
        self.assertEqual(self.events[:3], ["start base", "stop base", "start base"])
        self.assert_passed(run_bare(derived))
        derived.doClassCleanups()
        self.assertTrue(base.db.up is False)
        self.assert_passed(run_bare(base))  # its setUpClass is long past
        base.doClassCleanups()
        self.assertFalse(base.db.up)

    def test_debug_has_services(self) -> None:
        """``debug()``, which post-mortem debuggers call, starts and refuses like ``run()``."""
        self.declare("one")("test").debug()
        self.assertEqual(self.events, ["start one", "test one"])
        with self.assertRaisesRegex(StartFailed, "no luck"):
            self.declare("two", db=self.service("db", fails=StartFailed("no luck")))("test").debug()

    def test_a_late_stop_that_fails(self) -> None:
        """A service of a class that is past fails to stop: a warning, not another's error."""
        stuck = self.declare("one", db=self.service("db", fails_to_stop=OSError("stuck")))
        self.assert_passed(run_bare(stuck))
        with self.assertWarnsRegex(RuntimeWarning, "services of one: .*"):
            self.assert_passed(run_bare(self.declare("two")))


class FailedStartTest(ServicesTest):
    def failing(self, error: BaseException) -> Any:
        """A class with two tests, whose hooks note that they were called."""
        events = self.events

        class Failing(SummonTestCase):
            fine = self.service("fine")
            broken = self.service("broken", fails=error)

            @classmethod
            def setUpClass(cls) -> None:
                events.append("setUpClass")

            @classmethod
            def tearDownClass(cls) -> None:
                events.append("tearDownClass")

            def setUp(self) -> None:
                events.append("setUp")

            def test(self) -> None:
                events.append("test")

            test_two = test

            @unittest.expectedFailure
            def test_three(self) -> None:
                events.append("test")

        return Failing

    def assert_tried_once(self) -> None:
        """Nothing ran, and the service that fails was tried once."""
        self.assertEqual([event for event in self.events if "fine" not in event], ["start broken"])
        self.assertEqual(self.events.count("start fine"), self.events.count("stop fine"))

    def test_each_test_errors_and_the_start_is_paid_once(self) -> None:
        """A failed start is the error of every test, found out once, and no body runs."""
        result = run(self.failing(StartFailed("broken: no luck")))
        self.assertEqual(result.testsRun, 3)
        self.assertEqual(len(result.errors), 3)
        for _, text in result.errors:
            self.assertIn("broken: no luck", text)
        self.assertEqual(result.expectedFailures, [])
        self.assert_tried_once()

    def test_where_setupclass_is_never_called(self) -> None:
        """The same when the tests themselves have to start the services."""
        failing = self.failing(StartFailed("broken: no luck"))
        depths = []
        record = mock.Mock(side_effect=lambda test, error: depths.append(depth_of(error[2])))
        with mock.patch.object(unittest.TestResult, "addError", record):
            for name in ("test", "test_two", "test_three", "test"):
                self.assertEqual(run_bare(failing, name).testsRun, 1)
        self.assertEqual(len(depths), 4)
        self.assert_tried_once()
        self.assertEqual(len(set(depths)), 1, "the traceback grows from test to test")

    def test_setupclass_called_again(self) -> None:
        """A runner that enters the class again does not pay for the start again."""
        failing = self.failing(StartFailed("broken: no luck"))
        self.assertEqual(len(run(failing).errors), 3)
        self.assertEqual(len(run(failing).errors), 3)
        self.assert_tried_once()

    def test_what_starts_beside_it_is_stopped(self) -> None:
        """Whichever is declared first, the one that starts or the one that cannot, none stays."""
        for order in ("fine broken", "broken fine"):
            with self.subTest(order):
                self.events.clear()
                broken = self.service("broken", fails=StartFailed("broken: no luck"))
                services = {"fine": self.service("fine"), "broken": broken}
                attributes: dict[str, Any] = {name: services[name] for name in order.split()}
                attributes["test"] = lambda case: None
                case: Any = type("Case", (SummonTestCase,), attributes)
                self.assertEqual(len(run(case).errors), 1)
                self.assert_tried_once()

    def test_other_classes_are_not_concerned(self) -> None:
        """A class after one whose services could not start runs as ever."""
        failing = self.failing(StartFailed("broken: no luck"))

        class Next(SummonTestCase):
            db = self.service("db")

            def test(self) -> None:
                assert self.db.up

        result = run(failing, Next)
        self.assertEqual((len(result.errors), result.testsRun), (3, 4))
        self.assertEqual(self.events[-2:], ["start db", "stop db"])

    def test_async_setup_is_not_reached(self) -> None:
        """With IsolatedAsyncioTestCase neither asyncSetUp nor the test runs without services."""
        events = self.events

        class Asynchronous(SummonMixin, unittest.IsolatedAsyncioTestCase):
            broken = self.service("broken", fails=StartFailed("broken: no luck"))

            async def asyncSetUp(self) -> None:
                events.append("asyncSetUp")

            async def test(self) -> None:
                events.append("test")

        self.assertEqual(len(run(Asynchronous).errors), 1)
        self.assert_tried_once()

    def test_a_missing_requirement_skips(self) -> None:
        """A missing program of an optional executor skips each test; the message says why."""
        missing = RequirementMissing("redis: redis-server is missing", optional=True)
        with mock.patch.dict(os.environ):
            for value in (None, "", "0"):
                os.environ.pop("SUMMON_FORBID_SKIPS", None)
                if value is not None:
                    os.environ["SUMMON_FORBID_SKIPS"] = value
                self.events.clear()
                result = run(self.failing(missing))
                self.assertEqual(result.errors, [])
                self.assertEqual({reason for _, reason in result.skipped}, {missing.message})
                self.assertEqual(len(result.skipped), 3)
                self.assert_tried_once()

    def test_a_forbidden_skip_is_an_error(self) -> None:
        """With SUMMON_FORBID_SKIPS set, a missing requirement is the error of each test."""
        with mock.patch.dict(os.environ, SUMMON_FORBID_SKIPS="1"):
            missing = RequirementMissing("redis: redis-server is missing", optional=True)
            result = run(self.failing(missing))
        self.assertEqual(len(result.errors), 3)
        self.assertIn("redis-server is missing", result.errors[0][1])
        self.assertEqual(result.skipped, [])


class SkippedTest(ServicesTest):
    def test_a_skipped_class_starts_nothing(self) -> None:
        """Of a class with @skip nothing starts and no hook runs, whoever calls setUpClass."""

        @unittest.skip("the class")
        class Skipped(SummonTestCase):
            db = self.service("db")

            @classmethod
            def setUpClass(cls) -> None:
                raise AssertionError

            tearDownClass = setUpClass

            def test(self) -> None:
                raise AssertionError

        self.assertEqual(len(run(Skipped).skipped), 1)
        Skipped.setUpClass()  # as pynose does
        self.assertEqual(len(run_bare(Skipped).skipped), 1)
        Skipped.tearDownClass()
        self.assertEqual(self.events, [])

    def test_a_class_of_skipped_methods_starts_nothing(self) -> None:
        """Where all methods are skipped nothing starts; setUpClass could not run without."""

        class Skipped(SummonTestCase):
            db = self.service("db")

            @classmethod
            def setUpClass(cls) -> None:
                raise AssertionError

            tearDownClass = setUpClass

            @unittest.skip("one")
            def test(self) -> None:
                raise AssertionError

            @unittest.skip("two")
            def test_two(self) -> None:
                raise AssertionError

        result = run(Skipped)
        self.assertEqual([reason for _, reason in result.skipped], ["one", "two"])
        self.assertEqual(len(run_bare(Skipped).skipped), 1)
        self.assertEqual((result.errors, self.events), ([], []))

    def test_one_test_that_runs_is_enough(self) -> None:
        """A class with one test that is not skipped starts its services."""

        class Mixed(SummonTestCase):
            db = self.service("db")

            @unittest.skip("one")
            def test_one(self) -> None:
                raise AssertionError

            def test_two(self) -> None:
                assert self.db.up

        result = run(Mixed)
        self.assertEqual((result.errors, len(result.skipped)), ([], 1))
        self.assertEqual(self.events, ["start db", "stop db"])

    def test_a_class_without_services_is_left_alone(self) -> None:
        """The hooks of a class that declares nothing run as they always do."""
        events = self.events

        class Plain(SummonTestCase):
            @classmethod
            def setUpClass(cls) -> None:
                events.append("setUpClass")

            @unittest.skip("one")
            def test(self) -> None:
                raise AssertionError

        run(Plain)
        self.assertEqual(events, ["setUpClass"])


class ProcessTest(unittest.TestCase):
    """Tests that need a process of their own."""

    PREAMBLE = """
        import multiprocessing, os, sys, unittest
        from summon_testcase import SummonTestCase
        from summon_testcase.executors.executor import Executor

        runner = os.getpid()

        class Recorder(Executor):
            def __init__(self):
                self.up = None
            def say(self, what):
                where = "runner" if os.getpid() == runner else "child"
                os.write(1, f"{what} in {where}\\n".encode())
            def start(self):
                self.up = os.getpid()
                self.say("start")
                return self
            def stop(self):
                self.say("stop")
            def running(self):
                return self.up == os.getpid()

        class Case(SummonTestCase):
            db = Recorder()
            def test(self):
                pass

        def test():
            Case("test").run(unittest.TestResult())
    """

    def output_of(self, script: str) -> list[str]:
        """The lines that a script writes; it must say nothing else."""
        source = textwrap.dedent(self.PREAMBLE) + textwrap.dedent(script)
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", source],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def test_the_end_of_the_process_stops(self) -> None:
        """Services that no hook has stopped are stopped when the process ends, once."""
        self.assertEqual(self.output_of("test()"), ["start in runner", "stop in runner"])

    def test_an_interrupted_stop_is_tried_again(self) -> None:
        """Services that Ctrl-C kept from being stopped are stopped when the process ends."""
        script = """
            def interrupted(self):
                Recorder.stop = stop
                raise KeyboardInterrupt

            stop, Recorder.stop = Recorder.stop, interrupted
            Case.setUpClass()
            try:
                Case.doClassCleanups()
            except KeyboardInterrupt:
                pass
            else:
                Case.db.say("interrupt lost")
        """
        self.assertEqual(self.output_of(script), ["start in runner", "stop in runner"])

    def test_a_forked_child_owns_nothing(self) -> None:
        """A fork of the test process stops nothing when it ends, not even by its clean-ups."""
        script = """
            Case.setUpClass()
            test()
            pid = os.fork()
            if pid == 0:
                Case.tearDownClass()
                Case.doClassCleanups()
                sys.exit()
            os.waitpid(pid, 0)
        """
        self.assertEqual(self.output_of(script), ["start in runner", "stop in runner"])

    def test_workers_of_multiprocessing_stop_what_they_started(self) -> None:
        """A worker, which leaves by os._exit, stops its own services, also after its parent's."""
        script = """
            for before in (lambda: None, test):
                before()
                worker = multiprocessing.get_context("fork").Process(target=test)
                worker.start()
                worker.join()
        """
        self.assertEqual(
            self.output_of(script),
            [
                "start in child",
                "stop in child",
                "start in runner",
                "start in child",
                "stop in child",
                "stop in runner",
            ],
        )

    def test_real_processes_are_gone(self) -> None:
        """A real process is up during the tests of its class, and gone when they are done."""

        class Real(SummonTestCase):
            sleeper = SimpleExecutor("sleep 100")
            pids: list[int | None] = []

            def test(self) -> None:
                assert self.sleeper.running()
                self.pids.append(self.sleeper.pid)

        self.assertEqual(run(Real).errors, [])
        (pid,) = Real.pids
        assert pid is not None
        self.assertFalse(Real.sleeper.running())
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)


if __name__ == "__main__":
    unittest.main()
