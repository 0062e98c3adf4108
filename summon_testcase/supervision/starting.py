"""Starts an instance: spawns it, and waits until it is ready."""

from __future__ import annotations

import functools
import warnings

from ..declaration.command import Launch
from ..errors import SpawnFailed, SummonError
from ..events import ServiceSpawned, ServiceWaiting
from ..readiness.probe import Probe
from ..readiness.progress import Progress
from ..readiness.wait import Verdict, until_ready
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps
from . import failures, stopping, warden
from .instance import Instance
from .process import refusal

#: whether this process has warned of orphans
_warned = False


def get_ready(
    instance: Instance, launch: Launch, probe: Probe | None, deadline: Deadline
) -> Steps[None]:
    """Spawn an instance and wait until it is ready; on any failure leave nothing running.

    :param probe: asks whether it is ready; None if it is ready once it is spawned, even if it
        ends at that moment.
    """
    instance.launch = instance.process.launch = launch
    # from here on a signal handler may stop it
    instance.in_use = instance.has_run = True
    try:
        instance.process.spawn()
        yield from _spawned(instance)
        instance.tell(
            ServiceSpawned,
            pid=instance.process.pid,
            command=launch.argv,
            cwd=launch.cwd,
            log=instance.log.path,
        )
        if probe is not None:
            outcome = yield from until_ready(
                instance.process,
                probe,
                deadline,
                Progress(functools.partial(_tell_waiting, instance)),
                instance.outlasts,
                functools.partial(failures.not_stored, instance),
            )
            instance.looks, instance.refusal = outcome.attempts, outcome.refusal
            if outcome.verdict is not Verdict.READY:
                raise failures.not_ready(instance, probe, outcome, deadline.elapsed())
        instance.ready = True
    except BaseException as error:
        told = instance.named(error)
        stopping.kill(instance)
        if isinstance(told, SummonError) and (survivors := stopping.survivors(instance)):
            told.consequences += (f"{instance.name}: {survivors}",)
        if told is error:
            raise
        raise told from error.__cause__


def _tell_waiting(instance: Instance, after: float, refusal: str) -> None:
    hint = failures.looks_wrong(instance, after)
    instance.tell(ServiceWaiting, after=after, refusal=refusal, hint=hint)


def _spawned(instance: Instance) -> Steps[None]:
    process, deadline = instance.process, Deadline(warden.ANSWER)
    pause = Pause((process.fileno(),), deadline.at)
    while not process.pid and not process.gone:
        if deadline.expired():
            process.abandon()
        yield pause
        process.pump()
    if process.pid:
        if process.keeps_no_orphans:
            _warn_of_orphans()
        return
    if process.refused is None:
        said = warden.no_answer() if process.lost else "it was stopped first"
    else:
        said = refusal(*process.refused, instance.launch)
    raise instance.error(SpawnFailed, f"{instance.name}: not started: {said}")


def _warn_of_orphans() -> None:
    """Warn once where the system forbids keepers to adopt orphans."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "summon_testcase may not adopt orphaned processes here (a sandbox forbids "
            "PR_SET_CHILD_SUBREAPER): what a service leaves in a session of its own, such as a "
            "daemon, does not count as running, is not stopped and outlives the tests; so does "
            "a service whose keeper is killed",
            RuntimeWarning,
            stacklevel=2,
        )


def forget() -> None:
    """Warn again of what this process has warned of."""
    global _warned
    _warned = False
