"""No user or process can read, write, listen or answer that need not."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import stat
import subprocess
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from summon_testcase import (
    CommandCoordinatedExecutor,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    NotifyCoordinatedExecutor,
    OutputCoordinatedExecutor,
    SimpleExecutor,
    SpawnFailed,
    SummonError,
    TCPCoordinatedExecutor,
    UnknownReference,
    orchestrated,
    subscribe,
)
from summon_testcase.declaration.templates import offered
from summon_testcase.output.log import run_directory
from summon_testcase.supervision.lease import Lease

from ..another_user import NOBODY, interpreter_for_all
from ..doubles import bind, check_declared, instance_of, last_words_of_warden, put_run_directory
from ..places import require, root
from ..samples import eventually, parent, service, text
from .matrix import unprivileged
from .scene import run_program

#: a secret, searched in all places where it must not be
SECRET = "hunter2-4f1c9e"


# -- files --------------------------------------------------------------------------------

MODES = """
import os, stat, sys
os.umask(int(sys.argv[1], 8))
from summon_testcase import NotifyCoordinatedExecutor
from summon_testcase.output import log
from tests.samples import service
command = ["sh", "-c", 'umask; exec "$@"', "{tmpdir}"]
with NotifyCoordinatedExecutor([*command, *service("serves.py", "notify", "-", "/dev/null")]) as it:
    path = it.log_path.removesuffix(".log")
    for place in (log.run_directory(), it.tmpdir, it.log_path, path + ".notify"):
        print(format(stat.S_IMODE(os.lstat(place).st_mode), "o"))
    print(int(it.tail()[0], 8) == int(sys.argv[1], 8))
"""


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_modes(umask: str, tmp_path: Path) -> None:
    """Only the user can read the log, the socket and the directories, under any umask.

    The service has the umask of the tests nevertheless.
    """
    done = run_program(MODES, tmp_path, umask)
    assert (done.stderr, done.stdout.split()) == ("", ["700", "700", "600", "600", "True"])


class TestTraps:
    """Another user has put a link in our place that would lead our writes elsewhere."""

    @pytest.fixture
    def victim(self, tmp_path: Path) -> Path:
        """A file that must stay unchanged."""
        path = tmp_path / "victim"
        path.write_text("precious")
        return path

    @pytest.fixture
    def base(self) -> str:
        """The common beginning of the next service's paths, which can be guessed."""
        number = int(Lease("trap").base.rpartition("-")[2]) + 1
        return os.path.join(run_directory(), f"trap-{number}")

    def refused(self, mark: str, kind: type[SimpleExecutor] = SimpleExecutor) -> str:
        """The message of the error with which a start is refused."""
        with pytest.raises(SpawnFailed) as caught:
            kind(service("silent.py", "{tmpdir}", mark), name="trap").start()
        return str(caught.value)

    def test_at_the_log(self, base: str, victim: Path, mark: str) -> None:
        """A link at the path of the log is refused, and neither written nor read through."""
        os.symlink(victim, base + ".log")
        said = self.refused(mark)
        assert "its log could not be written: File exists" in said
        assert "precious" not in said
        assert victim.read_text() == "precious"

    def test_dangling_at_the_log(self, base: str, victim: Path, mark: str) -> None:
        """A link to a path that does not exist is refused, too."""
        os.symlink(victim.with_name("new"), base + ".log")
        assert "its log could not be written: File exists" in self.refused(mark)
        assert not victim.with_name("new").exists()

    def test_at_the_notify_socket(self, base: str, victim: Path, mark: str) -> None:
        """A link at the path of the socket is refused."""
        os.symlink(victim.with_name("new"), base + ".notify")
        kind: type[SimpleExecutor] = NotifyCoordinatedExecutor
        assert "its notify socket could not be set up" in self.refused(mark, kind)
        assert not victim.with_name("new").exists()

    def test_at_the_directory(self, base: str, tmp_path: Path, mark: str) -> None:
        """A link in the place of the service's directory is refused, and not emptied."""
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "file").touch()
        os.symlink(tmp_path / "elsewhere", base)
        try:
            assert "File exists" in self.refused(mark)
            assert os.listdir(tmp_path / "elsewhere") == ["file"]
        finally:
            os.unlink(base)

    @pytest.mark.parametrize("trap", ["link", "open", pytest.param("foreign", marks=root)])
    def test_at_the_run_directory(
        self, trap: str, tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The directory of the run was removed, and something else has its name."""
        elsewhere, place = tmp_path / "elsewhere", tmp_path / "summon-known"
        elsewhere.mkdir(0o700)
        if trap == "link":
            place.symlink_to(elsewhere)
        else:
            place.mkdir(0o700)
            os.chmod(place, 0o777 if trap == "open" else 0o700)
            if trap == "foreign":
                os.chown(place, NOBODY, NOBODY)
        put_run_directory(place, monkeypatch)
        assert f"{place} must be a directory (not a link)" in self.refused(mark)
        assert os.listdir(elsewhere) == []

    def test_removed_meanwhile(
        self, tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the directory was removed, it is made again, for this user only."""
        place = tmp_path / "summon-known"
        put_run_directory(place, monkeypatch)
        with SimpleExecutor(service("silent.py", mark)):
            assert stat.S_IMODE(os.stat(place).st_mode) == 0o700

    def test_a_directory_for_everybody(self, tmp_path: Path, mark: str) -> None:
        """Files of another user in a TMPDIR that all may write to are not touched."""
        require(not unprivileged(), unprivileged())
        # pytest's own directories are closed to other users
        place = Path(run_directory()).parent / f"all-{mark[-8:]}"
        place.mkdir()
        os.chmod(place, 0o1777)
        source = """
            import os, sys
            names = [f"summon-{name}" for name in ("aaaaaaaa", "x", "testcase")]
            for name in [*names, "summon_testcase-ports-65534"]:
                os.symlink(sys.argv[1], name)
            """
        program = interpreter_for_all()
        assert program is not None
        subprocess.run(
            [program, "-c", textwrap.dedent(source), str(tmp_path)],
            cwd=place,
            user=NOBODY,
            check=True,
        )
        before = sorted(os.listdir(place))
        run = """
            from summon_testcase import SimpleExecutor
            from summon_testcase.system import ports
            with SimpleExecutor(["sh", "-c", "sleep 1000", "{tmpdir}", "{port}"]):
                ports.lock_by_file(1).close()
            """
        done = run_program(textwrap.dedent(run), place)
        assert (done.stderr, done.returncode) == ("", 0)
        assert os.listdir(tmp_path) == []
        locks = f"summon_testcase-ports-{os.getuid()}"
        assert sorted(set(os.listdir(place)) - {locks}) == before


def test_what_a_killed_start_leaves(tmp_path: Path) -> None:
    """A directory was made for a service, and the test process killed before it was spawned."""
    source = """
        import os, signal
        from summon_testcase import SimpleExecutor
        from summon_testcase.supervision import warden
        warden.warm_up()
        warden.sync(1)
        warden.keep = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        SimpleExecutor("sleep 1000 {tmpdir}").start()
        """
    assert run_program(textwrap.dedent(source), tmp_path).returncode == -9
    eventually(lambda: os.listdir(tmp_path) == [], "nothing is left")


# -- processes ----------------------------------------------------------------------------


def test_no_shell(tmp_path: Path, mark: str) -> None:
    """Nothing in a command means anything to a shell, unless one is asked for."""
    words = [f"; touch {tmp_path}/a", f"$(touch {tmp_path}/b)", f"`touch {tmp_path}/c`", "*", "~"]
    words += ["| cat", "> x", "$HOME", "&&", "\n"]
    probe = ["test", f"$(touch {tmp_path}/d)", "!=", "x"]
    with CommandCoordinatedExecutor(service("tells.py", *words, mark), probe=probe) as it:
        it.output()
        told = eventually(lambda: "told" in it.tail() and it.tail(), "it told its arguments")
        assert '"argv": ["; touch' in told[0] and '"*", "~"' in told[0]
        assert "/bin/sh" not in text(f"/proc/{it.pid}/cmdline")
    SimpleExecutor(f"/bin/echo {mark} ';' touch {tmp_path}/e", one_shot=True).start().stop()
    assert os.listdir(tmp_path) == []
    SimpleExecutor(f"/bin/echo {mark} ; touch {tmp_path}/f", shell=True, one_shot=True).start()
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("tty", [True, False])
def test_a_service_has_three_streams(tty: bool, mark: str) -> None:
    """A service inherits no channel, no log and no descriptor of the test process."""
    read, write = os.pipe()
    os.set_inheritable(read, True)
    os.set_inheritable(write, True)
    try:
        with (
            SimpleExecutor(service("silent.py", mark)),
            OutputCoordinatedExecutor(
                ["sh", "-c", "echo up; sleep 1000", mark], "up", tty=tty
            ) as it,
        ):
            assert sorted(os.listdir(f"/proc/{it.pid}/fd")) == ["0", "1", "2"]
            # the keeper has its standard error, and no descriptor of the test process
            keeper = Path(f"/proc/{parent(it.pid)}/fd")
            targets = {entry.name: os.readlink(entry) for entry in keeper.iterdir()}
            said = last_words_of_warden()
            assert {targets[fd] for fd in "012"} == {os.readlink(f"/proc/self/fd/{said}")}
            assert os.readlink(f"/proc/self/fd/{read}") not in targets.values()
    finally:
        os.close(read)
        os.close(write)


def listening(pid: int) -> list[str]:
    """The internet sockets that a process has, whether they listen or not."""
    known = {}
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in text(f"/proc/{pid}/net/{protocol}").splitlines()[1:]:
            fields = line.split()
            known[f"socket:[{fields[9]}]"] = f"{protocol} {fields[1]}"
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(entry)
            found += [known[target]] if target in known else []
    return found


def test_nothing_of_ours_listens(mark: str) -> None:
    """Neither test process nor warden nor keepers have an internet socket.

    And services are told to listen on loopback.
    """
    before = listening(os.getpid())
    command = service("serves.py", "http", "{port}", "{tmpdir}/s", mark)
    url = "http://{host}:{port}/"
    notify = service("serves.py", "notify", "-", "{tmpdir}/s", mark)
    with (
        HTTPCoordinatedExecutor(command, url=url) as http,
        NotifyCoordinatedExecutor(notify) as notified,
        TCPCoordinatedExecutor(service("serves.py", "tcp", "{port}", "{tmpdir}/s", mark)) as tcp,
    ):
        assert listening(os.getpid()) == before
        keepers = [parent(each.pid) for each in (http, notified, tcp)]
        for pid in [*keepers, parent(keepers[0])]:
            assert listening(pid) == []
        # the counter-proof; 127.0.0.1 in the kernel's byte order
        assert listening(tcp.pid) == [f"tcp 0100007F:{tcp.port:04X}"]
        assert http.host == tcp.host == "127.0.0.1"


# -- messages -----------------------------------------------------------------------------


def everything(error: BaseException) -> str:
    """All texts that could be shown of an error."""
    shown = [str(error), repr(error), "".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        shown += [repr(vars(seen)), repr(pickle.dumps(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(shown)


def failing(mark: str) -> dict[str, Callable[[], object]]:
    """Ways to fail, with a secret in the environment."""
    env = {"PASSWORD": SECRET, "WHO": "me"}
    silent = service("silent.py", mark)

    def in_use() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            TCPCoordinatedExecutor(silent, port=taken.getsockname()[1], env=env).start()

    def deaf() -> None:
        it = OutputCoordinatedExecutor(
            service("deaf.py", mark), "deaf", env=env, stop_timeout=0.1
        ).start()
        it.stop()

    def keeper_killed() -> None:
        it = SimpleExecutor(silent, env=env).start()
        keeper = parent(it.pid)
        assert keeper > 1
        os.kill(keeper, signal.SIGKILL)
        eventually(lambda: not it.running(), "it is dead")
        it.stop()

    def twice() -> None:
        with SimpleExecutor(silent, env=env) as it:
            it.start()

    exits = ["sh", "-c", "echo no; exit 3", mark]
    return {
        "timeout": OutputCoordinatedExecutor(silent, "up", env=env, timeout=0.1).start,
        "exit": OutputCoordinatedExecutor(exits, "up", env=env).start,
        "fails_on": OutputCoordinatedExecutor(exits, "up", fails_on="no", env=env).start,
        "probe": CommandCoordinatedExecutor(silent, probe="false", env=env, timeout=0.1).start,
        "no command": SimpleExecutor("no-such-program", env=env).start,
        "no path": SimpleExecutor("no-such-program", env={"PATH": f"/{SECRET}"}).start,
        "no directory": SimpleExecutor(silent, cwd="/nowhere", env=env).start,
        "no file": FileCoordinatedExecutor(silent, "/nowhere/x", env=env, timeout=0.1).start,
        "unknown": orchestrated(
            a=SimpleExecutor(silent, env={**env, "X": SECRET + "{b.prot}"}),
            b=SimpleExecutor(silent, env=env),
        ).start,
        "cycle": orchestrated(
            a=SimpleExecutor(silent, env={"X": SECRET + "{b.port}"}),
            b=SimpleExecutor(silent, env={"X": SECRET + "{a.port}"}),
        ).start,
        "NUL": lambda: SimpleExecutor(silent, env={"PASSWORD": f"{SECRET}\0"}),
        "bytes": lambda: SimpleExecutor(silent, env={"PASSWORD": SECRET.encode()}),
        "list": lambda: SimpleExecutor(silent, env={"PASSWORD": [SECRET]}),
        "too long": SimpleExecutor(silent, env={"PASSWORD": SECRET * 100_000}).start,
        "port in use": in_use,
        "stop": deaf,
        "keeper killed": keeper_killed,
        "running": twice,
    }


WAYS = sorted(failing("x"))


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_in_no_error(
    way: str, mark: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Values of the environment are in no representation of an error, no log and no event."""
    caplog.set_level(logging.DEBUG)
    events: list[object] = []
    end = subscribe(events.append)
    with pytest.raises(SummonError) as caught:
        failing(mark)[way]()
    end()
    assert SECRET not in repr(events)
    # the source lines of this test itself name the variable only
    assert SECRET not in everything(caught.value)
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())


def test_a_secret_is_in_no_representation(mark: str, caplog: pytest.LogCaptureFixture) -> None:
    """They are not in representations of executors, command lines, the keeper's environment."""
    caplog.set_level(logging.DEBUG)
    command = ["sh", "-c", "echo up; sleep 1000", mark]
    executor = OutputCoordinatedExecutor(command, "up", env={"PASSWORD": SECRET})
    group = orchestrated(web=executor)
    with group:
        assert SECRET in text(f"/proc/{executor.pid}/environ")
        run = instance_of(executor)
        for thing in (executor, group, run, run.launch, run.process, run.log, run.error):
            assert SECRET not in f"{thing!r} {thing}"
        keeper = parent(executor.pid)
        for pid in (keeper, parent(keeper)):
            for file in ("cmdline", "environ", "comm"):
                assert SECRET not in text(f"/proc/{pid}/{file}")
        assert SECRET not in text(executor.log_path)
        assert SECRET not in executor.log_path
    assert SECRET not in caplog.text


REPORT = """
import os, sys, unittest
from summon_testcase import OutputCoordinatedExecutor, SummonMixin
class ATest(SummonMixin, unittest.TestCase):
    web = OutputCoordinatedExecutor(
        ["sh", "-c", "echo up; read line; exit 3"], "up", env={"PASSWORD": os.environ["TOLD"]})
    def test_one(self):
        self.web.sendline("end")
        while self.web.running():
            pass
        self.fail("no")
    def test_two(self):
        pass
sys.argv[1:] = ["-v"]
unittest.main()
"""


def test_a_secret_is_in_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not in the report of a failing test, nor in that of a service that died."""
    monkeypatch.setenv("TOLD", SECRET)
    done = run_program(REPORT, tmp_path)
    assert "exited with status 3" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_templates_reach_what_is_documented(mark: str) -> None:
    """Templates cannot name any attribute of another service except the documented ones."""
    db = OutputCoordinatedExecutor(
        ["sh", "-c", "echo up 7; sleep 1000", mark], r"up (?P<number>\d+)\n"
    )
    group = orchestrated(db=db)
    with group:
        names = {
            *dir(db),
            *vars(db),
            "_instance",
            "__class__",
            "__init__",
            "__dict__",
            "env",
            "_env",
        }
        allowed = set(offered(db))
        assert not [name for name in allowed if name.startswith("_")]
        for name in sorted(names - allowed):
            asks = SimpleExecutor(f"echo {{db.{name}}}", name="asks")
            bind(asks, {"db": db})
            with pytest.raises(UnknownReference):
                check_declared(asks)
    asks = SimpleExecutor(["echo", "{db.port.__class__}", "{db.name!r}", "{db[0]}", "{db}"])
    bind(asks, {"db": db})
    with asks:
        eventually(asks.tail, "it has answered")
        assert asks.tail() == ["{db.port.__class__} {db.name!r} {db[0]} {db}"]


# -- notices of readiness -----------------------------------------------------------------


def test_only_its_own_may_say_ready(mark: str, tmp_path: Path) -> None:
    """READY=1 of another service is ignored; that of a daemon of its own counts."""
    state, done = tmp_path / "state", tmp_path / "done"
    stranger = service("forges.py", state, done, mark)
    with SimpleExecutor(stranger):
        command = service("says_ready.py", state, done, mark)
        with NotifyCoordinatedExecutor(command):
            assert (text(done), text(state)) == ("sent", "now")
