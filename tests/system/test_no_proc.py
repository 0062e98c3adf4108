"""Systems that do not tell which process is whose: missing evidence is not evidence."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..places import require, unshare
from ..programs import line, program, run
from ..samples import PATIENCE, eventually, marked

#: commands that hide /proc; the program follows them
HIDDEN = ["--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "-"]
OTHERS = ["--pid", "--fork", "--kill-child"]
#: the same, and soon the kernel begins with low pids again: each pid namespace has a highest one,
#: in older kernels that of the system
AROUND = [
    *(*OTHERS, "--mount", "sh", "-c"),
    "set_() { echo $2 > /proc/sys/kernel/$1; }; "
    'set_ pid_max "$1" && set_ ns_last_pid $(($1 - 8)) && shift && mount -t tmpfs none /proc && '
    'exec "$@"',
    *("-", Path("/proc/sys/kernel/pid_max").read_text().strip()),
]
KINDS = pytest.mark.parametrize("how", [HIDDEN, OTHERS], ids=["hidden", "of-another-namespace"])


@contextmanager
def beside(how: list[str], source: str, mark: str, place: Path) -> Iterator[subprocess.Popen[str]]:
    """A program after the preamble, in namespaces of its own."""
    with program(source, mark, place, within=unshare(*how)) as process:
        yield process
        _, complaints = process.communicate("\n", timeout=PATIENCE * 4)
        assert (complaints, process.returncode) == ("", 0)


STARTED = """
def four():
    shapes = [
        SimpleExecutor(service("family.py", MARK), until=lambda e: len(e.tail()) == 4),
        FileCoordinatedExecutor(
            service("daemon.py", "{tmpdir}/it.pid", MARK), path="{tmpdir}/it.pid"),
        OutputCoordinatedExecutor(service("deaf.py", MARK), "deaf", stop_timeout=0.2),
        OutputCoordinatedExecutor(["sh", "-c", 'setsid env -i "$@" & echo up; wait',
                                   MARK, *service("silent.py", MARK)], "up"),
    ]
    return [each.start() for each in shapes]
"""


@KINDS
def test_nothing_is_left(how: list[str], mark: str, place: Path) -> None:
    """stop(), kill() and the end of the program leave no process, and need no grace period."""
    source = f"""{STARTED}
began = time.monotonic()
for each in four():
    try:
        each.stop()
    except StopFailed as error:
        assert "was killed" in error.message, error
say("stopped")
input()
for each in four():
    each.kill()
say("killed", time.monotonic() - began)
input()
group = four()
say("up")
input()
os._exit(0)
"""
    with beside(how, source, mark, place) as process:
        assert process.stdin is not None
        assert line(process) == ["stopped"]
        assert marked(mark) == []
        process.stdin.write("\n")
        process.stdin.flush()
        said, seconds = line(process)
        assert said == "killed"
        assert marked(mark) == []
        # a process that cannot be found would cost 5 s
        assert float(seconds) < 20
        process.stdin.write("\n")
        process.stdin.flush()
        assert line(process) == ["up"]
        assert len(marked(mark)) >= 7
    eventually(lambda: not marked(mark), "its processes are gone")


def test_low_pids_again(mark: str, place: Path) -> None:
    """Children are found in time whose pids are lower than that of their keeper."""
    source = """
pids, command = [], service("family.py", MARK)
for _ in range(4):
    # a keeper that tries all possible pids does not answer in time
    with SimpleExecutor(command, until=lambda e: len(e.tail()) == 4, stop_timeout=1) as family:
        pids.append(family.pid)
assert pids != sorted(pids), pids
say("stopped")
input()
"""
    with beside(AROUND, source, mark, place) as process:
        assert line(process) == ["stopped"]
        assert marked(mark) == []


def test_all_pids_once(mark: str, place: Path) -> None:
    """Children are found after the kernel has gone through all pids since the keeper was forked."""
    require(Path("/proc/sys/kernel/ns_last_pid").exists(), "the kernel lets nobody choose pids")
    source = """
def go_to(pid):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid))

script = '''echo up; read x; setsid sh -c 'echo child; exec "$@"' - "$@" & wait'''
command = ["sh", "-c", script, MARK, *service("silent.py", MARK)]
it = OutputCoordinatedExecutor(command, "up", stop_timeout=3).start()
go_to(20000)
it.sendline()
it.wait_for_output("child")
go_to(it.pid + 500)
it.stop()
say("stopped")
input()
"""
    with beside(OTHERS, source, mark, place) as process:
        assert line(process) == ["stopped"]
        assert marked(mark) == []


@KINDS
def test_the_main_process_is_dead_for_sure(how: list[str], mark: str, place: Path) -> None:
    """A failed start leaves no process, and the process group gets the stop signal."""
    source = """
try:
    TCPCoordinatedExecutor(service("silent.py", "{port}", MARK), timeout=0.2).start()
except TimeoutExpired:
    say("late")
input()
"""
    with beside(how, source, mark, place) as process:
        assert line(process) == ["late"]
        assert marked(mark) == []


@KINDS
def test_what_is_its_own(how: list[str], mark: str, place: Path) -> None:
    """The listener of a service is not taken for a stranger's, and its READY=1 counts."""
    source = """
serves = lambda kind: service("serves.py", kind, "{port}", "{tmpdir}/s", MARK)
daemon = ["sh", "-c", '(setsid "$@" &) ; exit 0', MARK]
for prefix in [], daemon:
    with TCPCoordinatedExecutor([*prefix, *serves("tcp")], timeout=20) as one, one.paused():
        pass
    with HTTPCoordinatedExecutor(
            [*prefix, *serves("http")], url="http://{host}:{port}/", timeout=20):
        pass
    with NotifyCoordinatedExecutor([*prefix, *serves("notify")], timeout=20):
        pass
with FileCoordinatedExecutor(
        service("serves.py", "pidfile", "{tmpdir}/a.pid", "{tmpdir}/s", MARK),
        path="{tmpdir}/a.pid", timeout=20):
    pass
say("all")
input()
"""
    with beside(how, source, mark, place) as process:
        assert line(process) == ["all"]
        assert marked(mark) == []


#: seccomp: prctl(PR_SET_CHILD_SUBREAPER) is EPERM, whatever else is allowed
REFUSED = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)

def refuse_subreapers():
    number = {"x86_64": 157, "aarch64": 167}[os.uname().machine]
    program = b"".join(struct.pack("=HBBI", *each) for each in [
        (0x20, 0, 0, 0),            # load the number of the system call
        (0x15, 0, 3, number),       # not prctl: allow
        (0x20, 0, 0, 16),           # load its first argument
        (0x15, 0, 1, 36),           # not PR_SET_CHILD_SUBREAPER: allow
        (0x06, 0, 0, 0x00050001),   # EPERM
        (0x06, 0, 0, 0x7FFF0000),   # allow
    ])
    buffer = ctypes.create_string_buffer(program)
    filled = ctypes.create_string_buffer(struct.pack("@HP", 6, ctypes.addressof(buffer)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    if libc.prctl(22, 2, filled, 0, 0) != 0:
        say("no seccomp")
        sys.exit()
    assert libc.prctl(36, 1, 0, 0, 0) == -1

import warnings
refuse_subreapers()
"""


def test_a_refused_subreaper(mark: str, place: Path) -> None:
    """One warning says so; processes in the session of the service are stopped nevertheless."""
    source = f"""{REFUSED}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for script in 'exec "$@"', '"$@" & "$@" & wait':
        with SimpleExecutor(["sh", "-c", script, MARK, *service("silent.py", MARK)]):
            pass
    orphan = SimpleExecutor(["sh", "-c", '("$@" &) ; read never', MARK,
                             *service("silent.py", MARK)]).start()
    orphan.kill()
(warning,) = caught
assert warning.category is RuntimeWarning
say(warning.message)
eventually(lambda: marked(MARK) == [], "all is gone")
"""
    said = " ".join(run(source, mark, place))
    require(said != "no seccomp", "the kernel takes no seccomp filters here")
    assert "PR_SET_CHILD_SUBREAPER" in said
    assert "is not stopped" in said
    assert "keeper is killed" in said
