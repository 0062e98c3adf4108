"""The start of a service, from the lease of its port until it is ready.

Imported when something is started for the first time.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ..declaration import file_arguments
from ..declaration.arguments import perform
from ..declaration.command import Launch
from ..errors import AlreadyRunning, InvalidArgument, SpawnFailed
from ..events import ServiceStarting, Warned, emit
from ..foreign import is_foreign, let_through, undisturbed
from ..readiness.conditions import AllOf, Completed, Meanwhile, NoFailure, Spawned, Until
from ..readiness.probe import Probe
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps
from ..supervision import run
from ..supervision.instance import Instance
from ..system import ports
from ..unpatched import time
from . import checks, references
from .address import told_url
from .executor import overridden
from .loading import load
from .running import handover, hold

if TYPE_CHECKING:
    from .simple import SimpleExecutor


def steps(executor: SimpleExecutor) -> Steps[None]:
    """The start as steps; a start that fails leaves nothing running."""
    died = executor._instance
    if died is not None and died.in_use and not died.running():
        # processes that it has left may live
        executor._finish(died, keep_lease=True)
    run.begin()
    began = time.monotonic()
    deadline = Deadline(executor._limits.timeout)
    instance: Instance | None = None
    hooks = False
    probe: Probe | None = None
    try:
        with handover:
            former = refuse_twice(executor)
            instance = executor._instance = Instance(
                executor._called, executor._owner_name, executor._limits, former
            )
        instance.tell(
            ServiceStarting,
            kind=type(executor).__name__,
            scope=executor.scope,
            after=executor._referred_to(),
        )
        instance.port = instance.lease.port if executor._port is None else executor._port
        # a port that is leased from now on is free
        instance.lingering = "" if instance.port is None else ports.lingering(instance.port)
        instance.one_shot, instance.serves = executor._one_shot, executor._serves
        if executor._files:
            file_arguments.write(
                executor._called,
                executor._files,
                executor.tmpdir,
                executor._fill,
                functools.partial(references.directory, executor),
            )
        if overridden(executor, "prepare"):
            executor._port_now()
            for field in references.named_ports(executor):
                references.own(executor, field)
            hooks = True
            perform(f"{instance.name}: prepare()", executor.prepare)
        hooks = False
        instance.prepared = True
        probe = _all_probes(executor, instance)
        # half of the time, so that a slow resolver leaves some for the start
        occupied = yield from probe.occupied(instance.name, began + deadline.left() / 2)
        if occupied is not None:
            raise occupied
        question, probe = probe, _watched(executor, probe, instance)
        launched = executor._launch()
        # nothing is wrong with the declaration: the warden boots while the rest is imported
        executor._warm_up()
        load("supervision.starting")
        from ..supervision.starting import get_ready

        if executor._launcher:
            instance.who_is_there = functools.partial(question.occupied, instance.name)
        # without anything to wait for it is ready, even if it ends at this moment
        one_time = executor._one_shot or executor._launcher
        waits = instance.waits or one_time or executor._fails_on
        yield from get_ready(instance, launched, probe if waits else None, deadline)
        instance.outlasts = executor._launcher and instance.process.ended
        if executor._launcher and instance.waits and not instance.outlasts:
            load("executors.alive")
            from .alive import lives_elsewhere

            # a process that the launcher has left is alive here: the server, or a straggler
            instance.lives_elsewhere = functools.partial(lives_elsewhere, instance, question)
        executor._ready(instance)
        if instance.match and "port" in instance.match.groupdict():
            # the port is known only now
            path = launched.env.get("PATH")
            launched.stop = _stop_words(executor, path, launched.cwd)
            instance.process.farewell()
        hooks = True
        perform(f"{instance.name}: ready()", executor.ready)
        again, instance.lease.begun = instance.lease.begun, True
        hold(executor, instance)
    except BaseException as error:
        if instance is not None:
            executor._finish(instance, keep_lease=True, failure=error)
        if isinstance(error, OSError) and not hooks and not is_foreign(error):
            raise SpawnFailed(f"{executor._called}: not started: {error}") from error
        raise
    finally:
        if probe is not None:
            probe.close()
    instance.tell_ready(told_url(executor))
    if again:
        # warn of services that were started with values which this start has changed
        for service in executor._services.values():
            for said in getattr(service, "_stale", list)():
                emit(Warned(text=said, service=getattr(service, "name", "")))


def refuse_twice(executor: SimpleExecutor) -> Instance | None:
    """Refuse to start what is started already; return the former instance."""
    instance = executor._instance
    if instance is None or not (instance.starting or instance.running()):
        return instance
    said = "is being started already: by another thread, or it is declared twice"
    if pid := instance.process.pid:
        said = f"is running already (pid {pid}): call stop() first, or restart()"
    raise AlreadyRunning(f"{executor._called}: {said}", executor=executor._called)


def _all_probes(executor: SimpleExecutor, instance: Instance) -> Probe:
    """All questions that a start asks, as one probe."""
    probes = undisturbed(executor._readiness)
    one_shot, launcher, until = executor._one_shot, executor._launcher, executor._until
    instance.waits = bool(probes or until)
    # until= may also become true after a one-shot has ended; what its own probes ask may not
    instance.outlasts = launcher or (one_shot and not probes)
    asked = None if until is None else Until(lambda: until(executor))
    if one_shot:
        completed = Completed("one_shot", fine(executor))
        if asked is None:
            probes.append(completed)
        else:
            probes.insert(0, Meanwhile(completed, asked))
    elif asked is not None:
        probes.append(asked)
    if launcher:
        probes.insert(0, Completed("launcher", fine(executor)))
    probes = probes or [Spawned()]
    everything = probes[0] if len(probes) == 1 else AllOf(probes)
    try:
        everything.check()
    except InvalidArgument as error:
        let_through(error)
        # the probe that raised it does not know the name of the service
        raise InvalidArgument(f"{executor._called}: {error}", executor=executor._called) from None
    return everything


def _watched(executor: SimpleExecutor, probe: Probe, instance: Instance) -> Probe:
    """The same question, which also fails once the output matches ``fails_on``."""
    if not executor._fails_on:
        return probe
    from ..readiness.output import Observer

    failure = NoFailure(Observer(instance.log, executor._fails_on))
    # asked again at the end: what is written meanwhile may make both questions true
    return AllOf([failure, probe, failure])


def launch(executor: SimpleExecutor) -> Launch:
    """The command with its templates filled in."""
    cwd = references.directory(executor)
    env = references.environment(executor)
    argv = references.filled(executor, executor._command)
    notify = executor._notify_address()
    if notify:
        env["NOTIFY_SOCKET"] = notify
    path = env.get("PATH")
    checks.find_required(executor, path, cwd)
    by_command = executor._launcher and executor._stop_command
    launched = Launch(
        argv,
        executor._find(argv[0], path, cwd),
        env,
        cwd,
        executor._tty,
        notify,
        executor._silent,
        _stop_words(executor, path, cwd),
        fine(executor),
        executor._limits.stop_timeout if by_command else 0.0,
    )
    executor._found.clear()  # the next start may find others
    return launched


def fine(executor: SimpleExecutor) -> frozenset[int]:
    """Statuses with which the main process may end before the service is ready."""
    ends = executor._one_shot or executor._launcher
    return executor._limits.expected_exit | {0} if ends else frozenset({0})


def _stop_words(executor: SimpleExecutor, path: str | None, cwd: str) -> tuple[str, ...]:
    """The words of ``stop_command``, filled in; empty if there is none."""
    if not executor._stop_command:
        return ()
    program, *rest = references.filled(executor, executor._stop_command)
    return (executor._find(program, path, cwd), *rest)
