"""Objects that stand in for a service in tests, and all access of tests to private names.

No other test file uses names with an underscore of another room; ``tests/test_layering.py`` checks
that. So whoever renames a private name has one place to change here. Programs that a test runs in
an interpreter of their own are text, and may use such names.
"""

from __future__ import annotations

import fcntl
import os
import socket
import termios
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from summon_testcase import Orchestrator, SimpleExecutor
from summon_testcase.declaration import variables
from summon_testcase.declaration.arguments import Limits
from summon_testcase.declaration.command import Launch
from summon_testcase.errors import AlreadyRunning
from summon_testcase.executors import deaths, running
from summon_testcase.executors import executor as executors
from summon_testcase.executors.executor import Executor
from summon_testcase.keeper import capture
from summon_testcase.output import log
from summon_testcase.readiness import asking
from summon_testcase.readiness.probe import Probe
from summon_testcase.supervision import shutdown, starting, warden
from summon_testcase.supervision.instance import Instance
from summon_testcase.supervision.warden import Warden
from summon_testcase.system import ports
from summon_testcase.testing import pool

if TYPE_CHECKING:  # only then: a program that counts its own objects imports this file, too
    import pytest

    from summon_testcase import PostgreSQL
    from summon_testcase.services.database_server import DatabaseServer


class Recorder(Executor):
    """A service that only records the calls of its methods."""

    def __init__(
        self,
        label: str,
        events: list[str],
        fails: BaseException | None = None,
        fails_to_stop: BaseException | None = None,
    ) -> None:
        self.label = label
        self.events = events
        self.fails = fails
        self.fails_to_stop = fails_to_stop
        self.up = False

    def start(self) -> Recorder:
        self.events.append(f"start {self.label}")
        if self.up:
            raise AlreadyRunning(f"{self.label} is running")
        if self.fails:
            raise self.fails
        self.up = True
        return self

    def stop(self) -> None:
        if self.up:
            self.events.append(f"stop {self.label}")
        self.up = False
        if self.fails_to_stop:
            raise self.fails_to_stop

    def running(self) -> bool:
        return self.up


# Declarations


def command_of(executor: SimpleExecutor) -> tuple[str, ...]:
    """The words of its command, with templates that are not filled in."""
    return executor._command


def env_of(executor: SimpleExecutor) -> Mapping[str, str | None]:
    """The variables that it was given, with templates that are not filled in."""
    return variables.merged(executor._env)


def request_of(executor: Any) -> dict[str, Any]:
    """Its HTTP request: method, headers, auth and so on."""
    return executor._ask  # type: ignore[no-any-return]


def is_shared(executor: Executor) -> bool:
    """Whether processes of tests may use it together."""
    return executor._shared


def limits_of(executor: SimpleExecutor) -> Limits:
    """Its timeouts, stop signal and accepted statuses, which a test may change."""
    return executor._limits


def called(executor: SimpleExecutor) -> str:
    """The name that it has in messages."""
    return executor._called


def program_of(server: PostgreSQL, name: str) -> str:
    """The path of a program of a server's package."""
    return server._binary(name)


def program_of_kind(kind: type[SimpleExecutor]) -> str:
    """The program that a ready-made service is looked for by."""
    # PostgreSQL looks for several, in one directory
    return str(getattr(kind, "_programs", ("postgres",))[0])


def archives_of(server: DatabaseServer) -> list[str]:
    """What its start has unpacked, last, and what that was made from."""
    return server._archives


def redeclare(executor: Executor, **arguments: object) -> None:
    """Change arguments of an executor that exists, which no user can."""
    for name, value in arguments.items():
        assert hasattr(executor, f"_{name}"), name
        setattr(executor, f"_{name}", value)


def bind(executor: Executor, services: Mapping[str, object]) -> None:
    """Tell an executor which services exist around it, as an orchestrator does."""
    executor._bind(services)


def check_declared(executor: Executor) -> None:
    """Check its declaration, as orchestrators do before they start any member."""
    executor._check()


def launch_of(executor: SimpleExecutor) -> Launch:
    """The command that it would run, with its templates filled in."""
    return executor._launch()


def probes_of(executor: SimpleExecutor) -> list[Probe]:
    """The probes that its start would ask."""
    if not has_lease(executor):
        begin_lease(executor)
    return list(executor._readiness())


def ask_first(executor: SimpleExecutor, probe: Probe) -> None:
    """Have its start ask one more probe before its own."""
    own = executor._readiness
    executor._readiness = lambda: [probe, *own()]  # type: ignore[method-assign]


def members_of(group: Orchestrator) -> dict[str, Any]:
    """Its members by name, which a test may change."""
    return group._members


# Running services


def has_instance(executor: SimpleExecutor) -> bool:
    """Whether it was started, and has not been stopped since."""
    return executor._instance is not None and executor._instance.in_use


def instance_of(executor: SimpleExecutor) -> Instance:
    """The run that it has."""
    instance = executor._instance
    assert instance is not None and instance.in_use, f"{executor} is not running"
    return instance


def keeper_pid(executor: SimpleExecutor) -> int:
    """The pid of its keeper."""
    return instance_of(executor).process.keeper_pid


def has_started(group: Orchestrator) -> bool:
    """Whether it has started members, and would stop them."""
    return bool(group._started)


def death_of(executor: Executor) -> Exception | None:
    """The error that a TestCase would report if it has died, or hangs."""
    return deaths.death_of(executor, "now")


def stands_idle(executor: Executor) -> bool:
    """Whether it has ended as expected, so that a TestCase may start it again."""
    return executors.stands_idle(executor)


def has_lease(executor: SimpleExecutor) -> bool:
    """Whether it keeps a port and a directory for its next run."""
    return executor._instance is not None and not executor._instance.lease.over


def begin_lease(executor: SimpleExecutor) -> None:
    """Give it a directory and, once it is asked for, a port, without starting it."""
    executor._instance = Instance(executor._called, "", executor._limits)


# State that exists once in a process


def stop_all_at_exit() -> None:
    """Stop what the end of this process stops, and wait for what ends already."""
    pool._at_exit()
    running._stop_all_at_exit()


def reset() -> None:
    """Stop all services of this process, and forget all state."""
    shutdown.reset()


def leased_ports() -> int:
    """How many ports this process has leased."""
    return len(ports._leases._leased)


def requests_under_way() -> int:
    """How many requests the asker has not answered yet."""
    return len(asking._asker._under_way)


def held_locks() -> int:
    """How many locks of the package this thread holds; held too long, they block all others."""
    locks = ports._leases._mutex, warden._lock, asking._asker._lock, running.handover
    return sum(lock._is_owned() for lock in locks)  # type: ignore[attr-defined]


def control_of(client: Warden) -> socket.socket:
    """The socket on which a warden gets its orders."""
    return client._control


def warden_is_asked() -> bool:
    """Whether the warden has orders that it has not read."""
    assert warden._warden is not None
    return fcntl.ioctl(warden._warden._control, termios.TIOCOUTQ, bytes(4)) != bytes(4)


def last_words_of_warden() -> int:
    """The descriptor of the file in which a warden, or a keeper, says why it could not go on."""
    assert warden._warden is not None
    return warden._warden._said


def put_run_directory(place: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set where this process keeps the directories and logs of its services, for one test."""
    monkeypatch.setattr(log, "_run_directory", (os.getpid(), str(place)))


#: where servers keep their data if there is room: for mock.patch and monkeypatch
DATA_MEMORY = "summon_testcase.services.server_user.MEMORY"


def warn_of_orphans() -> None:
    """Give the warning that a start gives where the system forbids keepers to adopt orphans."""
    starting._warn_of_orphans()


# The keeper's log

#: the least number of bytes to which a log may be limited
LEAST_STORED = capture._LEAST
#: how many bytes the line has that counts those which were dropped
DROPPED_LINE = capture._MARK


def punch(fd: int, start: int, length: int) -> bool:
    """Give back part of a file to the disk; whether the system can."""
    return capture._punch(fd, start, length)


def without_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this system, for one test, one that cannot punch holes into files."""
    monkeypatch.setattr(capture, "_fallocate", None)
