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
from ..foreign import let_through
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
    try:
        said, silent = last_word(instance.log.tail(_LAST_LINES)), not instance.log.size()
    except SummonError as error:
        let_through(error)
        return error.message
    if said:
        return f"it wrote: {said}"
    if waited < SILENCE or not silent:
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


def died(instance: Instance, when: str, daemon: bool) -> ProcessExited:
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
    by_itself = process.exit_code == 0 and not process.stopped_by_others
    return instance.exited(when + (meant if by_itself else ""))
