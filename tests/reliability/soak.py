"""A test process that starts and stops services for a long time, and prints what it holds.

Run with the arguments CYCLES SERVICES: it prints what it and its warden have, as JSON: when
warm, after so many cycles, with so many services at once, and after those.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from summon_testcase import (
    CommandCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    NotifyCoordinatedExecutor,
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    TCPCoordinatedExecutor,
)

from ..samples import eventually, parent, service, status

#: cycles after which memory does not grow any more
WARM = 60
#: What may have grown when the soak is over, compared with the warm process: KiB that an
#: allocator keeps, and objects in caches.
ROOM = {"KiB": 8192, "objects": 100}
#: descriptors that the process may have beside one for each service
RESERVE = 40


def cycle(number: int) -> None:
    """Start a service, use it, stop it: another flavour each time."""
    kind = number % 4
    if number % 50 == 0:
        for flavour in (tcp, http, notified, fails):
            flavour()
    elif kind == 0:
        with SimpleExecutor("sleep 1000"):
            pass
    elif kind == 1:
        command = ["sh", "-c", "read line; echo got $line; sleep 1000 & wait"]
        with OutputCoordinatedExecutor(
            ["sh", "-c", 'echo up; exec "$@"', "x", *command], "up"
        ) as e:
            e.sendline("text")
            e.wait_for_output("got text", timeout=30)
            e.output().close()
    elif kind == 2:
        with (
            CommandCoordinatedExecutor("sleep 1000", probe="true", cwd="{tmpdir}") as e,
            e.paused(),
        ):
            pass
    else:
        with OutputCoordinatedExecutor("sh -c 'seq 2000; sleep 1000'", "\n2000\n", tty=False) as e:
            e.kill()


def tcp() -> None:
    with TCPCoordinatedExecutor(service("serves.py", "tcp", "{port}", "{tmpdir}/s")):
        pass


def http() -> None:
    command = service("serves.py", "http", "{port}", "{tmpdir}/s")
    with HTTPCoordinatedExecutor(command, url="http://{host}:{port}/") as e:
        # used here, so that things that it keeps for ever are counted as warm
        requests.get(e.url, timeout=30).close()


def notified() -> None:
    with NotifyCoordinatedExecutor(service("serves.py", "notify", "-", "{tmpdir}/s")):
        pass


def fails() -> None:
    try:
        OutputCoordinatedExecutor("sh -c 'echo no; exit 3'", "up").start()
    except ProcessExited as error:
        assert error.report is not None
        os.remove(error.report.log_path)


def resident(pid: int) -> int:
    """KiB of memory that a process has to itself or shares: RSS."""
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def facts(warden: int) -> dict[str, object]:
    """Descriptors, threads, memory and the like of this process and its warden."""
    gc.collect()
    families: dict[int, list[str]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            state, above = status(int(name))
            families.setdefault(above, []).append(state)
    files = sum(len(d) + len(f) for _, d, f in os.walk(place()))
    found: dict[str, Any] = {"files": files}
    for who, pid in (("test process", os.getpid()), ("warden", warden)):
        children = families.get(pid, [])
        found[who] = {
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "threads": len(os.listdir(f"/proc/{pid}/task")),
            "children": len(children),
            "zombies": children.count("Z"),
            "KiB": resident(pid),
        }
    found["test process"]["objects"] = len(gc.get_objects())
    return found


def place() -> str:
    """The directory for temporary files, which no other process uses."""
    return tempfile.gettempdir()


def command(pid: str) -> bytes:
    """The command line of a process; empty if it has ended."""
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""


def warden_of() -> int:
    """The pid of the warden."""
    with SimpleExecutor("sleep 1000") as probe:
        return parent(parent(probe.pid))


def settled(warden: int) -> dict[str, object]:
    """The facts, once keepers that are ending have been reaped."""

    def calm() -> bool:
        children = [n for n in os.listdir("/proc") if n.isdigit() and parent(int(n)) == warden]
        # the asker stays until the test process ends
        return all(b"asker.program" in command(child) for child in children)

    eventually(calm, "the warden has no child but the asker", 30)
    return facts(warden)


def grown(report: dict[str, dict[str, dict[str, int]]]) -> list[str]:
    """The things of which there are more than before."""
    found = []
    for moment in ("after", "after many"):
        now, before = report[moment], report["warm"]
        if now["files"] != before["files"]:
            found.append(f"files {moment}: {now['files']}, not {before['files']}")
        for who in ("test process", "warden"):
            for what, number in before[who].items():
                if now[who][what] > number + ROOM.get(what, 0):
                    found.append(f"{what} of the {who}, {moment}: {now[who][what]}, not {number}")
    return found


def main() -> None:
    """Run all parts of the soak."""
    cycles, services = map(int, sys.argv[1:])
    allowed = 1024 if services > 400 else services + RESERVE
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    report: dict[str, object] = {"descriptors allowed": allowed}
    warden = warden_of()
    for number in range(WARM):
        cycle(number)
    many(services, warden)
    report["warm"] = settled(warden)
    began = time.monotonic()
    for number in range(cycles):
        cycle(number)
    report["cycles"] = cycles
    report["ms per cycle"] = round((time.monotonic() - began) / max(cycles, 1) * 1000, 1)
    report["after"] = settled(warden)
    report["many"] = many(services, warden)
    report["after many"] = settled(warden)
    assert warden_of() == warden
    print(json.dumps(report))


def many(services: int, warden: int) -> dict[str, object]:
    """Start many services at once, and stop them."""
    group = Orchestrator(
        {
            f"s{number}": OutputCoordinatedExecutor("sh -c 'echo up; sleep 1000'", "up")
            for number in range(services)
        }
    )
    began = time.monotonic()
    with group:
        took = time.monotonic() - began
        found = facts(warden)
        began = time.monotonic()
    return {
        "services": services,
        "seconds to start": round(took, 2),
        "seconds to stop": round(time.monotonic() - began, 2),
        "while they run": found,
    }


if __name__ == "__main__":
    main()
