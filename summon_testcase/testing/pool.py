"""Services that live as long as a test, a class, a module or the whole run.

A :class:`ServicePool` holds the services of one test, class or module, or of the run.  It starts
them, starts them again before a test where that is needed, and stops them.
"""

from __future__ import annotations

import functools
import operator
import threading
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from ..declaration.lifetime import SCOPES, Scope, scope
from ..errors import (
    AlreadyRunning,
    CommandNotFound,
    InvalidArgument,
    PortInUse,
    SummonError,
    sentence,
)
from ..events import Warned, emit
from ..executors.deaths import all_of, ask, death_of, is_named, name_it
from ..executors.executor import Executor, reset_and_tell, stands_idle, tell_restart
from ..executors.simple import SimpleExecutor
from ..foreign import is_foreign, let_through, suppress
from ..orchestration.orchestrator import Orchestrator
from ..supervision import run, shutdown
from ..tracebacks import boundary, warn
from ..unpatched import os, switched_on, variable
from . import farewells, turns
from .selection import (
    afresh,
    is_in,
    parts,
    refuse_shorter_lives,
    refuse_what_cannot_be_shared,
    resettable,
)

#: a variable that, set and not ``0``, turns the skips of missing programs into failures
FORBID_SKIPS = "SUMMON_FORBID_SKIPS"

Reason = tuple[Exception, TracebackType | None]

#: what templates and ``env=`` of all services may name, whichever class declares them
everywhere: dict[str, Any] = {}
#: the pools that have services up, in the order of their starts
holders: list[ServicePool] = []
#: whether Ctrl-C ends the run, so that an error of a stop must not take its place
interrupted = False


def only_skips(error: Exception) -> bool:
    """Whether a failed start skips tests instead: the missing program is optional."""
    return isinstance(error, CommandNotFound) and error.optional and not switched_on(FORBID_SKIPS)


class _Tried:
    """A start that has failed: no class of this process tries it again."""

    def __init__(
        self,
        executor: Executor,
        around: Mapping[str, Executor],
        when: str,
        error: Exception,
        traceback: TracebackType | None,
    ) -> None:
        self.executor, self.when, self.error, self.traceback = executor, when, error, traceback
        self._others = _referred_to(executor, around)

    def referred_to(self, around: Mapping[str, Executor]) -> bool:
        """Whether the start would be the same among the services of another class."""
        others = _referred_to(self.executor, around)
        return len(others) == len(self._others) and all(map(operator.is_, others, self._others))

    def again(self) -> Exception:
        """The error for another class; it says whose start has failed."""
        error, said = afresh(self.error), f"tried {self.when}, and not again in this process"
        if isinstance(error, SummonError):
            error.consequences = (*(c for c in error.consequences if c != said), said)
        elif hasattr(error, "add_note"):
            error.add_note(said)
        else:
            vars(error)["__notes__"] = [said]
        return error


def _referred_to(executor: Executor, around: Mapping[str, Executor]) -> list[Executor | None]:
    after = [n for n, e in around.items() if any(t is e or t == n for t in executor._waits_for())]
    return [around.get(name) for name in sorted({*executor._needs(), *after})]


#: failed starts of this process, also for other classes that inherit the declarations
_tried: list[_Tried] = []


class ServicePool:
    """Services that start and stop together.

    :param life: their scope.
    :param owner: the name of the class or of the module.
    :param module: the module to which the class belongs.
    """

    def __init__(self, life: Scope, owner: str = "", module: str = "") -> None:
        self.life = life
        self.owner = owner
        self.module = module
        #: whether the services may be stopped when another class starts, since the runner may call
        #: no clean-up
        self.disposable = False
        #: whether a clean-up of the module will stop them
        self.cleanup_due = False
        #: how many tests that use the services are inside run()
        self.inside = 0
        #: the threads that still use the services, by ``id()``
        self.users: dict[int, turns.Somebody] = {}
        #: the services that are up
        self.up: list[Executor] = []
        self._batches: list[Orchestrator] = []
        #: executors that cannot be started, or not again, and the reasons
        self._failures: list[tuple[Executor, Reason]] = []
        #: executors that a test has used since their last reset, by ``id()``; a restart is none,
        #: since it keeps their files
        self.used: dict[int, Executor] = {}
        self._revived: Counter[int] = Counter()

    def __repr__(self) -> str:
        return f"<services of the {self.life} {self.owner}>"

    def _parts(self, wanted: Sequence[Executor] | None = None) -> list[Executor]:
        """The executors that are up; those come first to which others may refer."""
        return [
            part
            for batch in self._batches
            for key in batch._started
            for part in parts(batch._members[key])
            if wanted is None or is_in(part, wanted)
        ]

    # -- the start --

    def bring_up(
        self, wanted: Mapping[str, Executor], around: Mapping[str, Executor], when: str
    ) -> list[str]:
        """Have some services up: start those that are not, and again those that have ended.

        Those are started again that a test has stopped, or that have died and may be.

        :param around: all services of the class, to which these may refer.
        :param when: the moment in words, for messages: "before ShopTest".
        :returns: sentences about deaths.
        :raises ProcessExited: for a service that has died and may not be started again.
        :raises SummonError: or another exception of a service; the same one at each call.
        """
        everything = [*wanted.values(), *parts(*wanted.values())]
        free = functools.partial(self._may_have, everything) if self.life == "test" else None
        with turns.claimed(everything, free):
            for executor, (error, traceback) in self._failures:
                if is_in(executor, everything):
                    raise error.with_traceback(traceback)
            self._take_part(everything)
            missing = {name: e for name, e in wanted.items() if not is_in(e, self.up)}
            said = self._revive_dead(everything, when) if len(missing) < len(wanted) else []
            if missing:
                self._start(missing, everything, around, when)
            return said

    def _may_have(self, wanted: Sequence[Executor]) -> bool:
        """Whether no test in another thread has these services for itself (scope "test")."""
        return not any(
            group.life == "test" and group.shares(wanted) and turns.others(group.users.values())
            for group in list(holders)
        )

    def _take_part(self, wanted: Sequence[Executor]) -> None:
        """Share services that another thread has up, in a class with the same declarations."""
        with turns.lock:
            for other in list(holders):
                if (
                    other is self
                    or other.life != self.life
                    or not turns.others(other.users.values())
                ):
                    continue
                for batch in other._batches:
                    members = [e for e in batch._members.values() if isinstance(e, Executor)]
                    if not is_in(batch, self._batches) and any(is_in(e, wanted) for e in members):
                        self._batches.append(batch)
                        self.up += members
            if self._batches and self not in holders:
                holders.append(self)

    def _start(
        self,
        missing: Mapping[str, Executor],
        everything: Sequence[Executor],
        around: Mapping[str, Executor],
        when: str,
    ) -> None:
        _stop_all_at_exit_of(os.getpid())
        enter([self])
        batch = Orchestrator(missing)
        batch._bind({**everywhere, **around})
        for failed in _tried:
            if is_in(failed.executor, missing.values()) and failed.referred_to(around):
                raise failed.again().with_traceback(failed.traceback)
        if self not in holders:
            holders.append(self)
        self._batches.append(batch)
        self._tell_what_is_ignored(missing)
        for part in everything:
            part._may_be_scoped = True
        try:
            for name, executor in missing.items():
                refuse_shorter_lives(name, executor, around)
            farewells.make_room(missing.values())
            _attach(parts(*missing.values()), self.life)
            _begin(batch)
        except BaseException as error:
            with suppress(Exception):
                batch._stop()
            for part in [part for e in missing.values() for part in parts(e)]:
                if part._attached:  # and the start has not come to it
                    with suppress(Exception):
                        part.stop()
            self._batches.remove(batch)
            if not self._batches:
                self.forget()
            if isinstance(error, Exception) and not is_foreign(error):
                self._remember(error, batch, around, when)
            raise
        self.up += missing.values()
        for part in self._parts():
            part._in_testcase = True
        shutdown.at_exit(_at_exit)  # before executors see to themselves

    def _tell_what_is_ignored(self, missing: Mapping[str, Executor]) -> None:
        """Warn once of members of groups whose own scope has no effect."""
        for name, executor in missing.items():
            for part in parts(executor):
                told = part is executor or part._may_be_scoped
                if not told and part.scope not in ("class", self.life):
                    warn(
                        f"{part.name or type(part).__name__}: scope={part.scope!r} has no meaning "
                        f"within {name}, all of which has scope={self.life!r}: declare it outside"
                    )

    def _remember(
        self, error: Exception, batch: Orchestrator, around: Mapping[str, Executor], when: str
    ) -> None:
        if isinstance(error, AlreadyRunning):
            return  # something else runs it, and will stop it: a later start may succeed
        missing: dict[str, Any] = batch._members
        name = batch._culprit or getattr(error, "executor", None)
        culprits = [e for key, e in missing.items() if name and name in (key, e.name)]
        if culprits and not isinstance(error, InvalidArgument):
            # not for a wrong declaration: another class may have it right, and finds out at once
            _tried.extend(_Tried(e, around, when, error, _below(error)) for e in culprits)
            return
        reason = error, _below(error)
        self._failures += [(culprit, reason) for culprit in culprits or missing.values()]

    # -- between two tests --

    def may_revive(self, part: Executor) -> bool:
        """Whether a service may be started again after its death."""
        return self._revived[id(part)] < part._max_restarts

    def _revive_dead(self, wanted: Sequence[Executor], when: str) -> list[str]:
        said: list[str] = []
        up = self._parts(wanted)
        ask(up, when)
        self._make_whole(wanted)
        for part in up:
            death = death_of(part, when)
            if death is not None and not self.may_revive(part):
                name_it(death)
                raise afresh(death)
            if death is None and not stands_idle(part):
                continue
            if death is not None:
                self._revived[id(part)] += 1
                name_it(death)
                said.append(f"{sentence(death)}; started again {when} (restart=)")
                emit(Warned(text=said[-1], service=part.name))
            try:
                with suppress(Exception):
                    part.stop()
                tell_restart(part, "a test had stopped it" if death is None else sentence(death))
                with part._attempt():
                    part.start()
            except Exception as error:
                let_through(error)
                self._failures.append((part, (error, _below(error))))
                raise
        return said

    def _make_whole(self, wanted: Sequence[Executor]) -> None:
        """Start groups again that a test has stopped."""
        for batch in self._batches:
            for key in list(batch._started):
                group = batch._members[key]
                if not isinstance(group, Orchestrator):
                    continue
                found = parts(group)
                if not any(is_in(part, wanted) for part in found):
                    continue
                try:
                    group.make_whole()
                except Exception as error:
                    let_through(error)
                    self._failures += [(part, (error, _below(error))) for part in found]
                    raise

    def reset(self, wanted: Sequence[Executor]) -> None:
        """Reset services that a test has used."""
        for whole, members in self._resettable(wanted):
            used = [member for member in members if id(member) in self.used]
            if used and whole._can_reset():
                reset_and_tell(whole)
            for member in used:
                del self.used[id(member)]

    def mark_used(self, wanted: Sequence[Executor]) -> None:
        """Note that a test uses some services."""
        for _, members in self._resettable(wanted):
            self.used |= {id(member): member for member in members}

    def _resettable(self, wanted: Sequence[Executor]) -> list[tuple[Executor, list[Executor]]]:
        """The objects to reset, each with the executors that it resets: a group may have many."""
        found = []
        for batch in self._batches:
            for whole in [w for key in batch._started for w in resettable(batch._members[key])]:
                of = parts(whole)
                mine = [part for part in of if is_in(part, wanted)]
                if mine or not of:  # a group may have no executors
                    found.append((whole, mine or [whole]))
        return found

    # -- the stop --

    @boundary
    def stop(self, deaths: bool = True) -> None:
        """Stop the services that are up.

        :param deaths: whether a death is an error here; otherwise the caller reports it.
        :raises ProcessExited: for a service that has died, unless a report has named it.
        :raises StopFailed: if some did not stop as they should.
        """
        if not (self.users or self in holders) or turns.others(self.users.values()):
            return
        with turns.claimed(self.up):
            self._stop(deaths)

    def _stop(self, deaths: bool) -> None:
        with turns.lock:
            # of several pools with the same services the last one stops them
            held = [batch for group in holders if group is not self for batch in group._batches]
            self._batches = [batch for batch in self._batches if not is_in(batch, held)]
        everything = self._parts()
        errors: list[Exception] = []
        for part in everything:
            death = death_of(part, "after the last test that used it")
            if deaths and death is not None and not is_named(death):
                name_it(death)
                if self.may_revive(part):
                    emit(Warned(text=sentence(death), service=part.name))
                else:
                    errors.append(death)
            part._in_testcase = False
        errors += farewells.stop(self._batches[::-1], self.life, self.owner)
        for part in reversed(everything):
            # a member of a group that a test has stopped: it may run again, and has its directory
            if part._instance is not None and not part._instance.lease.over:
                try:
                    part.stop()
                except Exception as error:
                    errors.append(error)
        self.forget()  # not reached after Ctrl-C: then the exit of the process tries again
        if self.life == "test":
            leave([self])
        for problem in errors:
            let_through(problem)
        if interrupted:
            _warn_of(errors)
            return
        if len(errors) > 1:
            raise all_of(errors)
        if errors:
            raise errors[0]

    def forget(self) -> None:
        """Drop all services without stopping them."""
        self._batches, self.up, self.used = [], [], {}
        if self in holders:
            holders.remove(self)

    def shares(self, services: Iterable[Executor]) -> bool:
        """Whether one of some services is up in this pool."""
        return any(is_in(executor, self.up) for executor in services)


def enter(pools: Iterable[ServicePool]) -> None:
    """Note that this thread uses some pools, until it calls :func:`leave`."""
    me = threading.current_thread()
    for pool in pools:
        pool.users[id(me)] = me


def leave(pools: Iterable[ServicePool]) -> None:
    """Note that this thread does not use some pools any more."""
    me = threading.current_thread()
    for pool in pools:
        pool.users.pop(id(me), None)


def _attach(everything: Iterable[Executor], life: Scope) -> None:
    """Have those with ``shared=True`` use what a stack runs already, if the user wants that."""
    shared = [part for part in everything if part._shared and isinstance(part, SimpleExecutor)]
    for part in shared:
        refuse_what_cannot_be_shared(part, life)
    if shared and variable("SUMMON_ATTACH"):
        from ..stacks.attaching import attach

        attach(shared)


def _begin(batch: Orchestrator) -> None:
    """Start services; where a former life has their port until its farewell is over, wait."""
    try:
        batch._begin()
    except PortInUse as error:
        let_through(error)
        going = farewells.under_way()
        if not going:
            raise
        farewells.wait(going)
        batch._begin()


_run = ServicePool("run", "run")
_modules: dict[str, ServicePool] = {}


def groups_for(owner: str, module: str) -> list[ServicePool]:
    """The pools for the services of a class, the longest scope first."""
    shared = _modules.setdefault(module, ServicePool("module", module, module))
    return [_run, shared, ServicePool("class", owner, module), ServicePool("test", owner, module)]


def by_life(services: Mapping[str, Executor]) -> defaultdict[str, dict[str, Executor]]:
    """For each scope the services that have it.

    :raises InvalidArgument: if one of them has a scope that does not exist.
    """
    found: defaultdict[str, dict[str, Executor]] = defaultdict(dict)
    for name, executor in services.items():
        found[scope(name, executor.scope)][name] = executor
    return found


def _below(error: Exception) -> TracebackType | None:
    """The traceback without the frame that has caught the error, which another raise adds again."""
    return error.__traceback__ and error.__traceback__.tb_next


# -- services that are left over --


def make_room(module: str, mine: Sequence[ServicePool], services: Iterable[Executor]) -> None:
    """Before the services of a class start, stop services that are left over or in the way."""
    others = [
        group
        for group in list(holders)
        if group not in mine and not group.inside and not turns.others(group.users.values())
    ]
    if not others:
        return
    wanted = list(services)
    stop_all([g for g in others if g.life == "class" and (g.disposable or g.shares(wanted))])
    in_use = {module, *(group.module for group in holders if group.life == "class")}
    stop_all([g for g in others if g.life == "module" and g.module not in in_use])


def stop_all(groups: Sequence[ServicePool] = holders) -> None:
    """Stop some pools, or all; services to which others may refer stop last."""
    problems = []
    latest = list(groups)
    latest.reverse()
    for group in sorted(latest, key=lambda group: SCOPES.index(group.life)):
        try:
            group.stop()
        except Exception as error:
            let_through(error)
            problems.append(f"services of {group.owner}: {error}")
    _warn_of(problems)


def _warn_of(problems: Iterable[object]) -> None:
    """Warn of what went wrong when no test is left that could report it."""
    for problem in problems:
        warnings.warn(str(problem), RuntimeWarning, stacklevel=3)


def _at_exit() -> None:
    for group in list(holders):
        group.users = {}  # stopped even if a thread still uses it
    stop_all()
    farewells.wait(farewells.under_way())
    _warn_of(farewells.told())


@functools.cache
def _stop_all_at_exit_of(pid: int) -> None:
    """See to it that the end of this process stops everything.

    At the first start and not at import, since the hooks of a worker are those that it
    registers itself.
    """
    run.begin()
    shutdown.at_exit(_at_exit)
    shutdown.at_exit_of_worker(_at_exit)


def _own_nothing() -> None:
    """In a forked child: drop all services, which belong to the parent."""
    for group in list(holders):
        group.users = {}
        for part in group._parts():
            part._in_testcase = False
        group.forget()


shutdown.in_forked_child(_own_nothing)


def _remember_nothing() -> None:
    """Forget failed starts, and the pools of classes that have run."""
    global _run
    _run = ServicePool("run", "run")
    _modules.clear()
    _tried.clear()
    everywhere.clear()


shutdown.at_reset(_remember_nothing)
