"""Executors on real processes: one contract for all flavours, and what each adds to it."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from summon_testcase import (
    AlreadyRunning,
    CommandCoordinatedExecutor,
    FailurePatternSeen,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    NotifyCoordinatedExecutor,
    NotRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    PortInUse,
    ProcessExited,
    SimpleExecutor,
    StartFailed,
    StopFailed,
    SummonError,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    UnixSocketCoordinatedExecutor,
)
from summon_testcase.system import ports

from ..doubles import called, instance_of, limits_of
from ..places import can_bind, require, unshare
from ..reliability.scene import run_program
from ..samples import (
    PATIENCE,
    alive,
    eventually,
    frozen_for_a_moment,
    marked,
    parent,
    service,
    status,
    text,
)

STATE = "{tmpdir}/state"


# -- the contract -----------------------------------------------------------------------


def connects(family: socket.AddressFamily, address: Any) -> bool:
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address)
    return True


@dataclass(frozen=True)
class Flavour:
    """A kind of executor, how one is declared, and how a test sees that it is ready."""

    name: str
    make: Callable[..., SimpleExecutor]
    ready: Callable[[Any], object]


def port_of(executor: SimpleExecutor) -> int | None:
    """Its port, None if it has none now."""
    try:
        return executor.port
    except NotRunning:
        return None


def wrote_state(executor: SimpleExecutor) -> bool:
    return text(f"{executor.tmpdir}/state") == "ready"


def serves(kind: str, address: str, mark: str) -> list[str]:
    return service("serves.py", kind, address, STATE, mark)


FLAVOURS = [
    Flavour(
        "simple",
        lambda mark, command=None, **o: SimpleExecutor(command or serves("plain", "-", mark), **o),
        lambda e: alive(e.pid),
    ),
    Flavour(
        "until",
        lambda mark, command=None, **o: SimpleExecutor(
            command or serves("plain", "-", mark), until=wrote_state, **o
        ),
        wrote_state,
    ),
    Flavour(
        "output",
        lambda mark, command=None, **o: OutputCoordinatedExecutor(
            command or serves("banner", "{name}", mark), banner=r"serving at (?P<place>.*)\n", **o
        ),
        lambda e: wrote_state(e) and e.place == called(e),
    ),
    Flavour(
        "tcp",
        lambda mark, command=None, **o: TCPCoordinatedExecutor(
            command or serves("tcp", "{port}", mark), **o
        ),
        lambda e: wrote_state(e) and connects(socket.AF_INET, (e.host, e.port)),
    ),
    Flavour(
        "http",
        lambda mark, command=None, **o: HTTPCoordinatedExecutor(
            command or serves("http", "{port}", mark), url="http://{host}:{port}/health", **o
        ),
        lambda e: wrote_state(e) and urlopen(e.url_for("/"), timeout=5).read() == b"ok",
    ),
    Flavour(
        "unix",
        lambda mark, command=None, **o: UnixSocketCoordinatedExecutor(
            command or serves("unix", "{tmpdir}/socket", mark), path="{tmpdir}/socket", **o
        ),
        lambda e: wrote_state(e) and connects(socket.AF_UNIX, f"{e.tmpdir}/socket"),
    ),
    Flavour(
        "file",
        lambda mark, command=None, **o: FileCoordinatedExecutor(
            command or serves("file", "{tmpdir}/made", mark), path="{tmpdir}/made", **o
        ),
        lambda e: wrote_state(e) and os.path.exists(f"{e.tmpdir}/made"),
    ),
    Flavour(
        "pid file",
        lambda mark, command=None, **o: FileCoordinatedExecutor(
            command or serves("pidfile", "{tmpdir}/it.pid", mark), path="{tmpdir}/it.pid", **o
        ),
        lambda e: wrote_state(e) and int(text(f"{e.tmpdir}/it.pid")) == e.pid,
    ),
    Flavour(
        "notify",
        lambda mark, command=None, **o: NotifyCoordinatedExecutor(
            command or serves("notify", "-", mark), **o
        ),
        wrote_state,
    ),
    Flavour(
        "command",
        lambda mark, command=None, **o: CommandCoordinatedExecutor(
            command or serves("plain", "-", mark), probe=["test", "-s", STATE], **o
        ),
        wrote_state,
    ),
]
every_flavour = pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.name)
#: a SimpleExecutor is ready when spawned, so it cannot fail to become ready
waiting_flavour = pytest.mark.parametrize("flavour", FLAVOURS[2:], ids=lambda f: f.name)


class TestContract:
    @every_flavour
    def test_start_returns_it_ready(self, flavour: Flavour, mark: str) -> None:
        """``start()`` returns the executor itself, ready, with its process as `pid`."""
        executor = flavour.make(mark)
        assert executor.start() is executor
        try:
            assert flavour.ready(executor)
            assert executor.running()
            assert executor.exit_code is None
            # its command line is there a moment after the process is
            eventually(lambda: executor.pid in marked(mark), "its process is there")
        finally:
            executor.stop()
        assert marked(mark) == []

    @every_flavour
    def test_a_second_start_is_refused(self, flavour: Flavour, mark: str) -> None:
        """``start()`` of a running one raises, names the pid, and disturbs nothing."""
        with flavour.make(mark) as executor:
            pid = executor.pid
            with pytest.raises(AlreadyRunning, match=str(pid)):
                executor.start()
            assert executor.running() and executor.pid == pid
            assert flavour.ready(executor)

    @every_flavour
    def test_stop_is_idempotent(self, flavour: Flavour, mark: str) -> None:
        """``stop()`` of a stopped one, or one never started, does nothing."""
        executor = flavour.make(mark)
        executor.stop()
        executor.start()
        executor.stop()
        executor.stop()
        executor.kill()
        assert not executor.running()
        assert executor.exit_code == -signal.SIGTERM
        assert marked(mark) == []

    @every_flavour
    def test_a_stopped_one_has_no_attributes(self, flavour: Flavour, mark: str) -> None:
        """What only a running one has raises NotRunning, and the directory is gone."""
        executor = flavour.make(mark)
        with executor:
            directory, log = executor.tmpdir, executor.log_path
            assert os.path.isdir(directory) and os.path.isfile(log)
        assert not os.path.exists(directory) and not os.path.exists(log)
        for ask in (
            lambda: executor.pid,
            lambda: executor.tmpdir,
            lambda: executor.log_path,
            executor.output,
            executor.tail,
            lambda: executor.send("x"),
            lambda: executor.sendline("x"),
            lambda: executor.wait_for_output("x"),
            executor.restart,
            lambda: executor.stopped().__enter__(),
            lambda: executor.paused().__enter__(),
        ):
            with pytest.raises(NotRunning, match="not running"):
                ask()

    @every_flavour
    def test_the_block_raises(self, flavour: Flavour, mark: str) -> None:
        """As a context manager it stops when the block raises, and lets the error through."""
        executor = flavour.make(mark)
        with pytest.raises(ZeroDivisionError):
            with executor as entered:
                assert entered is executor
                raise ZeroDivisionError
        assert not executor.running()
        assert marked(mark) == []

    @every_flavour
    def test_restart(self, flavour: Flavour, mark: str) -> None:
        """``restart()`` gives another process, ready, at the same port."""
        with flavour.make(mark) as executor:
            before = executor.pid, port_of(executor)
            assert executor.restart() is executor
            assert executor.pid != before[0]
            assert port_of(executor) == before[1]
            assert not alive(before[0])
            assert flavour.ready(executor)

    @every_flavour
    def test_it_can_be_started_again(self, flavour: Flavour, mark: str) -> None:
        """A stopped executor can be started anew; nothing of the first run is seen."""
        executor = flavour.make(mark)
        for _ in range(2):
            with executor:
                assert flavour.ready(executor)
        assert marked(mark) == []

    @every_flavour
    def test_a_death_is_seen(self, flavour: Flavour, mark: str) -> None:
        """Killed from outside it is not running, says how, and can be stopped."""
        executor = flavour.make(mark).start()
        os.kill(executor.pid, signal.SIGKILL)
        eventually(lambda: not executor.running(), "running() is false")
        assert executor.exit_code == -signal.SIGKILL
        executor.stop()
        assert executor.exit_code == -signal.SIGKILL

    @waiting_flavour
    def test_a_failed_start_leaves_nothing(self, flavour: Flavour, mark: str) -> None:
        """A start that expires leaves no process, also of what ignores signals, and no port."""
        executor = flavour.make(mark, command=service("deaf.py", mark, "{port}"), timeout=0.2)
        with pytest.raises(TimeoutExpired) as caught:
            executor.start()
        assert caught.value.timeout == 0.2
        assert not executor.running()
        assert marked(mark) == []
        assert port_of(executor) is None
        executor.stop()

    @waiting_flavour
    def test_an_early_exit_is_seen_at_once(self, flavour: Flavour, mark: str) -> None:
        """A process that ends before it is ready fails the start long before the timeout."""
        executor = flavour.make(
            mark, command=service("exits.py", 2, 3, mark, "{port}"), timeout=300
        )
        began = time.monotonic()
        with pytest.raises(ProcessExited) as caught:
            executor.start()
        assert time.monotonic() - began < 60
        assert caught.value.exit_code == executor.exit_code == 3
        assert caught.value.report is not None
        assert caught.value.report.output == ("line 1", "line 2")


# -- readiness ----------------------------------------------------------------------------


class TestSimple:
    def test_one_that_ends_at_once_was_started(self) -> None:
        """It is ready when spawned; whether its end is met by the start must not matter."""
        for _ in range(60):
            it = SimpleExecutor("false").start()
            assert it.wait(30) == 1
            it.stop()


class TestOutput:
    def test_a_slow_banner(self, mark: str) -> None:
        """Not ready before the banner has been said."""
        with OutputCoordinatedExecutor(service("slow_banner.py", 0.3, "up", mark), "up") as slow:
            assert slow.tail() == ["up"]

    def test_a_banner_in_pieces(self, mark: str) -> None:
        """A banner that comes byte by byte, multi-byte characters included, is found."""
        said = "größe 4711 bereit"
        with OutputCoordinatedExecutor(
            service("split_banner.py", said, mark), r"größe (?P<size>\d+) bereit"
        ) as split:
            assert split.size == "4711"
            assert split.match is not None and split.match.group() == said

    def test_any_of_several(self, mark: str) -> None:
        """Of a list of banners, compiled or not, one is enough."""
        banners = ["never", re.compile("READY", re.IGNORECASE)]
        with OutputCoordinatedExecutor(service("slow_banner.py", 0, "ready", mark), banners) as any:
            assert any.match is not None and any.match.group() == "ready"

    def test_anchors_match_at_lines(self, mark: str) -> None:
        """``^`` and ``$`` mean lines, and the terminal adds no carriage return."""
        script = "echo not READY; echo READY; sleep 1000"
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], "^READY$") as anchored:
            assert anchored.tail() == ["not READY", "READY"]

    def test_groups_become_attributes(self, mark: str) -> None:
        """Named groups of the banner are attributes; a `port` is a number."""
        script = "echo 'node alpha on port 4711'; sleep 1000"
        executor = OutputCoordinatedExecutor(
            ["sh", "-c", script, mark], r"node (?P<node>\w+) on port (?P<port>\d+)\n"
        )
        with pytest.raises(NotRunning):
            executor.node  # noqa: B018
        with executor:
            assert (executor.node, executor.port) == ("alpha", 4711)
            assert executor.url == "tcp://127.0.0.1:4711"
        with pytest.raises(AttributeError):
            executor.edon  # noqa: B018

    def test_a_silent_service(self, mark: str) -> None:
        """The error of a silent service says so: 0 bytes of output."""
        executor = OutputCoordinatedExecutor(service("silent.py", mark), "up", timeout=0.2)
        with pytest.raises(TimeoutExpired, match="0 bytes of output"):
            executor.start()

    def test_the_last_words_count(self, mark: str) -> None:
        """A banner said right before the end of a process with status 0 is not missed."""
        for _ in range(20):
            with OutputCoordinatedExecutor(["sh", "-c", "echo up", mark], "up") as brief:
                assert brief.match is not None


class TestAddresses:
    def test_localhost(self, mark: str) -> None:
        """Of the several addresses of a name one is enough."""
        with TCPCoordinatedExecutor(serves("tcp", "{port}", mark), host="localhost") as tcp:
            assert connects(socket.AF_INET, ("127.0.0.1", tcp.port))

    def test_the_listener_of_somebody_else(self, mark: str) -> None:
        """A port that another process listens on is in use, not ready."""
        with TCPCoordinatedExecutor(serves("tcp", "{port}", mark)) as first:
            second = TCPCoordinatedExecutor(service("silent.py", mark), port=first.port)
            with pytest.raises(PortInUse) as caught:
                second.start()
            assert caught.value.owner_pid == first.pid
            assert len(marked(mark)) == 1

    @pytest.mark.parametrize("kind", ["tcp", "http"])
    @pytest.mark.parametrize("prefix", ["", "setsid "], ids=["main", "daemon"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
    def test_a_service_that_listens_elsewhere(
        self, host: str, prefix: str, kind: str, mark: str
    ) -> None:
        """When the wait fails, where it does listen is said beside where it should."""
        listens = [
            "import signal, socket, sys",
            "kind = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET",
            "listener = socket.create_server((sys.argv[1], 0), family=kind)",
            "print('port', listener.getsockname()[1], flush=True)",
            "signal.pause()",
        ]
        command = f'{prefix}"$@" & exit 0' if prefix else 'exec "$@"'
        python = [sys.executable, "-S", "-c", "\n".join(listens), host, "{port}"]
        command_line = ["sh", "-c", command, mark, *python]
        executor: SimpleExecutor = (
            TCPCoordinatedExecutor(command_line, name="web", timeout=0.7)
            if kind == "tcp"
            else HTTPCoordinatedExecutor(
                command_line, url="http://{host}:{port}/", name="web", timeout=0.7
            )
        )
        require(can_bind(host), f"{host} does not exist here")
        said = None
        while said is None:
            with pytest.raises(TimeoutExpired) as caught:
                executor.start()
            said = re.search(r"port (\d+)", str(caught.value))
            # a machine that is too busy for that to listen in time
            limits_of(executor).timeout *= 4
            assert limits_of(executor).timeout < 300
        shown = f"[{host}]" if ":" in host else host
        first = caught.value.message
        assert f": web listens on {shown}:{said[1]}, not on 127.0.0.1:" in first

    def test_a_service_behind_a_wall(self, mark: str) -> None:
        """The error says if the service listens in a network namespace of its own."""
        inside = ["sh", "-c", 'ip link set lo up; exec "$@"', mark, *serves("tcp", "{port}", mark)]
        executor = TCPCoordinatedExecutor([*unshare("--net"), *inside], timeout=3, name="web")
        with pytest.raises(TimeoutExpired) as caught:
            executor.start()
        where = r"127\.0\.0\.1:\d+ in a network namespace of its own, not on 127"
        assert re.search(f"web listens on {where}", caught.value.message)

    def test_each_gets_a_port_of_its_own(self, mark: str) -> None:
        """Without `port` each gets a free one, which is given back at the stop."""
        one = TCPCoordinatedExecutor(serves("tcp", "{port}", mark))
        other = TCPCoordinatedExecutor(serves("tcp", "{port}", mark))
        with one, other:
            assert one.port != other.port
        for stopped in (one, other):
            with pytest.raises(NotRunning):
                stopped.port  # noqa: B018

    @pytest.mark.parametrize(
        "accepted",
        [503, {503, 504}, range(500, 504), lambda code: code > 500],
        ids=["number", "set", "range", "callable"],
    )
    def test_accepted_status(self, accepted: Any, mark: str) -> None:
        """`status` says what is accepted: a number, a set, a range, a callable."""
        executor = HTTPCoordinatedExecutor(
            service("unready_http.py", "{port}", 1000, "{tmpdir}/asked", mark),
            url="http://{host}:{port}/",
            status=accepted,
        )
        with executor:
            assert text(f"{executor.tmpdir}/asked").splitlines() == ["GET / 503"]

    def test_url_for(self, mark: str) -> None:
        """``url_for`` gives paths on the same server; the URL fixes host and port."""
        port = ports.lease()
        try:
            executor = HTTPCoordinatedExecutor(
                serves("http", str(port), mark), url=f"http://127.0.0.1:{port}/health?x=1"
            )
            assert executor.port == port
            with executor:
                assert executor.url == f"http://127.0.0.1:{port}/health?x=1"
                assert executor.url_for("/buy") == f"http://127.0.0.1:{port}/buy"
        finally:
            ports.release(port)

    def test_a_socket_of_before(self, mark: str, tmp_path: Path) -> None:
        """A socket file that nobody listens at any more is not ready."""
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        executor = UnixSocketCoordinatedExecutor(service("silent.py", mark), path, timeout=0.2)
        with pytest.raises(TimeoutExpired, match="connection refused"):
            executor.start()

    def test_a_file_of_before(self, mark: str, tmp_path: Path) -> None:
        """A file that was there before the start is not ready, one written anew is."""
        path = tmp_path / "made"
        path.write_text("old")
        executor = FileCoordinatedExecutor(service("silent.py", mark), path, timeout=0.2)
        with pytest.raises(TimeoutExpired, match="still the file of before"):
            executor.start()
        with FileCoordinatedExecutor(serves("file", str(path), mark), path):
            assert path.read_text() == "here"

    def test_the_pid_file_of_somebody_else(self, mark: str, tmp_path: Path) -> None:
        """One that names a live process is refused before the start, one of the dead is not."""
        path = tmp_path / "it.pid"
        executor = FileCoordinatedExecutor(serves("pidfile", str(path), mark), path, name="web")
        with SimpleExecutor(service("silent.py", mark)) as other:
            path.write_text(f"{other.pid}\nmore\n")
            eventually(lambda: marked(mark) != [], "it has become the program, with its arguments")
            with pytest.raises(PortInUse, match=r"cannot start: the pid file .*silent") as caught:
                executor.start()
            assert caught.value.owner_pid == other.pid
            assert marked(mark) == [other.pid]
        with executor:
            assert int(path.read_text()) == executor.pid
            executor.restart()
            assert int(path.read_text()) == executor.pid
        path.write_text("nonsense\n")
        with executor:
            pass

    def test_a_daemon(self, mark: str) -> None:
        """A daemon by its pid file: running after its starter has ended, stopped all the same."""
        executor = FileCoordinatedExecutor(
            service("daemon.py", "{tmpdir}/it.pid", mark), path="{tmpdir}/it.pid"
        )
        with executor:
            daemon = int(text(f"{executor.tmpdir}/it.pid"))
            eventually(lambda: marked(mark) == [daemon], "the starter has ended")
            assert executor.running()
        assert marked(mark) == []


class TestNotifyAndCommand:
    def test_a_stranger_cannot_notify(self, mark: str, tmp_path: Path) -> None:
        """READY=1 from a process that is not the service's own is not believed."""
        told, done = tmp_path / "told", tmp_path / "done"
        executor = NotifyCoordinatedExecutor(
            ["sh", "-c", 'echo "$NOTIFY_SOCKET" >"$0"; sleep 1000', str(told), mark], timeout=1
        )
        with SimpleExecutor(service("forges.py", told, done, mark)):
            with pytest.raises(TimeoutExpired, match="no READY=1"):
                executor.start()
            assert text(done) == "sent"

    @pytest.mark.parametrize("end", ["", "x"], ids=["between", "within"])
    def test_a_long_temporary_directory(self, end: str, mark: str, tmp_path: Path) -> None:
        """The address of the socket is short enough in bytes, and has no half of a character."""
        source = """
import sys
from summon_testcase import NotifyCoordinatedExecutor
from tests.samples import service
command = service("serves.py", "notify", "-", *sys.argv[1:])
told = ["sh", "-c", 'echo "$NOTIFY_SOCKET"; exec "$@"', "-"]
with NotifyCoordinatedExecutor([*told, *command]) as it:
    (address,) = it.tail()
    assert address.startswith("@") and address.isprintable(), address
"""
        place = tmp_path / ("\u0436" * 45 + end)
        place.mkdir()
        done = run_program(source, place, mark)
        assert (done.stderr, done.returncode) == ("", 0)

    def test_probe_command_sees_the_service(self, mark: str) -> None:
        """The probe command runs with the environment and directory of the service."""
        executor = CommandCoordinatedExecutor(
            service("silent.py", mark),
            probe=["sh", "-c", 'test "$WHO" = me && pwd >"$1"', "probe", STATE],
            env={"WHO": "me"},
            cwd="/usr",
        )
        with executor:
            assert text(f"{executor.tmpdir}/state") == "/usr\n"

    def test_what_the_probe_command_said(self, mark: str) -> None:
        """The last line of a probe command that refuses is in the error."""
        executor = CommandCoordinatedExecutor(
            service("silent.py", mark), probe="sh -c 'echo no such table; exit 2'", timeout=0.3
        )
        with pytest.raises(TimeoutExpired, match="exited with status 2: no such table"):
            executor.start()

    def test_a_probe_command_that_hangs(self, mark: str) -> None:
        """A run of the probe command is killed after `probe_timeout`, and tried again."""
        executor = CommandCoordinatedExecutor(
            service("silent.py", mark),
            probe=["sh", "-c", '[ -e "$1" ] || { echo >"$1"; sleep 1000; }', mark, STATE],
            probe_timeout=0.3,
        )
        with executor:
            assert executor.running()
        assert marked(mark) == []

    def test_a_probe_command_that_refuses_gets_rarer(self, mark: str, tmp_path: Path) -> None:
        """Probe commands do not run a thousand times a second while the service is not ready."""
        executor = CommandCoordinatedExecutor(
            service("silent.py", mark),
            probe=["sh", "-c", 'echo >>"$1"; false', mark, tmp_path / "runs"],
            timeout=3,
        )
        with pytest.raises(TimeoutExpired):
            executor.start()
        assert 10 < len(text(tmp_path / "runs")) < 250


class TestCommonArguments:
    def test_until_is_asked_with_the_executor(self, mark: str) -> None:
        """`until` is called with the executor until true; an exception is a refusal."""
        asked = []

        def third_time(executor: SimpleExecutor) -> bool:
            asked.append(executor)
            if len(asked) == 2:
                raise RuntimeError("not yet")
            return len(asked) == 3

        executor = SimpleExecutor(service("silent.py", mark), until=third_time)
        with executor:
            assert asked == [executor] * 3
        never = SimpleExecutor(service("silent.py", mark), until=lambda e: 1 / 0, timeout=0.1)
        with pytest.raises(TimeoutExpired, match="until= raised ZeroDivisionError"):
            never.start()

    def test_until_comes_after_the_own_readiness(self, mark: str) -> None:
        """`until` is an additional condition: asked only once the flavour's own is met."""
        with TCPCoordinatedExecutor(
            serves("tcp", "{port}", mark),
            until=lambda e: connects(socket.AF_INET, (e.host, e.port)),
        ) as executor:
            assert executor.running()

    def test_one_shot(self, mark: str) -> None:
        """A one-shot is ready when it has exited with 0, and keeps its output."""
        with SimpleExecutor(["sh", "-c", "sleep 0.1; echo done", mark], one_shot=True) as shot:
            assert shot.exit_code == 0
            assert not shot.running()
            assert shot.output().read() == "done\n"
        failing = SimpleExecutor(service("exits.py", 1, 7, mark), one_shot=True)
        with pytest.raises(ProcessExited, match="exited with status 7"):
            failing.start()

    def test_fails_on(self, mark: str) -> None:
        """Output that matches `fails_on` ends the start at once, and the process with it."""
        script = "echo starting; echo 'FATAL: no space'; sleep 1000"
        executor = OutputCoordinatedExecutor(
            ["sh", "-c", script, mark], "ready", fails_on=r"FATAL: .*\n", timeout=300
        )
        began = time.monotonic()
        with pytest.raises(FailurePatternSeen) as caught:
            executor.start()
        assert time.monotonic() - began < 60
        assert caught.value.matched == "FATAL: no space\n"
        assert marked(mark) == []

    def test_fails_on_of_what_waits_for_nothing(self) -> None:
        """The error then has no last answer."""
        for number in range(10):
            executor = SimpleExecutor(["sh", "-c", f"exit {number % 3 + 1}"], fails_on="FATAL")
            try:
                with executor:
                    pass
            except SummonError as error:
                assert "last answer:  (" not in str(error)

    def test_fails_on_wins(self, mark: str) -> None:
        """Where the output has both, the failure counts, whenever it arrived."""
        script = "echo ready, but FATAL; sleep 1000"
        for _ in range(20):
            with pytest.raises(FailurePatternSeen):
                OutputCoordinatedExecutor(
                    ["sh", "-c", script, mark], "ready", fails_on="FATAL"
                ).start()

    def test_fails_on_an_unfinished_line(self, mark: str) -> None:
        """A failure that is the last word, without a newline, is seen at once as well."""
        executor = OutputCoordinatedExecutor(
            ["sh", "-c", "printf FATAL; sleep 1000", mark], "ready", fails_on="FATAL", timeout=300
        )
        began = time.monotonic()
        with pytest.raises(FailurePatternSeen):
            executor.start()
        assert time.monotonic() - began < 60

    def told(self, command: Any = None, **options: Any) -> dict[str, Any]:
        with OutputCoordinatedExecutor(
            command or service("tells.py", "x"), r"(.*)\ntold\n", **options
        ) as executor:
            assert executor.match is not None
            told = json.loads(executor.match.group(1).splitlines()[-1])
            told["tmpdir"], told["port"] = executor.tmpdir, port_of(executor)
            told["name"] = called(executor)
            return dict(told)

    def test_env(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`env` adds to what is inherited, numbers as text; None removes."""
        monkeypatch.setenv("KEPT", "kept")
        monkeypatch.setenv("REMOVED", "removed")
        env = self.told(env={"REMOVED": None, "ABSENT": None, "ADDED": "a=b", "NUMBER": 3})["env"]
        assert env["KEPT"] == "kept"
        assert not {"REMOVED", "ABSENT"} & set(env)
        assert (env["ADDED"], env["NUMBER"]) == ("a=b", "3")
        assert (env["TERM"], env["NO_COLOR"], env["COLUMNS"]) == ("dumb", "1", "250")
        assert self.told(env={"TERM": "xterm"})["env"]["TERM"] == "xterm"

    def test_colours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a terminal nothing forces colours but what the user sets."""
        for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "npm_config_color"):
            monkeypatch.setenv(name, "1")
            assert name not in self.told()["env"]
            assert name in self.told(tty=False)["env"]
            env = self.told(env={name: "yes"})["env"]
            assert (env[name], env.get("NO_COLOR")) == ("yes", None)
        env = self.told(env={"FORCE_COLOR": 1, "NO_COLOR": "mine"})["env"]
        assert (env["FORCE_COLOR"], env["NO_COLOR"]) == ("1", "mine")

    def test_cwd(self, tmp_path: Path) -> None:
        """It runs in `cwd`, templates filled in; by default in the directory of the tests."""
        assert self.told(cwd=tmp_path)["cwd"] == str(tmp_path)
        told = self.told(cwd="{tmpdir}")
        assert told["cwd"] == told["tmpdir"]
        assert self.told()["cwd"] == os.getcwd()

    def test_shell(self, mark: str) -> None:
        """With ``shell=True`` the whole string goes to the shell, unsplit."""
        command = f"printf '%s|' \"a  b\" $((6*7)) && echo {mark}; exec sleep 1000"
        with OutputCoordinatedExecutor(command, f"{mark}\n", shell=True) as executor:
            assert executor.tail() == [f"a  b|42|{mark}"]

    def test_templates(self) -> None:
        """``{port} {host} {url} {tmpdir} {name}`` are filled in, everywhere the same."""
        words = ["{port}", "{host}", "{url}", "{tmpdir}/x", "<{name}>"]
        told = self.told(
            service("tells.py", *words, "x"),
            env={"WHERE": "{tmpdir}", "PORT": "{port}"},
            name="web",
            host="localhost",
        )
        port = told["port"]
        assert isinstance(port, int)
        assert told["argv"] == [
            str(port),
            "localhost",
            f"tcp://localhost:{port}",
            f"{told['tmpdir']}/x",
            "<web>",
        ]
        assert (told["env"]["WHERE"], told["env"]["PORT"]) == (told["tmpdir"], str(port))

    def test_braces_that_stay(self) -> None:
        """Shell, awk, JSON and format braces need no escaping."""
        words = ["{1..5}", "${port}", "${VAR:-x}", '{"port": 1}', "{}", "{{x}}", "{print $1}"]
        words += ["{x.y}", "{ port }", "{PORT}", "{port!r}", "{", "}"]
        assert self.told(service("tells.py", *words, "x"))["argv"] == words

    def test_attributes_that_templates_may_not_reach(self) -> None:
        """Only documented fields are filled in, never dunder or private ones."""
        words = ["{name.__class__}", "{__class__}", "{_command}", "{name.__init__}"]
        assert self.told(service("tells.py", *words, "x"))["argv"] == words


# -- streams ------------------------------------------------------------------------------


class TestStreams:
    def test_a_terminal(self, mark: str) -> None:
        """By default all three streams are a terminal, the controlling one."""
        with OutputCoordinatedExecutor(service("terminal.py", mark), "told\n") as terminal:
            assert terminal.tail()[:2] == ["isatty 1 1 1", "controlling terminal"]

    def test_pipes(self, mark: str) -> None:
        """With ``tty=False`` they are pipes, and there is no terminal at all."""
        with OutputCoordinatedExecutor(service("terminal.py", mark), "told\n", tty=False) as pipes:
            assert pipes.tail()[:2] == ["isatty 0 0 0", "no controlling terminal"]

    def test_a_password_prompt(self, mark: str) -> None:
        """A prompt on /dev/tty is seen and answered; what is typed is not echoed."""
        with OutputCoordinatedExecutor(service("password.py", mark), "Password: ") as asks:
            asks.sendline("s3cret")
            asks.wait_for_output("got 6 characters", timeout=15)
            assert "s3cret" not in Path(asks.log_path).read_text()

    @pytest.mark.parametrize("tty", [True, False], ids=["terminal", "pipes"])
    def test_a_conversation(self, tty: bool, mark: str) -> None:
        """send() and sendline() reach it; each wait_for_output goes on after the last."""
        with OutputCoordinatedExecutor(service("repl.py", mark), "> ", tty=tty) as repl:
            repl.sendline("one")
            assert repl.wait_for_output("ONE\n> ", timeout=15)
            repl.send("t")
            repl.send("wo\n")
            assert repl.wait_for_output(["TWO", "never"], timeout=15).group() == "TWO"
            with pytest.raises(TimeoutExpired, match=r"ONE.*did not come within 0\.1 s"):
                repl.wait_for_output("ONE", timeout=0.1)
            assert repl.output().readline() == "ONE\n"
            repl.sendline("quit")
            repl.wait_for_output("bye", timeout=15)
            with pytest.raises(ProcessExited, match="before it wrote what was waited for"):
                repl.wait_for_output("more", timeout=15)
            assert not repl.running()
            assert repl.exit_code == 0

    def test_no_flow_control(self, mark: str) -> None:
        """Ctrl-S and Ctrl-Q in a text that is sent do not stop the output; they are passed on."""
        script = "echo up; read line; printf '%s' \"$line\" | od -An -tx1; read never"
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], "up") as executor:
            executor.sendline("a\x13b\x11c")
            executor.wait_for_output("61 13 62 11 63", timeout=15)

    def test_a_long_input(self, mark: str) -> None:
        """A megabyte in lines is taken in, though nobody reads at first."""
        with SimpleExecutor(["sh", "-c", "sleep 0.2; wc -c; echo end", mark], tty=False) as counts:
            for _ in range(1000):
                counts.send("x" * 999 + "\n")
            assert counts.running()
        with OutputCoordinatedExecutor(
            ["sh", "-c", "echo go; sleep 0.2; head -c 1000000 | wc -c", mark], "go", tty=False
        ) as counts:
            for _ in range(1000):
                counts.send("x" * 999 + "\n")
            assert counts.wait_for_output(r"\d+\n", timeout=15).group() == "1000000\n"

    def test_output_begins_anew(self, mark: str) -> None:
        """output() begins after readiness at each call, and ends with the service."""
        script = "echo before; echo ready; echo one; echo two"
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], "ready") as executor:
            stream = executor.output()
            assert (stream.readline(), stream.readline()) == ("one\n", "two\n")
            assert stream.readline() == ""
            assert executor.output().read() == "one\ntwo\n"
            assert executor.tail(2) == ["one", "two"]
            assert executor.tail(0) == []

    def test_what_was_written_a_moment_ago(self, mark: str, tmp_path: Path) -> None:
        """tail() shows all that the service has written, also if its keeper is slow."""
        done = tmp_path / "done"
        script = f"trap 'echo late; : > {done}' USR1; echo ready; while sleep 0.02; do :; done"
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], "ready") as executor:
            with frozen_for_a_moment(parent(executor.pid)):
                os.kill(executor.pid, signal.SIGUSR1)
                eventually(done.exists, "it has written")
                assert executor.tail(1) == ["late"]

    @pytest.mark.parametrize("asked", ["fails_on", "wait_for_output"])
    def test_news_of_an_older_question(self, asked: str, mark: str, tmp_path: Path) -> None:
        """tail() waits for its own answer, and takes none that an older question has got."""
        script = (
            f"trap 'n=$((n+1)); echo line $n; : > {tmp_path}/$n' USR1; "
            "echo ready; while sleep 0.02; do :; done"
        )
        also: dict[str, Any] = {"fails_on": "never"} if asked == "fails_on" else {}
        command = ["sh", "-c", script, mark]
        with OutputCoordinatedExecutor(command, "ready", **also) as executor:
            if asked == "wait_for_output":
                with pytest.raises(TimeoutExpired):
                    executor.wait_for_output("never", timeout=0.01)
            os.kill(executor.pid, signal.SIGUSR1)
            news = [instance_of(executor).process.fileno()]
            assert select.select(news, [], [], PATIENCE)[0], "the keeper tells of output"
            with frozen_for_a_moment(parent(executor.pid)):
                os.kill(executor.pid, signal.SIGUSR1)
                eventually((tmp_path / "2").exists, "it has written")
                assert executor.tail(1) == ["line 2"]

    def test_tail_beside_a_thread_that_waits(self, mark: str) -> None:
        """A thread that waits for output does not take the answer to tail() away."""
        with OutputCoordinatedExecutor(["sh", "-c", "echo up; exec cat", mark], "up") as executor:
            thread = threading.Thread(target=executor.wait_for_output, args=("the end\n", 60))
            thread.start()
            for number in range(50):
                executor.sendline(str(number))
                began = time.monotonic()
                executor.tail()
                # an answer that does not come would be waited for 10 s
                assert time.monotonic() - began < 9
            executor.sendline("the end")
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def test_a_read_that_waits_too_long(self, mark: str) -> None:
        """Reading what never comes raises TimeoutExpired after `timeout`."""
        script = "echo ready; sleep 1000"
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], "ready", timeout=0.5) as quiet:
            with pytest.raises(TimeoutExpired, match=r"no output within 0\.5 s"):
                quiet.output().readline()

    def test_invalid_utf8(self, mark: str) -> None:
        """Bytes that are no UTF-8 neither break the match nor the reading."""
        script = r"printf '\377\376 ready\n\377 after\n'; sleep 1000"
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], "ready") as binary:
            assert binary.output().readline() == "\ufffd after\n"
            assert binary.tail() == ["\ufffd\ufffd ready", "\ufffd after"]

    @pytest.mark.parametrize("tty", [True, False], ids=["terminal", "pipes"])
    def test_a_flood_that_nobody_reads(self, tty: bool, mark: str, tmp_path: Path) -> None:
        """A service that writes 50 MB after its start is never blocked."""
        go, done = tmp_path / "go", tmp_path / "done"
        command = service("flooding.py", 50, go, done, mark)
        with OutputCoordinatedExecutor(command, "ready", tty=tty) as flooding:
            go.touch()
            eventually(done.exists, "50 MB are written", seconds=60)
            eventually(
                lambda: os.stat(flooding.log_path).st_size == len("ready\n") + 50 * 1_024_000,
                "all of it is in the log",
            )
            assert flooding.tail(1) == ["x" * 79]

    def test_a_banner_behind_a_flood(self, mark: str) -> None:
        """A banner after 20 MB is found, and output() begins behind it."""
        script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo up; echo after; sleep 1000"
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], r"^up$") as behind:
            assert behind.output().readline() == "after\n"


# -- stopped, paused ----------------------------------------------------------------------


class TestInterruptions:
    def test_stopped(self, mark: str) -> None:
        """In ``stopped()`` nobody listens; after it the same port is served again."""
        with TCPCoordinatedExecutor(serves("tcp", "{port}", mark)) as executor:
            port = executor.port
            with executor.stopped() as entered:
                assert entered is executor
                assert not executor.running()
                assert marked(mark) == []
                with pytest.raises(ConnectionRefusedError):
                    connects(socket.AF_INET, ("127.0.0.1", port))
            assert executor.port == port
            assert connects(socket.AF_INET, ("127.0.0.1", port))

    def test_the_stopped_block_raises(self, mark: str) -> None:
        """A block that raises is followed by the start all the same."""
        with SimpleExecutor(service("silent.py", mark)) as executor:
            with pytest.raises(ZeroDivisionError), executor.stopped():
                raise ZeroDivisionError
            assert executor.running()

    def test_paused(self, mark: str) -> None:
        """In ``paused()`` every process of the tree is frozen, setsid children included."""
        with SimpleExecutor(
            service("family.py", mark), until=lambda e: len(e.tail()) == 4
        ) as family:
            members = marked(mark)
            assert len(members) == 4
            with family.paused() as entered:
                assert entered is family
                eventually(lambda: {status(pid)[0] for pid in members} == {"T"}, "all are frozen")
                assert marked(mark) == members
                assert family.running()
            eventually(lambda: all(status(pid)[0] in "RS" for pid in members), "all of them go on")
        assert marked(mark) == []

    def test_the_paused_block_raises(self, mark: str) -> None:
        """A block that raises lets it go on all the same."""
        with SimpleExecutor(service("silent.py", mark)) as executor:
            with pytest.raises(ZeroDivisionError), executor.paused():
                raise ZeroDivisionError
            eventually(lambda: status(executor.pid)[0] == "S", "it goes on")

    def test_paused_in_paused(self, mark: str) -> None:
        """The end of an inner block thaws nothing; that of the outer one does."""
        with SimpleExecutor(service("silent.py", mark)) as executor:
            with executor.paused():
                with executor.paused(), executor.paused():
                    pass
                assert status(executor.pid)[0] == "T"
            eventually(lambda: status(executor.pid)[0] == "S", "it goes on")

    def test_paused_by_two_threads(self, mark: str) -> None:
        """It is frozen as long as one of them wants it so."""
        with SimpleExecutor(service("silent.py", mark)) as executor:
            thawed = []

            def pause() -> None:
                for _ in range(30):
                    with executor.paused():
                        thawed.append(status(executor.pid)[0] != "T")

            threads = [threading.Thread(target=pause) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert len(thawed) == 90 and not any(thawed)
            eventually(lambda: status(executor.pid)[0] == "S", "it goes on")

    def test_paused_while_it_forks(self, mark: str) -> None:
        """A service that forks all the time is frozen with all its children."""
        script = "while :; do sh -c 'sleep 0.01; :' $0 & sh -c : $0; done"
        with SimpleExecutor(["sh", "-c", script, mark]) as executor:
            for _ in range(5):
                eventually(lambda: len(marked(mark)) > 2, "it forks")
                with executor.paused():
                    members = marked(mark)
                    # D: it waits, in vfork, for a child that is frozen
                    assert {status(pid)[0] for pid in members} <= {"T", "D"}
                    # what was forked while we looked would be here by now
                    assert marked(mark) == members

    @pytest.mark.parametrize("how", ["stop", "kill", "restart", "stopped"])
    def test_stopped_while_paused(self, how: str, mark: str) -> None:
        """A frozen service can be stopped politely: the signal reaches it.  A new one runs."""
        executor = SimpleExecutor(service("silent.py", mark)).start()
        with executor.paused(), executor.paused():
            if how == "stopped":
                with executor.stopped():
                    assert executor.exit_code == -signal.SIGTERM
            else:
                getattr(executor, how)()
            if how in ("stop", "kill"):
                number = signal.SIGTERM if how == "stop" else signal.SIGKILL
                assert executor.exit_code == -number
                assert marked(mark) == []
            else:
                eventually(lambda: status(executor.pid)[0] == "S", "the new one runs")
        executor.stop()
        assert marked(mark) == []


# -- the stop -----------------------------------------------------------------------------


class TestStop:
    def family(self, how: str, mark: str, record: Path, **options: Any) -> SimpleExecutor:
        command = service("counts_signals.py", record, how, mark)
        return OutputCoordinatedExecutor(command, "up\n", **options)

    def test_a_master_that_passes_it_on(self, mark: str, tmp_path: Path) -> None:
        """Like gunicorn: a worker that its master tells gets one signal, not two."""
        record = tmp_path / "record"
        with self.family("master", mark, record) as executor:
            assert len(marked(mark)) == 2
        assert record.read_text().splitlines() == ["main SIGTERM", "worker SIGTERM"]
        assert executor.exit_code == 0
        assert marked(mark) == []

    @pytest.mark.parametrize("how", ["group", "setsid"])
    def test_an_orphan_is_asked_once(self, how: str, mark: str, tmp_path: Path) -> None:
        """What the main process leaves behind gets one TERM, after the main process ended."""
        record = tmp_path / "record"
        with self.family(how, mark, record):
            pass
        assert record.read_text().splitlines() == ["main SIGTERM", "worker SIGTERM"]
        assert marked(mark) == []

    def test_an_orphan_that_becomes_a_program(self, mark: str) -> None:
        """If a parent's handler has taken the signal of a child, the signal is sent once more."""
        sleeper = service("silent.py", mark)
        script = f"""
        import os, signal
        if os.fork():
            signal.pause()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        print("up", flush=True)
        signal.sigwait([signal.SIGTERM])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        os.execv({sleeper[0]!r}, {sleeper})
        """
        command = [sys.executable, "-c", textwrap.dedent(script), mark]
        with OutputCoordinatedExecutor(command, "up", stop_timeout=30):
            pass
        assert marked(mark) == []

    def test_a_deaf_orphan(self, mark: str, tmp_path: Path) -> None:
        """An orphan that stays is killed at the end of the grace period, and reported."""
        executor = self.family("deaf", mark, tmp_path / "record", stop_timeout=0.5).start()
        with pytest.raises(StopFailed, match=r"1 process that it left did not end within 0\.5 s"):
            executor.stop()
        assert marked(mark) == []

    def test_a_deaf_service(self, mark: str) -> None:
        """One that ignores the signal is killed after `stop_timeout`, and reported."""
        executor = OutputCoordinatedExecutor(service("deaf.py", mark), "deaf", stop_timeout=0.3)
        executor.start()
        with pytest.raises(StopFailed, match=r"did not end within 0\.3 s of SIGTERM and was kill"):
            executor.stop()
        assert executor.exit_code == -signal.SIGKILL
        assert not executor.running()
        assert marked(mark) == []
        executor.stop()

    def test_a_shell_that_waits_for_its_command(self, mark: str) -> None:
        """At half the grace period the group is asked too, so that a trap can run in time."""
        script = 'trap "exit 0" TERM; echo up; sleep 1000'
        with OutputCoordinatedExecutor(["sh", "-c", script, mark], "up", stop_timeout=4) as shell:
            pass
        assert shell.exit_code == 0
        assert marked(mark) == []

    def test_the_main_process_is_asked_once(self, mark: str, tmp_path: Path) -> None:
        """At half the grace period the others of the group are asked, not the main process.

        To uvicorn and others a second signal means "at once": they would cut their clients off.
        """
        record = tmp_path / "record"
        with self.family("slow", mark, record, stop_timeout=4) as executor:
            pass
        assert record.read_text().splitlines() == ["main SIGTERM", "worker SIGTERM"]
        assert executor.exit_code == 0
        assert marked(mark) == []

    def test_a_server_behind_a_shell_is_asked_once(self, mark: str, tmp_path: Path) -> None:
        """The shell ends at once; its server has all of the time, and is not asked again."""
        record = tmp_path / "record"
        command = shlex.join(service("counts_signals.py", record, "late", mark)) + "; true"
        with OutputCoordinatedExecutor(command, "up\n", shell=True, stop_timeout=3):
            pass
        assert record.read_text().splitlines() == ["main SIGTERM", "worker SIGTERM"]
        assert marked(mark) == []

    def test_kill(self, mark: str) -> None:
        """``kill()`` ends all of a deaf tree at once, without complaint."""
        executor = SimpleExecutor(
            ["sh", "-c", 'trap "" TERM; setsid sleep 1000 & echo up; sleep 1000', mark],
            until=lambda e: e.tail(),
            stop_timeout=300,
        ).start()
        pid = executor.pid
        began = time.monotonic()
        executor.kill()
        assert time.monotonic() - began < 60
        assert executor.exit_code == -signal.SIGKILL
        assert not alive(pid) and marked(mark) == []

    def test_stop_signal(self, mark: str) -> None:
        """`stop_signal` is what is sent first."""
        script = 'trap "exit 0" QUIT; echo up; while :; do sleep 0.01; done'
        with OutputCoordinatedExecutor(
            ["sh", "-c", script, mark], "up", stop_signal=signal.SIGQUIT
        ) as executor:
            pass
        assert executor.exit_code == 0

    def test_expected_exit(self, mark: str) -> None:
        """A status that is neither 0 nor the signal's own fails, unless it is declared."""
        script = 'trap "exit 3" TERM; echo up; while :; do sleep 0.01; done'
        command = ["sh", "-c", script, mark]
        executor = OutputCoordinatedExecutor(command, "up").start()
        with pytest.raises(StopFailed, match=r"status 3.*declare expected_exit=3"):
            executor.stop()
        assert marked(mark) == []
        for accepted in (3, [1, 3], {3}):
            with OutputCoordinatedExecutor(command, "up", expected_exit=accepted) as accepting:
                pass
            assert accepting.exit_code == 3

    def test_killed_by_somebody_else(self, mark: str) -> None:
        """A SIGKILL that is not ours is no way to end that a user should declare."""
        script = 'trap "kill -9 $$" TERM; echo up; while :; do sleep 0.01; done'
        command = ["sh", "-c", script, mark]
        executor = OutputCoordinatedExecutor(command, "up").start()
        with pytest.raises(
            StopFailed, match=r"SIGKILL .* by SIGTERM, and not by this library"
        ) as e:
            executor.stop()
        assert "expected_exit" not in str(e.value)
        with pytest.raises(StopFailed, match="declare expected_exit=-9"):
            by_command = OutputCoordinatedExecutor(
                ["sh", "-c", 'echo $$ >"$0"; echo up; sleep 1000', "{tmpdir}/pid", mark],
                "up",
                stop_command="sh -c 'kill -9 $(cat $0)' {tmpdir}/pid",
            )
            by_command.start().stop()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN + 1])
    def test_the_signal_as_a_status(self, number: int, mark: str) -> None:
        """128 and the signal is how JVMs, shells and others tell that it ended them."""
        script = f'trap "exit {128 + number}" {int(number)}; echo up; while :; do sleep 0.01; done'
        command = ["bash", "-c", script, mark]
        with OutputCoordinatedExecutor(command, "up", stop_signal=number) as executor:
            pass
        assert executor.exit_code == 128 + number

    def test_nothing_is_left_of_a_shell_pipeline(self, mark: str) -> None:
        """All of what a shell started goes with it."""
        command = f"sleep 1000 {mark} 2>&1 | cat & sh -c 'sleep 1000; : {mark}' & echo up; wait"
        command = command.replace(f"sleep 1000 {mark}", f"sh -c 'sleep 1000; : {mark}'")
        with OutputCoordinatedExecutor(command, "up", shell=True) as executor:
            keeper = parent(executor.pid)
            eventually(lambda: len(marked(mark)) >= 3, "all of them are there")
        assert marked(mark) == []
        eventually(lambda: not alive(keeper), "the keeper has gone")


class TestFiles:
    def test_they_are_private(self, mark: str) -> None:
        """The directory of a service is readable for its user alone."""
        with SimpleExecutor(service("silent.py", mark)) as executor:
            assert stat.S_IMODE(os.stat(executor.tmpdir).st_mode) == 0o700
            assert stat.S_IMODE(os.stat(executor.log_path).st_mode) == 0o600

    def test_log_removed_by_the_service(self, mark: str) -> None:
        """A service that empties its tmpdir does no harm to its stop."""
        executor = SimpleExecutor(service("silent.py", mark)).start()
        shutil.rmtree(executor.tmpdir)
        executor.stop()
        assert not executor.running()


def test_a_start_runs_the_program_that_its_check_has_found(tmp_path: Path) -> None:
    """It is not looked for again, though another has come in front of it; the next start does."""
    for place in ("early", "late"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "tells").write_text(f"#!/bin/sh\necho {place}\nexec sleep 60\n")
    (tmp_path / "late" / "tells").chmod(0o755)

    class Installs(SimpleExecutor):
        def ready(self) -> None:
            (tmp_path / "early" / "tells").chmod(0o755)

    path = f"{tmp_path}/early:{tmp_path}/late:/bin:/usr/bin"
    tells = OutputCoordinatedExecutor("tells", r"(?P<place>\w+)\n", env={"PATH": path})
    found = []
    for _ in range(2):
        with Orchestrator([Installs("sleep 60"), tells]):
            found.append(tells.place)  # type: ignore[attr-defined]
    assert found == ["late", "early"]


def test_errors_of_a_start_are_of_two_families(mark: str) -> None:
    """What is declared wrongly is a ValueError; what goes wrong later is a StartFailed."""
    with pytest.raises(ValueError):
        SimpleExecutor("")
    with pytest.raises(StartFailed) as caught:
        SimpleExecutor(service("exits.py", 0, 1, mark), one_shot=True).start()
    assert isinstance(caught.value, SummonError)
    assert not isinstance(caught.value, InvalidArgument)


def test_completion_shows_what_may_be_done() -> None:
    """What only a subclass writes, or a TestCase asks for, is left out; the rest is described."""
    names = [name for name in dir(SimpleExecutor("x")) if not name.startswith("_")]
    assert len(names) <= 30
    assert {"start", "stop", "port", "wait_for_output"} <= set(names)
    for name in set(names) - {"name"}:
        assert getattr(SimpleExecutor, name).__doc__, name
