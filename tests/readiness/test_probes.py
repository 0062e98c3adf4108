"""Questions about readiness, put to real sockets, servers and files."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from summon_testcase.asker import program
from summon_testcase.errors import InvalidArgument, PortInUse
from summon_testcase.readiness.http import HTTPProbe
from summon_testcase.readiness.paths import FileProbe, UnixSocketProbe
from summon_testcase.readiness.probe import Probe
from summon_testcase.readiness.tcp import TCPProbe
from summon_testcase.scheduling.steps import Pause, run, wait
from summon_testcase.supervision import warden  # noqa: F401 (who asks needs somebody who starts the asker)
from summon_testcase.system import ports, procfs

from ..places import can_bind, linux, require, root
from ..system.test_kernel import running as program_running

ROOT = str(Path(__file__).resolve().parent.parent.parent)


@dataclass(frozen=True)
class Service:
    """The view of a process that keeps itself."""

    pid: int
    keeper_pid: int


ME = Service(os.getpid(), os.getpid())


@contextmanager
def running(script: str, *arguments: object) -> Iterator[tuple[Service, str]]:
    """A Python process and its first line of output; it is killed with the block."""
    with program_running(script, *map(str, arguments)) as (process, line):
        yield Service(process.pid, process.pid), line


@contextmanager
def leased() -> Iterator[int]:
    """A port that no other test has."""
    port = ports.lease()
    try:
        yield port
    finally:
        ports.release(port)


LISTENING = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host == "::1")
    try:
        sock.bind((host, port))
    except OSError:
        sys.exit("no such address")
    sock.listen()
    print("listening", flush=True)
    sys.stdin.read()
"""

IDLE = "import sys; print('idle', flush=True); sys.stdin.read()"

both_ways = pytest.mark.parametrize("ask_kernel", [True, False])


def check(probe: Probe) -> Probe:
    """The probe, if it is one for mypy and by its own word."""
    probe.check()
    assert 0 < probe.shortest <= probe.longest <= 0.020
    return probe


def look(probe: Probe, view: Any, left: float = 60) -> str | None:
    """The answer of a probe that may have to wait for it; none of its looks takes long."""
    end = time.monotonic() + 60
    while True:
        began = time.monotonic()
        refusal = probe.look(view, left)
        assert time.monotonic() - began < 5
        if not probe.asked:
            return refusal
        assert time.monotonic() < end, refusal
        wait(Pause((), end, probe.asked))


def occupied(probe: Probe, name: str) -> PortInUse | None:
    """Who has what the service needs."""
    return run(probe.occupied(name))


# TCP


@both_ways
@pytest.mark.parametrize(
    ("listens", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("::1", "::1"),
        ("::1", "::"),
        ("::", "127.0.0.1"),
        ("::", "localhost"),
    ],
)
def test_tcp_ready_when_the_service_listens(listens: str, asked: str, ask_kernel: bool) -> None:
    """A listener on a plain, wildcard or dual-stack address is seen, by name too."""
    require(can_bind(listens), f"{listens} does not exist here")
    with leased() as port, running(LISTENING, listens, port) as (service, _):
        assert look(check(TCPProbe(asked, port, ask_kernel)), service) is None


@both_ways
def test_tcp_refusal_names_the_address(ask_kernel: bool) -> None:
    """Where nobody listens the refusal names host and port, of each address of a name."""
    with leased() as port:
        refusal = look(TCPProbe("127.0.0.1", port, ask_kernel), ME)
        assert refusal == f"connection refused by 127.0.0.1:{port}"
        addresses = {entry[4][0] for entry in socket.getaddrinfo("localhost", None)}
        refusal = look(TCPProbe("localhost", port, ask_kernel), ME)
        assert refusal is not None
        for address in addresses:
            assert f"{address}:{port}" in refusal.replace("[", "").replace("]", "")
        assert occupied(TCPProbe("127.0.0.1", port, ask_kernel), "web") is None


def test_tcp_name_without_address_is_a_refusal() -> None:
    """A host that cannot be resolved is named in the refusal, and occupied by nobody."""
    for host in ("no-such-host.invalid", "two..dots"):
        probe = TCPProbe(host, 80)
        refusal = look(probe, ME)
        assert refusal is not None
        assert refusal.startswith(f"cannot resolve {host!r}: ")
        assert occupied(probe, "web") is None


def test_tcp_bound_is_not_ready() -> None:
    """A port between bind() and listen() is refused."""
    with leased() as port, socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        for ask_kernel in (True, False):
            assert look(TCPProbe("127.0.0.1", port, ask_kernel), ME) is not None


CHILD_LISTENS = """
import os, socket, sys
port = int(sys.argv[1])
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    if os.fork() == 0:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            sock.listen()
            os.write(write, b"!")
            sys.stdin.read()
    else:
        os.wait()
    os._exit(0)
os.read(read, 1)
print("listening", flush=True)
os.waitpid(pid, 0)
"""


@linux
def test_tcp_listener_may_be_a_descendant() -> None:
    """A grandchild of the main process that listens is the service's own."""
    with leased() as port, running(CHILD_LISTENS, port) as (service, _):
        assert look(TCPProbe("127.0.0.1", port), service) is None
        elsewhere = Service(os.getpid(), service.pid)
        assert look(TCPProbe("127.0.0.1", port), elsewhere) is None


@linux
def test_tcp_stranger_is_named() -> None:
    """When another process listens the error names port, pid and command, not readiness."""
    with (
        leased() as port,
        running(LISTENING, "127.0.0.1", port) as (stranger, _),
        running(IDLE) as (service, _),
    ):
        with pytest.raises(PortInUse) as caught:
            look(TCPProbe("127.0.0.1", port), service)
        assert (caught.value.port, caught.value.owner_pid) == (port, stranger.pid)
        assert caught.value.owner_command == procfs.command_line(stranger.pid)
        assert f"127.0.0.1:{port} was taken by another process" in str(caught.value)
        assert f"by process {stranger.pid} (" in str(caught.value)
        assert look(TCPProbe("127.0.0.1", port, ask_kernel=False), service) is None


@both_ways
def test_tcp_occupied_before_the_start(ask_kernel: bool) -> None:
    """A listener from before the start is an error that names the executor, and its owner."""
    with leased() as port, running(LISTENING, "127.0.0.1", port) as (stranger, _):
        error = occupied(TCPProbe("127.0.0.1", port, ask_kernel), "db")
        assert error is not None
        assert str(error).startswith(f"db cannot start: 127.0.0.1:{port} is in use already")
        assert (error.executor, error.port) == ("db", port)
        if sys.platform == "linux":
            assert error.owner_pid == stranger.pid
            assert error.owner_command is not None
        else:
            assert "the system does not tell" in str(error)


AS_NOBODY = """
import os, sys
from dataclasses import dataclass
from summon_testcase.readiness.tcp import TCPProbe
@dataclass
class Service:
    pid: int
    keeper_pid: int
os.setgid(65534)
os.setuid(65534)
print(TCPProbe("127.0.0.1", int(sys.argv[1])).look(Service(os.getpid(), os.getpid())))
"""


@linux
@root
def test_tcp_listener_of_another_user_is_accepted() -> None:
    """A listener whose holder may not be seen counts: services may change their user."""
    with leased() as port, running(LISTENING, "127.0.0.1", port), running(AS_NOBODY, port) as seen:
        assert seen[1] == "None"


def test_tcp_probe_does_not_mistake_itself_for_the_service() -> None:
    """A connection of the probe to itself, by TCP's simultaneous open, is refused.

    Happens on ports of the ephemeral range that nobody listens on.
    """
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = map(int, file.read().split())
    except OSError:
        low, high = 49152, 65535
    middle = (low + high) // 2
    port = next(p for p in range(middle + middle % 2, high, 2) if ports.is_free(p))
    deadline = time.monotonic() + 8
    happened = False
    while not happened and time.monotonic() < deadline:
        with socket.socket() as sock:
            try:
                sock.connect(("127.0.0.1", port))
                happened = sock.getsockname() == sock.getpeername()
            except OSError:
                continue
    require(happened, "this kernel did not connect a socket to itself within 8 s")
    question = program.Question(1, 60, lambda data: None)
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        kind, _ = program.connect_once(question, "127.0.0.1", port, 1)
        assert kind != "accepted"
        if kind == "itself":
            question.close()
            return
    require(False, "the probe was not connected to itself within 8 s")


def test_tcp_full_queue_is_a_refusal_in_time() -> None:
    """A listener that accepts nothing any more is refused within the short timeout."""
    with leased() as port, socket.socket() as sock, socket.socket() as first:
        sock.bind(("127.0.0.1", port))
        sock.listen(0)
        first.connect(("127.0.0.1", port))
        began = time.monotonic()
        with socket.socket() as second:
            second.settimeout(0.2)
            try:
                second.connect(("127.0.0.1", port))
            except TimeoutError:
                queued = False
            else:
                queued = True
            require(not queued, "this system queues more connections than it was told")
        refusal = look(TCPProbe("127.0.0.1", port, ask_kernel=False), ME, left=2)
        assert refusal == f"no connection to 127.0.0.1:{port} within 2 s"
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_tcp_impossible_port(port: int) -> None:
    """A port outside 1 to 65535 is a mistake that the message explains."""
    with pytest.raises(InvalidArgument, match="between 1 and 65535"):
        TCPProbe("127.0.0.1", port).check()


def test_tcp_describes_itself() -> None:
    """The description names the address as declared."""
    assert TCPProbe("127.0.0.1", 5432).describe() == "a connection to 127.0.0.1:5432"
    assert TCPProbe("::1", 5432).describe() == "a connection to [::1]:5432"


# HTTP

SERVING = """
import http.server, ssl, sys
port, pem = int(sys.argv[1]), sys.argv[2:]
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += 1
        status = int(self.path.split("/")[1])
        if status == 503 and Handler.asked > 1:
            status = 200
        if self.path.endswith("token") and self.headers["X-Token"] == "open":
            status = 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/500")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\\n")
    do_HEAD = do_GET
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
if pem:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("serving", flush=True)
server.serve_forever()
"""


@contextmanager
def closing(probe: HTTPProbe) -> Iterator[HTTPProbe]:
    """The probe; its session is closed with the block."""
    try:
        check(probe)
        yield probe
    finally:
        probe.close()


@both_ways
def test_http_unavailable_then_ready(ask_kernel: bool) -> None:
    """A 503 is a refusal that says so, a 200 after it is ready."""
    with leased() as port, running(SERVING, port) as (service, _):
        url = f"http://127.0.0.1:{port}/503"
        with closing(HTTPProbe(url, ask_kernel=ask_kernel)) as probe:
            assert look(probe, service) == f"HTTP 503 Service Unavailable from {url}"
            assert look(probe, service) is None


@both_ways
def test_http_nobody_listens(ask_kernel: bool) -> None:
    """Where nobody listens the refusal is that of TCP."""
    with leased() as port:
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/", ask_kernel=ask_kernel)) as probe:
            assert look(probe, ME) == f"connection refused by 127.0.0.1:{port}"
            assert occupied(probe, "web") is None


def test_http_redirect_is_an_answer() -> None:
    """A redirect is not followed: it counts as what it is."""
    with leased() as port, running(SERVING, port) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/302")) as probe:
            assert look(probe, service) is None
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/302", status=200)) as probe:
            refusal = look(probe, service)
            assert refusal is not None
            assert refusal.startswith("HTTP 302 Found")


@pytest.mark.parametrize("status", [418, {200, 418}, range(400, 500), lambda code: code == 418])
def test_http_accepted_statuses(status: object) -> None:
    """A number, a collection, a range or a callable says what is accepted."""
    with leased() as port, running(SERVING, port) as (service, _):
        url = f"http://127.0.0.1:{port}/"
        with closing(HTTPProbe(url + "418", status=status)) as probe:  # type: ignore[arg-type]
            assert look(probe, service) is None
        with closing(HTTPProbe(url + "599", status=status)) as probe:  # type: ignore[arg-type]
            assert look(probe, service) == f"HTTP 599 from {url}599"


def test_http_method_and_headers_are_sent() -> None:
    """Method and headers reach the service; the headers stay out of all words."""
    with leased() as port, running(SERVING, port) as (service, _):
        url = f"http://127.0.0.1:{port}/401/token"
        with closing(HTTPProbe(url, method="HEAD", headers={"X-Token": "open"})) as probe:
            assert look(probe, service) is None
            assert "open" not in repr(probe)
            assert probe.describe() == f"an accepted answer to HEAD {url}"
        with closing(HTTPProbe(url, headers={"X-Token": "shut"})) as probe:
            assert look(probe, service) == f"HTTP 401 Unauthorized from {url}"


def test_http_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named by the environment is not asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with leased() as port, running(SERVING, port) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/200")) as probe:
            assert look(probe, service) is None


def test_http_silence_is_a_refusal_in_time() -> None:
    """Who listens but does not answer is refused after the time for an answer."""
    with leased() as port, running(LISTENING, "127.0.0.1", port) as (service, _):
        url = f"http://127.0.0.1:{port}/"
        with closing(HTTPProbe(url, request_timeout=0.1)) as probe:
            assert look(probe, service) == f"no answer within 0.1 s from {url}"
        with closing(HTTPProbe(url)) as probe:
            assert look(probe, service, left=0.0) == f"no answer within 0.05 s from {url}"


def test_http_hang_up_is_a_refusal() -> None:
    """Who closes the connection without an answer is refused in one line."""
    script = LISTENING.replace("sys.stdin.read()", "while True: sock.accept()[0].close()")
    with leased() as port, running(script, "127.0.0.1", port) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/")) as probe:
            refusal = look(probe, service)
    assert refusal is not None
    assert refusal.startswith(f"no answer from http://127.0.0.1:{port}/: ")
    assert "\n" not in refusal
    assert "HTTPConnectionPool" not in refusal


@linux
def test_http_stranger_is_named() -> None:
    """An answer by another process is no readiness."""
    with leased() as port, running(SERVING, port) as (stranger, _), running(IDLE) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/200")) as probe:
            with pytest.raises(PortInUse) as caught:
                look(probe, service)
            assert caught.value.owner_pid == stranger.pid
            error = occupied(probe, "web")
            assert error is not None
            assert error.owner_pid == stranger.pid


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_http_self_signed_certificate(tmp_path: Path) -> None:
    """A self-signed certificate is refused, unless it is trusted or not looked at."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    with leased() as port, running(SERVING, port, certificate, key) as (service, _):
        url = f"https://127.0.0.1:{port}/200"
        with closing(HTTPProbe(url, request_timeout=5)) as probe:
            refusal = look(probe, service)
        assert refusal is not None
        assert refusal.startswith(f"TLS failed with {url}: ")
        assert "certificate" in refusal
        assert "\n" not in refusal
        with closing(HTTPProbe(url, verify=False, request_timeout=5)) as probe:
            assert look(probe, service) is None
        with closing(HTTPProbe(url, verify=str(certificate), request_timeout=5)) as probe:
            assert look(probe, service) is None


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://host/", "http:///path", "http://h:99999/"])
def test_http_impossible_url(url: str) -> None:
    """A URL that is none is a mistake that the message explains."""
    with pytest.raises(InvalidArgument, match="write it like"):
        HTTPProbe(url).check()


def test_http_password_is_not_shown() -> None:
    """User and password of a URL stay out of description and refusals."""
    with leased() as port:
        url = f"http://user:secret@127.0.0.1:{port}/"
        with closing(HTTPProbe(url, ask_kernel=False)) as probe:
            assert "secret" not in (look(probe, ME) or "secret")
            assert probe.describe() == f"an accepted answer to GET http://127.0.0.1:{port}/"


def test_http_import_is_late() -> None:
    """The modules of requests are loaded by the first look, not before."""
    script = """
import sys
from summon_testcase.readiness.http import HTTPProbe
HTTPProbe("http://127.0.0.1/").check()
print("requests" in sys.modules)
"""
    with running(script) as (_, line):
        assert line == "False"


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
    """A listener that does not come to accept is refused in words, at once."""
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as first:
        sock.bind(short_path)
        sock.listen(0)
        first.connect(short_path)
        refusal = look(UnixSocketProbe(short_path), ME)
    assert refusal == "app.sock does not accept: its queue is full"


def test_unix_socket_occupied(short_path: str) -> None:
    """Who accepts before the start is in the way; a file left by the dead is not."""
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
    """What would have to be waited for, a pipe or a terminal, is not read."""
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
    """What cannot be read is a refusal in words."""
    path = tmp_path / "dir.pid"
    path.mkdir()
    assert FileProbe(str(path)).look(ME) == f"cannot read {path}: Is a directory"
    assert FileProbe(str(path / "no" / "such")).look(ME) is not None
    with pytest.raises(InvalidArgument, match="path is empty"):
        FileProbe("").check()
