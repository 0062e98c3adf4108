"""The one polling loop: asks until a service is ready, has ended, or time is over."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import SummonError
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps
from ..unpatched import time
from .probe import Probe, Target, failed, wider
from .progress import Progress


class Verdict(enum.Enum):
    """How a wait ended."""

    READY = "ready"
    EXITED = "exited"
    EXPIRED = "expired"


@dataclass
class Outcome:
    """The end of a wait.

    :param refusal: the last refusal, in words.
    :param attempts: how often the probe asked.
    """

    verdict: Verdict
    refusal: str
    attempts: int

    @property
    def exited(self) -> bool:
        """Whether the service has ended first."""
        return self.verdict is Verdict.EXITED


#: the next pause takes this share of the time waited already
_SHARE = 1 / 72
#: seconds of the pause while a question is under way; its answer ends the pause early
_ASKED = 0.25
#: If the last pause ends so many seconds late, this process could not look: it was stopped or
#: starved, or its event loop was busy.  That costs no service its time: the wait goes on for as
#: long as it was away, but for so many seconds at most.
_AWAY, _MADE_UP = 0.05, 2.0


def _pause(probe: Probe, waited: float) -> float:
    return min(max(waited * _SHARE, probe.shortest), probe.longest)


def until_ready(
    target: Target,
    probe: Probe,
    deadline: Deadline,
    progress: Progress | None = None,
    outlasts: bool = False,
    lost: Callable[[int], SummonError] | None = None,
) -> Steps[Outcome]:
    """Ask until the service is ready, has ended, or time is over.

    Pauses grow with the time already waited, within the limits of the probe, so that the delay
    that they add stays a small share of it.  A message of the keeper ends a pause at once.

    The last look begins when time is over, so that whatever came in time is seen.

    :param progress: tells now and then what the start is waiting for.
    :param outlasts: see :func:`~.probe.failed`.
    :param lost: makes the error to raise once output could not be stored, and so cannot be
        searched, from its errno; None if that does not matter.
    """
    attempts = heard = 0
    refusal = ""
    due = math.inf
    until = end = deadline.at

    def again() -> float | None:
        nonlocal attempts, until
        now = time.monotonic()
        if now >= min(due, end) or target.gone or target.heard != heard:
            return None
        if not probe.still_refused():
            return None
        attempts += 1
        until = min(now + _pause(probe, now - deadline.began), end)
        return min(until, due)

    target.pump()
    while True:
        now = time.monotonic()
        if now >= end == deadline.at and now - until > _AWAY:
            end = now + min(now - until, _MADE_UP)
        last = now >= end
        if last:
            target.pump()
        # news that another thread takes in from here on are a reason to ask again
        heard = target.heard
        # this order matters: if it has ended here, the probe below sees all of its output
        over = failed(target, outlasts)
        if lost is not None and target.log_errno:
            raise lost(target.log_errno)
        answer = probe.look(target, end - time.monotonic())
        refusing = probe.refusing or probe
        asked = refusing.asked
        # a question that is still under way is not counted twice
        attempts += not asked
        if answer is None and (target.exit_code is None or target.exit_code in target.fine):
            return Outcome(Verdict.READY, refusal, attempts)
        refusal = answer or refusal
        if over:
            return Outcome(Verdict.EXITED, refusal, attempts)
        if last:
            return Outcome(Verdict.EXPIRED, refusal, attempts + bool(asked))
        now = time.monotonic()
        if asked:
            until = now + _ASKED
        elif since := refusing.since:
            until = now + wider(since)
        else:
            until = now + _pause(refusing, now - deadline.began)
        # a look that took long is no reason to look later
        until = max(now, min(until, end))
        while True:
            due = math.inf if progress is None else progress.due
            yield Pause((target.fileno(),), min(until, due), asked, again)
            now = time.monotonic()
            if now < until:
                # not after a pause that the clock has ended: news would end the next one at once
                target.pump()
            if progress is not None and now >= due:
                progress.tell(refusal)
            # a pause may also end early without news, and is then continued
            if now >= until or target.gone or target.heard != heard:
                break
            if any(question.pump() for question in asked):
                break
