"""Launchers: commands that exit with 0 and leave their server to another program."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    AlreadyRunning,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    ProcessExited,
    SimpleExecutor,
    StartFailed,
    StopFailed,
    TCPCoordinatedExecutor,
    TimeoutExpired,
)

from ..doubles import death_of, instance_of, stands_idle
from ..samples import alive, eventually, marked, service


@pytest.fixture
def engine(mark: str, tmp_path: Path) -> Iterator[str]:
    """The socket of a daemon that runs servers, and that this library did not start."""
    path = tmp_path / "engine"
    with subprocess.Popen(service("engine.py", "serve", path, mark)) as process:
        eventually(path.exists, "the engine runs")
        yield str(path)
        process.kill()


def listens(port: int) -> bool:
    """Whether any process listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5):
            return True
    except (ConnectionRefusedError, ConnectionResetError):
        # reset: the listener was closed before it had accepted
        return False


def up(engine: str, seconds: float = 0.3, **options: Any) -> TCPCoordinatedExecutor:
    """The command that has the engine run a server, which listens after some time."""
    return TCPCoordinatedExecutor(
        service("engine.py", "up", engine, "{port}", seconds),
        launcher=True,
        **{"stop_command": service("engine.py", "down", engine, "{port}"), **options},
    )


class TestElsewhere:
    def test_its_life(self, engine: str) -> None:
        """Waited for after status 0, running after that, gone when it is stopped."""
        with up(engine) as server:
            port = server.port
            assert listens(port)
            assert server.exit_code == 0 and server.running()
            assert death_of(server) is None and not stands_idle(server)
            with pytest.raises(AlreadyRunning):
                server.start()
            assert server.tail() == ["starting"]
        assert not listens(port) and not server.running()
        server.stop()

    def test_a_copy_of_it(self, engine: str) -> None:
        """A copy for another process knows that it runs, until it is stopped."""
        with up(engine) as server:
            again = pickle.loads(pickle.dumps(server))
            assert again.running() and again.exit_code == 0
        # by its keeper, which says that the service is gone before it ends
        eventually(lambda: not again.running(), "the copy knows of the end")

    def test_again(self, engine: str) -> None:
        """restart(), stopped() and kill() go by the command that stops it, too."""
        with up(engine) as server:
            port = server.port
            assert server.restart().port == port and listens(port)
            with server.stopped():
                assert not listens(port)
            assert listens(port)
            server.kill()
            assert not listens(port)
            server.start()
            assert listens(port)
        assert not listens(port)

    @pytest.mark.parametrize("how", ["stop", "kill"])
    def test_a_signal_does_not_reach_it(self, how: str, engine: str) -> None:
        """The command is also run if a test chooses a signal."""
        server = up(engine).start()
        port = server.port
        getattr(server, how)(signal.SIGQUIT)
        assert not listens(port) and not server.running()
        server.stop()

    def test_http(self, engine: str) -> None:
        """Whoever answers is accepted: here it is no HTTP, so it is not ready in time."""
        server = HTTPCoordinatedExecutor(
            service("engine.py", "up", engine, "{port}", 0),
            "http://{host}:{port}/",
            launcher=True,
            stop_command=service("engine.py", "down", engine, "{port}"),
            timeout=1,
        )
        with pytest.raises(TimeoutExpired) as caught:
            server.start()
        assert "hello" in str(caught.value)

    def test_a_failed_start_leaves_nothing(self, engine: str) -> None:
        """If a launched server is not ready in time, the command stops it."""
        ports = []
        server = up(engine, 0, timeout=0.5, until=lambda e: ports.append(e.port))
        with pytest.raises(TimeoutExpired, match=r"not ready within 0\.5 s"):
            server.start()
        assert ports and not listens(ports[0])

    def test_not_in_time(self, engine: str, caplog: pytest.LogCaptureFixture) -> None:
        """If the command fails as well, the error says so."""
        with caplog.at_level(logging.WARNING), pytest.raises(TimeoutExpired):
            up(engine, 100, timeout=0.5).start()
        assert "exited with status 1: no such server" in caplog.text

    def test_it_cannot_be_stopped(self, engine: str) -> None:
        """A command that fails is an error, with what it said."""
        server = up(engine).start()
        subprocess.run(service("engine.py", "down", engine, server.port), check=True)
        with pytest.raises(StopFailed, match="exited with status 1: no such server"):
            server.stop()
        assert not server.running()
        server.stop()

    @pytest.mark.parametrize("command", [None, ["true"]])
    def test_what_goes_on(self, command: list[str] | None, engine: str) -> None:
        """All ways to stop report a server that still listens, and name its process."""
        said = r"server: what it left goes on: 127.0.0.1:\d+ is in use already: by process \d+ \("
        for end in (SimpleExecutor.stop, SimpleExecutor.kill):
            server = up(engine, name="server", stop_command=command, stop_timeout=1).start()
            port = server.port
            with pytest.raises(StopFailed, match=said):
                end(server)
            assert listens(port) and not server.running()
            subprocess.run(service("engine.py", "down", engine, port), check=True)
            server.stop()

    def test_a_failed_start_that_leaves_something(self, engine: str) -> None:
        """A failed start reports that, too."""

        def mistaken(_: object) -> None:
            raise NameError

        with pytest.raises(StartFailed) as caught:
            up(engine, 0, stop_command=None, until=mistaken).start()
        assert "what it left goes on: 127.0.0.1:" in "".join(caught.value.consequences)

    def test_a_command_that_returns_early(self, engine: str) -> None:
        """Stops wait for a server that takes its time: otherwise a restart would find it."""
        late = service("engine.py", "down", engine, "{port}", 0.5)
        with up(engine, stop_command=late) as server:
            port = server.port
            server.restart()
            assert listens(port)
        assert not listens(port)

    def test_the_launcher_fails(self, mark: str) -> None:
        """Any other status is an error at once, unless it is declared."""
        command = ["sh", "-c", "echo no such image; exit 4", mark]
        with pytest.raises(ProcessExited, match="exited with status 4 before it was ready"):
            TCPCoordinatedExecutor(command, port=9, launcher=True).start()
        with SimpleExecutor(command, launcher=True, expected_exit=4) as server:
            assert server.running() and server.exit_code == 4

    def test_it_stays(self, mark: str) -> None:
        """A launcher that does not exit is not ready, and the message says so."""
        with pytest.raises(TimeoutExpired, match=r"\(launcher=True\)") as caught:
            SimpleExecutor(["sh", "-c", "sleep 1000", mark], launcher=True, timeout=0.3).start()
        assert "it still runs" in str(caught.value)
        assert not marked(mark)

    def test_not_both(self) -> None:
        """launcher= and one_shot= exclude each other."""
        with pytest.raises(InvalidArgument, match=r"one_shot=True and launcher=True"):
            SimpleExecutor("x", one_shot=True, launcher=True)
        with pytest.raises(InvalidArgument, match="launcher='yes'"):
            SimpleExecutor("x", launcher="yes")  # type: ignore[arg-type]


class TestBesideUs:
    """A launcher whose server descends from it: ``pg_ctl start``."""

    def daemon(self, mark: str, **options: Any) -> FileCoordinatedExecutor:
        script = (
            'setsid sh -c \'echo $$ > "$1"; trap "rm \\"$1\\"; exit" TERM; '
            "while :; do sleep 0.05; done' $0 {tmpdir}/x.pid & "
            "until test -s {tmpdir}/x.pid; do sleep 0.01; done"
        )
        return FileCoordinatedExecutor(
            ["sh", "-c", script, mark], "{tmpdir}/x.pid", launcher=True, **options
        )

    def test_its_death_is_seen(self, mark: str) -> None:
        """The server descends from the keeper, which notices its end."""
        server = self.daemon(mark, stop_command=["false"]).start()
        pid = int(Path(server.path).read_text())
        assert server.running() and alive(pid)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not server.running(), "its end is seen")
        death = death_of(server)
        assert death is not None and "what it left running has ended now" in death.message
        server.stop()  # nothing is left to run the command for

    def test_it_is_stopped(self, mark: str) -> None:
        """By the command, or else as any daemon is."""
        words = ["sh", "-c", "kill $(cat {tmpdir}/x.pid); echo told"]
        for options in ({"stop_command": words}, {}):
            with self.daemon(mark, **options) as server:
                assert marked(mark)
                path = Path(server.path)
            assert not path.exists() and not marked(mark)

    def test_a_straggler(self, engine: str, mark: str) -> None:
        """A process that the launcher leaves behind for a while is not the server."""
        words = service("engine.py", "up", engine, "{port}", 0)
        with TCPCoordinatedExecutor(
            ["sh", "-c", 'sleep 1 & exec "$@"', mark, *words],
            launcher=True,
            stop_command=service("engine.py", "down", engine, "{port}"),
        ) as server:
            port, run = server.port, instance_of(server)
            assert not run.process.ended
            eventually(lambda: server.running() and run.process.ended, "the straggler ends")
            assert server.running() and death_of(server) is None
        assert not listens(port)

    @pytest.mark.parametrize("how", ["stop", "kill"])
    def test_a_straggler_that_nobody_asked_about(self, how: str, engine: str, mark: str) -> None:
        """The command is run even if no process is left that could be the server."""
        words = service("engine.py", "up", engine, "{port}", 0)
        server = TCPCoordinatedExecutor(
            ["sh", "-c", 'sleep 0.5 & exec "$@"', mark, *words],
            launcher=True,
            stop_command=service("engine.py", "down", engine, "{port}"),
        ).start()
        port, run = server.port, instance_of(server)
        eventually(lambda: run.process.pump() or run.process.ended, "the straggler ends")
        getattr(server, how)()
        assert not listens(port)
        server.stop()


KILLED = """
import os, signal, sys, threading
from summon_testcase import *
from tests.samples import service
path, when, how = sys.argv[1:]
server = TCPCoordinatedExecutor(
    service("engine.py", "up", path, "{port}", 0), launcher=True, timeout=60,
    until=lambda e: told(e.port) or when == "ready",
    stop_command=["sh", "-c", 'sleep 1; exec "$@"', "x",
        *service("engine.py", "down", path, "{port}")])
def end(*_):
    os.kill(os.getpid(), getattr(signal, how))
def told(port, asked=[]):
    print(port, flush=True)
    if when == "starting" and not asked:
        asked.append(threading.Timer(0.2, end).start())
server.start()
end()
signal.pause()
"""


@pytest.mark.parametrize("when", ["starting", "ready"])
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_the_test_process_is_killed(when: str, how: str, engine: str, tmp_path: Path) -> None:
    """When the test process is killed, the stop command runs, too; and no files are left."""
    place = tmp_path / "files"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, engine, when, how],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TMPDIR": str(place)},
    )
    assert done.returncode == -getattr(signal, how), done.stderr
    port = int(done.stdout.split()[0])
    eventually(lambda: not listens(port), "the server is stopped")
    eventually(lambda: not os.listdir(place), "its files are gone")


IN_A_TEST = """
import sys, unittest
from summon_testcase import *
from tests.samples import service

class LauncherTest(SummonTestCase):
    server = TCPCoordinatedExecutor(
        service("engine.py", "up", sys.argv[1], "{port}", 0.1), launcher=True,
        stop_command=service("engine.py", "down", sys.argv[1], "{port}"))

    def test_1(self):
        self.assertTrue(self.server.running())

    def test_2(self):
        self.server.stop()

    def test_3(self):
        self.assertTrue(self.server.running())

unittest.main(argv=["x"])
"""


def test_in_a_test(engine: str) -> None:
    """A launcher without processes here is no death."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TEST, engine], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 3 tests" in done.stderr
