"""However the test process ends, none of its services lives on.

Once per cell; ``make soak COUNT=100`` does it a hundred times and prints the table.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from ..needs import find
from ..places import require
from ..samples import PATIENCE, alive, eventually, text
from .matrix import CONTROL, DEATHS, Stage, play, unprivileged
from .scene import LONG
from .shapes import SERVERS, SLOW, available

#: in the short form, what differs for a user without rights
AS_NOBODY = ("SIGKILL", "execv", "forked child", "keepers first", "warden first")
CELLS = [*((death, False) for death in DEATHS), *((death, True) for death in AS_NOBODY)]


@pytest.mark.parametrize("death, nobody", CELLS)
def test_nothing_lives_on(death: str, nobody: bool) -> None:
    """No process of any shape of service, no keeper, no warden and no file is left."""
    require(not (nobody and unprivileged()), unprivileged())
    outcome = play(death, nobody, available(slow=LONG))
    # the promise is one second; the machine may be busy
    assert (outcome.survivors, outcome.files) == ({}, []), outcome


def test_nothing_of_slow_servers_lives_on() -> None:
    """RabbitMQ with its epmd, and a worker of it, as a user without rights if one can run them."""
    for shape in SLOW:
        find(*SERVERS[shape])
    # Celery is in the environment of these tests, which may be for its owner only
    outcome = play("SIGKILL", not unprivileged("celery"), [*SLOW])
    assert (outcome.survivors, outcome.files) == ({}, []), outcome


@pytest.mark.parametrize("shape", SERVERS)
def test_the_matrix_has_all_shapes(shape: str) -> None:
    """No server is missing."""
    for needed in {"celery": ["rabbitmq", "celery"]}.get(shape, [shape]):
        find(*SERVERS[needed])
    assert shape in available()


def test_the_matrix_sees_what_lives() -> None:
    """The same services without a keeper are all found to live on."""
    shapes = [shape for shape in available(slow=False) if shape != "chain_setsid"]
    outcome = play(CONTROL, shapes=shapes)
    assert set(outcome.survivors) == set(shapes)


def test_a_stopped_test_process_loses_nothing() -> None:
    """While the test process is at a breakpoint, services run on and never wait to write."""
    stage = Stage(nobody=False)
    runner = stage.begin("paused", [])
    try:
        words = stage.said(runner)
        assert words[0] == "up"
        services = [int(word) for word in words[1:]]
        beats, done = stage.work / "beats", stage.work / "done"
        runner.send_signal(signal.SIGSTOP)
        (stage.work / "go").touch()
        end = time.monotonic() + (30 if LONG else 2)
        eventually(lambda: text(done), "40 MB are written with nobody reading", PATIENCE * 4)
        while time.monotonic() < end:
            before = os.path.getsize(beats)
            eventually(lambda: os.path.getsize(beats) > before, "its heart beats")  # noqa: B023
            assert all(map(alive, services))
        runner.send_signal(signal.SIGCONT)
        assert stage.said(runner) == ["all", "is", "well"], stage.complaints()
        assert runner.wait(PATIENCE * 2) == 0, stage.complaints()
        assert not any(map(alive, services))
        assert stage.files_left("paused") == []
    finally:
        stage.end(runner)
