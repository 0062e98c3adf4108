"""The main promises, kept while a tool has replaced parts of the process.

usage: promises.py TOOL MOMENT; prints "kept" if they were.

MOMENT says what happens first inside the tool's block: "import" of the package, the first
"start", or (if services were started before it) "later" ones.  Whatever is not the package's own
is looked at outside of the block, where the tools do not reach us either.
"""

from __future__ import annotations

import contextlib
import io
import os
import posix
import signal
import socket
import subprocess
import sys
import time
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

#: a clock that the tools leave alone
CLOCK = time.CLOCK_MONOTONIC
now = time.clock_gettime
KILL = os.kill
KEPT = dict(sys.modules)
LISTENS = (
    "import os, socket, sys, time\n"
    "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "print('listening', flush=True)\n"
    "open(sys.argv[2], 'w').close()\n"
    "time.sleep(600)\n"
)


def freezegun() -> Any:
    from freezegun import freeze_time

    return freeze_time("2020-01-01")


def time_machine() -> Any:
    import time_machine

    return time_machine.travel(0, tick=False)


def pyfakefs() -> Any:
    from pyfakefs.fake_filesystem_unittest import Patcher

    return Patcher()


def mock_open() -> Any:
    return mock.patch("builtins.open", mock.mock_open(read_data="nothing"))


@contextlib.contextmanager
def pytest_socket() -> Iterator[None]:
    import pytest_socket

    pytest_socket.socket_allow_hosts(["10.0.0.1"])
    pytest_socket.disable_socket()
    try:
        yield
    finally:
        pytest_socket._remove_restrictions()
        pytest_socket.enable_socket()


def responses() -> Any:
    import responses

    return responses.RequestsMock()


def pytest_subprocess() -> Any:
    from pytest_subprocess.fake_process import FakeProcess

    return FakeProcess()


@contextlib.contextmanager
def mocks() -> Iterator[None]:
    """Whatever one would think of, at once."""
    values = {
        "time.monotonic": 5.0,
        "time.time": 5.0,
        "time.sleep": None,
        "os.getpid": 1,
        "os.kill": None,
        "os.getcwd": "/nowhere",
        "os.listdir": [],
        "os.access": False,
        "os.mkdir": None,
        "os.path.isdir": False,
        "os.path.exists": False,
        "os.path.islink": True,
        "os.path.join": "/nowhere",
        "shutil.which": None,
        "shutil.rmtree": None,
        "tempfile.mkdtemp": "/nowhere",
        "tempfile.gettempdir": "/nowhere",
        "select.select": ([], [], []),
        "select.poll": None,
        "socket.socket": None,
        "socket.socketpair": None,
        "socket.getaddrinfo": [],
        "subprocess.Popen": None,
    }
    with contextlib.ExitStack() as stack:
        for name in values:
            __import__(name.partition(".")[0])
        for name, value in values.items():
            stack.enter_context(mock.patch(name, return_value=value))
        for name in ("os.stat", "os.lstat", "os.open", "os.read", "os.fspath", "os.environ.get"):
            stack.enter_context(mock.patch(name, side_effect=OSError("not to be called")))
        stack.enter_context(mock.patch("sys.platform", "win32"))
        stack.enter_context(mock.patch("os.name", "nt"))
        yield


@contextlib.contextmanager
def no_modules() -> Iterator[None]:
    """As tests of imports have them: none, and those that come are removed again."""
    with mock.patch.dict(sys.modules, clear=True):
        sys.modules["requests"] = None  # type: ignore[assignment]
        for name in ("sys", "builtins", "__main__", "_frozen_importlib", "_imp", "posix"):
            sys.modules[name] = KEPT[name]
        yield


TOOLS = {
    tool.__name__: tool
    for tool in (
        *(freezegun, time_machine, pyfakefs, mock_open, pytest_socket),
        *(responses, pytest_subprocess, mocks, no_modules),
    )
}


def quickly(limit: float, call: Callable[[], Any]) -> Any:
    """The result of a call that may not take longer than some seconds."""
    began = now(CLOCK)
    result = call()
    assert now(CLOCK) - began < limit, f"it took {now(CLOCK) - began} s"
    return result


def promises() -> None:
    import summon_testcase as st

    python = sys.executable

    def declare(kind: Any, **options: Any) -> Any:
        return kind([python, "-c", LISTENS, "{port}", "{tmpdir}/up"], timeout=60, **options)

    output = declare(st.OutputCoordinatedExecutor, banner="listening\n", name="output")
    file = declare(st.FileCoordinatedExecutor, path="{tmpdir}/up", name="file")
    tcp = declare(st.TCPCoordinatedExecutor, name="tcp", after=[output])
    http: Any = st.HTTPCoordinatedExecutor(
        [python, "-m", "http.server", "{port}", "--bind", "{host}"],
        url="http://{host}:{port}/",
        name="http",
    )
    cat = st.SimpleExecutor("cat", name="cat")
    services = [output, file, tcp, http, cat]
    with st.orchestrated(*services):
        assert all(service.running() for service in services)
        before, port = tcp.pid, tcp.port
        tcp.restart()
        assert tcp.pid != before and tcp.port == port
        cat.sendline("hello")
        cat.wait_for_output("hello", timeout=30)
        with tcp.paused():
            pass
        assert cat.tail() == ["hello"]
        # somebody listens there, and is named
        other = st.TCPCoordinatedExecutor([python, "-c", "", "{port}"], port=port, name="other")
        try:
            other.start()
        except st.PortInUse as error:
            assert error.owner_pid == tcp.pid, error
        else:
            raise AssertionError("two at one port")
        try:
            quickly(20, lambda: cat.wait_for_output("never", timeout=0.3))
        except st.TimeoutExpired as error:
            assert error.report and "hello" in error.report.output, error
        else:
            raise AssertionError("a wait without an end")
        pids = [service.pid for service in services]
        directory = file.tmpdir
    assert not file.running() and [pid for pid in pids if alive(pid)] == []
    assert not exists(directory)
    never = st.TCPCoordinatedExecutor("sh -c 'sleep 600' {port}", timeout=0.3, name="never")
    try:
        quickly(20, never.start)
    except st.TimeoutExpired:
        pass
    else:
        raise AssertionError("ready without a listener")
    case()


def case() -> None:
    """What a TestCase says of its services."""
    import summon_testcase as st

    class FailsTest(st.SummonTestCase):
        shared = st.OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\n")
        own = st.OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\n", scope="test")

        def test(self) -> None:
            for service in (self.shared, self.own):
                service.sendline("what it says")
                self.assertOutput(service, "what it says")
            self.fail("on purpose")

    stream = io.StringIO()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(FailsTest)
    result = unittest.TextTestRunner(stream).run(suite)
    said = stream.getvalue()
    assert len(result.failures) == 1 and not result.errors, said
    for name in ("shared", "own"):
        assert f"{name} wrote during this test:\n    | what it says" in said, said


def alive(pid: int) -> bool:
    try:
        KILL(pid, 0)
    except ProcessLookupError:
        return False
    return True


def exists(path: str) -> bool:
    try:
        posix.listdir(path)
    except FileNotFoundError:
        return False
    return True


def main() -> None:
    tool, moment = TOOLS[sys.argv[1]], sys.argv[2]
    signal.alarm(120)
    if moment != "import":
        import summon_testcase

        if moment == "later":
            with summon_testcase.SimpleExecutor("sleep 600"):
                pass
    with tool():
        promises()
    if moment != "later":
        # what was loaded while others saw to it works without them, and starts nothing twice
        promises()
    # only now: what is tested is loaded before
    from tests.samples import parent

    pattern = f"keeper.warden.* {os.getpid()} "
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split()
    # a keeper, which may end just now, has the same command line; a warden is its parent
    parents = {pid: str(parent(int(pid))) for pid in found}
    wardens = [pid for pid in found if parents[pid] not in ("0", *found)]
    # the package itself is imported twice if it was forgotten meanwhile
    twice = sys.argv[1] == "no_modules" or sys.argv[1:] == ["pyfakefs", "import"]
    assert len(wardens) == (2 if twice else 1), wardens
    assert isinstance(socket.socket, type)
    print("kept")


if __name__ == "__main__":
    main()
