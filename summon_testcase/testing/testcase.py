"""Services as class attributes of a TestCase: the only module that knows unittest.

Runners differ in which hooks they call (``docs`` has the table), so none is relied on alone.
``setUpClass`` and ``tearDownClass`` are wrapped on every class, which a forgotten ``super()``
cannot undo; ``run()`` starts what no ``setUpClass`` started; and what no class clean-up stopped
is stopped when another class starts, or when the process ends.
"""

from __future__ import annotations

import copy
import functools
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import SkipTest, TestCase, TestResult, addModuleCleanup, defaultTestLoader

from ..errors import CommandNotFound, SummonError
from ..executors.copies import Copied
from ..executors.executor import Executor
from ..executors.wrapped import summoned
from ..foreign import is_foreign, let_through
from ..orchestration.orchestrator import Orchestrator, orchestrated
from ..supervision import shutdown
from ..tracebacks import hidden, trimmed
from ..unpatched import switched_on
from .assertions import OutputAssertions
from .selection import parts

__all__ = ["REMOVED", "SummonMixin", "SummonTestCase", "summoned"]

#: unittest and pytest leave the frames of a module with these out of the tracebacks they print
__unittest = True
__tracebackhide__ = hidden

#: ``db = REMOVED`` in a subclass: the service ``db`` of its base is not started there
REMOVED: Any = None

#: a variable that, set and not ``0``, turns the skips of missing programs into failures
FORBID_SKIPS = "SUMMON_FORBID_SKIPS"

# what is needed only once a test runs is imported then; as ``from . import``, which finds it even
# where a test has removed modules (pyfakefs)
if TYPE_CHECKING:
    from .watch import Watch

    _TestCase = TestCase
else:
    _TestCase = object  # a mixin: TestCase comes from its right


class _ClassServices:
    """The services of one TestCase class: whether they are up, and why not."""

    def __init__(self, case: type[TestCase]) -> None:
        self.case = case
        from . import pool

        self.groups = pool.groups_for(case.__qualname__, case.__module__)
        _, self.of_module, self.of_class, self.of_test = self.groups
        #: why no test of the class can run, as found out before setUpClass
        self.failure: Exception | None = None
        #: setUpClass was left out, since no test can run: so is tearDownClass
        self.cannot_run = False
        #: the threads in which tearDownClass is over; nose2's mp plugin may call it once more
        self.torn_down: set[int] = set()
        #: those in which clean-ups of the class are to come
        self.entered: set[int] = set()

    def enter(self) -> bool:
        """Start for setUpClass; answer whether its body should run.

        A failure is not raised here: green drops errors of setUpClass, and others report one
        error for the class. Every test raises it instead (:meth:`during`).
        """
        services = declared(self.case)
        self.cannot_run = bool(services) and _all_skipped(self.case)
        self.failure = None
        self.torn_down.discard(threading.get_ident())
        if services and not self.cannot_run:
            # before the start and before the body: so it is the last clean-up to run
            self.case.addClassCleanup(self.leave)
            self.entered.add(threading.get_ident())
            try:
                self.start(services, f"before {self.case.__qualname__}", disposable=False)
                everything = self.parts(services)
                for group in self.groups[:-1]:
                    group.reset(everything)
            except Exception as error:
                let_through(error)
                self.failure = self.verdict(error)
            self.cannot_run = self.failure is not None
        return not self.cannot_run

    def start(self, services: dict[str, Executor], when: str, disposable: bool) -> list[str]:
        """Start what is not up, but for what each test has for itself, or start it again.

        :returns: sentences about what had died.
        """
        for group in self.groups[:-1]:
            group.enter()
        from . import pool

        pool.make_room(self.case.__module__, self.groups, services.values())
        wanted, everything = pool.by_life(services), self.parts(services)
        said: list[str] = []
        for group in self.groups[:-1]:
            # what goes first is the first to be told that it may
            fresh = not group
            group.bring_up(wanted[group.life], services, when)
            group.disposable = disposable and (fresh or group.disposable)
            said += group.revive_dead(everything, when)
        self._see_to_module()
        return said

    def leave(self) -> None:
        """As the last of the class clean-ups: its services go, unless another thread has them."""
        self.entered.discard(threading.get_ident())
        for group in self.groups[:-1]:
            group.leave()
        self._see_to_module()
        self.of_class.stop()

    def be_left(self) -> None:
        """tearDownClass is over."""
        self.torn_down.add(threading.get_ident())
        self.of_class.disposable = True
        due = [call[0] for call in getattr(self.case, "_class_cleanups", ())]
        if threading.get_ident() in self.entered and self.leave not in due:
            # another thread that runs tests of the class has done the clean-ups of both
            self.case.addClassCleanup(self.leave)

    def _see_to_module(self) -> None:
        if self.of_module and not self.of_module.cleanup_due:
            self.of_module.cleanup_due = True
            addModuleCleanup(self._stop_module)

    def _stop_module(self) -> None:
        self.of_module.cleanup_due = False
        if not self.of_module.inside:  # a suite that is run inside a test calls it too
            self.of_module.stop()

    @staticmethod
    def parts(services: dict[str, Executor]) -> list[Executor]:
        """All executors among some services, those in groups too."""
        return [part for service in services.values() for part in parts(service)]

    @staticmethod
    def verdict(error: Exception) -> Exception:
        """What is to be raised for a start that failed: a skip if what is missing is optional."""
        if isinstance(error, CommandNotFound) and error.optional and not switched_on(FORBID_SKIPS):
            return SkipTest(error.message)
        return error

    def watch(self, everything: list[Executor], label: str) -> Watch:
        """What is to be noticed of some executors while something runs."""
        from .watch import Watch

        return Watch(everything, label, self._may_revive)

    def _may_revive(self, part: Executor) -> bool:
        return any(group.may_revive(part) for group in self.groups if part.scope == group.life)

    @contextmanager
    def during(self, test: TestCase, result: TestResult | None) -> Iterator[None]:
        """While one test runs: with its services, or else its setUp raises the reason."""
        services = declared(self.case)
        if not services:
            yield
            return
        from . import pool, result_hooks, unstarted

        label = f"{self.case.__qualname__}.{test._testMethodName}"
        everything = self.parts(services)
        watch = self.watch(everything, label)
        reason = self.failure
        try:
            if self.of_test and not self.of_test.inside:
                self.of_test.stop()  # whoever postponed tearDown has left it out
            if reason is None:
                watch.remarks = self.start(services, f"before {label}", disposable=True)
                self.of_test.bring_up(pool.by_life(services)["test"], services, f"before {label}")
                watch.begin()
                for group in self.groups:
                    group.reset(everything)
        except Exception as error:
            reason = error if is_foreign(error) else self.verdict(error)
        if isinstance(reason, SummonError):
            trimmed(reason)
        if reason is not None:
            watch.reason = reason
            test.__dict__["setUp"] = functools.partial(
                unstarted.services_not_up, reason, reason.__traceback__
            )
        for group in self.groups:
            group.come_in()
            if reason is None:
                group.mark_used(everything)
        postponed: Any = getattr(result, "_explicit_tearDown", None)
        if self.of_test and postponed is None:
            test.addCleanup(self._leave_test, test, watch)
        elif self.of_test:
            # pytest --pdb: tearDown is called once the debugger is left, and nothing after it
            vars(result)["_explicit_tearDown"] = functools.partial(self._torn_down, postponed)
        try:
            with nullcontext() if result is None else result_hooks.reported(test, result, watch):
                yield
        finally:
            if reason is not None:
                test.__dict__.pop("setUp", None)
            watch.look()
            for group in self.groups:
                group.go_out()
            try:
                if postponed is None:
                    self.of_test.stop()  # where clean-ups are left out
            except Exception as error:
                if is_foreign(error) and result is not None:
                    result.addError(test, sys.exc_info())
                else:
                    warnings.warn(f"services of {label}: {error}", RuntimeWarning, stacklevel=2)
            watch.end()
            self._see_to_module()

    def _torn_down(self, tear_down: Callable[[], None]) -> None:
        """Call a tearDown that was postponed, then stop what the test has for itself."""
        try:
            tear_down()
        finally:
            self.of_test.stop()

    def _leave_test(self, test: TestCase, watch: Watch) -> None:
        """Stop what this test has for itself; what is to be said of it is known afterwards."""
        from .watch import PATIENCE

        # up to Python 3.10 errors are reported when all is over
        errors = getattr(getattr(test, "_outcome", None), "errors", None) or ()
        failed = any(error for _, error in errors)
        watch.look(PATIENCE if failed else 0, ask_too=True)
        if failed:
            watch.keep()
        self.of_test.stop(deaths=False)


#: by class; an attribute of the class would be copied by decorators that rebuild it
_known: dict[type[TestCase], _ClassServices] = {}
shutdown.at_reset(_known.clear)


class _Under(threading.local):
    """What is under way in a thread."""

    def __init__(self) -> None:
        #: the classes whose setUpClass is running
        self.entering: list[type[TestCase]] = []
        #: those whose tearDownClass is
        self.leaving: list[type[TestCase]] = []


_under_way = _Under()


def _services_of(case: type[TestCase]) -> _ClassServices:
    known = _known.get(case)
    return known if known is not None else _known.setdefault(case, _ClassServices(case))


def declared(case: type) -> dict[str, Executor]:
    """The executors among the attributes of a class by name, those of its bases first."""
    found: dict[str, object] = {}
    for base in reversed(case.__mro__):
        found |= vars(base)
    return {name: value for name, value in found.items() if isinstance(value, Executor)}


def _wrap(cls: type[TestCase], hook: str, wrapper: Callable[..., None]) -> None:
    """Put a class's own hook inside ours; where it has none, the one that it inherits."""
    own = cls.__dict__.get(hook)

    @functools.wraps(getattr(cls, hook))
    def hooked(case: type[TestCase]) -> None:
        wrapper(case, own.__get__(None, case) if own else getattr(super(cls, case), hook))

    setattr(cls, hook, classmethod(hooked))


def _set_up_class(case: type[TestCase], body: Callable[[], None]) -> None:
    if any(issubclass(outer, case) for outer in _under_way.entering):
        return body()  # reached by super(), or by name: the outer one has seen to it
    if not _services_of(case).enter():
        return
    _under_way.entering.append(case)
    try:
        body()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, SkipTest):
            services = _services_of(case)
            everything = services.parts(declared(case))
            watch = services.watch(everything, f"setUpClass of {case.__qualname__}")
            from . import result_hooks
            from .watch import PATIENCE

            watch.look(PATIENCE, ask_too=True)
            result_hooks.explained(error, watch)
        # some runners would call the class clean-ups now, none after a KeyboardInterrupt
        case.doClassCleanups()
        for _, error, traceback in getattr(case, "tearDown_exceptions", ()):
            case.addClassCleanup(_raise, error, traceback)  # for the runner to report
        raise
    finally:
        _under_way.entering.pop()


def _tear_down_class(case: type[TestCase], body: Callable[[], None]) -> None:
    services = _services_of(case)
    if case in _under_way.leaving:
        return body()  # reached by super()
    if services.cannot_run or threading.get_ident() in services.torn_down:
        return
    _under_way.leaving.append(case)
    try:
        body()
    finally:
        _under_way.leaving.pop()
        if declared(case):
            services.be_left()


def _raise(error: BaseException, traceback: TracebackType | None) -> None:
    raise error.with_traceback(traceback)


def _is_skipped(thing: object) -> bool:
    return bool(getattr(thing, "__unittest_skip__", False))


def _all_skipped(case: type[TestCase]) -> bool:
    """Whether no test can run. setUpClass is called nevertheless, by most runners."""
    methods = [getattr(case, name) for name in defaultTestLoader.getTestCaseNames(case)]
    return _is_skipped(case) or (methods != [] and all(map(_is_skipped, methods)))


def _looks_collected(cls: type) -> bool:
    """Whether pytest, and its like, take a class for one with tests though it is no TestCase.

    By the rule that they have unless they are told another: its name begins with Test. What is
    for others to inherit is called otherwise, or it would be collected for itself.
    """
    tests = (name for name in dir(cls) if name.startswith("test"))
    return (
        cls.__name__.startswith("Test")
        and getattr(cls, "__test__", True)
        and any(callable(getattr(cls, name, None)) for name in tests)
    )


def _warn_of_what_is_left_alone(cls: type) -> None:
    """Say that an attribute looks like a service, and is none: it would be found out too late.

    A class is meant as such where its name says so (``server_class``, ``Server``), and where it
    cannot be called without arguments.
    """
    for name, value in vars(cls).items():
        if isinstance(value, orchestrated):
            said, instead = "orchestrated(…), which is for blocks and functions", "Orchestrator(…)"
        elif (
            isinstance(value, type)
            and issubclass(value, Executor)
            and name[:1].islower()
            and not name.endswith(("class", "cls", "type", "kind", "factory"))
            and _callable_without_arguments(value)
        ):
            said, instead = f"the class {value.__name__}, not an instance", f"{value.__name__}()"
        else:
            continue
        warnings.warn(
            f"{cls.__name__}.{name} is {said}, and is not started: write {name} = {instead}",
            RuntimeWarning,
            stacklevel=3,
        )


def _callable_without_arguments(kind: type) -> bool:
    import inspect

    try:
        inspect.signature(kind).bind()
    except (TypeError, ValueError) as error:
        let_through(error)
        return False
    return True


def _travels(executor: Executor) -> bool:
    """Whether a worker can be told where it is."""
    if isinstance(executor, Orchestrator):
        return executor.running() and all(isinstance(part, Copied) for part in parts(executor))
    return isinstance(executor, Copied) and getattr(executor, "_instance", None) is not None


M = TypeVar("M", bound="SummonMixin")


class SummonMixin(OutputAssertions, _TestCase):
    """Starts the services that a TestCase declares, before its tests, and stops them after.

    Write it to the left of the TestCase. Every class attribute that is an executor is started
    before ``setUpClass`` and stopped after the last class clean-up, unless its ``scope`` says
    otherwise. Executors are inherited like any attribute; ``name = REMOVED`` takes one away.
    With ``scope="run"`` each process, so each worker of a parallel runner, has its own.

    If one cannot start, each test errors with the reason, which is found out only once per
    process; if a program is not installed, and the executor was declared with ``optional=True``,
    each test skips, unless the variable ``SUMMON_FORBID_SKIPS`` is set. If one dies, the test in
    which it
    does errors, and names it; so do those after it that would need it, at once, unless
    ``restart`` says to start it again. One that a test stops or kills by its methods is no
    such death: it is started again before the next test. A test that means a service to die of
    itself calls its ``stop()`` or ``restart()`` afterwards.

    A test that fails has in its report what each service wrote during it.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _warn_of_what_is_left_alone(cls)
        if not issubclass(cls, TestCase):  # a mixin of the user's
            if _looks_collected(cls):
                bases = ", ".join(base.__name__ for base in cls.__bases__)
                warnings.warn(
                    f"{cls.__name__} has tests and a SummonMixin, but is no TestCase: pytest runs "
                    f"them, and no service is started. Write class {cls.__name__}({bases}, "
                    "TestCase); if it is for others to inherit, call it otherwise than Test…, or "
                    "set __test__ = False",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return
        if cls.__mro__.index(TestCase) < cls.__mro__.index(SummonMixin):
            bases = sorted(cls.__bases__, key=lambda base: issubclass(base, TestCase))
            raise TypeError(
                f"{cls.__name__}: a SummonMixin must stand to the left of TestCase; "
                f"write class {cls.__name__}({', '.join(base.__name__ for base in bases)})"
            )
        _wrap(cls, "setUpClass", _set_up_class)
        _wrap(cls, "tearDownClass", _tear_down_class)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to a spawned worker with a test, or with one of its methods."""
        # what the runner, and what it replaces while the test runs, stays here
        left = {"_outcome", "_cleanups", "_subtest", "setUp", "tearDown", self._testMethodName}
        state = {name: value for name, value in vars(self).items() if name not in left}
        running = {n: e for n, e in declared(type(self)).items() if _travels(e)}
        return {**state, "_outcome": None, "_cleanups": [], "_subtest": None, **running}

    def __copy__(self: M) -> M:
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def __deepcopy__(self: M, memo: dict[int, Any]) -> M:
        copied = memo[id(self)] = type(self).__new__(type(self))
        vars(copied).update(copy.deepcopy(vars(self), memo))
        return copied

    def run(self, result: TestResult | None = None) -> TestResult | None:
        """Run the test; start its services first where no ``setUpClass`` has done so."""
        marked = _is_skipped(self) or _is_skipped(getattr(self, self._testMethodName, None))
        if marked or any(getattr(self, "getSkip", tuple)()):  # trial's: whether, and why
            return super().run(result)
        with _services_of(type(self)).during(self, result):
            return super().run(result)

    def debug(self) -> None:
        """Run the test without collecting its errors, with its services likewise."""
        with _services_of(type(self)).during(self, None):
            super().debug()


class SummonTestCase(SummonMixin, TestCase):
    """A :class:`unittest.TestCase` with the :class:`SummonMixin`."""
