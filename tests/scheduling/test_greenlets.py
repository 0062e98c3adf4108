"""Under gevent and eventlet all works as it does without, and other greenlets go on meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..programs import assert_nothing_left, run

#: the strictest settings are not for these libraries themselves
GEVENT = """
import warnings
warnings.resetwarnings()
from gevent import monkey
monkey.patch_all()
import gevent
spawn, nap, Timeout = gevent.spawn, gevent.sleep, gevent.Timeout
wait_for = gevent.Greenlet.get
"""
# without its own resolver, which imports trio where that is installed, and fails then
EVENTLET = """
import warnings
warnings.simplefilter("ignore")
import os
os.environ["EVENTLET_NO_GREENDNS"] = "yes"
import eventlet
eventlet.monkey_patch()
spawn, nap, Timeout = eventlet.spawn, eventlet.sleep, eventlet.Timeout
wait_for = lambda thread: thread.wait()
"""
BOTH = pytest.mark.parametrize("library", [GEVENT, EVENTLET], ids=["gevent", "eventlet"])

#: a server in the test process that greenlets of it serve
SERVER = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
here = str(listener.getsockname()[1])
answered = []

def serve():
    while True:
        connection, _ = listener.accept()
        answered.append(connection.recv(100))
        nap(0.01)
        connection.sendall(b"yes")
        connection.close()

spawn(serve)

#: a service that asks there before it is ready, and before it ends
asks = '''
import signal, socket, sys, http.server
def ask(what):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.sendall(what)
        assert connection.recv(100) == b"yes"
def end(*_):
    ask(b"may I end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
ask(b"may I begin")
print("up", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])),
                       http.server.SimpleHTTPRequestHandler).serve_forever()
'''
command = [sys.executable, "-c", asks, here, "{port}", MARK]
"""


@BOTH
def test_others_go_on(library: str, mark: str, place: Path) -> None:
    """A service that asks the test process can start and stop, alone and with others."""
    source = f"""{SERVER}
with OutputCoordinatedExecutor(command, "up", timeout=60) as one:
    assert answered.pop() == b"may I begin"
assert answered.pop() == b"may I end"
assert one.exit_code == 0
with orchestrated(
    TCPCoordinatedExecutor(command, timeout=60),
    HTTPCoordinatedExecutor(command, url="http://{{host}}:{{port}}/", timeout=60),
) as group:
    assert len(answered) == 2
assert len(answered) == 4
with orchestrated(a=OutputCoordinatedExecutor(command, "up"),
                  b=OutputCoordinatedExecutor(command, "up")):
    pass
assert len(answered) == 8

class Test(SummonTestCase):
    web = HTTPCoordinatedExecutor(command, url="http://{{host}}:{{port}}/", timeout=60)
    def test(self):
        import urllib.request
        assert urllib.request.urlopen(self.web.url).status == 200
        self.web.restart()
        assert urllib.request.urlopen(self.web.url).status == 200

import unittest
result = unittest.TextTestRunner(open(os.devnull, "w")).run(
    unittest.defaultTestLoader.loadTestsFromTestCase(Test))
assert result.wasSuccessful() and result.testsRun == 1, result
assert len(answered) == 12
left_running = OutputCoordinatedExecutor(command, "up", timeout=60).start()
"""
    assert run(source, mark, place, library) == []
    assert_nothing_left(mark, place)


@BOTH
def test_deadlines_hold(library: str, mark: str, place: Path) -> None:
    """timeout= is kept, and so is a limit that the library sets to a greenlet."""
    source = """
began = time.monotonic()
try:
    TCPCoordinatedExecutor(service("silent.py", "{port}", MARK), timeout=0.3).start()
except TimeoutExpired as error:
    os.remove(error.report.log_path)
    say("late")
try:
    with Timeout(0.3):
        TCPCoordinatedExecutor(service("silent.py", "{port}", MARK), timeout=60).start()
except Timeout:
    say("interrupted")
up = SimpleExecutor(service("silent.py", MARK)).start()
try:
    with Timeout(0.3):
        up.wait_for_output("never", timeout=60)
except Timeout:
    say("interrupted")
up.stop()
assert time.monotonic() - began < 30
assert marked(MARK) == []
"""
    assert run(source, mark, place, library) == ["late", "interrupted", "interrupted"]
    assert_nothing_left(mark, place)


@BOTH
def test_many_greenlets(library: str, mark: str, place: Path) -> None:
    """Each starts, talks to and stops a service of its own; and many wait for one."""
    source = """
speaks = ["sh", "-c", "echo up; read it; echo got $it", MARK]
def one(number):
    with OutputCoordinatedExecutor(speaks, "up", timeout=60) as up:
        with HTTPCoordinatedExecutor(service("serves.py", "http", "{port}", "{tmpdir}/s", MARK),
                                     url="http://{host}:{port}/", timeout=60):
            up.sendline(str(number))
            up.wait_for_output(f"got {number}", timeout=60)
    return number

threads = [spawn(one, number) for number in range(6)]
assert [wait_for(thread) for thread in threads] == list(range(6))
with OutputCoordinatedExecutor(speaks, "up", timeout=60) as shared:
    threads = [spawn(shared.wait_for_output, "got it", 60) for number in range(3)]
    nap(0.05)
    shared.sendline("it")
    for thread in threads:
        wait_for(thread)
"""
    assert run(source, mark, place, library) == []
    assert_nothing_left(mark, place)


def test_a_signal_handler(mark: str, place: Path) -> None:
    """One that gevent's own loop runs can stop a service."""
    source = """
up = SimpleExecutor(service("silent.py", MARK)).start()
signal.signal(signal.SIGALRM, lambda *_: up.stop())
signal.setitimer(signal.ITIMER_REAL, 0.1)
while up.running():
    nap(0.02)
"""
    assert run(source, mark, place, GEVENT) == []
    assert_nothing_left(mark, place)
