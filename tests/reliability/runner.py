"""The test process of the kill matrix: it starts every shape of service, then dies.

Run with the arguments DEATH SHAPE...; what it starts is marked by a word that it is told on
its standard input, so that it has the word itself in no place where one looks for it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

from summon_testcase import (
    Orchestrator,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    TCPCoordinatedExecutor,
    subscribe,
)
from summon_testcase.events import Event, ServiceStopping

from ..doubles import begin_lease, has_instance, keeper_pid, launch_of
from ..samples import parent, service
from ..terminal import hear_signals
from .shapes import Shape


def say(*words: object) -> None:
    """Write a line to the process that watches."""
    print(*words, flush=True)


def wait_for_death() -> None:
    """Wait for an end from outside; end at the latest when no process watches any more."""
    sys.stdin.read()


def say_stopping(event: Event) -> None:
    """Say that the clean-up is under way, which takes half a second."""
    if isinstance(event, ServiceStopping):
        say("stopping")


def leak(services: list[SimpleExecutor]) -> None:
    """Start services as plain children, as most programs would, and end."""
    for each in services:
        begin_lease(each)
        launch = launch_of(each)
        with open(f"{launch.cwd}/out", "w") as out:
            subprocess.Popen(launch.argv, cwd=launch.cwd, env=launch.env, stdout=out)
    say("up", 0)
    input()


def keepers(services: list[SimpleExecutor]) -> list[int]:
    """The keepers of some services."""
    return [keeper_pid(each) for each in services if has_instance(each)]


def be_paused(word: str, work: Path) -> None:
    """Start services, say so, be stopped and continued, and see that nothing is lost."""
    beat = "echo up; while :; do echo beat >>beats; sleep 0.01; done"
    flood = "echo ready; while ! test -e go; do sleep 0.01; done; yes flood | head -c 40000000; "
    flood += "echo; echo end of flood; echo done >done; sleep 1000"
    options = {"cwd": work, "env": {"MARK": word}}
    heart = OutputCoordinatedExecutor(["sh", "-c", beat, word], "up", **options)
    writer = OutputCoordinatedExecutor(["sh", "-c", flood, word], "ready", **options)
    asks = OutputCoordinatedExecutor(service("repl.py", word), "> ", **options)
    server = TCPCoordinatedExecutor(service("serves.py", "tcp", "{port}", "state", word), **options)
    group = Orchestrator([heart, writer, asks, server])
    with group:
        say("up", *(each.pid for each in (heart, writer, asks, server)))
        writer.wait_for_output("end of flood", timeout=120)
        asks.sendline("still there")
        asks.wait_for_output("STILL THERE", timeout=30)
        socket.create_connection((server.host, server.port), 30).close()
        with server.stopped(), heart.paused():
            pass
        assert all(each.running() for each in (heart, writer, asks, server))
        with SimpleExecutor("sleep 1000", **options) as late:
            assert late.running()
    say("all is well")


def die(death: str, group: Orchestrator, kept: list[int], warden: int) -> None:
    """End in one of many ways."""
    if death == "os._exit":
        os._exit(3)
    elif death == "abort":
        os.abort()
    elif death == "segfault":
        ctypes.string_at(0)
    elif death == "return":
        return
    elif death == "execv":
        program = "print('other', flush=True); input(); input()"
        os.execv(sys.executable, [sys.executable, "-c", program])
    elif death == "sigint twice":
        try:
            say("waiting")
            wait_for_death()
        finally:
            subscribe(say_stopping)
            group.stop()
    elif death == "keepers first":
        for pid in kept:
            os.kill(pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    elif death == "warden first":
        os.kill(warden, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        wait_for_death()


def main() -> None:
    """Start services, say so, and die."""
    death, *names = sys.argv[1:]
    hear_signals()
    word, work = input(), Path(input())
    if death == "paused":
        be_paused(word, work)
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    shapes = [Shape(name, word, work) for name in names]
    services = {shape.name: shape.executor() for shape in shapes}
    if death == "unkept":
        leak(list(services.values()))
        os.kill(os.getpid(), signal.SIGKILL)
    for name, each in services.items():
        # started last, since these shapes leave little of the processor to others
        if name.startswith("chain"):
            each.after = tuple(other for other in services if not other.startswith("chain"))
    group = Orchestrator(services)
    if death == "starting":
        say("starting")
    group.start()
    kept = keepers(list(services.values()))
    warden = parent(kept[0])
    if death == "forked child":
        # forked in C, so that the child runs no hooks and closes none of its descriptors
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            wait_for_death()
            os._exit(0)
        say("child", child)
    if death != "starting":
        say("up", warden, *kept)
        # lives until the watching process has looked at everything
        input()
    die(death, group, kept, warden)


if __name__ == "__main__":
    main()
