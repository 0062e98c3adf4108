"""Makes the errors of an instance of a service, and finds out whether it has died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import (
    NotRunning,
    ProcessExited,
    SpawnFailed,
    StartFailed,
    SummonError,
    TimeoutExpired,
)
from ..output.excerpt import last_word
from ..scheduling.deadline import Deadline
from ..system import procfs
from ..unpatched import os
from ..wording import counted

if TYPE_CHECKING:
    from ..readiness.probe import Probe
    from ..readiness.wait import Outcome
    from .instance import Instance

#: lines at the end of the output in which a last word is looked for
_LAST_LINES = 20
#: seconds after which it is strange that a service has written nothing, and listens nowhere
SILENCE = 10.0


def not_stored(instance: Instance, number: int) -> SpawnFailed:
    """The error for a log that cannot be written when the service starts.

    :param number: the errno.
    """
    said = f"its log could not be written: {os.strerror(number)}"
    return instance.error(SpawnFailed, f"{instance.name}: not started: {said}")


def not_ready(instance: Instance, probe: Probe, outcome: Outcome, waited: float) -> StartFailed:
    """The error for a start that has waited in vain.

    :param waited: how long, in seconds.
    """
    asked = f" (asked {counted(outcome.attempts, 'time')})"
    said = outcome.refusal + asked if outcome.refusal else ""
    facts = {"waiting_for": probe.describe(), "refusal": said, "seconds": waited}
    if outcome.exited:
        return instance.exited("before it was ready", **facts)
    where, timeout = probe.astray(instance.process), instance.limits.timeout
    return instance.error(
        TimeoutExpired,
        f"{instance.name}: not ready within {timeout:g} s"
        + (f": {instance.name} {where}" if where else ""),
        timeout=timeout,
        **facts,
    )


def looks_wrong(instance: Instance, waited: float) -> str:
    """Why the service may never become ready, in words, as far as it shows; empty if it does not.

    :param waited: seconds that have passed since it was spawned.
    """
    said = last_word(instance.log.tail(_LAST_LINES))
    if said:
        return f"it wrote: {said}"
    if waited < SILENCE or instance.log.size():
        return ""
    process = instance.process
    pids = [process.pid, *procfs.descendants(process.keeper_pid)]
    return "" if procfs.listeners(pids) else "it has written nothing, and listens nowhere"


def no_output(
    instance: Instance, probe: Probe, outcome: Outcome, deadline: Deadline
) -> SummonError:
    """The error for output that did not come."""
    facts = {
        "waiting_for": probe.describe(),
        "refusal": outcome.refusal,
        "seconds": deadline.elapsed(),
    }
    if outcome.exited:
        return instance.exited("before it wrote what was waited for", **facts)
    return instance.error(
        TimeoutExpired,
        f"{instance.name}: {probe.describe()} did not come within {deadline.seconds:g} s",
        timeout=deadline.seconds,
        **facts,
    )


def not_taken(
    instance: Instance, deadline: Deadline, what: str, taken: int | None = None
) -> SummonError:
    """The error for input that the service did not read.

    :param what: how much input, in words.
    :param taken: bytes that the service has read.
    """
    process = instance.process
    if process.ended:
        return instance.exited(f"before it had taken what was sent to it ({what})", taken=taken)
    waited = deadline.elapsed()
    said = f"{instance.name}: did not take what was sent to it ({what})"
    if process.input_closed:
        closed = "it has closed its standard input, or send_eof() has"
        return instance.error(NotRunning, f"{said}: {closed}", taken=taken, seconds=waited)
    return instance.error(
        TimeoutExpired,
        f"{said} within {deadline.seconds:g} s: it does not read its standard input, or too slowly",
        timeout=deadline.seconds,
        taken=taken,
        seconds=waited,
    )


def death(instance: Instance, when: str) -> SummonError | None:
    """The error for an end that no test asked for: the same one at each call, or None.

    A one-shot, or a command that was ready when spawned, may end with status 0.  A service whose
    end a test has waited for may end with any status.

    :param when: the moment at which it was noticed, in words that follow "was killed by SIGKILL".
    """
    process = instance.process
    if not (instance.in_use and process.mine()):
        return None
    if instance.hung is not None or instance.running():
        return instance.hung
    if instance.awaited or process.ending:
        return None
    ended_well = process.exit_code in process.fine
    if ended_well and not process.lost and (instance.one_shot or not instance.waits):
        return None
    if instance.died is None:
        instance.died = _died(instance, when, process.left_others and ended_well)
    return instance.died


def _died(instance: Instance, when: str, daemon: bool) -> ProcessExited:
    """The error for an end that no test asked for.

    :param daemon: whether a daemon has ended, and not the main process, which had left it.
    """
    process = instance.process
    if daemon and not instance.one_shot:
        how = "was killed with its keeper" if process.lost else "has ended"
        return instance.error(
            ProcessExited,
            f"{instance.name}: {instance.exit_words()}, and what it left running {how} {when}",
            exit_code=process.exit_code,
        )
    meant = (
        ": if it is meant to end, wait() for that or call its stop() afterwards; declare "
        "one_shot=True if it is ready once it has ended"
    )
    return instance.exited(when + (meant if process.exit_code == 0 else ""))


def death_in_block(instance: Instance) -> SummonError | None:
    """The error of a death for a block that ends; programs that only write may have ended."""
    if not instance.in_use:
        return None
    process, alive = instance.process, instance.running()
    ends_well = instance.one_shot or not instance.serves
    fine = process.fine if ends_well else frozenset()
    # whether it ends between this look and the stop, its keeper tells
    instance.needed = fine if alive and process.pid else None
    if alive or (process.exit_code in fine and not process.lost):
        return instance.hung
    return death(instance, "before it was stopped")
