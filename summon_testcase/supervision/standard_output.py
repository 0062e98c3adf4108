"""Waits for the output of a service, and reads it."""

from __future__ import annotations

import re
from typing import TextIO

from ..errors import TimeoutExpired
from ..readiness.output import Observer, OutputProbe, open_output
from ..readiness.wait import until_ready
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps
from .failures import no_output
from .instance import Instance


def wait_for(
    instance: Instance, patterns: list[re.Pattern[str]], deadline: Deadline, raw: bool
) -> Steps[re.Match[str]]:
    """Wait until the output matches, from where the last match ended.

    :param raw: whether to match the output as it was written, with escape sequences.
    :raises TimeoutExpired: if there is no match in time.
    :raises ProcessExited: if the service ends without a match.
    """
    observer = Observer(instance.log, patterns, instance.mark, raw)
    probe = OutputProbe(observer, patterns)
    outcome = yield from until_ready(instance.process, probe, deadline)
    if probe.match is None:
        raise no_output(instance, probe, outcome, deadline)
    instance.mark = observer.after_match()
    return probe.match


def stream(instance: Instance, timeout: float | None) -> TextIO:
    """The output since readiness as a text stream; each call gives one from the beginning.

    :param timeout: seconds that a read may wait; None for no limit.
    :raises TimeoutExpired: by a read that has waited longer.
    """

    def late(waited: float) -> TimeoutExpired:
        return instance.error(
            TimeoutExpired,
            f"{instance.name}: no output within {timeout:g} s",
            timeout=timeout,
            seconds=waited,
        )

    return open_output(instance.log, instance.process, instance.output_from, timeout, late)
