"""Services as fixtures of pytest: what a conftest.py declares, and what lives behind it.

A :class:`Stack` is to a fixture what the pools of a class are to a TestCase.  What a test's report
says of services is the business of ``pytest_hooks``, which is loaded only with our plugin.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Generator, Mapping
from types import SimpleNamespace
from typing import Any, Literal, TypeVar, get_args, overload

from ..declaration.lifetime import Scope
from ..errors import InvalidArgument, is_ours, sentence
from ..executors.deaths import tell_too
from ..executors.declared import declared
from ..executors.executor import Executor
from ..foreign import let_through
from ..orchestration.orchestrator import Orchestrator
from ..scheduling.steps import background
from ..tracebacks import boundary, hidden, trimmed
from . import farewells
from .pool import ServicePool, everywhere, leave, only_skips
from .selection import parts
from .unstarted import services_not_up

__tracebackhide__ = hidden

T = TypeVar("T")

FixtureScope = Literal["function", "class", "module", "package", "session"]
#: what a TestCase calls the scopes of fixtures
_LIVES: dict[FixtureScope, Scope] = {
    "function": "test",
    "class": "class",
    "module": "module",
    "package": "run",
    "session": "run",
}


@overload
def summon_fixture(
    stack: type[T], /, *, scope: FixtureScope = ..., autouse: bool = ..., each: bool = ...
) -> Callable[..., T]: ...
@overload
def summon_fixture(
    stack: Mapping[str, Executor],
    /,
    *,
    scope: FixtureScope = ...,
    autouse: bool = ...,
    each: bool = ...,
) -> Callable[..., SimpleNamespace]: ...
@overload
def summon_fixture(
    *, scope: FixtureScope = ..., autouse: bool = ..., each: bool = ..., **services: Executor
) -> Callable[..., SimpleNamespace]: ...
@boundary
def summon_fixture(
    stack: type[Any] | Mapping[str, Executor] | None = None,
    /,
    *,
    scope: FixtureScope = "session",
    autouse: bool = False,
    each: bool = False,
    **services: Executor,
) -> Any:
    """Make a fixture of pytest that starts services, and stops them at the end of its scope.

    Write it in a ``conftest.py`` or in a module with tests; the fixture has the name to which you
    assign it. Its value has the services by name: ``stack.db``. What holds for the services of a
    TestCase (see :class:`SummonMixin`) holds for those of a fixture.

    :param stack: a class with services as attributes: a TestCase, or any other. The value of the
        fixture is an instance of it, with services of its own: those of another fixture or TestCase
        with this class are others. Its ``__init__`` is called without arguments when they are up.
        Or a mapping of names to executors.
    :param scope: ``"function"``, ``"class"``, ``"module"``, ``"package"`` or ``"session"``: how
        long all services live, whatever ``scope`` they were declared with.
    :param autouse: whether tests use the fixture that do not name it.
    :param each: whether each service becomes a fixture of its own, too, under its own name, which
        nothing else in the module may have: it starts the service and those to which it refers.
    :param services: executors by name, instead of ``stack``.
    :returns: the fixture.
    :raises InvalidArgument: for a stack without services, for a class of which no instance can be
        made, and for arguments that do not fit.
    :raises ImportError: if pytest is not installed.
    """
    frame: Any = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(f"{__package__.partition('.')[0]}."):
        frame = frame.f_back
    if frame.f_locals is not frame.f_globals:
        raise InvalidArgument(
            "summon_fixture() is called in a function or a class: write it at the top level of "
            "conftest.py, or of a module with tests, where pytest looks for fixtures"
        )
    if scope not in get_args(FixtureScope):
        said = ", ".join(map(repr, get_args(FixtureScope)))
        raise InvalidArgument(f"summon_fixture(): scope={scope!r}: write one of {said}")
    try:
        import pytest
    except ImportError as error:
        raise ImportError(
            "summon_fixture() makes fixtures of pytest, which is not installed here: python -m "
            "pip install pytest"
        ) from error

    behind, place = Stack(stack, services, scope), frame.f_globals

    def fixture(names: Callable[[], list[str]], pick: Callable[[Any], Any], text: str) -> Any:
        # on one line: its frame, and --fixtures, show the line of the call
        function: Any = lambda request: (yield from behind.serve(request, names(), pick))  # noqa: E731
        function.__code__ = function.__code__.replace(
            co_filename=frame.f_code.co_filename, co_firstlineno=frame.f_lineno
        )
        function.__doc__ = text
        function.__module__ = place.get("__name__", "")
        function.summon_uses = behind, names  # for pytest_hooks
        return function

    singles: dict[str, Any] = {}
    if each:
        for name, executor in behind.services.items():
            if name in place or name == "request":
                raise InvalidArgument(
                    f"summon_fixture(): each=True makes a fixture {name}, and this name is taken "
                    "here: call the service otherwise, or leave each=True out"
                )
            one = fixture(
                lambda name=name: behind.needed_for(name),  # type: ignore[misc]
                lambda value, name=name: behind.services[name],  # type: ignore[misc]
                type(executor).__name__,
            )
            place[name] = singles[name] = pytest.fixture(scope=scope)(one)
    behind.hidden = lambda: next((n for n, one in singles.items() if place.get(n) is not one), "")
    kinds = (f"{name} ({type(one).__name__})" for name, one in behind.services.items())
    whole = fixture(lambda: list(behind.services), lambda value: value, ", ".join(kinds))
    return pytest.fixture(scope=scope, autouse=autouse)(whole)


class Stack:
    """The services behind a fixture, and behind those of ``each=True``.

    :param stack: a class, or a mapping; None for the services that follow.
    :param services: executors by name.
    :param scope: the scope of the fixtures.
    :raises InvalidArgument: as :func:`summon_fixture` does.
    """

    def __init__(
        self, stack: object, services: Mapping[str, Executor], scope: FixtureScope
    ) -> None:
        if (stack is None) == (not services):
            raise InvalidArgument(
                "summon_fixture(): write a class or a mapping, summon_fixture(ShopStack), or "
                "services by name, summon_fixture(db=PostgreSQL())"
            )
        if isinstance(stack, type):
            self._kind: Any = stack
            self.services = _copied(declared(stack))
        elif stack is None or isinstance(stack, Mapping):
            self._kind = SimpleNamespace
            self.services = dict(services or stack or {})
        else:
            raise InvalidArgument(
                f"summon_fixture(): {stack!r} is no class and no mapping: write the class, "
                'summon_fixture(ShopStack), or names, summon_fixture({"db": executor})'
            )
        if not self.services:
            raise InvalidArgument(f"summon_fixture(): {stack!r} has no services: give it some")
        if reason := _why_not_made(self._kind):
            kind, name = self._kind.__name__, next(iter(self.services))
            raise InvalidArgument(
                f"summon_fixture(): the value of the fixture is an instance of {kind}, and that "
                f"{reason}: write a class that can be called without arguments, or services by "
                f"name, summon_fixture({name}={kind}.{name})"
            )
        for name, executor in self.services.items():
            if not isinstance(executor, Executor):
                raise InvalidArgument(
                    f"summon_fixture(): {name} is {executor!r}, which is no executor: write "
                    f"{name}=SimpleExecutor(…), or {name}=summoned(…) for an object of your own"
                )
        self.pool = ServicePool(_LIVES[scope])
        #: the services that are up, and the scopes that they had before
        self._scopes: list[tuple[Executor, Scope]] = []
        #: for each that has services up, those that it needs.  A fixture is known by its request,
        #: since modules that import it have one each, of the same name
        self.users: dict[object, list[str]] = {}
        #: the first service whose own fixture something else in the module has taken the place of,
        #: which shows only when the module is complete; empty if there is none
        self.hidden: Callable[[], str] = str
        self._value: Any = None
        self._needed: dict[str, list[str]] = {}

    def needed_for(self, name: str) -> list[str]:
        """A service and those to which it refers."""
        if name not in self._needed:
            whole = Orchestrator(self.services)
            whole._bind(everywhere)
            self._needed[name] = list(whole._only([name])._members)
        return self._needed[name]

    @property
    def up(self) -> set[str]:
        """The names of the services that fixtures have up."""
        return {name for names in self.users.values() for name in names}

    def parts(self, names: list[str]) -> list[Executor]:
        """All executors of some services, also those in groups."""
        return parts(*(self.services[name] for name in names))

    def serve(
        self, request: Any, names: list[str], pick: Callable[[Any], T]
    ) -> Generator[T, None, None]:
        """What a fixture does: start services, give its value, and stop them.

        :param names: the services that the fixture needs.
        :param pick: returns its value, given that of the whole stack.
        """
        import pytest

        from . import pytest_hooks

        test = pytest_hooks.running()
        try:
            self._enter(request, names, test.label if test else request.node.nodeid)
        except Exception as error:
            let_through(error)
            if only_skips(error):
                pytest.skip(sentence(error))
            services_not_up(trimmed(error) if is_ours(error) else error, error.__traceback__)
        try:
            if test is not None:
                test.watch(self, names)
            yield pick(self._value)
        finally:
            self.let_go(request)

    def bring_up(self, names: list[str], label: str) -> list[str]:
        """Start services that are not up, or start them again after a test that has stopped them.

        :param label: the test before which this happens.
        :returns: sentences about deaths.
        :raises SummonError: or another exception of a service, as a pool does.
        """
        background.advance()
        wanted = {name: self.services[name] for name in names}
        return self.pool.bring_up(wanted, self.services, f"before {label}")

    def _enter(self, request: Any, names: list[str], label: str) -> None:
        import pytest

        # a session has no module, nor has a text file with doctests
        module = request.node.getparent(pytest.Module)
        self.pool.module = getattr(getattr(module, "obj", None), "__name__", "")
        if name := self.hidden():
            raise InvalidArgument(
                f"summon_fixture(): each=True has made a fixture {name}, and {name} = … has taken "
                f"its place: assign to another name, stack = summon_fixture({name}=…, each=True), "
                "or leave each=True out"
            )
        if not all(part._stop_wait for part in self.parts(names)):
            farewells.told_by_session(request.session)
        self.hold(request, request.fixturename, names, label)

    def hold(self, user: object, called: str, names: list[str], label: str) -> None:
        """Have services up for somebody, until :meth:`let_go`.

        :param user: who that is: the request for a fixture.
        :param called: the name of the fixture.
        :param label: see :meth:`bring_up`, whose exceptions this raises.
        """
        self.pool.owner = self.pool.owner or called
        for executor in self.services.values():
            executor._take_defaults({}, called)
        if not self.users:
            whole = [*self.services.values(), *parts(*self.services.values())]
            self._scopes = [(part, part.scope) for part in whole]
            for part in whole:  # as reports have it
                part.scope = self.pool.life
        try:
            self.bring_up(names, label)
            if self._value is None and len(names) == len(self.services):
                self._value = self._made()
        except BaseException as error:
            if not self.users:
                try:
                    self._stop()
                except Exception as failure:
                    let_through(failure)
                    tell_too(error, failure)  # the error of the start is the one to see
            raise
        self.users[user] = names
        self.pool.inside = 1  # the services are not in the way of a TestCase, nor left over

    def _made(self) -> Any:
        """The value of the fixture, whose ``__init__`` finds the services that are up."""
        value: Any = self._kind.__new__(self._kind)
        vars(value).update(self.services)
        value.__init__()
        vars(value).update(self.services)  # a dataclass has those of its class, as defaults
        return value

    def let_go(self, user: object) -> None:
        """Stop the services, unless somebody else needs them."""
        del self.users[user]
        if not self.users:
            self._value = None
            self._stop()

    def _stop(self) -> None:
        self.pool.inside = 0
        try:
            self.pool.stop()
        finally:
            leave([self.pool])
            for part, scope in self._scopes:
                part.scope = scope  # a TestCase may have it, too


def _why_not_made(kind: type[Any]) -> str:
    """Why no instance of a class can be made that has services; empty if that is not known."""
    import inspect

    try:
        inspect.signature(kind).bind()
    except (TypeError, ValueError) as error:
        let_through(error)
        if isinstance(error, TypeError):  # otherwise it is written in C, and tells no arguments
            return str(error).replace("missing", "has")
    if inspect.isabstract(kind):
        return "is abstract"
    return "" if kind.__dictoffset__ else "takes no attributes, by its __slots__"


def _copied(services: Mapping[str, Executor]) -> dict[str, Executor]:
    """Copies of the services of a class, which refer to each other; so that others may run, too.

    An executor of the user's own may hold what has no copies, a lock for example: it is itself.
    """
    copies: dict[int, Any] = {}
    for executor in services.values():
        try:
            copy.deepcopy(executor, copies)
        except Exception as error:
            let_through(error)
            copies[id(executor)] = executor
    return {name: copies[id(executor)] for name, executor in services.items()}
