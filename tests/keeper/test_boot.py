"""Warden and keepers come up whatever the test process is like, or say why they cannot."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..places import unshare
from ..programs import PREAMBLE, assert_nothing_left, run
from ..samples import PATIENCE, text

#: one executor of each kind; if one fails, it must fail with a message
ALL_KINDS = """
serves = lambda kind: service("serves.py", kind, "{port}", "{tmpdir}/s", MARK)

def cycle():
    speaks = "echo up; read it; echo got $it"
    with OutputCoordinatedExecutor(["sh", "-c", speaks, MARK], "up") as up:
        up.sendline("this")
        up.wait_for_output("got this", timeout=30)
    with TCPCoordinatedExecutor(serves("tcp")), \\
            HTTPCoordinatedExecutor(serves("http"), url="http://{host}:{port}/"):
        pass
    with CommandCoordinatedExecutor(serves("plain"), probe="true", tty=False):
        pass
    with NotifyCoordinatedExecutor(serves("notify")):
        pass
    try:
        OutputCoordinatedExecutor(["sh", "-c", "echo no; exit 3", MARK], "up").start()
    except ProcessExited as error:
        assert "| no" in str(error), error
        os.remove(error.report.log_path)
"""


def outside(source: str, mark: str, place: Path, shell: str, *arguments: str) -> str:
    """Have a shell start a program, ``"$@"``; the content of the file ``said`` that it writes."""
    wrapped = f"""
def say(*words):
    with open({str(place.parent / "said")!r}, "a") as stream:
        print(*words, file=stream)
try:
{"".join(f"    {each}" for each in source.splitlines(keepends=True))}
    say("well")
except BaseException as error:
    import traceback
    say("".join(traceback.format_exception(error)))
"""
    subprocess.run(
        [*arguments, "sh", "-c", shell, "-", sys.executable, "-c", PREAMBLE + wrapped],
        env={**os.environ, "TMPDIR": str(place), "MARK": mark},
        timeout=PATIENCE * 8,
        start_new_session=True,
    )
    return text(place.parent / "said")


CLOSED = [set(each) for size in (1, 2, 3) for each in itertools.combinations((0, 1, 2), size)]


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_closed_standard_streams(closed: set[int], mark: str, place: Path) -> None:
    """Services run without standard streams; files opened in their place later are not ours."""
    source = f"""
{ALL_KINDS}
cycle()
with SimpleExecutor(["sh", "-c", "read it; echo got $it; read it", MARK]) as up:
    # pytest's capture does this
    other = os.open(os.devnull, os.O_RDWR)
    for fd in {sorted(closed)}:
        os.dup2(other, fd)
    up.sendline("this")
    up.wait_for_output("got this", timeout=30)
    cycle()
    assert up.running()
"""
    redirected = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in closed)
    assert outside(source, mark, place, f'exec "$@" {redirected}') == "well\n"
    assert_nothing_left(mark, place)


def test_no_stdout_object(mark: str, place: Path) -> None:
    """redirect_stdout(None) is no hindrance, nor is a stderr that is None to a slow start."""
    source = f"""
import contextlib
{ALL_KINDS}
os.environ["SUMMON_VERBOSE"] = "1"
with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
    cycle()
    with OutputCoordinatedExecutor(["sh", "-c", "sleep 1.2; echo up; read it", MARK], "up"):
        pass
"""
    assert run(source, mark, place) == []


def test_no_dev_null(mark: str, place: Path) -> None:
    """A container without /dev/null runs services."""
    source = f"""
{ALL_KINDS}
assert not os.path.exists(os.devnull)
cycle()
"""
    shell = (
        "mkdir -p /dev/pts && mount -t tmpfs none /dev && mkdir /dev/pts && "
        "mount -t devpts -o newinstance,ptmxmode=0666 none /dev/pts && "
        'ln -s pts/ptmx /dev/ptmx && exec "$@"'
    )
    assert outside(source, mark, place, shell, *unshare("--mount")) == "well\n"
    assert_nothing_left(mark, place)


def refused(source: str, mark: str, place: Path, kind: str = "SimpleExecutor") -> str:
    """The message of the error of a start."""
    source = f"""
{source}
began = time.monotonic()
url = {{"url": "http://{{host}}:{{port}}/"}} if "HTTP" in {kind!r} else {{}}
try:
    {kind}(["sh", "-c", "read it", MARK, "{{port}}"], name="web", **url).start()
except SpawnFailed as error:
    say(error.message)
    assert error.executor == "web"
    assert "process:" not in str(error), error
    assert "log:" not in str(error), "there is none"
assert time.monotonic() - began < 30
"""
    return "\n".join(run(source, mark, place))


def test_a_frozen_program(mark: str, place: Path) -> None:
    """A frozen program, which would start itself again and again, is refused."""
    said = refused("sys.frozen = True; sys.executable = '/bin/false'", mark, place)
    assert said.startswith("web: ")
    assert "frozen program" in said
    assert "Python interpreter" in said


def test_no_such_interpreter(mark: str, place: Path) -> None:
    """The error names the missing interpreter, and the variable that has its path."""
    said = refused("sys.executable = '/no/such/python'", mark, place)
    assert "sys.executable" in said
    assert "/no/such/python, could not be executed: No such file" in said


@pytest.mark.parametrize("kind", ["SimpleExecutor", "HTTPCoordinatedExecutor"])
def test_another_program_as_interpreter(kind: str, mark: str, place: Path, tmp_path: Path) -> None:
    """If an embedding program is no interpreter, the error shows its output."""
    host = tmp_path / "uwsgi"
    host.write_text("#!/bin/sh\necho unknown option $1 >&2\nexit 1\n")
    host.chmod(0o755)
    said = refused(f"sys.executable = {str(host)!r}", mark, place, kind)
    assert f"its keeper, run by {host}, died" in said
    assert "unknown option -I" in said


def test_an_interpreter_that_cannot_boot(mark: str, place: Path, tmp_path: Path) -> None:
    """The interpreter's own message is in the error."""
    host = tmp_path / "python"
    host.write_text(f'#!/bin/sh\nPYTHONHOME=/nowhere exec {sys.executable} -S -c ""\n')
    host.chmod(0o755)
    said = refused(f"sys.executable = {str(host)!r}", mark, place)
    assert "No module named 'encodings'" in said


def test_python_home(mark: str, place: Path) -> None:
    """The warden gets the variables of the start, even if the test has cleared them."""
    given = {"PYTHONHOME": sys.base_prefix, "LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"}
    source = f"""
assert sys.flags.ignore_environment == 0
before = dict(os.environ)
os.environ.clear()
os.environ.update(PATH=before["PATH"], LD_LIBRARY_PATH="/nowhere", PYTHONINSPECT="1")
reads = ["/bin/sh", "-c", "echo reads; read it", before["MARK"]]
with OutputCoordinatedExecutor(reads, "reads") as up:
    warden = parent(parent(up.pid))
    environment = text(f"/proc/{{warden}}/environ").split("\\0")
    for each in {[f"{name}={value}" for name, value in given.items()]}:
        assert each in environment, environment
    assert not any("PYTHONINSPECT" in each for each in environment)
    assert "-I" not in text(f"/proc/{{warden}}/cmdline").split("\\0")
    assert text(f"/proc/{{up.pid}}/environ").count("/nowhere") == 1
"""
    prefix = " ".join(f"{name}={value}" for name, value in given.items())
    assert outside(source, mark, place, f'{prefix} exec "$@"') == "well\n"
    assert_nothing_left(mark, place)


def test_an_interpreter_that_hangs(mark: str, place: Path, tmp_path: Path) -> None:
    """A program that hangs is given up, and the test process ends."""
    host = tmp_path / "python"
    host.write_text("#!/bin/sh\nexec sleep 1000\n")
    host.chmod(0o755)
    sooner = "from summon_testcase.supervision import warden; warden.ANSWER = 1.0"
    said = refused(f"{sooner}; sys.executable = {str(host)!r}", mark, place)
    assert f"{host}, died or did not answer" in said
    assert_nothing_left(mark, place)


def test_keepers_that_are_killed_have_last_words(mark: str, place: Path) -> None:
    """An exception in a keeper is in the error of its service."""
    source = """
up = SimpleExecutor(["sh", "-c", "read it", MARK], name="web").start()
up._instance.process._tell("nonsense")
eventually(lambda: not up.running(), "its keeper has ended")
from summon_testcase.supervision import warden
say(warden.no_answer())
up.kill()
"""
    assert "unexpected message b'nonsense'" in "\n".join(run(source, mark, place))


#: as the tests run in a container: PID 1, or the nearest sub-reaper
FIRST = ["--pid", "--fork", "--mount-proc", "--kill-child"]
ADOPTING = "import ctypes; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0"


@pytest.mark.parametrize("how", [FIRST, []], ids=["PID-1", "sub-reaper"])
def test_first_process(how: list[str], mark: str, place: Path) -> None:
    """As a child of the test process the warden leaves no zombie when it ends, or is killed."""
    source = f"""
{ADOPTING}
from summon_testcase.supervision import warden
for _ in range(2):
    up = SimpleExecutor(["sh", "-c", "read it", MARK]).start()
    keeper = parent(up.pid)
    assert parent(parent(keeper)) == os.getpid()
    up.stop()
    warden.close()
    try:
        assert os.waitpid(-1, os.WNOHANG) == "none"
    except ChildProcessError:
        pass
up = SimpleExecutor(["sh", "-c", "read it", MARK]).start()
keeper = parent(up.pid)
found = parent(keeper)
up.stop()
eventually(lambda: status(keeper) == ("", 0), "the keeper has been reaped")
os.kill(found, signal.SIGKILL)
eventually(lambda: not alive(found), "the warden is dead")
SimpleExecutor(["sh", "-c", "read it", MARK]).start().stop()
def children():
    return [int(name) for name in os.listdir("/proc")
            if name.isdigit() and parent(int(name)) == os.getpid()]
eventually(lambda: len(children()) == 1, "but one child is left: the warden")
two = Orchestrator([
    SimpleExecutor(["sh", "-c", "read it", MARK]),
    HTTPCoordinatedExecutor(service("serves.py", "http", "{{port}}", "{{tmpdir}}/s", MARK),
                            url="http://{{host}}:{{port}}/"),
]).start()
os.kill(children()[0], signal.SIGKILL)
eventually(lambda: len(children()) == 4, "keepers and asker have come to us")
two.stop()
assert children() == []
"""
    arguments = unshare(*how) if how else []
    assert outside(source, mark, place, 'exec "$@"', *arguments) == "well\n"
    assert_nothing_left(mark, place)
