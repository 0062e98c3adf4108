"""Services as class attributes of a TestCase: the only module that knows unittest.

Runners differ in which hooks they call (``docs`` has the table), so none is relied on alone.
``setUpClass`` and ``tearDownClass`` are wrapped on every class, which a forgotten ``super()``
cannot undo; ``run()`` starts what no ``setUpClass`` started; and what no class clean-up stopped
is stopped when another class starts, or when the process ends.
"""

from __future__ import annotations

import atexit
import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast
from unittest import SkipTest, TestCase, TestResult, defaultTestLoader

from .errors import RequirementMissing
from .executor import Executor
from .orchestrator import Orchestrator

__all__ = ["REMOVED", "SummonMixin", "SummonTestCase", "summoned"]

#: unittest leaves the frames of a module with this name out of the tracebacks it prints
__unittest = True

#: ``db = REMOVED`` in a subclass: the service ``db`` of its base is not started there
REMOVED: Any = None

#: a variable that, set and not ``0``, turns the skips of missing programs into failures
FORBID_SKIPS = "SUMMON_FORBID_SKIPS"

Thing = TypeVar("Thing")

if TYPE_CHECKING:
    _TestCase = TestCase
else:
    _TestCase = object  # a mixin: TestCase comes from its right


class _ClassServices:
    """The services of one TestCase class: whether they are up, and why not."""

    def __init__(self, case: type[TestCase]) -> None:
        self.case = case
        #: what was started; empty while nothing is up
        self.up: dict[str, Executor] = {}
        #: why they cannot be started, found out once per process
        self.failure: Exception | None = None
        self.traceback: TracebackType | None = None
        #: setUpClass was left out, since no test can run: so is tearDownClass
        self.barren = False
        #: no class clean-up is sure to come: they may go when another class starts
        self.disposable = False
        #: how many of its tests are inside run()
        self.inside = 0
        self._orchestrator: Orchestrator | None = None

    def enter(self) -> bool:
        """Start for setUpClass; answer whether its body should run.

        A failure is not raised here: green drops errors of setUpClass, and others report one
        error for the class. Every test raises it instead (:meth:`during`).
        """
        self.barren = bool(declared(self.case)) and _all_skipped(self.case)
        if not self.barren:
            # before the start and before the body: so it is the last clean-up to run
            self.case.addClassCleanup(self.stop)
            self.start(disposable=False)
            self.barren = self.failure is not None
        return not self.barren

    def start(self, *, disposable: bool) -> None:
        """Start what is declared, unless it is up or has failed before."""
        services = declared(self.case)
        if self.up or self.failure or not services:
            self.disposable = self.disposable and disposable
            return
        _stop_all_at_exit_of(os.getpid())
        try:
            _stop_all([other for other in _holders if other.in_the_way_of(services)])
            self._orchestrator = Orchestrator(services)
            self.up, self.disposable = services, disposable
            _holders.append(self)
            self._orchestrator.start()
        except BaseException as error:
            self.stop()
            if not isinstance(error, Exception):
                raise
            self.failure, self.traceback = error, error.__traceback__
            if isinstance(error, RequirementMissing) and os.getenv(FORBID_SKIPS) in (None, "", "0"):
                self.failure = SkipTest(error.message)

    def stop(self) -> None:
        """Stop what is up; nothing otherwise."""
        if self._orchestrator is None:
            return
        try:
            self._orchestrator.stop()
        except Exception:
            self.forget()
            raise
        self.forget()  # not when Ctrl-C broke in: then the exit of the process tries again

    def in_the_way_of(self, services: dict[str, Executor]) -> bool:
        """Whether these must go before others start: left over, or the same declarations."""
        shared = any(mine is other for mine in self.up.values() for other in services.values())
        return (self.disposable or shared) and not self.inside

    def forget(self) -> None:
        """Hold nothing any more, without stopping it."""
        self._orchestrator = None
        self.up = {}
        if self in _holders:
            _holders.remove(self)

    @contextmanager
    def during(self, test: TestCase) -> Iterator[None]:
        """While one test runs: with its services, or else its setUp raises the reason."""
        self.start(disposable=True)
        self.inside += 1
        if self.failure:
            test.__dict__["setUp"] = functools.partial(_raise, self.failure, self.traceback)
        try:
            yield
        finally:
            if self.failure:
                test.__dict__.pop("setUp", None)
            self.inside -= 1


#: by class; an attribute of the class would be copied by decorators that rebuild it
_known: dict[type[TestCase], _ClassServices] = {}
#: those that have something up, in the order of their starts
_holders: list[_ClassServices] = []
#: the classes whose setUpClass is running
_entering: list[type[TestCase]] = []


def _services_of(case: type[TestCase]) -> _ClassServices:
    return _known.setdefault(case, _ClassServices(case))


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
    if any(issubclass(outer, case) for outer in _entering):
        return body()  # reached by super(), or by name: the outer one has seen to it
    if not _services_of(case).enter():
        return
    _entering.append(case)
    try:
        body()
    except BaseException:
        # some runners would call the class clean-ups now, none after a KeyboardInterrupt
        case.doClassCleanups()
        for _, error, traceback in getattr(case, "tearDown_exceptions", ()):
            case.addClassCleanup(_raise, error, traceback)  # for the runner to report
        raise
    finally:
        _entering.pop()


def _tear_down_class(case: type[TestCase], body: Callable[[], None]) -> None:
    services = _services_of(case)
    if not services.barren:
        try:
            body()
        finally:
            services.disposable = True


def _stop_all(holders: list[_ClassServices] = _holders) -> None:
    """Stop what is up for some classes, or for all."""
    problems = []
    for holder in reversed(list(holders)):
        try:
            holder.stop()
        except Exception as error:
            problems.append(f"services of {holder.case.__qualname__}: {error}")
    for problem in problems:  # no test of theirs is left to report it
        warnings.warn(problem, RuntimeWarning, stacklevel=2)


@functools.cache
def _stop_all_at_exit_of(pid: int) -> None:
    """See to it that the end of this process stops everything.

    At the first start and not at import, since the hooks of a worker are those that it
    registers itself; by both ways, since workers of multiprocessing leave by ``os._exit``.
    """
    from multiprocessing import util  # not needed before

    atexit.register(_stop_all)
    util.Finalize(None, _stop_all, exitpriority=100)


def _own_nothing() -> None:
    """After a fork, in the child: the services belong to the parent."""
    for holder in list(_holders):
        holder.forget()


os.register_at_fork(after_in_child=_own_nothing)


def _raise(error: BaseException, traceback: TracebackType | None) -> None:
    # with the traceback that it had: raised again and again, an error piles them up
    raise error.with_traceback(traceback)


def _is_skipped(thing: object) -> bool:
    return bool(getattr(thing, "__unittest_skip__", False))


def _all_skipped(case: type[TestCase]) -> bool:
    """Whether no test can run. setUpClass is called nevertheless, by most runners."""
    methods = [getattr(case, name) for name in defaultTestLoader.getTestCaseNames(case)]
    return _is_skipped(case) or (methods != [] and all(map(_is_skipped, methods)))


class SummonMixin(_TestCase):
    """Starts the services that a TestCase declares, before its tests, and stops them after.

    Write it to the left of the TestCase. Every class attribute that is an executor is started
    before ``setUpClass`` and stopped after the last class clean-up. Executors are inherited
    like any attribute; ``name = REMOVED`` takes one away. If one cannot start, each test of
    the class errors with the reason, which is found out only once per process.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not issubclass(cls, TestCase):  # a mixin of the user's
            return
        if cls.__mro__.index(TestCase) < cls.__mro__.index(SummonMixin):
            bases = sorted(cls.__bases__, key=lambda base: issubclass(base, TestCase))
            raise TypeError(
                f"{cls.__name__}: a SummonMixin must stand to the left of TestCase; "
                f"write class {cls.__name__}({', '.join(base.__name__ for base in bases)})"
            )
        _wrap(cls, "setUpClass", _set_up_class)
        _wrap(cls, "tearDownClass", _tear_down_class)

    def run(self, result: TestResult | None = None) -> TestResult | None:
        """Run the test; start its services first where no ``setUpClass`` has done so."""
        marked = _is_skipped(self) or _is_skipped(getattr(self, self._testMethodName, None))
        if marked or any(getattr(self, "getSkip", tuple)()):  # trial's: whether, and why
            return super().run(result)
        with _services_of(type(self)).during(self):
            return super().run(result)

    def debug(self) -> None:
        """Run the test without collecting its errors, with its services likewise."""
        with _services_of(type(self)).during(self):
            super().debug()


class SummonTestCase(SummonMixin, TestCase):
    """A :class:`unittest.TestCase` with the :class:`SummonMixin`."""


def summoned(thing: Thing) -> Thing:
    """Declare something that is not an executor, but has ``start()`` and ``stop()``.

    ``broker = summoned(Broker())`` is started and stopped like an executor, and ``self.broker``
    is the Broker. Without the wrapper it would be left alone, as a mock's patcher must be.

    :param thing: an object with ``start()`` and ``stop()``.
    """
    for method in ("start", "stop"):
        if not callable(getattr(thing, method, None)):
            raise TypeError(f"summoned({thing!r}): it has no {method}() method")
    return cast(Thing, _Summoned(thing))


class _Summoned(Executor):
    """An executor made of an object with ``start()`` and ``stop()``."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing
        self._started = False

    def start(self) -> _Summoned:
        self._thing.start()
        self._started = True
        return self

    def stop(self) -> None:
        if self._started:
            self._started = False
            self._thing.stop()

    def __get__(self, obj: object, owner: type | None = None) -> Any:
        return self._thing

    def __getattr__(self, name: str) -> Any:
        # what the wrapped object knows (a port, say) is there for the references of others
        if name == "_thing":  # asked for by copy, before there is one
            raise AttributeError(name)
        return getattr(self._thing, name)
