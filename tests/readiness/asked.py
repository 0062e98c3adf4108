"""Asks probes, and makes the services that they are asked about."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from summon_testcase.errors import PortInUse
from summon_testcase.readiness.probe import Probe
from summon_testcase.scheduling.steps import Pause, run, wait
from summon_testcase.supervision import warden  # noqa: F401 (who asks needs somebody who starts the asker)
from summon_testcase.system import ports

from ..programs import running as program_running


@dataclass(frozen=True)
class Service:
    """A Target for a process without a keeper."""

    pid: int
    keeper_pid: int


ME = Service(os.getpid(), os.getpid())


@contextmanager
def running(script: str, *arguments: object) -> Iterator[tuple[Service, str]]:
    """A Python process and its first line of output; it is killed with the block."""
    with program_running(script, *map(str, arguments)) as (process, line):
        yield Service(process.pid, process.pid), line


@contextmanager
def leased() -> Iterator[int]:
    """A port that no other test has."""
    port = ports.lease()
    try:
        yield port
    finally:
        ports.release(port)


LISTENING = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host == "::1")
    try:
        sock.bind((host, port))
    except OSError:
        sys.exit("no such address")
    sock.listen()
    print("listening", flush=True)
    sys.stdin.read()
"""

IDLE = "import sys; print('idle', flush=True); sys.stdin.read()"

both_ways = pytest.mark.parametrize("ask_kernel", [True, False])


def check(probe: Probe) -> Probe:
    """The same probe, after its check(); mypy checks that it is one."""
    probe.check()
    assert 0 < probe.shortest <= probe.longest <= 0.020
    return probe


def look(probe: Probe, view: Any, left: float = 60) -> str | None:
    """The answer of a probe that may have to wait for it; none of its looks takes long."""
    end = time.monotonic() + 60
    while True:
        began = time.monotonic()
        refusal = probe.look(view, left)
        assert time.monotonic() - began < 5
        if not probe.asked:
            return refusal
        assert time.monotonic() < end, refusal
        wait(Pause((), end, probe.asked))


def occupied(probe: Probe, name: str) -> PortInUse | None:
    """The error of :meth:`Probe.occupied`, if any."""
    return run(probe.occupied(name))
