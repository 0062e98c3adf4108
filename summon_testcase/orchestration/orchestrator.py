"""Starts many services in the right order, and stops them in the reverse order."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ..errors import (
    AlreadyRunning,
    InvalidArgument,
    StartFailed,
    StopFailed,
    SummonError,
    blame,
    is_ours,
    sentence,
)
from ..executors.copies import Copied
from ..executors.deaths import all_of, leave, stop_and_tell
from ..executors.executor import (
    Executor,
    Startable,
    at_once,
    overridden,
    reset_and_tell,
    stands_idle,
    start_of,
    stop_of,
    tell_restart,
)
from ..executors.running import handover
from ..executors.simple import SimpleExecutor
from ..foreign import let_through, suppress
from ..scheduling.caller import Caller, here, is_own
from ..scheduling.graph import GraphRun, reverse
from ..scheduling.steps import Steps, nothing, run
from ..tracebacks import boundary, boundary_of_start, boundary_on_a_loop, hidden, warn_on_a_loop
from ..unpatched import os, stay_imported
from .members import Group

__tracebackhide__ = hidden

F = TypeVar("F", bound=Callable[..., Any])
O = TypeVar("O", bound="Orchestrator")  # noqa: E741


class Orchestrator(Copied, Group):
    """Starts and stops many executors, and has the interface of one.

    :param executors: a *sequence* is started in order, each when the one before it is
        ready.  A *mapping* gives names; templates such as ``{db.port}`` and ``after`` make
        a graph of them.  A member starts as soon as those that it refers to are ready;
        members that do not wait start at the same time.
    :param name: its name in a larger orchestrator.
    :param after: executors, or names, that must be ready before its members start: one, or
        several.
    :raises InvalidArgument: for a member without ``start`` and ``stop``.

    >>> from summon_testcase import SimpleExecutor
    >>> with Orchestrator({"a": SimpleExecutor("sleep 60"), "b": SimpleExecutor("sleep 60")}):
    ...     pass
    """

    @boundary
    def __init__(
        self,
        executors: Iterable[Startable] | Mapping[str, Startable],
        *,
        name: str = "",
        after: object | Iterable[object] = (),
    ) -> None:
        super().__init__(executors, name=name, after=after)
        #: members that were started, in the order in which they became ready
        self._started: list[str] = []
        #: all members, in the order in which they became ready when it was last started
        self._order: list[str] = []
        #: the member that made the last start fail
        self._culprit = ""
        #: members that were killed, and have not been stopped since
        self._killed: list[str] = []
        #: for each member that the last start has come to, who had called its start before that
        self._before: dict[str, Caller | None] = {}

    # -- copies --

    def __getstate__(self) -> dict[str, Any]:
        """A copy is a declaration that has not been started."""
        state = {**vars(self), "_started": [], "_order": [], "_killed": [], "_before": {}}
        for bound in ("_services", "_start", "_starter", "_in_testcase"):
            state.pop(bound, None)
        return state

    def _away(self) -> dict[str, Any] | None:
        if not self._started:
            return None
        owner = self._elsewhere or os.getpid()
        return {**self.__getstate__(), "_started": list(self._started), "_elsewhere": owner}

    # -- start --

    @boundary_of_start
    def start(self: O) -> O:
        """Start all members; block until all are ready.

        If one fails, the other starts are cancelled, and members that had started are stopped.

        :returns: the orchestrator itself.
        :raises AlreadyRunning: if it runs.
        :raises SummonError: the error of the member that failed first; its
            ``consequences`` say what became of the others.
        """
        warn_on_a_loop("start()", "await …start_async()")
        self._tell_what_is_ignored()
        self._bind(self._services)
        return self._begin()

    _native_start = start

    def _tell_what_is_ignored(self) -> None:
        super()._tell_what_is_ignored()
        for member in self._members.values():
            if isinstance(member, Executor):
                member._tell_what_is_ignored()

    def _begin(self: O) -> O:
        self._refuse_elsewhere()
        self._check()
        before = self._starter
        try:
            run(self._starting())
            return self
        except BaseException as error:
            if not is_ours(error) and is_own(self._starter, before):
                # needed if Ctrl-C came when all were ready already, or during the clean-up
                self._clear()
                vars(self).pop("_start", None)
            raise

    #: the start that is under way
    _start: GraphRun | None = None
    #: who has called the last start that was not refused: a new object at each start
    _starter: Caller | None = None

    def _starting(self) -> Steps[None]:
        """The start as steps."""
        graph_run = GraphRun(self._graph, self._starting_of)
        try:
            with handover:
                # asked in this order, since a start that comes to its end has started members
                state = "being started" if self._start else "running" if self._started else ""
                if not state:
                    self._start, self._starter, self._before = graph_run, here(), {}
            if state:
                raise AlreadyRunning(
                    f"{self._called}: is {state} already: call stop() first",
                    executor=self.name or None,
                )
            self._started = graph_run.done
            stay_imported()
            self._warm_up()
            yield from graph_run.steps(go_on=False)
            if graph_run.called_off:
                raise StartFailed(
                    f"{self._called}: was stopped while it was starting",
                    executor=self.name or None,
                )
            if graph_run.errors:
                self._culprit = graph_run.failed[0]
                blame(graph_run.errors[0], self._culprit)
                raise graph_run.errors[0]
            self._order = list(graph_run.done)
        except BaseException as error:
            if self._start is graph_run:
                undoing = self._undo(error, graph_run)
                if isinstance(error, GeneratorExit):  # after which nothing can be waited for
                    run(undoing)
                else:
                    yield from undoing
            raise
        finally:
            if self._start is graph_run:
                del self._start

    def _starting_of(self, key: str) -> Steps[None]:
        member = self._members[key]
        if isinstance(member, Executor):
            self._before[key] = member._last_start()
        done = isinstance(member, SimpleExecutor) and member._needs_no_start()
        return nothing() if done else start_of(member, key)

    def _undo(self, error: BaseException, graph_run: GraphRun) -> Steps[None]:
        try:
            yield from self._roll_back(error, graph_run)
        except BaseException:
            # Ctrl-C has interrupted the clean-up of the failed start
            graph_run.cancel()
            self._clear()
            raise

    def _roll_back(self, error: BaseException, graph_run: GraphRun) -> Steps[None]:
        told = [
            ("still starting, cancelled", graph_run.under_way),
            ("started, stopped again", graph_run.done[::-1]),
            ("not started", graph_run.waiting),
        ]
        failed = graph_run.errors[1:]
        errors = graph_run.cancel()
        # also members that became ready just when the start failed, or when Ctrl-C came
        self._started = graph_run.done + [
            key for key in self._begun(graph_run) if key not in graph_run.done
        ]
        try:
            yield from self._stopping()
        except Exception as failure:
            let_through(failure)
            errors.append(failure)
        if isinstance(error, SummonError):
            error.consequences += tuple(f"{what}: {', '.join(who)}" for what, who in told if who)
            error.consequences += tuple(f"and failed: {sentence(e)}" for e in failed)
            error.consequences += tuple(f"and while stopping: {sentence(e)}" for e in errors)

    def make_whole(self) -> None:
        """Start members that were stopped with the group again, each after those that it needs."""
        if not self._started and self._order and overridden(self, "start"):
            with self._attempt():
                self.start()
            return
        for key in self._order:
            member = self._members[key]
            if isinstance(member, Orchestrator):
                member.make_whole()
            if key in self._started:
                continue
            own = not isinstance(member, (SimpleExecutor, Orchestrator))
            if own or stands_idle(member):
                # an object that is no service does not tell whether it runs
                stay_imported()
                tell_restart(member, "a test had stopped it", key)
                run(start_of(member, key))
            self._started.append(key)

    # -- stop --

    def running(self) -> bool:
        """Whether all members are running; members that cannot tell do not count."""
        return bool(self._started) and all(
            member.running()
            for member in (self._members[key] for key in list(self._started))
            if hasattr(member, "running")
        )

    @boundary
    def stop(self) -> None:
        """Stop all members in the reverse order of the graph, in parallel where it may be.

        Every stop is attempted.

        :raises ProcessExited: for a service among them that had died.
        :raises StopFailed: with the error of each failed stop in ``errors``.
        """
        warn_on_a_loop("stop()", "await …stop_async()")
        self._refuse_elsewhere()
        try:
            run(stop_and_tell(at_once(self._stop), self._everyone()))
        except BaseException as error:
            if not is_ours(error):
                # needed if Ctrl-C came before the stop had begun
                self._clear()
            raise

    @boundary_on_a_loop
    async def stop_async(self) -> None:
        """Stop all members; other tasks of the asyncio event loop go on meanwhile.

        A stop that is cancelled kills at once.

        :raises ProcessExited: for a service among them that had died.
        :raises StopFailed: with the error of each failed stop in ``errors``.
        """
        await self._stop_on_a_loop(stop_and_tell(stop_of(self), self._everyone()))

    def _stop(self, but: Collection[str] = ()) -> None:
        try:
            run(self._stopping(but))
        except BaseException as error:
            if not is_ours(error):
                self._clear()
            raise

    @boundary
    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # without another error stop() reports deaths itself
        run(leave(error, at_once(self.stop), () if error is None else self._everyone()))

    def _everyone(self) -> Iterator[Executor]:
        """All executors among the members, also those in inner orchestrators."""
        for member in self._members.values():
            if isinstance(member, Orchestrator):
                yield from member._everyone()
            elif isinstance(member, Executor):
                yield member

    _native_stop = stop

    @boundary
    def kill(self) -> None:
        """Kill all members at once; members without ``kill()`` are stopped.

        As for one executor, ``start()`` finds their ports and directories again, and ``stop()``
        gives them up.

        :raises StopFailed: if a process could not be killed.
        """
        self._refuse_elsewhere()
        for key in self._called_off():
            if key not in self._killed:
                self._killed.append(key)
        self._each(lambda member: getattr(member, "kill", member.stop)())

    def reset(self) -> None:
        """Reset all members that can be reset, in the order in which they became ready.

        If an inner orchestrator has a ``reset()`` of its own, that is called.

        :raises NotImplementedError: if no member can be reset.
        """
        # also if it does not run: then reset() of a member says so
        members = [self._members[key] for key in list(self._started or self._members)]
        able = [m for m in members if isinstance(m, Executor) and m._can_reset()]
        if not able:
            super().reset()
        for member in able:
            reset_and_tell(member)

    _native_reset = reset

    def _can_reset(self) -> bool:
        """Whether one of its members can be reset."""
        members = [m for m in self._members.values() if isinstance(m, Executor)]
        return overridden(self, "reset") or any(member._can_reset() for member in members)

    @contextlib.contextmanager
    def _attempt(self) -> Iterator[None]:
        before = self._starter
        try:
            yield
        except BaseException:
            if is_own(self._starter, before):
                self._clear()
            raise

    def _last_start(self) -> Caller | None:
        return self._starter

    def _clear(self) -> None:
        """After Ctrl-C in a start or stop: kill what is left of the members."""
        with suppress(StopFailed):
            self._each(_clear)

    def _undo_start(self, before: Caller | None) -> None:
        if self._started and is_own(self._starter, before):
            self._clear()

    def _each(self, end: Callable[[Startable], object]) -> None:
        """End all members that may run, the last first."""
        failed: list[StopFailed] = []
        for key in self._called_off():
            member = self._members[key]
            try:
                if isinstance(member, Executor) or self._strike(key):
                    end(member)
            except StopFailed as error:
                let_through(error)
                failed.append(error)
            except Exception as error:
                # the other members are ended nevertheless
                let_through(error)
        self._started = []
        if failed:
            raise failed[0]

    def _called_off(self) -> list[str]:
        """End a start that is under way; the names of all members that may run, the last first."""
        graph_run = self._start
        if graph_run is None:
            return self._started[::-1]
        graph_run.called_off = True
        return list(dict.fromkeys([*self._begun(graph_run), *self._started[::-1]]))

    def _begun(self, graph_run: GraphRun) -> list[str]:
        """The members whose start is under way, but for those that somebody else has started."""
        return [key for key in graph_run.under_way if not self._is_anothers(key)]

    def _is_anothers(self, key: str) -> bool:
        member = self._members[key]
        if not isinstance(member, Executor):
            return False
        last, before = member._last_start(), self._before.get(key)
        if last is before:
            return last is not None and bool(getattr(member, "running", bool)())
        return last != self._starter

    def _can_part(self) -> bool:
        members = self._members.values()
        return not overridden(self, "stop") and all(
            isinstance(member, Executor) and member._can_part() for member in members
        )

    def _part(self: O) -> O:
        return self._split(self._members)

    def _split(self: O, keys: Collection[str]) -> O:
        """Leave the lives of some members to an orchestrator of copies."""
        former = copy.copy(self)
        former._members = {key: self._members[key]._part() for key in self._members if key in keys}
        former._services = self._services
        former._started = [key for key in self._started if key in keys]
        self._started = [key for key in self._started if key not in keys]
        return former

    def _stopping(self, but: Collection[str] = ()) -> Steps[None]:
        """The stop as steps.

        :param but: members that run on.
        """
        self._refuse_elsewhere()
        every = dict.fromkeys([*self._called_off(), *self._killed])
        keys = [key for key in every if key not in but]
        graph_run = GraphRun(reverse(self._graph, keys), self._stopping_of)
        try:
            yield from graph_run.steps(go_on=True)
        except BaseException:
            # after an interrupted stop, too, nothing is running
            graph_run.cancel()
            self._clear()
            raise
        self._killed = [key for key in self._killed if key in but]
        errors = graph_run.errors
        for key, error in zip(graph_run.failed, errors, strict=True):
            blame(error, key)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise all_of(errors)

    def _stopping_of(self, key: str) -> Steps[None]:
        member = self._members[key]
        if not isinstance(member, Executor):
            # several threads and signal handlers may stop the group: one of them stops a member
            if self._strike(key):
                yield from stop_of(member, key)
            return
        try:
            yield from stop_of(member, key)
        except Exception as error:
            let_through(error)
            self._strike(key)
            raise
        self._strike(key)

    def _strike(self, key: str) -> bool:
        """Take a member off the list of started ones; False if another thread has done so."""
        try:
            self._started.remove(key)
        except ValueError as error:
            let_through(error)
            return False
        return True


class orchestrated(contextlib.ContextDecorator):
    """Services that run for a block, or for the calls of a function that it decorates.

    In a coroutine the block is ``async with orchestrated(…)``: other tasks of the asyncio event
    loop go on while services start and stop.

    Positional arguments are a sequence, keyword arguments a mapping; see
    :class:`Orchestrator`.

    >>> from summon_testcase import SimpleExecutor
    >>> with orchestrated(SimpleExecutor("sleep 60"), SimpleExecutor("sleep 60")) as (a, b):
    ...     a.running() and b.running()
    True

    A function may be a coroutine function or a generator function: the services run until the
    coroutine, or the generator, ends.  The calling thread starts and stops them, and an event loop
    in it is blocked meanwhile.  Calls within calls, or at the same time, share the services.

    :raises InvalidArgument: if both kinds of arguments are given, or a class is decorated: a
        TestCase has its services as class attributes, with the :class:`SummonMixin`.
    """

    @boundary
    def __init__(self, *executors: Any, **named: Any) -> None:
        if executors and named:
            raise InvalidArgument(
                "orchestrated(): give either positional arguments, a sequence, or keyword "
                "arguments, a graph; nest orchestrated(…) for both"
            )
        if len(executors) == 1 and callable(it := executors[0]) and not hasattr(it, "start"):
            name = getattr(it, "__name__", it)
            raise InvalidArgument(
                f"orchestrated() is given {name} alone, which has no start(): to decorate it write "
                "@orchestrated(…) with the services in parentheses"
            )
        self._members = executors or tuple(named.values())
        self._orchestrator = Orchestrator(named or executors)

    def __call__(self, func: F) -> F:
        """Decorate a function."""
        # shared by all decorated functions; made here, since a lock cannot be pickled
        from .decorated import Shared, decorated

        shared = vars(self).setdefault("_shared", Shared(self))
        wrapped: F = decorated(shared, func)
        return wrapped

    @boundary_of_start
    def __enter__(self) -> tuple[Any, ...]:
        warn_on_a_loop("with orchestrated(…)", "async with orchestrated(…)")
        self.start()
        return self._members

    @boundary
    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        everyone = () if error is None else self._orchestrator._everyone()
        run(leave(error, at_once(self.stop), everyone))

    async def __aenter__(self) -> tuple[Any, ...]:
        await self._orchestrator.start_async()
        return self._members

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self._orchestrator.__aexit__(kind, error, traceback)

    @boundary_of_start
    def start(self) -> orchestrated:
        """Start all, without a block."""
        self._orchestrator.start()
        return self

    def _last_start(self) -> Caller | None:
        return self._orchestrator._last_start()

    def _undo_start(self, before: Caller | None) -> None:
        self._orchestrator._undo_start(before)

    @boundary
    def stop(self) -> None:
        """Stop all.

        :raises ProcessExited: for a service among them that had died.
        :raises StopFailed: if some did not stop as they should.
        """
        self._orchestrator.stop()


def _clear(member: Startable) -> None:
    if isinstance(member, Executor):
        member._clear()
    else:
        member.stop()
