"""What a service writes, as a test waits for it or reads it."""

from __future__ import annotations

import re
from typing import TextIO

from ..errors import TimeoutExpired
from ..readiness.output import Observer, OutputProbe, open_output
from ..readiness.wait import until_ready
from ..scheduling.deadline import Deadline
from ..scheduling.steps import run
from .failures import no_output
from .instance import Instance


def wait_for(
    instance: Instance, patterns: list[re.Pattern[str]], deadline: Deadline, raw: bool
) -> re.Match[str]:
    """Block until the output matches, from where the last match ended.

    :param raw: match it as it was written, escape sequences and all.
    :raises TimeoutExpired: if it does not come.
    :raises ProcessExited: if the service ends without it.
    """
    observer = Observer(instance.log, patterns, instance.mark, raw)
    probe = OutputProbe(observer, patterns)
    outcome = run(until_ready(instance.process, probe, deadline))
    if probe.match is None:
        raise no_output(instance, probe, outcome, deadline)
    instance.mark = observer.after_match()
    return probe.match


def stream(instance: Instance, timeout: float | None) -> TextIO:
    """What it wrote after it was ready, as a text stream that begins anew at each call.

    :param timeout: seconds that a read may wait; None for no limit.
    :raises TimeoutExpired: from a read that waited longer.
    """

    def late(waited: float) -> TimeoutExpired:
        return instance.error(
            TimeoutExpired,
            f"{instance.name}: no output within {timeout:g} s",
            timeout=timeout,
            seconds=waited,
        )

    return open_output(instance.log, instance.process, instance.output_from, timeout, late)
