"""Finds out what this machine has and allows, and what that means for tests."""

from __future__ import annotations

import platform
import re
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import services
from ..declaration.programs import activate, find_program, package_of
from ..errors import CommandNotFound
from ..executors.executor import Executor
from ..foreign import let_through, suppress
from ..keeper import processes
from ..keeper.processes import RunnerWatch
from ..scheduling.deadline import Deadline
from ..services.postgresql_cluster import bindirs
from ..services.ready_made import ReadyMade
from ..services.server_user import MEMORY, has_room
from ..system import procfs
from ..system.netlink import SockDiag
from ..unpatched import LINUX, open, os
from ..wording import size

if TYPE_CHECKING:
    from ..unpatched import subprocess

#: seconds that programs have, all at the same time, to say their versions
_PATIENCE = 1.0
#: how a program is asked for its version, where that is not ``--version``; empty: it cannot be
_FLAGS = {"nginx": "-v", "mosquitto": "-h", "sshd": "-V", "Xvfb": "", "rabbitmq-server": ""}
#: packages in Python whose names are not those of their programs
_DISTRIBUTIONS = {"waitress-serve": "waitress", "moto_server": "moto"}
#: the container engines, and how their daemon is asked; podman has none
_ENGINES = {"docker": "{{.Server.Version}}", "podman": "", "nerdctl": "{{.Server.Version}}"}
#: descriptors that a test process should be allowed; each running service takes one
_DESCRIPTORS = 512
#: terminals that should be free; each running service takes one
_TERMINALS = 64


class Finding(NamedTuple):
    """One line.

    :param group: ``summon_testcase``, ``services``, ``engines`` or ``system``.
    :param name: what was looked for.
    :param good: whether it is there, or is as it should be.
    :param found: a version, or a number; may be empty.
    :param where: the path of a program; empty for none.
    :param means: what follows for the user.
    """

    group: str
    name: str
    good: bool
    found: str
    where: str
    means: str


def examine() -> list[Finding]:
    """All that can be found out."""
    return [*_ourselves(), *_programs(), *_system()]


def _ourselves() -> Iterator[Finding]:
    group, where = "summon_testcase", os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    version = sys.modules[str(__package__).partition(".")[0]].__version__
    yield Finding(group, "version", True, version, where, "")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding(group, "Python", True, python, sys.executable, "")
    facts = os.uname()
    means = "" if LINUX else "the kernel tells less than Linux does: see the page Gotchas"
    yield Finding(group, "system", LINUX, f"{facts.sysname} {facts.release}", "", means)


# -- programs --


class _Question:
    """A program that runs from here on, and is to say a version.

    :param words: its command.
    """

    def __init__(self, *words: str) -> None:
        from ..unpatched import subprocess

        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def answer(self, deadline: Deadline, well: bool = False) -> str:
        """The first number with a dot in it that it prints; empty if it prints none in time.

        :param well: whether what it prints counts only if it exits with 0.
        """
        from ..unpatched import subprocess

        if self._process is None:
            return ""
        with self._process as process:
            try:
                said = process.communicate(timeout=deadline.left())[0]
            except subprocess.TimeoutExpired as error:
                said = error.output or b""
                os.killpg(process.pid, signal.SIGKILL)
        number = re.search(rb"\d+(\.\d+)+", said)
        return number[0].decode() if number and not (well and process.returncode) else ""


def _programs() -> Iterator[Finding]:
    """The servers of the ready-made services, and container engines."""
    # the proxy is a program of this package
    names = [name for name in services.__all__ if name != "TCPProxy"]
    known = [(name, *_server(getattr(services, name))) for name in names]
    engines = [(name, _path_of(name)) for name in _ENGINES]
    paths = {path for _, path, _ in known} | {path for _, path in engines}
    # all are asked at the same time
    asked = {path: _Question(*words) for path in paths if (words := _asked(path))}
    daemons = {
        path: _Question(path, "version", "--format", form)
        for name, path in engines
        if path and (form := _ENGINES[name])
    }
    deadline = Deadline(_PATIENCE)
    versions = {path: _of_package(path) for path in paths}
    versions |= {path: question.answer(deadline) for path, question in asked.items()}
    for name, path, instead in known:
        yield Finding("services", name, bool(path), versions[path], path, instead)
    for name, path in engines:
        means = "" if path else "not installed"
        if path in daemons and not daemons[path].answer(deadline, well=True):
            means = "its daemon does not answer, so it runs no containers: start that"
        yield Finding("engines", name, not means, versions[path], path, means)


def _server(service: type[Executor]) -> tuple[str, str]:
    """The path of a service's program; what to do if there is none."""
    if issubclass(service, ReadyMade):
        path = next(filter(None, map(_path_of, service._programs)), "")
        return path, "" if path else f"install {service._sources()}"
    # PostgreSQL
    names = [*(os.path.join(place, "postgres") for place in bindirs()), "postgres"]
    path = next(filter(None, map(_path_of, names)), "")
    return path, "" if path else f"install the Debian package {package_of('postgres')}"


def _path_of(program: str) -> str:
    """Where a service would find a program; empty if it would not."""
    env = dict(os.environ)
    activate(env)
    try:
        return find_program(program, env.get("PATH"), os.sep, "summon doctor")
    except CommandNotFound as error:
        let_through(error)
        return ""


def _asked(path: str) -> tuple[str, ...]:
    """The command by which a program tells its version; empty if none does, or none is needed."""
    flag = _FLAGS.get(os.path.basename(path), "--version")
    return (path, flag) if path and flag and not _of_package(path) else ()


def _of_package(path: str) -> str:
    """The version of a Python package in this environment that has a program."""
    from importlib import metadata

    name = os.path.basename(path)
    if not path or os.path.dirname(path) != os.path.dirname(sys.executable):
        return ""
    try:
        return metadata.version(_DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        return ""


# -- the system --


def _system() -> Iterator[Finding]:
    looks = {
        "pidfd": _pidfd,
        "sub-reaper": _sub_reaper,
        "/proc": _proc,
        "netlink": _netlink,
        "terminals": _terminals,
        "/dev/shm": _memory,
        "descriptors": _descriptors,
    }
    for name, look in looks.items():
        try:
            good, found, means = look()
        except Exception as error:
            let_through(error)
            good, found, means = False, "", f"could not be found out: {error}"
        yield Finding("system", name, good, found, "", means)


def _pidfd() -> tuple[bool, str, str]:
    fd = RunnerWatch(os.getpid()).fd
    if fd >= 0:
        os.close(fd)
        return True, "", "if the tests are killed, their services go at once"
    return False, "", "if the tests are killed, their services go within a second"


def _sub_reaper() -> tuple[bool, str, str]:
    processes.become_subreaper()
    refused = processes.subreaper_refused
    processes.become_subreaper(False)
    if LINUX and not refused:
        return True, "", "daemons that leave their parents are found and ended, too"
    return False, "", "daemons that leave their session are not ended with the tests"


def _proc() -> tuple[bool, str, str]:
    if procfs.is_ours():
        return True, "", "errors name the process that has a port"
    return False, "", "nothing tells which process has a port"


def _netlink() -> tuple[bool, str, str]:
    try:
        SockDiag().close()
    except OSError as error:
        let_through(error)
        said = "the kernel does not tell who listens, so that ports are asked by connecting"
        return False, "", f"{said}: {error.strerror}"
    return True, "", "a service is ready when it listens; no connection is made to ask it"


def _terminals() -> tuple[bool, str, str]:
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError as error:
        let_through(error)
        return False, "", f"none can be opened ({error.strerror}): write tty=False"
    limits = [_number(f"/proc/sys/kernel/pty/{name}") for name in ("max", "nr")]
    free = limits[0] - limits[1] if all(limits) else 0
    means = "each running service takes one, unless tty=False"
    return not free or free >= _TERMINALS, f"{free} free" if free else "", means


def _number(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError) as error:
        let_through(error)
        return 0


def _memory() -> tuple[bool, str, str]:
    if not os.path.isdir(MEMORY):
        return False, "", "PostgreSQL and MariaDB write their data to a disk"
    facts = os.statvfs(MEMORY)
    free = size(facts.f_bavail * facts.f_frsize)
    if has_room(MEMORY):
        return True, f"{free} free", "PostgreSQL and MariaDB have their data in memory"
    means = "PostgreSQL and MariaDB need half a GiB there, and otherwise write to a disk"
    return False, f"{free} free", means


def _descriptors() -> tuple[bool, str, str]:
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return True, "no limit", "each running service takes one of the test process"
    means = "each running service takes one of the test process"
    enough = soft >= _DESCRIPTORS
    return enough, str(soft), means if enough else f"{means}: raise it with ulimit -n"
