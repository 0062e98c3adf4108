"""``summon clean``: what nobody needs any more goes, what is in use or not ours stays."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from summon_testcase.cli import leftovers
from summon_testcase.cli.target import UsageError
from summon_testcase.stacks import registry
from summon_testcase.stacks.registry import Registration

from ..places import linux
from ..programs import line, program
from ..samples import PATIENCE, ROOT, eventually, marked
from .commands import summon

RUNS = """
service = SimpleExecutor(["sh", "-c", "echo up; read never", MARK], name="web", files={"a": "b"})
with service:
    say(os.path.dirname(service.log_path))
    sys.stdin.read()
"""
#: a start whose log is kept for its reader
FAILS = """
service = OutputCoordinatedExecutor(["sh", "-c", "echo no; exit 3", MARK], "yes", name="web")
try:
    service.start()
except ProcessExited as error:
    say(os.path.dirname(error.report.log_path))
"""
#: the data with which the servers of this process alone begin, packed for them
MAKES = """
from summon_testcase.scheduling.steps import nothing, run
from summon_testcase.services import server_user
from summon_testcase.services.archives import Archives
server_user.MEMORY = os.environ["TMPDIR"]
archive, lease = run(Archives("db", None, 60).for_this_process(None, lambda data: nothing()))
say(os.path.dirname(archive))
sys.stdin.read()
"""
#: a terminal in which the command is given
ASKS = """
import sys
from summon_testcase.cli import leftovers
from tests.cli.commands import summon
leftovers.PLACES = ()
sys.exit(summon("clean"))
"""


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only directory that the command looks at."""
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(leftovers, "PLACES", ())
    for name in ("SUMMON_CACHE_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield place


def age(path: Path) -> Path:
    """Have a file, or a directory, be an hour old."""
    os.utime(path, (time.time() - 3600,) * 2, follow_symlinks=False)
    return path


def made(path: Path, *names: str) -> Path:
    """A directory of an hour ago, with some files."""
    path.mkdir(0o700)
    for name in names:
        (path / name).write_text("x" * 5000)
    return age(path)


def cleaned(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says that removes what is left.

    A process that ends closes its files, and gives up its locks, after it has lost the command line
    by which tests know it.
    """
    capsys.readouterr()

    def said() -> str:
        assert summon("clean", "--yes") == 0
        return capsys.readouterr().out.removeprefix("Nothing is left behind.\n")

    return eventually(said, "something is left behind")


def test_nothing_is_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    """The usual case: runs clean up after themselves."""
    assert summon("clean") == 0
    assert capsys.readouterr().out == "Nothing is left behind.\n"


def test_logs_that_errors_have_named(
    here: Path, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They stay for whoever reads the error, until they are cleaned away."""
    with program(FAILS, mark, here) as process:
        left = age(Path(*line(process)))
        assert process.wait(PATIENCE) == 0
    eventually(lambda: not marked(str(left)), "its warden is gone")
    age(left)
    assert [path.name for path in left.iterdir()] == ["web-1.log"]
    listed, removed = cleaned(capsys).splitlines()
    assert f"{left}  1 log, of 20" in listed and removed.startswith("Removed ")
    assert not left.exists()


@linux
def test_a_run_that_goes_on(here: Path, mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    """However old its files are; and once it was killed, with its warden, they go."""
    with program(RUNS, mark, here) as process:
        left = age(Path(*line(process)))
        assert summon("clean", "--yes") == 0
        assert capsys.readouterr().out == "Nothing is left behind.\n"
        for pid in (*marked(str(left)), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(PATIENCE)
    eventually(lambda: not marked(mark) and not marked(str(left)), "nothing of it runs")
    if left.exists():
        age(left)
        assert "files of a run that was killed" in cleaned(capsys)
    assert not left.exists()


@linux
def test_data_for_servers_of_one_process(
    here: Path, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They go once that process was killed, with its warden."""
    with program(MAKES, mark, here) as process:
        left = age(Path(*line(process)))
        assert summon("clean", "--yes") == 0
        assert left.exists()
        for pid in (*marked(str(here)), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(PATIENCE)
    eventually(lambda: not marked(str(here)), "nothing of it runs")
    assert f"{left}  data of a database whose run was killed" in cleaned(capsys)
    assert not left.exists()


def test_a_log_in_use_by_a_process_that_we_cannot_see(here: Path) -> None:
    """As that of a keeper in a container: it has locked the log."""
    left = made(here / "summon-abcd1234", "web-1.log")
    with open(left / "web-1.log") as log:
        fcntl.flock(log, fcntl.LOCK_SH)
        assert summon("clean", "--yes") == 0
        assert left.exists()
    assert summon("clean", "--yes") == 0
    assert not left.exists()


def test_data_of_a_server_in_another_container(here: Path) -> None:
    """No process that we see mentions them: the log beside the link to them is locked."""
    data = made(here / "summon-data1234", "PG_VERSION")
    run = made(here / "summon-run12345", "db-1.log")
    (run / "db-1.elsewhere").symlink_to(data)
    age(run)
    with open(run / "db-1.log") as log:
        fcntl.flock(log, fcntl.LOCK_SH)
        assert summon("clean", "--yes") == 0
        assert data.exists() and run.exists()
    assert summon("clean", "--yes") == 0
    assert not data.exists() and not run.exists()


@linux
def test_a_keeper_locks_its_log(here: Path, mark: str) -> None:
    """So that others know."""
    with program(RUNS, mark, here) as process:
        (log,) = Path(*line(process)).glob("*.log")
        with open(log) as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@linux
def test_data_of_a_server_that_a_test_has_stopped(here: Path) -> None:
    """No process mentions them, but the directory of a run that goes on has a link to them."""
    data = made(here / "summon-data1234", "PG_VERSION")
    run = made(here / "summon-run12345")
    (run / "db-1.elsewhere").symlink_to(data)
    age(run)
    runs = subprocess.Popen(["sh", "-c", "read never", "warden", str(run)], stdin=subprocess.PIPE)
    with runs:
        assert summon("clean", "--yes") == 0
        assert data.exists() and run.exists()
        runs.kill()
    assert summon("clean", "--yes") == 0
    assert not data.exists() and not run.exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_what_is_being_made(quiet: bool, here: Path) -> None:
    """Between the directory and the warden of a run a moment passes."""
    left = made(here / "summon-abcd1234")
    if not quiet:
        os.utime(left)
    assert summon("clean", "--yes") == 0
    assert left.exists() != quiet


def test_what_is_not_ours(here: Path) -> None:
    """Directories and files that only have such a name, and links."""
    with_others = made(here / "summon-abcd1234", "web-1.log", "thesis.tex")
    target = made(here / "elsewhere", "web-1.log")
    link = here / "summon-link1234"
    link.symlink_to(target)
    age(link)
    file = here / "summon-file1234"
    file.write_text("")
    longer = made(here / "summon-abcd12345", "web-1.log")
    # a clone of this project, and a user's own projects
    clone = made(here / "summon-testcase", "data", "base", "mysql")
    public = made(here / "summon-released", "PG_VERSION")
    public.chmod(0o755)
    projects = made(here / "summon-projects")
    (projects / "shop-1").mkdir()
    kept = [with_others, target, link, file, longer, clone, public, age(projects)]
    assert summon("clean", "--yes") == 0
    assert all(path.exists() for path in kept)


def test_archives_of_databases(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All but those that a process uses, or makes at the moment; locks stay."""
    cache = made(here / f"summon-cache-{os.getuid()}", "made.lock")
    half = made(cache / "gone.new-abc", "PG_VERSION")
    for name in ("old", "used", "made"):
        made(cache / f"{name}.archive", "1.tar", "2.tar")
    os.utime(cache / "used.archive")
    with open(cache / "made.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert summon("clean", "--yes") == 0
    assert "3 databases for copies" in capsys.readouterr().out
    assert not half.exists()
    left = {path.name for path in cache.iterdir()}
    assert {name for name in left if not name.endswith(".lock")} == {"used.archive", "made.archive"}
    assert "made.lock" in left


def test_stacks_whose_owners_are_dead(here: Path) -> None:
    """Their files go, also those of another version."""
    directory = Path(registry.directory())
    (directory / "old.json").write_text('{"format": 0}')
    (directory / "dead.json").write_text('{"format": 1, "pid": 999999999, "began": 1}')
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert summon("clean", "--yes") == 0
    assert not list(directory.glob("*.json"))


def test_a_stack_of_another_container(here: Path) -> None:
    """Its owner is none of the processes that we see, but it keeps a file locked."""
    stack = Registration(how="up", target="x.py", file="/x.py", name="X")
    stack.facts |= {"pid": 999999999, "pid_namespace": "pid:[1]"}
    stack.write()
    try:
        assert summon("clean", "--yes") == 0
        assert Path(stack.stack.path).exists()
    finally:
        stack.remove()


def test_nobody_is_there_to_be_asked(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list is shown, and nothing is removed."""
    left = made(here / "summon-abcd1234", "web-1.log")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match="write --yes"):
        summon("clean")
    assert str(left) in capsys.readouterr().out
    assert left.exists()


@pytest.mark.parametrize(
    ("answer", "gone"), [("y", True), ("n", False), ("", False), ("\4", False)]
)
def test_in_a_terminal_it_asks(answer: str, gone: bool, here: Path) -> None:
    """Only yes is yes."""
    left = made(here / "summon-abcd1234", "web-1.log")
    terminal = pexpect.spawn(
        sys.executable, ["-c", ASKS], cwd=ROOT, timeout=PATIENCE * 2, encoding="utf-8"
    )
    try:
        terminal.expect(r"Remove these \d+ \w*iB\? \[y/N\] ")
        terminal.send(answer if answer == "\4" else f"{answer}\n")
        terminal.expect("Removed" if gone else "Nothing was removed")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close()
    assert terminal.exitstatus == 0
    assert left.exists() != gone


def test_what_cannot_be_removed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, goes on with the rest, and exits with 1."""
    for name in ("summon-abcd1234", "summon-bbcd1234"):
        made(here / name, "web-1.log")
    remove = leftovers.shutil.rmtree

    def refuse(path: str) -> None:
        if "abcd" in path and "bbcd" not in path:
            raise PermissionError(13, "Permission denied", path)
        remove(path)

    monkeypatch.setattr(leftovers.shutil, "rmtree", refuse)
    assert summon("clean", "--yes") == 1
    assert "summon-abcd1234 cannot be removed: Permission denied" in capsys.readouterr().out
    assert not (here / "summon-bbcd1234").exists()
