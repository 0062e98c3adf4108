"""Services as class attributes of a TestCase: the hooks by which runners start and stop them.

Runners differ in which hooks they call (``docs`` has the table), so we rely on none alone.
``setUpClass`` and ``tearDownClass`` are wrapped on every class, so that they work even if a
subclass forgets ``super()``.  ``run()`` starts services that no ``setUpClass`` has started.
Services that no class clean-up has stopped are stopped when another class starts, or when the
process ends.
"""

from __future__ import annotations

import copy
import functools
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import SkipTest, TestCase, TestResult

from ..executors.copies import Copied
from ..executors.declared import declared
from ..executors.executor import Executor
from ..executors.wrapped import summoned
from ..foreign import let_through
from ..orchestration.orchestrator import Orchestrator, orchestrated
from ..tracebacks import hidden
from .assertions import OutputAssertions
from .class_services import is_marked, services_of
from .selection import parts

__all__ = ["REMOVED", "SummonMixin", "SummonTestCase", "summoned"]

#: have unittest and pytest leave the frames of this module out of the tracebacks that they print
__unittest = True
__tracebackhide__ = hidden

#: ``db = REMOVED`` in a subclass: the service ``db`` of its base is not started there
REMOVED: Any = None

if TYPE_CHECKING:
    _TestCase = TestCase
else:
    _TestCase = object  # TestCase is the base to the right of the mixin


class _Under(threading.local):
    """The class hooks that are running in a thread."""

    def __init__(self) -> None:
        #: the classes whose setUpClass is running
        self.entering: list[type[TestCase]] = []
        #: the classes whose tearDownClass is running
        self.leaving: list[type[TestCase]] = []


_under_way = _Under()


def _wrap(cls: type[TestCase], hook: str, wrapper: Callable[..., None]) -> None:
    """Wrap the hook of a class, its own or the one that it inherits, in ours."""
    own = cls.__dict__.get(hook)

    @functools.wraps(getattr(cls, hook))
    def hooked(case: type[TestCase]) -> None:
        wrapper(case, own.__get__(None, case) if own else getattr(super(cls, case), hook))

    setattr(cls, hook, classmethod(hooked))


def _set_up_class(case: type[TestCase], body: Callable[[], None]) -> None:
    if any(issubclass(outer, case) for outer in _under_way.entering):
        return body()  # called by super(), or by name: the outer hook has started the services
    if not services_of(case).enter():
        return
    _under_way.entering.append(case)
    try:
        body()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, SkipTest):
            everything = parts(*declared(case).values())
            watch = services_of(case).watch(everything, f"setUpClass of {case.__qualname__}")
            from . import result_hooks
            from .watch import PATIENCE

            watch.look(PATIENCE, at_its_end=True)
            result_hooks.explained(error, watch)
        # some runners call the class clean-ups now, but none does after a KeyboardInterrupt
        case.doClassCleanups()
        for _, error, traceback in getattr(case, "tearDown_exceptions", ()):
            case.addClassCleanup(_raise, error, traceback)  # so that the runner reports it
        raise
    finally:
        _under_way.entering.pop()


def _tear_down_class(case: type[TestCase], body: Callable[[], None]) -> None:
    services = services_of(case)
    if case in _under_way.leaving:
        return body()  # called by super()
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


def _looks_collected(cls: type) -> bool:
    """Whether pytest, and the like, collect the tests of a class that is no TestCase.

    By their default rule they do if its name begins with Test. A class that only others inherit
    must have another name.
    """
    tests = (name for name in dir(cls) if name.startswith("test"))
    return (
        cls.__name__.startswith("Test")
        and getattr(cls, "__test__", True)
        and any(callable(getattr(cls, name, None)) for name in tests)
    )


def _warn_of_what_is_left_alone(cls: type) -> None:
    """Warn of class attributes that look like services, but are not started.

    No warning comes for the class of an executor whose attribute has the name of a class
    (``server_class``, ``Server``), or that cannot be called without arguments: the user means
    the class itself.
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
    """Whether a test that goes to a worker can take an executor with it."""
    if isinstance(executor, Orchestrator):
        return executor.running() and all(isinstance(part, Copied) for part in parts(executor))
    return isinstance(executor, Copied) and getattr(executor, "_instance", None) is not None


M = TypeVar("M", bound="SummonMixin")


class SummonMixin(OutputAssertions, _TestCase):
    """Starts the services that a TestCase declares, before its tests, and stops them after.

    Write it to the left of the TestCase. Every class attribute that is an executor is started
    before ``setUpClass`` and stopped after the last class clean-up, unless its ``scope`` says
    otherwise. Executors are inherited like any attribute; ``name = REMOVED`` removes one.
    With ``scope="run"`` each process, so each worker of a parallel runner, has its own.

    If a service cannot start, each test errors with the reason; the start is tried only once per
    process. If a program is not installed, and the executor was declared with ``optional=True``,
    each test skips, unless the variable ``SUMMON_FORBID_SKIPS`` is set.

    If a service dies, the test in which it does so errors, and its report names the service.
    Later tests that need it error at once, unless ``restart`` says to start it again. It is no
    death if a test stops or kills a service by its methods: it is started again before the next
    test. A test that wants a service to end by itself calls its ``stop()`` or ``restart()``
    afterwards.

    The report of a failing test shows what each service wrote during that test.
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
        """The state that a spawned worker gets with a test, or with one of its methods."""
        # attributes that the runner, or this module, has set for the run stay here
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
        if is_marked(self) or any(getattr(self, "getSkip", tuple)()):  # getSkip() is trial's
            return super().run(result)
        with services_of(type(self)).during(self, result):
            return super().run(result)

    def debug(self) -> None:
        """Run the test with its services, without collecting its errors."""
        with services_of(type(self)).during(self, None):
            super().debug()


class SummonTestCase(SummonMixin, TestCase):
    """A :class:`unittest.TestCase` with the :class:`SummonMixin`."""
