"""Asks services that run whether they still answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SummonError, TimeoutExpired
from ..events import ServiceDied
from ..foreign import let_through
from ..readiness.conditions import AllOf, Until
from ..readiness.probe import Probe
from ..readiness.wait import Verdict, until_ready
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps, run
from ..supervision.instance import Instance
from ..wording import counted

if TYPE_CHECKING:
    from .simple import SimpleExecutor

#: seconds that the server of a launcher has to answer, when it is asked whether it still runs
_STILL_THERE = 2.0
#: seconds that a service has at most to answer the question of ``alive=``
_PATIENCE = 10.0
#: how a service has died, in words, that does not answer any more
_NO_ANSWER = "did not answer"


def asking(executor: SimpleExecutor, when: str) -> Steps[None]:
    """Ask the question of ``alive=``, if the service has one and runs.

    If it is not answered, that is noted as the death of the service.

    :param when: the moment in words, to follow "when it was asked".
    """
    instance = executor._instance
    if executor._alive is None or instance is None or instance.hung:
        return
    if not (instance.process.mine() and instance.running()):
        return
    alive, limit = executor._alive, min(executor._limits.timeout or _PATIENCE, _PATIENCE)
    deadline, probe = Deadline(limit), None
    try:
        if alive is True:
            probe = AllOf(executor._again())
        elif isinstance(alive, tuple):
            probe = AllOf([executor._command_probe(alive, limit)])
        elif callable(alive):
            probe = AllOf([Until(lambda: alive(executor), "alive=")])
        else:
            probe = AllOf([alive])
        instance.process.probed = None  # the result is that of another probe command
        asked = until_ready(instance.process, probe, deadline, outlasts=instance.outlasts)
        outcome = yield from asked
        if outcome.verdict is Verdict.EXPIRED:
            instance.tell(ServiceDied, how=_NO_ANSWER, when=when)
            instance.hung = instance.error(
                TimeoutExpired,
                f"{executor._called}: did not answer within {limit:g} s when it was asked {when} "
                "whether it is alive",
                timeout=limit,
                waiting_for=probe.describe(),
                refusal=f"{outcome.refusal} (asked {counted(outcome.attempts, 'time')})",
                seconds=deadline.elapsed(),
            )
    except SummonError as error:
        let_through(error)
        # another process answers in its place, or the callable of alive= has a mistake
        instance.tell(ServiceDied, how=_NO_ANSWER, when=when)
        instance.hung = instance.named(error)
    finally:
        if probe is not None:
            probe.close()


def lives_elsewhere(instance: Instance, probe: Probe) -> bool:
    """Whether the server of a launcher answers, when no process of the service is alive here."""
    try:
        asked = until_ready(instance.process, probe, Deadline(_STILL_THERE), outlasts=True)
        return run(asked).verdict is Verdict.READY
    except SummonError as error:
        let_through(error)
        return False
    finally:
        probe.close()
