"""Many services started in the right order, and stopped in the reverse of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, TypeVar

from .errors import AlreadyRunning, DependencyCycle, InvalidArgument, StopFailed, SummonError
from .executor import Executor
from .graph import Walk, circle, reverse
from .report import counted
from .steps import Steps, drive

O = TypeVar("O", bound="Orchestrator")  # noqa: E741


class Startable(Protocol):
    """Anything with start and stop: that is all."""

    def start(self) -> object:
        """Start, and block until ready."""

    def stop(self) -> object:
        """Stop."""


class Orchestrator(Executor):
    """Starts and stops many; has the interface of one.

    :param executors: a *sequence* is started in order, each when the one before it is
        ready.  A *mapping* gives names; templates such as ``{db.port}`` and ``after`` make
        a graph of them, in which everything starts as soon as what it refers to is ready,
        and the rest at the same time.
    :param name: how it is called in a larger orchestrator.
    :raises InvalidArgument: for a member without ``start`` and ``stop``.

    >>> from summon_testcase import SimpleExecutor
    >>> with Orchestrator({"a": SimpleExecutor("sleep 60"), "b": SimpleExecutor("sleep 60")}):
    ...     pass
    """

    def __init__(
        self,
        executors: Iterable[Startable] | Mapping[str, Startable],
        *,
        name: str = "",
        after: Iterable[object] = (),
    ) -> None:
        self.name = name
        self.after = tuple(after)
        self._ordered = not isinstance(executors, Mapping)
        if isinstance(executors, Mapping):
            self._members = dict(executors)
        else:
            self._members = {}
            for number, member in enumerate(executors, 1):
                self._members[self._name_for(member, number)] = member
        for key, member in self._members.items():
            _refuse_what_cannot_be_started(key, member)
            if isinstance(member, Executor) and not member.name:
                member.name = key
        #: members that were started, in the order in which they became ready
        self._started: list[str] = []

    def _name_for(self, member: Startable, number: int) -> str:
        own = getattr(member, "name", "") if isinstance(member, Executor) else ""
        name = own or f"{type(member).__name__} {number}"
        return name if name not in self._members else f"{name} {number}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self._members)}>"

    # -- the graph --

    def bind(self, services: Mapping[str, object]) -> None:
        """Learn which services are declared around this group."""
        self._services = {**services, **self._members}
        for member in self._members.values():
            if isinstance(member, Executor):
                member.bind(self._services)

    def needs(self) -> set[str]:
        """Names of services outside this group that members wait for."""
        found: set[str] = set()
        for member in self._members.values():
            if isinstance(member, Executor):
                found.update(member.needs())
                found.update(n for thing in member.after if (n := self._outside(thing)))
        return found - set(self._members)

    def _outside(self, thing: object) -> str | None:
        """The name of a declared service that an entry of ``after`` means."""
        return next((n for n, s in self._services.items() if thing is s or thing == n), None)

    def check(self, may_appear: bool = False) -> None:
        """Refuse, before anything is spawned, what cannot work."""
        self._graph()
        one_shots = any(getattr(m, "_one_shot", False) for m in self._members.values())
        for member in self._members.values():
            if isinstance(member, Executor):
                member.check(may_appear or one_shots)

    def _graph(self) -> dict[str, set[str]]:
        """For each member the members that must be ready before it."""
        graph: dict[str, set[str]] = {}
        previous: str | None = None
        for key, member in self._members.items():
            before = {previous} if self._ordered and previous is not None else set()
            if isinstance(member, Executor):
                before |= {name for name in member.needs() if name in self._members}
                before |= {n for thing in member.after if (n := self._after(key, thing))}
            graph[key] = before - {key}
            previous = key
        cycle = circle(graph)
        if cycle:
            raise DependencyCycle(
                f"services wait for each other in a circle: {' -> '.join(cycle)}: remove one "
                "of these references",
                cycle=tuple(cycle),
            )
        return graph

    def _after(self, key: str, thing: object) -> str | None:
        """The member that an entry of ``after`` means; None if it is outside this group."""
        name: str
        for name, member in self._members.items():
            if thing is member or (isinstance(thing, str) and thing == name):
                if name == key:
                    raise DependencyCycle(
                        f"{key}: after= names itself: remove it", cycle=(key, key)
                    )
                return name
        if self._outside(thing):
            return None
        raise InvalidArgument(
            f"{key}: after= names {getattr(thing, 'name', None) or thing!r}, which is not "
            f"declared here: write one of {', '.join(n for n in self._members if n != key)}",
            executor=key,
        )

    # -- start --

    def start(self: O) -> O:
        """Start all members; block until all are ready.

        If one fails, what was starting is cancelled, what had started is stopped.

        :returns: the orchestrator itself.
        :raises AlreadyRunning: if it runs.
        :raises SummonError: the error of the member that failed first; its
            ``consequences`` say what became of the others.
        """
        self.bind(self._services)
        self.check()
        drive(self.starting())
        return self

    def starting(self) -> Steps[None]:
        """The start as steps."""
        if self._started:
            raise AlreadyRunning(
                f"{self.name or self!r}: is running already: call stop() first",
                executor=self.name or None,
            )
        walk = Walk(self._graph(), lambda key: _starting(self._members[key]))
        self._started = walk.done
        try:
            yield from walk.steps(go_on=False)
            if walk.errors:
                raise walk.errors[0]
        except BaseException as error:
            self._roll_back(error, walk)
            raise

    def _roll_back(self, error: BaseException, walk: Walk) -> None:
        told = [
            ("still starting, cancelled", walk.under_way),
            ("started, stopped again", walk.done[::-1]),
            ("not started", walk.waiting),
        ]
        failed = walk.errors[1:]
        errors = walk.cancel()
        # also those that became ready in the moment in which it failed, or Ctrl-C came
        self._started = walk.done + walk.under_way
        try:
            drive(self.stopping())
        except Exception as failure:
            errors.append(failure)
        if isinstance(error, SummonError):
            error.consequences += tuple(f"{what}: {', '.join(who)}" for what, who in told if who)
            error.consequences += tuple(f"and failed: {_sentence(e)}" for e in failed)
            error.consequences += tuple(f"and while stopping: {_sentence(e)}" for e in errors)

    # -- stop --

    def running(self) -> bool:
        """Whether all members that can tell are running."""
        return bool(self._started) and all(
            member.running()
            for member in (self._members[key] for key in self._started)
            if hasattr(member, "running")
        )

    def stop(self) -> None:
        """Stop all members in the reverse order of the graph, in parallel where it may be.

        Every stop is attempted.

        :raises StopFailed: with all that went wrong in ``errors``.
        """
        drive(self.stopping())

    def stopping(self) -> Steps[None]:
        """The stop as steps."""
        started, self._started = self._started[::-1], []
        walk = Walk(reverse(self._graph(), started), lambda key: _stopping(self._members[key]))
        try:
            yield from walk.steps(go_on=True)
        except BaseException:
            # an interrupted stop still leaves nothing running
            walk.cancel()
            for key in [*walk.waiting, *walk.under_way]:
                with contextlib.suppress(Exception):
                    getattr(self._members[key], "kill", self._members[key].stop)()
            raise
        errors = walk.errors
        if len(errors) == 1:
            raise errors[0]
        if errors:
            said = "\n".join(str(error) for error in errors)
            raise StopFailed(
                f"{counted(len(errors), 'service')} did not stop as they should:\n{said}",
                errors=tuple(errors),
            )


class orchestrated(contextlib.ContextDecorator):
    """Services that run for a block, or for the calls of a function.

    Positional arguments are a sequence, keyword arguments a mapping; see
    :class:`Orchestrator`.

    >>> from summon_testcase import SimpleExecutor
    >>> with orchestrated(SimpleExecutor("sleep 60"), SimpleExecutor("sleep 60")) as (a, b):
    ...     a.running() and b.running()
    True

    :raises InvalidArgument: if both kinds are given.
    """

    def __init__(self, *executors: Any, **named: Any) -> None:
        if executors and named:
            raise InvalidArgument(
                "orchestrated(): give either positional arguments, a sequence, or keyword "
                "arguments, a graph; nest orchestrated(…) for both"
            )
        self._members = executors or tuple(named.values())
        self._orchestrator = Orchestrator(named or executors)

    def __enter__(self) -> tuple[Any, ...]:
        self._orchestrator.start()
        return self._members

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._orchestrator.stop()

    def start(self) -> orchestrated:
        """Start all, without a block."""
        self._orchestrator.start()
        return self

    def stop(self) -> None:
        """Stop all."""
        self._orchestrator.stop()


def _refuse_what_cannot_be_started(key: str, member: object) -> None:
    for method in ("start", "stop"):
        if not callable(getattr(member, method, None)):
            raise InvalidArgument(
                f"{key}: {type(member).__name__} has no {method}(): an executor is any object "
                "with start() and stop()",
                executor=key,
            )
    if isinstance(member, type):
        raise InvalidArgument(
            f"{key}: is the class {member.__name__}, not an instance: write {member.__name__}(…)",
            executor=key,
        )


def _blocking(call: Callable[[], object]) -> Steps[None]:
    call()
    return
    yield


def _starting(member: Startable) -> Steps[None]:
    return member.starting() if isinstance(member, Executor) else _blocking(member.start)


def _stopping(member: Startable) -> Steps[None]:
    return member.stopping() if isinstance(member, Executor) else _blocking(member.stop)


def _sentence(error: BaseException) -> str:
    return error.message if isinstance(error, SummonError) else f"{type(error).__name__}: {error}"
