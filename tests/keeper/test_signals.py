"""Signals: neither the test process's own nor a service's reach warden and keepers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from summon_testcase import OutputCoordinatedExecutor
from summon_testcase.keeper.processes import SIGNALS

from ..programs import assert_nothing_left, run
from ..samples import alive, eventually, parent


@pytest.mark.parametrize(
    "before",
    [
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    ],
    ids=["SIGCHLD-blocked", "all-blocked", "SIGCHLD-ignored"],
)
def test_what_the_test_process_does_to_signals(before: str, mark: str, place: Path) -> None:
    """Whatever signals the test process blocks or ignores, it sees ends, and stops are quick."""
    source = f"""
{before}
with SimpleExecutor(["sh", "-c", "exit 0", MARK], one_shot=True, timeout=60):
    pass
dies = SimpleExecutor(["sh", "-c", "read line; exit 3", MARK]).start()
dies.sendline()
eventually(lambda: not dies.running(), "its death is seen")
assert dies.exit_code == 3
dies.kill()
began = time.monotonic()
up = SimpleExecutor(["sh", "-c", "read never", MARK], stop_timeout=60).start()
status = text(f"/proc/{{up.pid}}/status").splitlines()
for line in status:
    if line.startswith(("SigBlk", "SigIgn")):
        # 32 and 33 are the C library's own, which it lets nobody change
        assert int(line.split()[1], 16) & ~(3 << 31) == 0, line
up.stop()
assert time.monotonic() - began < 30
"""
    assert run(source, mark, place) == []
    assert_nothing_left(mark, place)


def test_a_service_that_signals_its_parent(mark: str) -> None:
    """A service that signals its parent when it is ready (Xvfb: USR1) does not end its keeper."""
    numbers = sorted(map(int, SIGNALS))
    assert {signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMAX} <= set(numbers)
    script = "for n; do kill -$n $PPID; done; echo sent; read never"
    command = ["sh", "-c", script, mark, *map(str, numbers)]
    with OutputCoordinatedExecutor(command, "sent", timeout=30) as service:
        keeper = parent(service.pid)
        service.sendline("")
        # a keeper that is stopped, or dead, would not report this output
        eventually(lambda: not service.running(), "its end is told")
        assert service.exit_code == 0
    assert keeper != os.getpid()
    eventually(lambda: not alive(keeper), "its keeper has ended")
