"""A message after which the log has all that the service had written before it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from summon_testcase import SimpleExecutor

from ..doubles import instance_of
from ..programs import run


def test_output_that_comes_between_a_look_and_the_message(mark: str, place: Path) -> None:
    """The keeper looks for output first; what comes then is stored before it answers, too."""
    source = f"""
import socket
from summon_testcase.keeper.keeper import Keeper
from summon_testcase.keeper.messages import pack
from summon_testcase.keeper.processes import RunnerWatch

theirs, ours = socket.socketpair()
keeper = Keeper(ours, RunnerWatch(os.getpid()))
keeper.capture.open_log(os.fsencode({str(place / "log")!r}), 0)
_, output = keeper.capture.open_pipes()
keeper.drain()
os.write(output, b"a line\\n")
theirs.sendall(pack("sync", 1))
keeper.listen()
assert b"synced" in theirs.recv(100)
print(text({str(place / "log")!r}).strip())
theirs.close()
ours.close()
"""
    assert run(source, mark, place) == ["a line"]


def test_a_service_that_has_been_killed() -> None:
    """It may not have died yet when its keeper is asked, which waits for that."""
    it = SimpleExecutor("sleep 60")
    for number in (signal.SIGKILL, signal.SIGTERM) * 20:
        it.start()
        instance = instance_of(it)
        os.kill(it.pid, number)
        instance.catch_up()
        assert instance.process.exit_code == -number
        it.kill()
    it.stop()
