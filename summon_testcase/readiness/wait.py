"""The one polling loop: is it ready? is it alive? is there time?"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps
from ..unpatched import time
from .progress import Progress

if TYPE_CHECKING:
    from .probe import Probe, Target


class Verdict(enum.Enum):
    """How a wait ended."""

    READY = "ready"
    EXITED = "exited"
    EXPIRED = "expired"


@dataclass
class Outcome:
    """The end of a wait.

    :param refusal: the last answer that was not yes.
    :param attempts: how often the question was asked.
    """

    verdict: Verdict
    refusal: str
    attempts: int


#: share of the time already waited that the next pause may take
_SHARE = 1 / 72
#: seconds between looks at a question that is under way, whose answer ends the pause anyhow
_ASKED = 0.25


def failed(target: Target, outlasts: bool = False) -> bool:
    """Whether a service cannot become ready any more.

    A main process that ended well and left others alive is a daemon on its way.

    :param outlasts: what was waited for may come when nothing of it is alive here.
    """
    if target.gone or (target.exit_code is not None and target.exit_code not in target.fine):
        return True
    return target.ended and not outlasts


def until_ready(
    target: Target,
    probe: Probe,
    deadline: Deadline,
    progress: Progress | None = None,
    outlasts: bool = False,
) -> Steps[Outcome]:
    """Ask until the answer is yes, the process has ended, or time is over.

    Pauses grow with the time already waited, within the limits of the probe, so that the
    delay they add stays a small share of it.  News from the keeper end a pause at once.

    :param progress: is told what is waited for, when it wants to know.
    :param outlasts: see :func:`failed`.
    """
    attempts = 0
    refusal = ""
    target.pump()
    while True:
        # the end is looked at before the question, so that the answer knows all output
        over = failed(target, outlasts)
        answer = probe.look(target, deadline.left())
        asked = probe.asked
        # what is still under way is not counted twice
        attempts += not asked
        if answer is None and (target.exit_code is None or target.exit_code in target.fine):
            return Outcome(Verdict.READY, refusal, attempts)
        refusal = answer or refusal
        if over:
            return Outcome(Verdict.EXITED, refusal, attempts)
        now = time.monotonic()
        if now >= deadline.at:
            return Outcome(Verdict.EXPIRED, refusal, attempts + bool(asked))
        step = _ASKED
        if not asked:
            step = min(max((now - deadline.began) * _SHARE, probe.shortest), probe.longest)
        until = min(now + step, deadline.at)
        heard = target.heard
        while True:
            due = math.inf if progress is None else progress.due
            yield Pause((target.fileno(),), min(until, due), asked)
            now = time.monotonic()
            if now < until:
                # news end a pause early; at its own end there are none, or they end the next one
                target.pump()
            if progress is not None and now >= due:
                progress.tell(refusal)
            # a pause may end early, which is no reason to ask what may be dear
            if now >= until or target.heard != heard or target.fileno() < 0:
                break
            if any(question.pump() for question in asked):
                break
