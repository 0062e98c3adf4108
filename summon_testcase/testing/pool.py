"""Services that live as long as a test, a class, a module or the whole run.

A :class:`ServicePool` holds those of one class, or of one module, ...: it starts them, starts again
what must be before a test, and stops them.
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

from ..declaration.arguments import perform
from ..declaration.lifetime import SCOPES, Scope, scope
from ..errors import AlreadyRunning, InvalidArgument, SummonError
from ..executors.deaths import all_of, ask, death_of, is_named, name_it, sentence
from ..executors.executor import Executor, stands_idle
from ..foreign import is_foreign, let_through, suppress
from ..orchestration.orchestrator import Orchestrator
from ..supervision import shutdown
from ..tracebacks import boundary, warn
from ..unpatched import os
from . import turns
from .selection import afresh, is_in, parts, refuse_shorter_lives, resettable

Reason = tuple[Exception, TracebackType | None]

#: groups that have something up, in the order of their starts
holders: list[ServicePool] = []


class _Tried:
    """A start that failed, which no class of this process tries again."""

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
        """Whether it would be the same start among other services, which may replace some."""
        others = _referred_to(self.executor, around)
        return len(others) == len(self._others) and all(map(operator.is_, others, self._others))

    def again(self) -> Exception:
        """The error for another class, which tells whose start it was."""
        error, said = afresh(self.error), f"tried {self.when}, and not again in this process"
        if isinstance(error, SummonError):
            error.consequences = (*(c for c in error.consequences if c != said), said)
        elif hasattr(error, "add_note"):
            error.add_note(said)
        else:
            vars(error)["__notes__"] = [said]
        return error


def _referred_to(executor: Executor, around: Mapping[str, Executor]) -> list[Executor | None]:
    after = [n for n, e in around.items() if any(t is e or t == n for t in executor.after)]
    return [around.get(name) for name in sorted({*executor._needs(), *after})]


#: once per process, also for other classes that inherit a declaration
_tried: list[_Tried] = []


class ServicePool:
    """Services that live and die together.

    :param life: their scope.
    :param owner: the name of the class or of the module.
    :param module: the module that it belongs to.
    """

    def __init__(self, life: Scope, owner: str = "", module: str = "") -> None:
        self.life = life
        self.owner = owner
        self.module = module
        #: no clean-up is sure to come: they may go when another class starts
        self.disposable = False
        #: whether a clean-up of the module is to come
        self.cleanup_due = False
        #: how many tests that use them are inside run()
        self.inside = 0
        #: the threads of those who are not done with them
        self.users: list[turns.Somebody] = []
        self._batches: list[Orchestrator] = []
        self._up: list[Executor] = []
        #: what cannot be started here, or not again, and why
        self._failures: list[tuple[Executor, Reason]] = []
        #: what a test has used since it was started
        self._used: dict[int, Executor] = {}
        self._revived: Counter[int] = Counter()

    def __repr__(self) -> str:
        return f"<services of the {self.life} {self.owner}>"

    def __bool__(self) -> bool:
        return bool(self._batches)

    def _parts(self, wanted: Sequence[Executor] | None = None) -> list[Executor]:
        """What is up, those first that others may refer to."""
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
    ) -> None:
        """Have some services up: those that are not yet are started.

        :param around: all services of the class, to which these may refer.
        :param when: for messages, "before ShopTest".
        :raises SummonError: or whatever a service raises; the same one at each call.
        """
        if not wanted:
            return
        everything = [p for e in wanted.values() for p in (e, *parts(e))]
        with turns.claimed(everything, lambda: self._may_have(everything)):
            self._bring_up(wanted, everything, around, when)

    def _may_have(self, wanted: Sequence[Executor]) -> bool:
        """Whether no test in another thread has for itself what is wanted here for one."""
        return self.life != "test" or not any(
            group.life == "test" and group.shares(wanted) and turns.others(group.users)
            for group in list(holders)
        )

    def _take_part(self, wanted: Sequence[Executor]) -> None:
        """Hold what another thread has up too, in a class that has the same declaration."""
        with turns.lock:
            for other in list(holders):
                if other is self or other.life != self.life or not turns.others(other.users):
                    continue
                for batch in other._batches:
                    members = [e for e in batch._members.values() if isinstance(e, Executor)]
                    if not is_in(batch, self._batches) and any(is_in(e, wanted) for e in members):
                        self._batches.append(batch)
                        self._up += members
            if self._batches and self not in holders:
                holders.append(self)

    def _bring_up(
        self,
        wanted: Mapping[str, Executor],
        everything: Sequence[Executor],
        around: Mapping[str, Executor],
        when: str,
    ) -> None:
        for executor, (error, traceback) in self._failures:
            if is_in(executor, everything):
                raise error.with_traceback(traceback)
        self._take_part(everything)
        missing = {name: e for name, e in wanted.items() if not is_in(e, self._up)}
        if not missing:
            return
        _stop_all_at_exit_of(os.getpid())
        if self.life == "test":
            self.enter()
        batch = Orchestrator(missing)
        batch._bind(around)
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
            batch._begin()
        except BaseException as error:
            with suppress(Exception):
                batch._stop()
            self._batches.remove(batch)
            if not self._batches:
                self.forget()
            if isinstance(error, Exception) and not is_foreign(error):
                self._remember(error, batch, around, when)
            raise
        self._up += missing.values()
        for part in self._parts():
            part._in_testcase = True
        shutdown.at_exit(_at_exit)  # before executors see to themselves

    def _tell_what_is_ignored(self, missing: Mapping[str, Executor]) -> None:
        """Say once which members of groups have a scope of their own."""
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
            return  # for somebody else, who will stop it
        missing: dict[str, Any] = batch._members
        name = batch._culprit or getattr(error, "executor", None)
        culprits = [e for key, e in missing.items() if name and name in (key, e.name)]
        if culprits and not isinstance(error, InvalidArgument):
            # what was declared wrongly is wrong in this class, and costs no time
            _tried.extend(_Tried(e, around, when, error, _below(error)) for e in culprits)
            return
        reason = error, _below(error)
        self._failures += [(culprit, reason) for culprit in culprits or missing.values()]

    # -- between two tests --

    def may_revive(self, part: Executor) -> bool:
        """Whether it is started again if it dies."""
        return self._revived[id(part)] < part._max_restarts

    def revive_dead(self, wanted: Sequence[Executor], when: str) -> list[str]:
        """Start again what has died and may be, and what a test has stopped.

        :param when: for the message, "before ShopTest.test_buys".
        :returns: sentences about what had died.
        :raises ProcessExited: for what has died and may not be started again.
        """
        if not self._batches:
            return []
        with turns.claimed(self._parts(wanted)):
            return self._revive_dead(wanted, when)

    def _revive_dead(self, wanted: Sequence[Executor], when: str) -> list[str]:
        said: list[str] = []
        ask(self._parts(wanted), when)
        self._make_whole(wanted)
        for part in self._parts(wanted):
            death = death_of(part, when)
            if death is not None and not self.may_revive(part):
                name_it(death)
                raise afresh(death)
            if death is None and not stands_idle(part):
                continue
            if death is not None:
                from ..supervision.stopping import logger

                self._revived[id(part)] += 1
                name_it(death)
                said.append(f"{sentence(death)}; started again {when} (restart=)")
                logger.warning("%s", said[-1])
            try:
                with suppress(Exception):
                    part.stop()
                with part._attempt():
                    part.start()
            except Exception as error:
                let_through(error)
                self._failures.append((part, (error, _below(error))))
                raise
            self._used.pop(id(part), None)
        return said

    def _make_whole(self, wanted: Sequence[Executor]) -> None:
        """Start again what a test has stopped as a group."""
        for batch in self._batches:
            for key in list(batch._started):
                group = batch._members[key]
                found = parts(group) if isinstance(group, Orchestrator) else []
                if not any(is_in(part, wanted) for part in found):
                    continue
                idle = [part for part in found if stands_idle(part)]
                try:
                    group.make_whole()
                    for part in idle:
                        self._used.pop(id(part), None)
                except Exception as error:
                    let_through(error)
                    self._failures += [(part, (error, _below(error))) for part in found]
                    raise

    def reset(self, wanted: Sequence[Executor]) -> None:
        """Reset what a test has used."""
        if not self._used:
            return
        for whole, members in self._resettable(wanted):
            used = [member for member in members if id(member) in self._used]
            if used and whole._can_reset():
                perform(f"reset() of {whole.name}", whole.reset)
            for member in used:
                del self._used[id(member)]

    def mark_used(self, wanted: Sequence[Executor]) -> None:
        """Note that a test uses these."""
        for _, members in self._resettable(wanted):
            self._used |= {id(member): member for member in members}

    def _resettable(self, wanted: Sequence[Executor]) -> list[tuple[Executor, list[Executor]]]:
        """What is reset, and of each what that is done for: a group may reset all of it at once."""
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
        """Stop what is up; nothing otherwise.

        :param deaths: whether what died is an error here; else others will report it.
        :raises ProcessExited: for one that has died, unless a report has named it.
        :raises StopFailed: if some did not stop as they should.
        """
        if turns.others(self.users) or not (self.users or self in holders):
            return
        with turns.claimed(self._up):
            self._stop(deaths)

    def _stop(self, deaths: bool) -> None:
        with turns.lock:
            # the last one stops what several have
            held = [batch for group in holders if group is not self for batch in group._batches]
            self._batches = [batch for batch in self._batches if not is_in(batch, held)]
        everything = self._parts()
        errors: list[Exception] = []
        for part in everything:
            death = death_of(part, "after the last test that used it")
            if deaths and death is not None and not is_named(death):
                name_it(death)
                if self.may_revive(part):
                    from ..supervision.stopping import logger

                    logger.warning("%s", sentence(death))
                else:
                    errors.append(death)
            part._in_testcase = False
        for batch in reversed(self._batches):
            try:
                batch._stop()  # deaths have been seen to
            except Exception as error:
                errors.append(error)
        for part in reversed(everything):
            # one of a group that a test has stopped: it may run again, and has its directory
            if part._instance is not None and not part._instance.lease.over:
                try:
                    part.stop()
                except Exception as error:
                    errors.append(error)
        self.forget()  # not when Ctrl-C broke in: then the exit of the process tries again
        if self.life == "test":
            self.leave()
        for problem in errors:
            let_through(problem)
        if len(errors) > 1:
            raise all_of(errors)
        if errors:
            raise errors[0]

    def forget(self) -> None:
        """Hold nothing any more, without stopping it."""
        for part in self._parts():
            part._in_testcase = False
        self._batches, self._up, self._used = [], [], {}
        if self in holders:
            holders.remove(self)

    def enter(self) -> None:
        """This thread uses it, until it leaves."""
        me = threading.current_thread()
        with turns.lock:
            if not is_in(me, self.users):
                self.users.append(me)

    def come_in(self) -> None:
        """A test that uses it is inside run()."""
        with turns.lock:
            self.inside += 1

    def go_out(self) -> None:
        """It is no longer."""
        with turns.lock:
            self.inside -= 1

    def leave(self) -> None:
        """This thread is done with it."""
        me = threading.current_thread()
        with turns.lock:
            self.users = [user for user in self.users if user is not me]

    def shares(self, services: Iterable[Executor]) -> bool:
        """Whether some services are among those that are up."""
        return any(is_in(executor, self._up) for executor in services)


_run = ServicePool("run", "run")
_modules: dict[str, ServicePool] = {}


def groups_for(owner: str, module: str) -> list[ServicePool]:
    """The groups that a class has its services in, the longest life first."""
    shared = _modules.setdefault(module, ServicePool("module", module, module))
    return [_run, shared, ServicePool("class", owner, module), ServicePool("test", owner, module)]


def by_life(services: Mapping[str, Executor]) -> defaultdict[str, dict[str, Executor]]:
    """For each scope the services that have it.

    :raises InvalidArgument: for what is no scope.
    """
    found: defaultdict[str, dict[str, Executor]] = defaultdict(dict)
    for name, executor in services.items():
        found[scope(name, executor.scope)][name] = executor
    return found


def _below(error: Exception) -> TracebackType | None:
    """The traceback without the frame that caught it, which will be there again."""
    return error.__traceback__ and error.__traceback__.tb_next


# -- those that are left over --


def make_room(module: str, mine: Sequence[ServicePool], services: Iterable[Executor]) -> None:
    """Stop, before the services of a class start, what is left over or in the way."""
    others = [
        group
        for group in list(holders)
        if group not in mine and not group.inside and not turns.others(group.users)
    ]
    if not others:
        return
    wanted = list(services)
    stop_all([g for g in others if g.life == "class" and (g.disposable or g.shares(wanted))])
    in_use = {module, *(group.module for group in holders if group.life == "class")}
    stop_all([g for g in others if g.life == "module" and g.module not in in_use])


def stop_all(groups: Sequence[ServicePool] = holders) -> None:
    """Stop some groups, or all; those that others may refer to last."""
    problems = []
    latest = list(groups)
    latest.reverse()
    for group in sorted(latest, key=lambda group: SCOPES.index(group.life)):
        try:
            group.stop()
        except Exception as error:
            let_through(error)
            problems.append(f"services of {group.owner}: {error}")
    for problem in problems:  # no test of theirs is left to report it
        warnings.warn(problem, RuntimeWarning, stacklevel=2)


def _at_exit() -> None:
    for group in list(holders):
        group.users = []  # a thread that still runs now is no reason to leave it
    stop_all()


@functools.cache
def _stop_all_at_exit_of(pid: int) -> None:
    """See to it that the end of this process stops everything.

    At the first start and not at import, since the hooks of a worker are those that it
    registers itself.
    """
    shutdown.at_exit(_at_exit)
    shutdown.at_exit_of_worker(_at_exit)


def _own_nothing() -> None:
    """After a fork, in the child: the services belong to the parent."""
    for group in list(holders):
        group.users = []
        group.forget()


shutdown.in_forked_child(_own_nothing)


def _remember_nothing() -> None:
    """Of failed starts, and of the pools of classes that have run."""
    global _run
    _run = ServicePool("run", "run")
    _modules.clear()
    _tried.clear()


shutdown.at_reset(_remember_nothing)
