"""Words of messages: exits, signals, addresses, and the facts that follow an error's sentence."""

from __future__ import annotations

import functools
import shlex
import signal
from typing import NamedTuple

from .clean import visible
from .foreign import let_through


def describe_exit(status: int) -> str:
    """Say in words how a process ended.

    :param status: as in :attr:`subprocess.Popen.returncode`, negative for a signal.

    >>> describe_exit(3)
    'exited with status 3'
    >>> describe_exit(-9)
    'was killed by SIGKILL'
    """
    if status >= 0:
        return f"exited with status {status}"
    return f"was killed by {signal_name(-status)}"


def signal_name(number: int) -> str:
    """The name of a signal, or its number if it is a real-time signal, which has no name.

    >>> signal_name(15), signal_name(40)
    ('SIGTERM', 'signal 40')
    """
    try:
        return signal.Signals(number).name
    except ValueError as error:
        let_through(error)
        return f"signal {number}"


def counted(number: int, noun: str) -> str:
    """A number with its noun in the right form.

    >>> counted(1, "attempt"), counted(2, "attempt")
    ('1 attempt', '2 attempts')
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def size(count: int) -> str:
    """A number of bytes in words.

    >>> size(700), size(3_500_000)
    ('700 bytes', '3.3 MiB')
    """
    if count < 1024:
        return counted(count, "byte")
    number, units = count / 1024, "KMGT"
    while number >= 1024 and len(units) > 1:
        number, units = number / 1024, units[1:]
    return f"{number:.{int(number < 10)}f} {units[0]}iB"


@functools.lru_cache(maxsize=64)  # it is in the refusal of each look
def at(host: str, port: int) -> str:
    """Host and port as messages and URLs show them."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


class Report(NamedTuple):
    """The facts that follow the first sentence of an error.

    :param command: the command as it was run; empty if it never was.
    :param cwd: the directory it ran in.
    :param seconds: how long it had been running, or was waited for.
    :param waiting_for: what the start waited for, in words.
    :param refusal: the last answer of the probe, in words.
    :param exit: how the main process ended, in words; empty while it lives.
    :param output: the first and last lines of the service's output, as they are shown.
    :param log_path: where the full output is.

    Values of environment variables are never part of it.
    """

    command: tuple[str, ...] = ()
    cwd: str = ""
    seconds: float | None = None
    waiting_for: str = ""
    refusal: str = ""
    exit: str = ""
    output: tuple[str, ...] = ()
    log_path: str = ""

    def __str__(self) -> str:
        lines = []
        if self.waiting_for:
            lines.append(f"  waited for: {self.waiting_for}")
        if self.refusal:
            lines.append(f"  last answer: {visible(self.refusal)}")
        if self.seconds is not None:
            lines.append(f"  after: {self.seconds:.2f} s")
        if self.command:
            lines.append(f"  command: {visible(shlex.join(self.command))}")
        if self.cwd:
            lines.append(f"  directory: {visible(self.cwd)}")
        if self.exit:
            lines.append(f"  process: {self.exit}")
        if self.output:
            lines.append("  output:")
            lines += [f"    | {line}" for line in self.output]
        elif self.log_path:
            lines.append("  output: none")
        if self.log_path:
            lines.append(f"  full log: {self.log_path}")
        return "\n".join(lines)
