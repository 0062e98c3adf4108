"""Each way for a start to fail has its own error, in time, and leaves nothing running."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    CommandNotFound,
    FailurePatternSeen,
    InvalidArgument,
    Orchestrator,
    OutputCoordinatedExecutor,
    PortInUse,
    ProcessExited,
    SimpleExecutor,
    SpawnFailed,
    SummonError,
    TCPCoordinatedExecutor,
    TimeoutExpired,
)
from summon_testcase.output.log import run_directory
from summon_testcase.readiness.tcp import TCPProbe
from summon_testcase.scheduling.steps import Steps, run

from ..another_user import interpreter_for_all
from ..doubles import ask_first, keeper_pid, members_of, warden_is_asked
from ..places import linux, require, root
from ..samples import alive, eventually, marked, meets, parent
from .scene import UP, Belongings, forget_log, nothing_left, run_program, sh

#: seconds within which a start that cannot succeed must end, on a busy machine
IN_TIME = 8.0


@contextmanager
def failing(
    kind: type[SummonError], mark: str, others: tuple[str, ...] = ()
) -> Iterator[list[SummonError]]:
    """A block that raises one kind of error, in time, and leaves nothing.

    :param others: may fail at the same moment, and have logs that are kept for the reader.
    """
    SimpleExecutor("true").start().stop()
    run(TCPProbe("127.0.0.1", 1).occupied("nobody"))
    before, began = Belongings(), time.monotonic()
    caught: list[SummonError] = []
    try:
        yield caught
    except SummonError as error:
        caught.append(error.with_traceback(None))
    took = time.monotonic() - began
    assert [type(error) for error in caught] == [kind], caught
    assert took < IN_TIME
    assert not marked(mark)
    forget_log(caught[0])
    for file in Belongings().files:
        if file.rpartition("-")[0] in others and file not in before.files:
            os.remove(os.path.join(run_directory(), file))
    assert before.lost() == {}


class TestOne:
    def test_not_ready_in_time(self, mark: str) -> None:
        """A service that never gets ready: the start ends at its timeout."""
        it = OutputCoordinatedExecutor(sh(UP, mark), "never", timeout=0.3, name="it")
        with failing(TimeoutExpired, mark) as caught:
            it.start()
        assert caught[0].message == "it: not ready within 0.3 s"

    def test_dies(self, mark: str) -> None:
        """A service that ends: the start fails at once, and the error has the status."""
        it = OutputCoordinatedExecutor(sh("echo sorry; exit 3", mark), "never", name="it")
        with failing(ProcessExited, mark) as caught:
            it.start()
        assert caught[0].message == "it: exited with status 3 before it was ready"
        assert "| sorry" in str(caught[0])

    def test_says_that_it_failed(self, mark: str) -> None:
        """fails_on= ends the start, though the service lives on."""
        it = OutputCoordinatedExecutor(
            sh("echo panic; read never", mark), "never", fails_on="panic", name="it"
        )
        with failing(FailurePatternSeen, mark) as caught:
            it.start()
        assert "'panic'" in caught[0].message

    def test_port_taken(self, mark: str) -> None:
        """The owner is named, by pid and command."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            it = TCPCoordinatedExecutor(sh(UP, mark), port=taken.getsockname()[1], name="it")
            with failing(PortInUse, mark) as caught:
                it.start()
        error = caught[0]
        assert isinstance(error, PortInUse)
        assert error.owner_pid == os.getpid()
        assert f"by process {os.getpid()} (" in error.message

    def test_port_taken_meanwhile(self, mark: str) -> None:
        """The owner is also named if the port was taken after the service was spawned."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]

            def take(it: Any) -> bool:
                taken.listen()
                return True

            it = TCPCoordinatedExecutor(sh(UP, mark), port=port, name="it", timeout=5, until=take)
            ask_first(it, Asking(take))
            with failing(PortInUse, mark) as caught:
                it.start()
        assert f"by process {os.getpid()} (" in caught[0].message

    def test_no_such_program(self, mark: str) -> None:
        """It is refused before anything is spawned."""
        it = SimpleExecutor(["no-such-program", mark], name="it")
        with failing(CommandNotFound, mark):
            it.start()

    def test_no_such_directory(self, mark: str) -> None:
        """It is refused before anything is spawned."""
        it = SimpleExecutor(sh(UP, mark), cwd="/no/such/directory", name="it")
        with failing(InvalidArgument, mark):
            it.start()

    def test_no_program(self, mark: str, tmp_path: Path) -> None:
        """The errors of a file that cannot be executed and of a missing one differ."""
        script = tmp_path / "script"
        script.write_bytes(b"\x7fELF, but not really")
        script.chmod(0o700)
        it = SimpleExecutor([str(script), mark], name="it")
        with failing(SpawnFailed, mark) as caught:
            it.start()
        assert "is no program and has no #! line" in caught[0].message


class Asking:
    """A probe that calls something."""

    shortest = longest = 0.01
    asked = ()

    def __init__(self, call: Callable[[Any], object]) -> None:
        self.call = call

    def check(self) -> None: ...
    def occupied(self, name: str, until: float) -> Steps[None]:
        yield from ()

    def close(self) -> None: ...
    def describe(self) -> str:
        return "a call"

    def look(self, view: Any, left: float = 0) -> None:
        self.call(view)


@linux
class TestItsOwnersDie:
    def test_keeper_killed(self, mark: str) -> None:
        """A start whose keeper is killed fails at once."""

        def kill(it: Any) -> None:
            os.kill(keeper_pid(it), signal.SIGKILL)

        it = SimpleExecutor(sh(UP, mark), until=kill, name="it", timeout=30)
        with failing(ProcessExited, mark) as caught:
            it.start()
        assert caught[0].message == "it: its keeper was killed, and so was it before it was ready"

    def test_keeper_and_family_killed(self, mark: str) -> None:
        """Processes of the service in sessions of their own are killed, too."""
        script = 'for i in 1 2; do setsid sh -c "sleep 1000; :" "$0" & done; echo up; wait'

        def kill(it: Any) -> bool:
            if it.tail():
                os.kill(keeper_pid(it), signal.SIGKILL)
            return False

        it = SimpleExecutor(sh(script, mark), until=kill, name="it", timeout=30)
        with failing(ProcessExited, mark):
            it.start()

    def test_warden_killed_before_it_answers(self, mark: str) -> None:
        """A start that waits for a keeper fails when the warden dies; the next has a new one."""
        first = SimpleExecutor(sh(UP, mark), name="first").start()
        warden = parent(keeper_pid(first))
        first.stop()
        os.kill(warden, signal.SIGSTOP)

        def kill() -> None:
            eventually(warden_is_asked, "it is asked for a keeper")
            os.kill(warden, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        it = SimpleExecutor(sh(UP, mark), name="it")
        try:
            began = time.monotonic()
            with pytest.raises(SpawnFailed) as caught:
                it.start()
            assert time.monotonic() - began < IN_TIME
        finally:
            killer.join()
        assert re.fullmatch(
            "it: not started: its keeper, run by .*, died or did not answer, and said nothing",
            caught.value.message,
        )
        assert not marked(mark)
        with it:
            assert it.running()
        assert not marked(mark)

    def test_warden_killed_while_it_starts(self, mark: str) -> None:
        """A service that has its keeper is started, runs and is stopped without the warden."""
        killed = []

        def kill(it: Any) -> bool:
            if not killed:
                killed.append(parent(keeper_pid(it)))
                os.kill(killed[0], signal.SIGKILL)
                eventually(lambda: not alive(killed[0]), "the warden is dead")
                return False
            return True

        it = SimpleExecutor(sh(UP, mark), until=kill, name="it", timeout=10)
        with it:
            assert it.running()
            eventually(lambda: it.tail() == ["up"], "it has begun")
        assert not marked(mark)
        with SimpleExecutor(sh(UP, mark)) as other:
            assert other.running()
        nothing_left(mark)


DISK = """
import os, sys, tempfile
from summon_testcase import *
from tests.samples import marked
mark, kind = sys.argv[1:]
script = "echo up; read never"
# found out while there is room
tempfile.gettempdir()
if kind == "filled":
    script = 'yes "$0" | head -c 4000000; echo; ' + script
else:
    with open(os.environ["TMPDIR"] + "/filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(65536)): pass
        except OSError:
            pass
if kind == "inodes":
    try:
        for number in range(10000):
            open(os.environ["TMPDIR"] + f"/{number}", "w").close()
    except OSError:
        pass
it = OutputCoordinatedExecutor(["/bin/sh", "-c", script, mark], "^up$", name="it", timeout=50)
for _ in range(2):
    try:
        it.start()
    except SummonError as error:
        print(type(error).__name__, error.message, len(marked(mark)), it.running())
"""


@root
@linux
class TestFullDisk:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of one megabyte."""
        place = tmp_path / "disk"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64,mode=0700", "none"]
        done = subprocess.run([*mount, str(place)], stderr=subprocess.DEVNULL)
        require(done.returncode == 0, "nothing can be mounted here")
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)

    @pytest.mark.parametrize(
        "kind, said",
        [
            ("full", "its log could not be written: No space left on device"),
            ("filled", "its log could not be written: No space left on device"),
            ("inodes", "No space left on device"),
        ],
    )
    def test_it_is_said(self, kind: str, said: str, mark: str, disk: Path) -> None:
        """A log directory without room: the start fails at once, and says why."""
        began = time.monotonic()
        done = run_program(DISK, disk, mark, kind)
        assert time.monotonic() - began < 2 * IN_TIME
        assert done.stderr == "" and done.returncode == 0
        lines = done.stdout.splitlines()
        assert len(lines) == 2
        for line in lines:
            assert re.fullmatch(f"SpawnFailed it: not started: .*{re.escape(said)}.* 0 False", line)
        nothing_left(mark)

    def test_after_it_was_ready(self, mark: str, disk: Path) -> None:
        """A disk that fills up later makes no start fail, but reports say so."""
        source = """
import os, sys
from summon_testcase import *
script = 'echo up; read x; yes "$0" | head -c 4000000; echo end; exit 5'
it = OutputCoordinatedExecutor(["/bin/sh", "-c", script, sys.argv[1]], "^up$", name="it")
it.start()
it.sendline()
try:
    it.wait_for_output("^never$", timeout=50)
except ProcessExited as error:
    print(error.message)
it.stop()
"""
        done = run_program(source, disk, mark)
        warning = "it: part of its log could not be written: No space left on device\n"
        assert (done.stderr, done.returncode) == (warning, 0)
        assert done.stdout == (
            "it: exited with status 5 before it wrote what was waited for (part of its log could "
            "not be written: No space left on device)\n"
        )
        nothing_left(mark)


LIMITED = """
import os, resource, sys
from summon_testcase import *
mark, limit = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
it = OutputCoordinatedExecutor(
    ["/bin/sh", "-c", "(exec sleep 1000) & echo up; wait", mark], "^up$", name="it", timeout=20)
try:
    it.start()
except SummonError as error:
    print(type(error).__name__, error.message)
else:
    print("up")
    it.stop()
"""


@root
@linux
class TestProcessLimit:
    def test_fork_refused(self, mark: str, tmp_path: Path) -> None:
        """At whatever fork the limit strikes: of warden, keeper, service, or by the service."""
        python = interpreter_for_all()
        require(python, "no interpreter that another user may run")
        user = 60000 + os.getpid() % 5000
        for folder in tmp_path.parents:
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
        tmp_path.chmod(0o755)
        place = tmp_path / "t"
        place.mkdir()
        os.chown(place, user, user)
        seen = []
        # for a while the kernel also counts processes that have ended
        for limit in range(1, 40):
            began = time.monotonic()
            done = run_program(LIMITED, place, mark, str(limit), interpreter=python, user=user)
            assert time.monotonic() - began < 2 * IN_TIME
            assert (done.stderr, done.returncode) == ("", 0)
            seen.append(done.stdout.strip())
            nothing_left(mark)
            eventually(lambda: not marked(str(place)), "its warden is gone")
            if seen[-1] == "up":
                break
        refused = "SpawnFailed it: not started: no process could be forked for it: "
        assert seen[0].startswith(refused) and seen[-1] == "up"
        died = "ProcessExited it: exited with status 2 before it was ready"
        assert all(line.startswith(refused) or line == died for line in seen[:-1]), seen


class TestGraph:
    def graph(self, mark: str, culprits: dict[str, Any], meet: str = ":") -> Orchestrator:
        """Twenty services, six of them foundations, some of which fail.

        :param meet: shell words that four of them run, which are never ready.
        """
        members: dict[str, Any] = {
            f"base{n}": OutputCoordinatedExecutor(sh(UP, mark), "up\n") for n in range(6)
        }
        for n in range(4):
            members[f"slow{n}"] = OutputCoordinatedExecutor(
                sh(f"{meet}; {UP}", mark), "never", timeout=60, after=f"base{n}"
            )
        members.update(culprits)
        for n in range(20 - len(members)):
            members[f"late{n}"] = SimpleExecutor(
                sh(UP, mark), after=[f"base{n % 6}", list(culprits)[n % len(culprits)]]
            )
        assert len(members) == 20
        return Orchestrator(members)

    def test_several_fail_at_once(self, mark: str, tmp_path: Path) -> None:
        """The error is that of the first failure; its consequences name the others."""
        # the five culprits, and the four that are still starting then
        meet = meets(tmp_path, 9)
        culprits = {
            f"bad{n}": OutputCoordinatedExecutor(
                sh(f"echo sorry; {meet}; exit {40 + n}", mark), "never"
            )
            for n in range(5)
        }
        group = self.graph(mark, culprits, meet)
        with failing(ProcessExited, mark, tuple(culprits)) as caught:
            group.start()
        error = caught[0]
        assert isinstance(error, ProcessExited)
        culprit = error.executor
        assert culprit in culprits and error.exit_code == 40 + int(culprit[-1])
        told = "\n".join(error.consequences)
        for name in members_of(group):
            assert name == culprit or re.search(rf"\b{name}\b", told), (name, told)
        assert re.search("started, stopped again: .*base", told)
        assert re.search("still starting, cancelled: .*slow0", told)
        assert re.search("not started: .*late0", told)
        self.discard(group)

    def test_every_way_at_once(self, mark: str) -> None:
        """One failure of each kind: the first ends all starts, in time."""

        def kill(it: Any) -> None:
            os.kill(keeper_pid(it), signal.SIGKILL)

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            culprits: dict[str, Any] = {
                "late": OutputCoordinatedExecutor(sh(UP, mark), "never", timeout=0.2),
                "dead": OutputCoordinatedExecutor(sh("sleep 0.2; exit 1", mark), "never"),
                "panic": OutputCoordinatedExecutor(
                    sh("sleep 0.2; echo panic; read never", mark), "never", fails_on="panic"
                ),
                "taken": TCPCoordinatedExecutor(sh(UP, mark), port=taken.getsockname()[1]),
                "orphan": SimpleExecutor(sh(UP, mark), until=kill),
            }
            group = self.graph(mark, culprits)
            with failing(PortInUse, mark, tuple(culprits)) as caught:
                group.start()
            assert caught[0].executor == "taken"
            del members_of(group)["taken"]
            for number in (n for n in range(5) if f"late{n}" in members_of(group)):
                members_of(group)[f"late{number}"].after = ("dead",)
            before = Belongings()
            with pytest.raises(SummonError) as later:
                group.start()
            assert later.value.executor in culprits
            assert not marked(mark)
            self.discard(group)
            later.value.__traceback__ = None
            assert set(before.lost()) <= {"files"}

    def discard(self, group: Orchestrator) -> None:
        """Remove the logs that are kept for the reader of an error."""
        for name in os.listdir(run_directory()):
            os.remove(os.path.join(run_directory(), name))

    def test_nothing_of_it_stays_started(self, mark: str) -> None:
        """A group that has failed can be started again when the culprit is repaired."""
        marks = {"ill": True}
        it = SimpleExecutor(sh(UP, mark), until=lambda e: not marks["ill"] or 1 / 0, timeout=0.2)
        group = Orchestrator({"a": SimpleExecutor(sh(UP, mark)), "it": it})
        with pytest.raises(TimeoutExpired):
            group.start()
        assert not marked(mark)
        marks["ill"] = False
        with group:
            eventually(lambda: len(marked(mark)) == 2, "both run")
        nothing_left(mark)
