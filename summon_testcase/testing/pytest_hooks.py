"""What happens around each test of pytest whose fixtures have services.

Our plugin registers this module when tests are collected, if this package is in use by then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from ..errors import is_ours, sentence
from ..events import TestBegan, TestEnded, emit
from ..executors.declared import declared
from ..executors.executor import Executor
from ..foreign import let_through
from ..tracebacks import hidden, trimmed
from . import pool, result_hooks
from .attachments import attach
from .class_services import services_of
from .selection import is_in, parts
from .testcase import SummonMixin
from .unstarted import services_not_up
from .watch import PATIENCE, Watch

if TYPE_CHECKING:
    from .fixtures import Stack

__tracebackhide__ = hidden

#: the test that runs, of this session and of those around it (a test may run pytest in itself)
_running: list[InTest] = []


def running() -> InTest | None:
    """The test that runs now; None where our plugin is left out."""
    return _running[-1] if _running else None


class InTest:
    """A test and its services, from its setup to its teardown.

    :param item: the test as pytest has it.
    """

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        #: what messages call it
        self.label = item.nodeid
        #: the services that its fixtures name, by what has them up
        self._uses: dict[Stack, list[str]] = {}
        for user in [item, *_fixtures_of(item)]:
            uses = getattr(user, "summon_uses", None)
            if uses is not None:
                stack, names = uses
                self._uses[stack] = list(dict.fromkeys([*self._uses.get(stack, ()), *names()]))
        case: type = getattr(item, "cls", None) or object
        #: whether the hooks of its TestCase say when it begins, since that has services, too
        self._inner = issubclass(case, SummonMixin) and bool(declared(case))
        self._watches: list[Watch] = []
        self._watched: list[Executor] = []
        #: watches the services of its TestCase, if pytest makes fixtures for this test
        self._early: Watch | None = None
        #: their names
        self._of_case: tuple[str, ...] = ()
        #: whether the beginning was emitted, and whether JUnit's XML names the logs
        self._began = self._attached = False
        self._ending = result_hooks.Ending()

    def prepare(self) -> None:
        """Have services that are up, since earlier tests have used them, as they were at first.

        :raises SummonError: for a service that has died, or another exception of a service.
        """
        for stack, names in self._uses.items():
            up = [name for name in names if name in stack.up]
            if up:
                remarks = stack.bring_up(up, self.label)
                self.watch(stack, up, remarks)
        self._tell_beginning()

    def watch(self, stack: Stack, names: list[str], remarks: list[str] | None = None) -> None:
        """Note that the test uses some services, which are up; reset them if another has."""
        fresh = [part for part in stack.parts(names) if not is_in(part, self._watched)]
        if not fresh:
            return
        watch = Watch(fresh, self.label, stack.pool.may_revive)
        watch.remarks = remarks or []
        watch.begin()
        self._watches.append(watch)
        self._watched += fresh
        stack.pool.reset(fresh)
        stack.pool.mark_used(fresh)
        self._tell_beginning()

    def start_early(self, case: SummonMixin) -> None:
        """Have the services of a TestCase up for the fixtures of the test, unless they are.

        :raises SummonError: or another exception of a service, if one cannot be started.
        """
        services = services_of(type(case))
        self._of_case = tuple(part.name for part in parts(*declared(type(case)).values()))
        self._early = services.start_early(case) or self._early

    def _watches_of(self, when: str) -> list[Watch]:
        """What watches services while the test is set up, called or torn down.

        In the call the hooks of a TestCase tell of its services.
        """
        early = [self._early] if self._early is not None and when != "call" else []
        return [*self._watches, *early]

    def _tell_beginning(self) -> None:
        """Emit that the test begins, once all of its services are up."""
        awaited = {(stack, name) for stack, names in self._uses.items() for name in names}
        if not self._inner and all(name in stack.up for stack, name in awaited):
            self.tell_beginning()

    def tell_beginning(self, more: tuple[str, ...] = ()) -> None:
        """Emit that the test begins, unless it has no services or that was emitted.

        :param more: names of services of its class.
        """
        if (self._uses or more) and not self._began:
            self._began = True
            names = tuple(part.name for part in self._watched)
            emit(TestBegan(test=self.label, services=(*names, *more)))

    def call(self) -> None:
        """Emit that the test begins, or have the hooks of its TestCase do that."""
        if self._uses and self._inner:
            case = self._item.instance  # type: ignore[attr-defined]
            result_hooks.begin_later(case, self.tell_beginning)
        else:
            self.tell_beginning()

    def raise_death(self) -> None:
        """Raise the death of a service in a test that has passed.

        :raises ProcessExited: unless the service is started again before the next test.
        """
        for watch in self._watches:
            watch.look(at_its_end=True)
            death = watch.fatal()
            if death is not None:
                services_not_up(death, None)

    def explain(self, error: BaseException, when: str) -> None:
        """Note what the services have to say about a failure: a death becomes its cause.

        :param when: "setup", "call" or "teardown".
        """
        for watch in self._watches_of(when):
            watch.look(PATIENCE, at_its_end=True)
            result_hooks.explained(error, watch, "causes")
        if not self._attached:
            self._attached = True
            watches = self._watches_of(when)
            attach(self._item, [path for watch in watches for path in watch.kept_logs()])

    def sections(self, error: BaseException, when: str) -> list[tuple[str, str]]:
        """What the report of a failure says about services: titles and texts."""
        watches = self._watches_of(when)
        return [section for watch in watches for section in watch.sections(error)]

    def note(self, report: pytest.TestReport, error: BaseException | None) -> None:
        """Note how the setup of the test, its call or its teardown has ended."""
        if report.when == "setup" and not report.passed:
            self._inner = False  # no hooks of its class will say that it begins
            if self._of_case:
                self.tell_beginning(self._of_case)
            self._tell_beginning()
        if report.failed:
            self.tell_beginning()  # its services are not up
            said = "" if error is None else sentence(error)
            self._ending.note("failed" if report.when == "call" else "error", said)
        elif hasattr(report, "wasxfail"):
            outcome = "unexpected success" if report.passed else "expected failure"
            self._ending.note(outcome, report.wasxfail)
        elif report.skipped:
            self._ending.note("skipped", str(error or ""))
        elif report.when == "call":
            self._ending.note("passed", "")

    def end(self) -> None:
        """Tell the services, and all who listen, that the test is over."""
        for watch in self._watches_of("teardown"):
            watch.end()
        if self._began:
            ending = self._ending
            emit(TestEnded(test=self.label, outcome=ending.outcome, message=ending.message))


def _fixtures_of(item: pytest.Item) -> Iterator[Callable[..., object]]:
    """The functions of the fixtures that a test uses.

    Of those with one name the nearest one, and one further away only if the nearer one names it.
    """
    fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name, definitions in fixtures.items():
        for definition in reversed(definitions):
            yield definition.func
            if name not in definition.argnames:
                break


_in_test = pytest.StashKey[InTest]()


@contextmanager
def result_of(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Iterator[None]:
    """What is raised here, before a fixture runs, is its result, as if it had raised that itself.

    From 9.1 on pytest calls the finalizers of a fixture only if it has a result, and refuses to run
    it again while it has finalizers: later tests would fail, too.
    """
    try:
        yield
    except BaseException as error:
        if pytest.version_tuple >= (9, 1):
            failure = error, error.__traceback__
            fixturedef.cached_result = None, fixturedef.cache_key(request), failure  # type: ignore[arg-type]
        raise


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Add the services to the line that ``--setup-show`` has printed about a fixture.

    Those of a TestCase are up before the first fixture that is made for a single test of it.
    """
    options = request.config.option
    case = getattr(request.node, "instance", None) if request.scope == "function" else None
    test = request.node.stash.get(_in_test, None)
    if isinstance(case, SummonMixin) and test is not None and not options.setupplan:
        with result_of(fixturedef, request):
            _have_up(test.start_early, case)
    result = yield
    uses = getattr(fixturedef.func, "summon_uses", None)
    if uses is not None and options.setupshow:
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            writer = request.config.get_terminal_writer()
            writer.write(f" (services: {', '.join(uses[1]())})", flush=True)
    return result


def pytest_keyboard_interrupt() -> None:
    """After Ctrl-C pytest ends its fixtures, and would show their errors instead of it."""
    pool.interrupted = True


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish() -> Generator[None, object, object]:
    """When the fixtures have ended, another session may begin in this process."""
    try:
        return (yield)
    finally:
        pool.interrupted = False


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the fixtures of a test: have services that are up as they were at first."""
    test = item.stash[_in_test] = InTest(item)
    if hasattr(item, "addError"):  # of a TestCase, whose hooks report to it
        vars(item)["services_said"] = []
    _running.append(test)
    _have_up(test.prepare)


def _have_up(call: Callable[..., object], *arguments: object) -> None:
    """Call what has services up; what it raises shows the user one frame of ours."""
    try:
        call(*arguments)
    except Exception as error:
        let_through(error)
        services_not_up(trimmed(error) if is_ours(error) else error, error.__traceback__)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A death in a test that passes is its error."""
    test = item.stash.get(_in_test, None)
    if test is None:
        return (yield)
    test.call()
    result = yield
    test.raise_death()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Stop what was started for the fixtures of a TestCase after them."""
    case = getattr(item, "instance", None)
    failed = True
    try:
        result = yield
        failed = False
        return result
    finally:
        if isinstance(case, SummonMixin):
            services_of(type(case)).leave_early(failed)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what services wrote to the report of a failure."""
    test = item.stash.get(_in_test, None)
    if test is None:  # it is skipped
        return (yield)
    error = call.excinfo.value if call.excinfo else None
    if error is not None and not isinstance(error, pytest.skip.Exception):
        test.explain(error, call.when)
    report = yield
    if error is None and call.excinfo and report.failed:  # pytest has put it there: of a TestCase
        error = call.excinfo.value
        test.explain(error, call.when)
    if error is not None and report.failed:
        # in the text of the failure, which is also what JUnit's XML has of it
        longrepr = report.longrepr
        add = getattr(longrepr, "addsection", lambda *section: report.sections.append(section))
        for section in [*test.sections(error, call.when), *vars(item).get("services_said", ())]:
            add(*section)
        if "services_said" in vars(item):
            vars(item)["services_said"] = []  # there may be more subtests
    test.note(report, error)
    if report.when == "teardown":
        test.end()
        _running.remove(test)
        del item.stash[_in_test]
    return report
