"""Groups of members that are started and stopped together, and the graph of their references."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ..declaration import arguments
from ..errors import CommandNotFound, DependencyCycle, InvalidArgument, SummonError
from ..executors.executor import Executor, Startable, overridden
from ..foreign import let_through
from ..scheduling.graph import circle, up_to
from ..tracebacks import hidden

__tracebackhide__ = hidden

G = TypeVar("G", bound="Group")


class Group(Executor):
    """Members with names, and the order in which they have to start.

    :param executors: a sequence, in which each waits for the one before it, or a mapping of names.
    :raises InvalidArgument: for a member without ``start`` and ``stop``.
    """

    def __init__(
        self,
        executors: Iterable[Startable] | Mapping[str, Startable],
        *,
        name: str = "",
        after: object | Iterable[object] = (),
    ) -> None:
        self.name = arguments.call(f"{type(self).__name__}()", name)
        label = self.name or f"{type(self).__name__}()"
        self.after = arguments.after(label, after)
        self._ordered = not isinstance(executors, Mapping)
        #: for each member the members that must be ready before it, as of the last check
        self._graph: dict[str, set[str]] = {}
        if isinstance(executors, Mapping):
            self._members = arguments.mapping(label, "executors", executors, '{"web": executor}')
        elif not isinstance(executors, Iterable) or isinstance(executors, (str, bytes)):
            raise InvalidArgument(
                f"{label}: executors={executors!r}: write a list of executors, or a mapping that "
                "gives them names",
                executor=label,
            )
        else:
            self._members = {}
            for number, member in enumerate(executors, 1):
                self._members[self._name_for(member, number)] = member
        for key, member in self._members.items():
            _refuse_what_cannot_be_started(key, member)
            if isinstance(member, Executor):
                member.name = member.name or key
                if not isinstance(member.after, tuple):  # a class of the user's may set any value
                    member.after = arguments.after(member.name, member.after)

    def _name_for(self, member: Startable, number: int) -> str:
        own = getattr(member, "name", "") if isinstance(member, Executor) else ""
        name = own or f"{type(member).__name__} {number}"
        return name if name not in self._members else f"{name} {number}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(vars(self).get('_members', ()))}>"

    def _take_defaults(self, values: Mapping[str, Any], owner: str) -> None:
        """Take them for itself and for its members, which live as long as it does."""
        if self._owner_name:
            return
        super()._take_defaults(values, owner)
        scope = {"scope": self.scope} if "scope" in values else {}
        for member in self._members.values():
            if isinstance(member, Executor):
                member._take_defaults({**values, **scope}, owner)

    def _only(self: G, names: Iterable[str]) -> G:
        """The same group with some members only, and those that they need.

        :raises InvalidArgument: for references that do not fit.
        """
        graph = self._make_graph()
        wanted = set().union(*(up_to(graph, name) for name in names))
        smaller = copy.copy(self)
        smaller._members = {key: self._members[key] for key in self._members if key in wanted}
        smaller._services = self._services
        return smaller

    # -- the graph --

    def _bind(self, services: Mapping[str, object]) -> None:
        """Learn which services are declared around this group."""
        self._services = {**services, **self._members}
        for member in self._members.values():
            if isinstance(member, Executor):
                member._bind(self._services)

    def _warm_up(self) -> None:
        for member in self._members.values():
            if isinstance(member, Executor) and not member._attached:
                member._warm_up()

    def _needs(self) -> set[str]:
        """Names of services outside this group that members wait for."""
        found: set[str] = set()
        for member in self._members.values():
            if isinstance(member, Executor):
                found.update(member._needs())
                found.update(n for thing in member._waits_for() if (n := self._outside(thing)))
        return found - set(self._members)

    def env(self) -> dict[str, str]:
        """The variables that clients of its members read; of the same name that of the last."""
        members = [m for m in self._members.values() if isinstance(m, Executor)]
        return {key: text for member in members for key, text in member.env().items()}

    @property
    def _not_inherited(self) -> tuple[str, ...]:  # type: ignore[override]
        members = [m for m in self._members.values() if isinstance(m, Executor)]
        return tuple(name for member in members for name in member._not_inherited)

    def _outside(self, thing: object) -> str | None:
        """The name of a declared service that an entry of ``after=`` or ``env=`` means."""
        return next((n for n, s in self._services.items() if thing is s or thing == n), None)

    def _stale(self) -> list[str]:
        """Values of other services that members were started with, and that have changed since."""
        members = [m for m in self._members.values() if isinstance(m, Executor)]
        return [said for member in members for said in member._stale()]

    def _check(self, may_appear: bool = False) -> None:
        """Refuse, before anything is spawned, what cannot work."""
        missing: CommandNotFound | None = None
        for error in self._faults(may_appear):
            # checked to the end: a skip must not hide the error of another member
            if not isinstance(error, CommandNotFound) or not error.optional:
                raise error
            missing = missing or error
        if missing is not None:
            raise missing

    def _faults(self, may_appear: bool = False) -> Iterator[SummonError]:
        """What is wrong with the references, then the first thing wrong with each member."""
        try:
            self._graph = self._make_graph()
        except SummonError as error:
            let_through(error)
            yield error
        one_shots = any(getattr(m, "_one_shot", False) for m in self._members.values())
        for member in self._members.values():
            # The user's start() may make what is missing.  If it calls ours, that checks again.
            made = may_appear or one_shots or overridden(member, "start")
            if isinstance(member, Group):
                yield from member._faults(made)
            elif isinstance(member, Executor):
                try:
                    member._check(made)
                except SummonError as error:
                    let_through(error)
                    yield error

    def _make_graph(self) -> dict[str, set[str]]:
        """For each member the members that must be ready before it.

        :raises DependencyCycle: if they wait for each other.
        """
        graph: dict[str, set[str]] = {}
        previous = ""
        for key, member in self._members.items():
            preceding = previous if self._ordered else ""
            before = {preceding} if preceding else set()
            if isinstance(member, Executor):
                member._preceding = preceding
                before |= self._members.keys() & member._needs()
                for thing in member._waits_for():
                    argument = "after" if any(thing is entry for entry in member.after) else "env"
                    before |= {n} if (n := self._awaited(key, argument, thing)) else set()
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

    def _awaited(self, key: str, argument: str, thing: object) -> str | None:
        """The member that an entry of ``after=`` or ``env=`` means; None if it is outside."""
        name: str
        for name, member in self._members.items():
            if thing is member or (isinstance(thing, str) and thing == name):
                if name == key:
                    raise DependencyCycle(
                        f"{key}: {argument}= names itself: remove it", cycle=(key, key)
                    )
                return name
        if self._outside(thing):
            return None
        others = ", ".join(n for n in self._members if n != key)
        if not isinstance(thing, (str, Executor)):
            hint = "derive its class from Executor, or declare summoned(it)"
        else:
            hint = f"write one of {others}" if others else "there is nothing else here"
        raise InvalidArgument(
            f"{key}: {argument}= names {getattr(thing, 'name', None) or thing!r}, which is not "
            f"declared here: {hint}",
            executor=key,
        )


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
