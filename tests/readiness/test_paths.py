"""Unix sockets and files: whether they exist, and are of this start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from summon_testcase.errors import InvalidArgument
from summon_testcase.readiness.paths import FileProbe, UnixSocketProbe

from ..places import linux
from .asked import ME, check, look, occupied

# unix sockets


@pytest.fixture
def short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A path for a socket, short however deep the temporary directory is."""
    monkeypatch.chdir(tmp_path)
    return "app.sock"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_unix_socket_ready(kind: int, short_path: str) -> None:
    """A socket that accepts is ready, a datagram socket too."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(short_path)
        if kind == socket.SOCK_STREAM:
            sock.listen()
        assert look(check(UnixSocketProbe(short_path)), ME) is None


def test_unix_socket_refusals_in_order(short_path: str) -> None:
    """Nothing, then a file that is no socket, then a socket that is bound but not listening."""
    probe = UnixSocketProbe(short_path)
    assert look(probe, ME) == "no socket at app.sock yet"
    Path(short_path).touch()
    assert look(probe, ME) == "app.sock is not a socket"
    os.unlink(short_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(short_path)
        assert look(probe, ME) == "connection refused by app.sock: nobody listens there"
        sock.listen()
        assert look(probe, ME) is None


@linux
def test_unix_socket_with_full_queue(short_path: str) -> None:
    """A listener whose queue is full is refused in words, at once."""
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as first:
        sock.bind(short_path)
        sock.listen(0)
        first.connect(short_path)
        refusal = look(UnixSocketProbe(short_path), ME)
    assert refusal == "app.sock does not accept: its queue is full"


def test_unix_socket_occupied(short_path: str) -> None:
    """A process that accepts before the start is an obstacle; a left-over socket file is none."""
    probe = UnixSocketProbe(short_path)
    assert occupied(probe, "app") is None
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(short_path)
        sock.listen()
        error = occupied(probe, "app")
        assert error is not None
        assert str(error).startswith("app cannot start: app.sock is in use already")
        assert (error.executor, error.port) == ("app", None)
        if sys.platform == "linux":
            assert error.owner_pid == os.getpid()
    assert os.path.exists(short_path)
    assert occupied(probe, "app") is None


def test_unix_socket_path_too_long(short_path: str) -> None:
    """A path longer than the kernel's structure is a mistake that the message explains."""
    UnixSocketProbe("/" + "a" * 102).check()
    with pytest.raises(InvalidArgument, match="use a shorter directory"):
        UnixSocketProbe("/" + "a" * 107).check()
    assert look(UnixSocketProbe("/" + "a" * 107), ME) is not None
    assert UnixSocketProbe(short_path).describe() == "a connection to app.sock"


# files


def test_file_ready_when_it_exists(tmp_path: Path) -> None:
    """A file is ready once it exists."""
    path = tmp_path / "ready"
    probe = check(FileProbe(str(path), FileProbe.snapshot(str(path))))
    assert look(probe, ME) == f"{path} does not exist yet"
    path.touch()
    assert look(probe, ME) is None
    assert occupied(probe, "app") is None
    assert probe.describe() == f"the file {path}"


def test_file_of_before_the_start_does_not_count(tmp_path: Path) -> None:
    """A file left by an earlier run is ready only once it is written anew."""
    path = tmp_path / "ready"
    path.write_text("old")
    probe = FileProbe(str(path), FileProbe.snapshot(str(path)))
    assert look(probe, ME) == f"{path} is still the file of before the start"
    path.write_text("newer")
    assert look(probe, ME) is None


def test_pid_file_must_name_a_live_process(tmp_path: Path) -> None:
    """A pid file is refused while empty, without a number, or with a dead process's."""
    path = tmp_path / "app.pid"
    probe = FileProbe(str(path))
    path.touch()
    assert look(probe, ME) == f"{path} is still empty"
    path.write_text("soon\n")
    assert look(probe, ME) == f"{path} holds no process number"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path.write_text(f"{dead.pid}\n")
    assert look(probe, ME) == f"{path} names process {dead.pid}, which is not alive"
    path.write_text("0\n")
    assert look(probe, ME) == f"{path} names process 0, which is not alive"
    path.write_text(f"{os.getpid()}\nmore, as postgres writes\n")
    assert look(probe, ME) is None


def test_pid_file_that_is_no_file(tmp_path: Path) -> None:
    """A pipe or a terminal, from which reading could block, is not read."""
    path = tmp_path / "app.pid"
    ends = os.openpty()
    path.symlink_to(os.ttyname(ends[1]))
    assert look(FileProbe(str(path)), ME) == f"{path} is still empty"
    for end in ends:
        os.close(end)
    path.unlink()
    os.mkfifo(path)
    assert look(FileProbe(str(path)), ME) == f"{path} is still empty"


def test_file_that_is_a_directory_or_nowhere(tmp_path: Path) -> None:
    """A file that cannot be read is a refusal in words."""
    path = tmp_path / "dir.pid"
    path.mkdir()
    assert FileProbe(str(path)).look(ME) == f"cannot read {path}: Is a directory"
    assert FileProbe(str(path / "no" / "such")).look(ME) is not None
    with pytest.raises(InvalidArgument, match="path is empty"):
        FileProbe("").check()
