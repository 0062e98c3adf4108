"""The optional base of executors, with the methods that a TestCase and an orchestrator call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from ..declaration.arguments import perform
from ..declaration.defaults import of_class
from ..declaration.lifetime import Scope
from ..errors import is_ours
from ..scheduling.steps import Steps, nothing, run
from ..tracebacks import boundary, boundary_of_start, boundary_on_a_loop, warn, warn_on_a_loop
from ..unpatched import stay_imported, time
from .loading import load

if TYPE_CHECKING:
    from ..scheduling.caller import Caller
    from ..supervision.instance import Instance

E = TypeVar("E", bound="Executor")


def overridden(executor: object, method: str) -> bool:
    """Whether ``start`` or ``stop`` of an executor is not the method of this package any more.

    A subclass, a mixin, or an attribute of the instance or of any class (mocks) may override it.
    Then it must be called, and may block; otherwise its steps can run beside those of others.
    """
    native = getattr(type(executor), f"_native_{method}", None)
    return getattr(getattr(executor, method), "__func__", None) is not native


class Startable(Protocol):
    """Any object with start and stop."""

    def start(self) -> object:
        """Start, and block until ready."""

    def stop(self) -> object:
        """Stop."""


def stands_idle(executor: Executor) -> bool:
    """Whether a test has stopped it, so that it must be started before the next one."""
    return executor._instance is not None and executor._instance.stands_idle()


def start_of(thing: Startable, name: str = "") -> Steps[None]:
    """The start of any object as steps; a ``start`` that is overridden is called.

    :param name: what it is called if it has no name.
    """
    if isinstance(thing, Executor) and not overridden(thing, "start"):
        return thing._starting()
    return _blocking_start(thing, name)


def stop_of(thing: Startable, name: str = "") -> Steps[None]:
    """The stop of any object as steps; a ``stop`` that is overridden is called.

    :param name: what it is called if it has no name.
    """
    if isinstance(thing, Executor) and not overridden(thing, "stop"):
        return thing._stopping() if tells(thing) else _told_stop(thing)
    return _blocking_stop(thing, name)


def at_once(call: Callable[[], object]) -> Steps[None]:
    """Steps that call a function, which may block."""
    call()
    return
    yield


def _blocking_start(thing: Startable, name: str) -> Steps[None]:
    attempt = thing._attempt() if isinstance(thing, Executor) else contextlib.nullcontext()
    with attempt, _told("starting", thing, name):
        perform(f"start() of {type(thing).__name__}", thing.start)
    return
    yield


def _blocking_stop(thing: Startable, name: str) -> Steps[None]:
    with _told("stopping", thing, name):
        perform(f"stop() of {type(thing).__name__}", thing.stop)
    return
    yield


def _told_stop(thing: Executor) -> Steps[None]:
    with _told("stopping", thing):
        yield from thing._stopping()


def tells(thing: Startable) -> bool:
    """Whether the methods of an object emit events about it, or it is only a group of such."""
    return isinstance(thing, Executor) and (thing._tells or not overridden(thing, "start"))


def _told(
    what: Literal["starting", "stopping"], thing: Startable, name: str = ""
) -> AbstractContextManager[None]:
    """A block that starts or stops an object, and emits events of that if the object does not.

    :param name: what it is called if it has no name.
    """
    if tells(thing):
        return contextlib.nullcontext()
    load("executors.own")
    from . import own

    return own.starting(thing, name) if what == "starting" else own.stopping(thing, name)


def tell_restart(thing: Startable, reason: str, name: str = "") -> None:
    """Tell that an object is about to be started again.

    :param reason: why, in words.
    :param name: what it is called if it has no name.
    """
    if isinstance(thing, Executor) and thing._instance is not None:
        from ..events import ServiceRestarted

        thing._instance.tell(ServiceRestarted, reason=reason)
    elif not tells(thing):
        load("executors.own")
        from . import own

        own.restarted(thing, reason, name)


def reset_and_tell(thing: Executor) -> None:
    """Call the ``reset()`` of an executor, and tell of it if it runs a process."""
    began = time.monotonic()
    perform(f"reset() of {thing.name}", thing.reset)
    if thing._instance is not None:
        from ..events import ServiceReset

        thing._instance.tell(ServiceReset, after=time.monotonic() - began)


class Executor:
    """Base of everything that can be declared as a class attribute of a TestCase.

    A subclass writes ``start`` and ``stop``; that is all:

    >>> class Clock(Executor):
    ...     def start(self):
    ...         print("tick")
    ...         return self
    ...     def stop(self):
    ...         print("tock")
    >>> with Clock():
    ...     pass
    tick
    tock
    """

    #: its name in messages, templates and reports; given by the class attribute, by a mapping's
    #: key, or by the ``name`` argument
    name: str = ""
    #: executors, or their names, that must be ready before this one starts
    after: tuple[object, ...] = ()
    #: attributes that templates of other services may name, ``{this.dsn}``, in addition to those
    #: of every executor, and to those of its base classes
    template_fields: tuple[str, ...] = ()
    #: how long it lives in a TestCase: ``"test"``, ``"class"``, ``"module"`` or ``"run"``
    scope: Scope = "class"
    #: how often it may be started again when it dies while tests run
    _max_restarts: float = 0
    #: whether a TestCase waits, at the end of its scope, until it is stopped
    _stop_wait = True
    #: whether a TestCase may use the service of a stack that runs already
    _shared = False
    #: the question whether it is alive, if it has one
    _alive: Any = None
    #: whether a TestCase starts and stops it; it then keeps port and directory between starts
    _in_testcase: bool = False
    #: whether a TestCase has it, so that its scope has a meaning; also True after a warning that
    #: it has none
    _may_be_scoped = False
    #: the name of the class that has it as an attribute; empty if none has
    _owner_name = ""
    #: the name of the member before it, if it is in a sequence
    _preceding = ""
    #: whether its start and its stop emit events; otherwise this is done for them
    _tells = False
    #: the life that it leads, or led last, if it runs a process
    _instance: Instance | None = None
    #: the declared services that its templates can name; an orchestrator sets them
    _services: Mapping[str, object] = {}

    def __dir__(self) -> list[str]:
        """The attributes for users.

        Those that do in a coroutine, or for a test library, what another one does are left out.
        """
        others = {"start_async", "stop_async", "setUp", "cleanUp", "getDetails"}
        return sorted({*super().__dir__()} - others)

    def start(self: E) -> E:
        """Start, and block until ready.

        :returns: the executor itself.
        :raises SummonError: if the start fails; nothing is left running.
        """
        raise NotImplementedError(f"{type(self).__name__} has no start()")

    def stop(self) -> None:
        """Stop; does nothing if it is not running.

        :raises StopFailed: if it did not end as it should; it is gone all the same.
        """
        raise NotImplementedError(f"{type(self).__name__} has no stop()")

    @boundary_on_a_loop
    async def start_async(self: E) -> E:
        """Start, and wait until ready; other tasks of the asyncio event loop go on meanwhile.

        A cancelled start leaves nothing running. What is the user's own is called as it is, and
        so the loop stands still for that long: a ``start()`` of a subclass, ``prepare()`` and
        ``ready()``, the callable of ``until=``.

        :returns: the executor itself.
        :raises SummonError: as ``start()`` does.
        """
        from ..scheduling import asynchronous

        self._tell_what_is_ignored()
        with self._attempt():
            if not overridden(self, "start"):
                stay_imported()
                self._bind(self._services)
                self._check()
            await asynchronous.run(start_of(self))
        return self

    @boundary_on_a_loop
    async def stop_async(self) -> None:
        """Stop; other tasks of the asyncio event loop go on meanwhile.

        A stop that is cancelled kills at once.

        :raises StopFailed: as ``stop()`` does.
        """
        await self._stop_on_a_loop(stop_of(self))

    async def _stop_on_a_loop(self, steps: Steps[None]) -> None:
        from ..scheduling import asynchronous

        try:
            await asynchronous.run(steps)
        except BaseException as error:
            if not is_ours(error) and not overridden(self, "stop"):
                # it may have come before the stop has cleaned up
                self._clear()
            raise

    async def __aenter__(self: E) -> E:
        return await self.start_async()

    @boundary_on_a_loop
    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from .deaths import leave

        await self._stop_on_a_loop(leave(error, stop_of(self), self._everyone()))

    def setUp(self) -> None:
        """Start, as ``useFixture(service)`` of testtools and fixtures asks it to.

        ``useFixture()`` also has it stopped, and adds what it wrote to the report of a failing
        test.
        """
        self.__enter__()

    def cleanUp(self) -> None:
        """Stop, as ``useFixture(service)`` asks it to.

        :raises ProcessExited: if the service had died.
        :raises StopFailed: if it did not end as it should.
        """
        self.__exit__(None, None, None)

    def getDetails(self) -> dict[str, Any]:
        """The output of the services that run, by names such as ``output of web``.

        ``useFixture(service)`` takes it when the test has ended. It is empty if testtools is not
        installed.
        """
        from . import details

        return details.of(self._everyone())

    @boundary_of_start
    def __enter__(self: E) -> E:
        warn_on_a_loop("with", "async with")
        self._tell_what_is_ignored()
        with self._attempt(), _told("starting", self):
            return perform(f"start() of {type(self).__name__}", self.start)

    @boundary
    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from .deaths import leave

        run(leave(error, at_once(self._stop_at_once), self._everyone()))

    def _stop_at_once(self) -> None:
        with _told("stopping", self):
            perform(f"stop() of {type(self).__name__}", self.stop)

    def reset(self) -> None:
        """Put the service into the state after its start: call the function of ``reset=``.

        A TestCase does this before each test but the first that uses the service.

        :raises NotImplementedError: if there is no ``reset=``.
        """
        own: Callable[[Executor], object] | None = vars(self).get("_reset")
        if own is None:
            raise NotImplementedError(
                f"{self.name or type(self).__name__}: nothing resets it: declare reset=, a "
                "function that takes the executor, or write a method reset()"
            )
        perform(f"{self.name or type(self).__name__}: reset=", own, self)

    _native_reset = reset

    def env(self) -> dict[str, str]:
        """The variables that clients of this service read: its address by the names they expect.

        ``env=[this]`` of another service takes them all; without any, it is empty.  A subclass
        overrides it, and is asked once the service is ready.
        """
        return {}

    #: Variables that clients of this service must not inherit, since it is not meant by these; what
    #: was written in their ``env=`` counts.
    _not_inherited: tuple[str, ...] = ()

    def _can_reset(self) -> bool:
        """Whether it can be reset."""
        return vars(self).get("_reset") is not None or overridden(self, "reset")

    def _tell_what_is_ignored(self) -> None:
        """Warn once of arguments that have a meaning in a TestCase only, if there is none."""
        ignored = {}
        if self.scope != "class":
            ignored[f"scope={self.scope!r}"] = "it lives from its start to its stop"
        if self._max_restarts:
            ignored["restart="] = "it is not started again when it dies"
        if self._alive is not None:
            ignored["alive="] = "it is not asked whether it is alive"
        if not self._stop_wait:
            ignored["stop_wait=False"] = "its stop is waited for"
        if self._shared:
            ignored["shared=True"] = "it is started here"
        if not ignored or self._in_testcase or self._may_be_scoped:
            return
        self._may_be_scoped = True
        warn(
            f"{self.name or type(self).__name__}: {' and '.join(ignored)} "
            f"{'has' if len(ignored) == 1 else 'have'} a meaning in a TestCase only: without one "
            f"{' and '.join(ignored.values())}"
        )

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.name:
            self.name = name
        self._take_defaults(of_class(owner), owner.__qualname__)

    def __get__(self: E, instance: object, owner: type | None = None) -> E:
        return self

    def _take_defaults(self, values: Mapping[str, Any], owner: str) -> None:
        """Take the arguments that its class gives for all services, but for those of its own.

        It belongs to the first class that has it as an attribute, as its name says too.

        :param owner: the name of the class.
        """
        if self._owner_name:
            return
        self._owner_name = owner
        if "scope" in values and not self._has_own("scope"):
            self.scope = values["scope"]

    def _has_own(self, argument: str) -> bool:
        """Whether an argument was given to it, or to its class as an attribute."""
        given = vars(self).get("_given")
        if given is not None:
            return argument in given
        places = [self, *(kind for kind in type(self).__mro__ if kind is not Executor)]
        return any(argument in vars(place) for place in places)

    @property
    def _attached(self) -> bool:
        """Whether its life is that of a service which another process has started."""
        return False

    @property
    def _called(self) -> str:
        """What messages call it."""
        return self.name or repr(self)

    # -- for orchestrators --

    def _everyone(self) -> Iterator[Executor]:
        """Itself, or all executors among its members."""
        yield self

    def _starting(self) -> Steps[None]:
        """The start as steps, which do not block where that can be avoided."""
        self.start()
        return
        yield

    def _stopping(self) -> Steps[None]:
        """The stop as steps."""
        self.stop()
        return
        yield

    def _can_part(self) -> bool:
        """Whether :meth:`_part` makes something that can be stopped while this one runs again."""
        return False

    def _part(self: E) -> E:
        """Leave the life that it leads to a copy, which sees to its end."""
        raise NotImplementedError(f"{type(self).__name__} leads one life at a time")

    def _warm_up(self) -> None:
        """Start programs that take long to boot, when a start with this executor begins."""

    def _attempt(self) -> AbstractContextManager[None]:
        """A block that starts it; if the block fails, the process is ended.

        Code that a subclass adds to a start may fail when the process is already ready.
        """
        return contextlib.nullcontext()

    def _clear(self) -> None:
        """End it at once after Ctrl-C in its start or stop, by any method that it has."""
        getattr(self, "kill", self.stop)()

    def _last_start(self) -> Caller | None:
        """Who has called the last start that was not refused; the object tells starts apart."""
        return None

    def _undo_start(self, before: Caller | None) -> None:
        """End it, if it runs, after an interrupt that came when the start had succeeded.

        :param before: what :meth:`_last_start` returned when the start was called.
        """
        if getattr(self, "running", bool)():
            self._clear()

    def _needs(self) -> Iterable[str]:
        """Names of the services that templates refer to."""
        return ()

    def _is_shared_by(self, other: object) -> bool:
        """Whether another service that processes share refers to all of this one."""
        if not isinstance(other, Executor) or not other._shared or other is self:
            return False
        return self.name in other._needs() or any(
            it is self or it == self.name for it in other._waits_for()
        )

    def _waits_for(self) -> tuple[object, ...]:
        """Executors, or their names, that must be ready before this one starts."""
        return self.after

    def _referred_to(self) -> tuple[str, ...]:
        """The names of all that must be ready before it: it refers to them, or is in a sequence."""
        named = {*self._needs(), self._preceding}
        for thing in self._waits_for():
            named.add(thing if isinstance(thing, str) else getattr(thing, "name", ""))
        return tuple(sorted(named - {"", self.name}))

    def _bind(self, services: Mapping[str, object]) -> None:
        """Learn which services are declared beside this one."""
        self._services = services

    def _check(self, may_appear: bool = False) -> None:
        """Before anything is spawned, refuse arguments that cannot work.

        :param may_appear: whether files that are missing now may be made by another service.
        :raises SummonError: naming the argument and what to write instead.
        """

    # -- for test cases --

    def _asking(self, when: str) -> Steps[None]:
        """Ask the question of ``alive=``, if there is one; without an answer it counts as dead.

        :param when: the moment in words, to follow "was killed by SIGKILL".
        """
        return nothing()

    def _stale(self) -> list[str]:
        """In words, values of other services that it was started with, and that have changed."""
        return []
