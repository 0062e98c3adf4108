"""The services of a TestCase class: up before its tests, as they were at first, and stopped after.

``testcase`` has the hooks by which runners lead here.
"""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import (
    SkipTest,
    TestCase,
    TestResult,
    TextTestResult,
    addModuleCleanup,
    defaultTestLoader,
)

from ..errors import SummonError
from ..executors.deaths import tell_too
from ..executors.declared import declared
from ..executors.executor import Executor
from ..foreign import is_foreign, let_through
from ..scheduling.steps import background
from ..supervision import shutdown
from ..tracebacks import hidden, trimmed
from .selection import parts

#: have unittest and pytest leave the frames of this module out of the tracebacks that they print
__unittest = True
__tracebackhide__ = hidden

# Modules that only a running test needs are imported then.  ``from . import`` finds them even if a
# test has removed them from sys.modules (pyfakefs).
if TYPE_CHECKING:
    from .pool import ServicePool
    from .watch import Watch


class ClassServices:
    """The services of one TestCase class: their pools, and why they cannot start."""

    def __init__(self, case: type[TestCase]) -> None:
        self.case = case
        from . import pool

        self.groups = pool.groups_for(case.__qualname__, case.__module__)
        _, self.of_module, self.of_class, self.of_test = self.groups
        #: the error, found before setUpClass, for which no test of the class can run
        self.failure: Exception | None = None
        #: whether setUpClass was left out because of that, so that tearDownClass must be, too
        self.cannot_run = False
        #: threads in which tearDownClass is over; nose2's mp plugin may call it once more
        self.torn_down: set[int] = set()
        #: threads in which clean-ups of the class are still to come
        self.entered: set[int] = set()
        #: the test whose services are up before its run(), and after it; and its Watch
        self.early: TestCase | None = None
        self.early_watch: Watch | None = None

    def enter(self) -> bool:
        """Start the services for setUpClass; whether its body should run.

        A failure is not raised here: green drops errors of setUpClass, and other runners report
        one error for the class. Every test raises it instead (:meth:`during`).
        """
        services = declared(self.case)
        self.cannot_run = bool(services) and _all_skipped(self.case)
        self.failure = None
        self.torn_down.discard(threading.get_ident())
        if services and not self.cannot_run:
            # added before the start and before the body, and so the last clean-up to run
            self.case.addClassCleanup(self.leave)
            self.entered.add(threading.get_ident())
            try:
                self.start(services, f"before {self.case.__qualname__}", self.groups[:-1])
                self.reset(parts(*services.values()))
            except Exception as error:
                let_through(error)
                self.failure = self.verdict(error)
            self.cannot_run = self.failure is not None
        return not self.cannot_run

    def start(
        self, services: dict[str, Executor], when: str, groups: list[ServicePool]
    ) -> list[str]:
        """Start services that are not up, or start them again.

        :param groups: the pools of those that are started: all, or without scope "test".
        :returns: sentences about deaths.
        """
        from . import pool

        background.advance()
        pool.enter(self.groups[:-1])
        pool.make_room(self.case.__module__, self.groups, services.values())
        wanted = pool.by_life(services)
        said: list[str] = []
        for group in groups:
            # a pool that has services up stays as it is: its clean-up may be due already
            group.disposable = groups is self.groups and (not group.up or group.disposable)
            if group.life in wanted:
                said += group.bring_up(wanted[group.life], services, when)
        self._see_to_module()
        return said

    def prepare(self, services: dict[str, Executor], label: str, watch: Watch) -> None:
        """Have all services up for a test, as they were at first; from now on it uses them."""
        everything = parts(*services.values())
        watch.remarks = self.start(services, f"before {label}", self.groups)
        watch.begin()
        self.reset(everything)
        for group in self.groups:
            if group.up:
                group.mark_used(everything)

    def reset(self, everything: list[Executor]) -> None:
        """Reset those of some services that a test has used."""
        for group in self.groups:
            if group.used:
                group.reset(everything)

    def leave(self) -> None:
        """The last class clean-up: stop the services, unless another thread uses them."""
        from . import pool

        self.entered.discard(threading.get_ident())
        pool.leave(self.groups[:-1])
        self._see_to_module()
        self.of_class.stop()

    def be_left(self) -> None:
        """Note that tearDownClass is over."""
        self.torn_down.add(threading.get_ident())
        self.of_class.disposable = True
        due = [call[0] for call in getattr(self.case, "_class_cleanups", ())]
        if threading.get_ident() in self.entered and self.leave not in due:
            # another thread that runs tests of the class has run the clean-ups of this one, too
            self.case.addClassCleanup(self.leave)

    def _see_to_module(self) -> None:
        if self.of_module.up and not self.of_module.cleanup_due:
            self.of_module.cleanup_due = True
            addModuleCleanup(self._stop_module)

    def _stop_module(self) -> None:
        self.of_module.cleanup_due = False
        if not self.of_module.inside:  # a suite that a test runs inside itself calls this, too
            self.of_module.stop()

    @staticmethod
    def verdict(error: Exception) -> Exception:
        """The exception for a failed start: a skip if the missing program is optional."""
        from . import pool

        return SkipTest(str(getattr(error, "message", ""))) if pool.only_skips(error) else error

    def watch(self, everything: list[Executor], label: str) -> Watch:
        """A Watch that notices output and deaths of some executors during a test."""
        from .watch import Watch

        return Watch(everything, label, self._may_revive)

    def _may_revive(self, part: Executor) -> bool:
        return any(group.may_revive(part) for group in self.groups if part.scope == group.life)

    def _label(self, test: TestCase) -> str:
        return f"{self.case.__qualname__}.{test._testMethodName}"

    @contextmanager
    def during(self, test: TestCase, result: TestResult | None) -> Iterator[None]:
        """While one test runs, have its services up; if they are not, its setUp raises why."""
        services = declared(self.case)
        if not services:
            yield
            return
        from . import result_hooks, turns, unstarted

        label = self._label(test)
        everything = parts(*services.values())
        early = self.early_watch if self.early is test else None
        watch = early or self.watch(everything, label)
        reason = self.failure
        if not all(part._stop_wait for part in everything):
            _hear_at_the_end(result)
        try:
            if self.of_test.up and not self.of_test.inside and not early:
                self.of_test.stop()  # a tearDown that was postponed has not been called
            if reason is None and not early:
                self.prepare(services, label, watch)
        except Exception as error:
            reason = error if is_foreign(error) else self.verdict(error)
        if isinstance(reason, SummonError):
            trimmed(reason)
        if reason is not None:
            watch.reason = reason
            test.__dict__["setUp"] = functools.partial(
                unstarted.services_not_up, reason, reason.__traceback__
            )
        with turns.lock:
            for group in self.groups:
                group.inside += 1
        postponed: Any = getattr(result, "_explicit_tearDown", None)
        if self.of_test.up and postponed is None and not early:
            test.addCleanup(self._leave_test, test, watch)
        elif self.of_test.up and not early:
            # pytest --pdb calls tearDown when the debugger is left, and nothing after it
            vars(result)["_explicit_tearDown"] = functools.partial(self._torn_down, postponed)
        leaving: BaseException | None = None
        try:
            with result_hooks.reported(test, result, watch):
                yield
        except BaseException as error:  # Ctrl-C, and any error of debug()
            leaving = error
            raise
        finally:
            if reason is not None:
                test.__dict__.pop("setUp", None)
            watch.look()
            with turns.lock:
                for group in self.groups:
                    group.inside -= 1
            try:
                if postponed is None and not early:  # otherwise leave_early() stops them
                    self.of_test.stop()  # for runners that leave out clean-ups
            except Exception as error:
                if is_foreign(error) and result is not None:
                    result.addError(test, sys.exc_info())
                elif leaving is not None:
                    tell_too(leaving, error)
                else:
                    warnings.warn(f"services of {label}: {error}", RuntimeWarning, stacklevel=2)
            del leaving  # with its traceback, which has this frame
            if not early:
                watch.end()
            self._see_to_module()

    def start_early(self, test: TestCase) -> Watch | None:
        """Have the services of a test up before run(), for what a runner does before that.

        :returns: what watches them, until the caller ends it after :meth:`leave_early`; None if
            they were up already, or there are none that can be.
        :raises SummonError: or another exception, if they cannot be started, or have not been.
        """
        services = declared(self.case)
        if not services or self.early is test:
            return None
        if is_marked(test):
            # it is skipped, and only what the runner does before that may need services
            for_it = any(service.scope == "test" for service in services.values())
            if self.failure is not None or not for_it:
                return None
        if self.failure is not None:
            raise self.failure
        label = self._label(test)
        self.early, self.early_watch = test, self.watch(parts(*services.values()), label)
        try:
            self.prepare(services, label, self.early_watch)
        except Exception as error:
            let_through(error)
            raise self.verdict(error) from None
        return self.early_watch

    def leave_early(self, failed: bool) -> None:
        """Stop services with scope "test" that were started early.

        :param failed: whether something has failed after run(), whose report is yet to come.
        """
        watch = self.early_watch
        if watch is not None:
            from .watch import PATIENCE

            self.early = self.early_watch = None
            watch.look(PATIENCE if failed else 0, at_its_end=failed)
            if failed:
                watch.keep()
            self.of_test.stop()

    def _torn_down(self, tear_down: Callable[[], None]) -> None:
        """Call a tearDown that was postponed, then stop services with scope "test"."""
        try:
            tear_down()
        finally:
            self.of_test.stop()

    def _leave_test(self, test: TestCase, watch: Watch) -> None:
        """Stop services with scope "test"; first note what the report says about them."""
        from .watch import PATIENCE

        # up to Python 3.10 unittest reports errors only after all clean-ups
        errors = getattr(getattr(test, "_outcome", None), "errors", None) or ()
        failed = any(error for _, error in errors)
        watch.look(PATIENCE if failed else 0, at_its_end=True)
        if failed:
            watch.keep()
        self.of_test.stop(deaths=False)


#: by class; decorators that rebuild a class would copy an attribute of the class
_known: dict[type[TestCase], ClassServices] = {}
shutdown.at_reset(_known.clear)


def services_of(case: type[TestCase]) -> ClassServices:
    """The services of a class."""
    known = _known.get(case)
    return known if known is not None else _known.setdefault(case, ClassServices(case))


def _hear_at_the_end(result: TestResult | None) -> None:
    """Have a runner wait at its end, and report what went wrong in stops of its last class.

    Only if it can: for other runners it is a warning at the end of the process.
    """
    from . import farewells

    session = getattr(result, "session", None)
    if hasattr(session, "addfinalizer"):  # pytest
        farewells.told_by_session(session)
    elif isinstance(result, TextTestResult):
        farewells.told_by_result(result)


def _is_skipped(thing: object) -> bool:
    return bool(getattr(thing, "__unittest_skip__", False))


def is_marked(test: TestCase) -> bool:
    """Whether a test is skipped by a decorator, of itself or of its class."""
    return _is_skipped(test) or _is_skipped(getattr(test, test._testMethodName, None))


def _all_skipped(case: type[TestCase]) -> bool:
    """Whether all tests of a class are skipped; most runners call setUpClass nevertheless."""
    methods = [getattr(case, name) for name in defaultTestLoader.getTestCaseNames(case)]
    return _is_skipped(case) or (methods != [] and all(map(_is_skipped, methods)))
