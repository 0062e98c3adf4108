"""The services of the sample, and the words that its tests use."""

import os
import sys
import time
from pathlib import Path

from server import ask, note

from summon_testcase import HTTPCoordinatedExecutor, TCPCoordinatedExecutor

__all__ = ["ask", "broken", "http", "note", "ran", "tcp", "until_ctrl_c"]

SERVER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("server.py"))]


def tcp(name, **options):
    return TCPCoordinatedExecutor([*SERVER, name, "{port}"], **options)


def http(name, *others):
    return HTTPCoordinatedExecutor(
        [*SERVER, name, "{port}", *others], url="http://127.0.0.1:{port}/"
    )


def broken(**options):
    """A service that ends before it is ready, and leaves a line each time it is tried."""
    code = (
        "import os; file = open(os.environ['SAMPLE_LOG'], 'a'); "
        "file.write(f'tried broken {os.getpid()}\\n'); file.close(); raise SystemExit('no luck')"
    )
    command = [sys.executable, "-I", "-S", "-c", code, "{port}"]
    return TCPCoordinatedExecutor(command, timeout=10, **options)


def ran(test):
    """Note that the body of a test runs; outside of a TestCase, pytest knows its name."""
    name = getattr(test, "_testMethodName", None)
    if name is None:
        name = os.environ["PYTEST_CURRENT_TEST"].split()[0].rpartition("::")[2].partition("[")[0]
    note(f"test {type(test).__name__}.{name}")


def until_ctrl_c():
    """Wait for the line that who sends Ctrl-C writes afterwards: here, it is ignored then."""
    until = time.monotonic() + 30
    while "ctrl-c pressed" not in Path(os.environ["SAMPLE_LOG"]).read_text():
        assert time.monotonic() < until, "nobody has sent Ctrl-C"
        time.sleep(0.01)
