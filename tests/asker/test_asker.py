"""Questions to the asker delay no service, end in time, and are not affected by tests."""

from __future__ import annotations

import contextlib
import itertools
import marshal
import math
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from summon_testcase import (
    Executor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    NotRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    PortInUse,
    SimpleExecutor,
    StartFailed,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    UnixSocketCoordinatedExecutor,
    orchestrated,
)
from summon_testcase.asker.protocols import PROTOCOLS
from summon_testcase.readiness import asking
from summon_testcase.readiness.protocols import ProtocolProbe
from summon_testcase.system import ports

from .. import needs
from ..doubles import has_instance, instance_of, redeclare, request_of, requests_under_way
from ..places import can_bind, linux, require, root, unshare
from ..programs import running
from ..samples import (
    PATIENCE,
    ROOT,
    eventually,
    marked,
    parent,
    service,
    text,
)

URL = "http://{host}:{port}/"


def answers(*how: str, where: str = "{port}") -> list[str]:
    """The command of a server that answers in its own way."""
    return service("answers.py", where, *how)


def idle(mark: str) -> list[str]:
    """The command of a process that does nothing."""
    return ["sh", "-c", "sleep 1000; :", mark]


def requests_of(executor: SimpleExecutor) -> int:
    """How many requests the server has had."""
    instance_of(executor).catch_up()
    return sum("request " in line for line in executor.tail(10_000))


def askers() -> list[int]:
    """The askers of this process."""
    return [pid for pid in marked("asker.program") if belongs_to(pid, os.getpid())]


def belongs_to(pid: int, runner: int) -> bool:
    """Whether an asker's warden watches over a process."""
    try:
        words = Path("/proc", str(parent(pid)), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(runner).encode() in words


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


class Moment(Executor):
    """Remembers when it was started."""

    def __init__(self, after: tuple[object, ...] = ()) -> None:
        self.after = after
        self.at = math.inf

    def start(self) -> Moment:
        self.at = time.monotonic()
        return self

    def stop(self) -> None:
        pass


def chain(length: int, mark: str) -> dict[str, Any]:
    """Services that start one after the other, and the moment when the last was ready."""
    links: dict[str, Any] = {}
    for number in range(length):
        links[f"link{number}"] = TCPCoordinatedExecutor(
            service("serves.py", "tcp", "{port}", "{tmpdir}/state", mark), after=list(links)[-1:]
        )
    return {**links, "end": Moment(after=(f"link{length - 1}",))}


def program_of(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that can import the package; the finished process."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=60,
    )


def a_while() -> None:
    """A callable of the user's that takes long."""
    time.sleep(0.3)


class TestNobodyWaits:
    def test_a_chain_beside_a_slow_answer(self, mark: str) -> None:
        """Six services that start in a row do not wait for the answers of another server."""
        slow = HTTPCoordinatedExecutor(
            answers("busy=2", "delay=3", mark), url=URL, timeout=60, name="slow"
        )
        links = chain(6, mark)
        with Orchestrator({"slow": slow, **links}):
            ready = time.monotonic()
            assert requests_of(slow) == 3
        # the slow one answered three times, which takes 9 s
        assert ready - links["end"].at > 4

    def test_a_chain_beside_until(self, mark: str) -> None:
        """After until= a pause follows that is four times as long as it took."""
        calls: list[float] = []

        def slowly(executor: object) -> bool:
            calls.append(time.monotonic())
            a_while()
            return len(calls) > 3

        it = SimpleExecutor(idle(mark), until=slowly)
        with it:
            gaps = [later - earlier for earlier, later in itertools.pairwise(calls)]
        assert len(gaps) == 3
        assert min(gaps) > 5 * 0.3

    def test_many_at_once(self, mark: str) -> None:
        """Twelve servers that take a second for an answer are ready after little more."""
        several = {
            f"web{number}": HTTPCoordinatedExecutor(answers("delay=2", mark), url=URL)
            for number in range(12)
        }
        began = time.monotonic()
        with Orchestrator(several):
            assert time.monotonic() - began < 12
            assert len(askers()) == 1

    def test_threads(self, mark: str) -> None:
        """Several threads start services at the same time, over one asker."""
        done: list[int] = []

        def run() -> None:
            for _ in range(3):
                with HTTPCoordinatedExecutor(answers("busy=2", mark), url=URL) as web:
                    done.append(requests_of(web))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert done == [3] * 12
        assert len(askers()) == 1


class TestDeadlines:
    def expires(self, executor: SimpleExecutor, less: float) -> TimeoutExpired:
        """The error of a start that ends in time."""
        # a first start, which takes longer
        SimpleExecutor("true").start().stop()
        began = time.monotonic()
        with pytest.raises(TimeoutExpired) as caught:
            executor.start()
        assert time.monotonic() - began < less
        return caught.value

    @pytest.mark.parametrize("request_timeout", [None, 0.6])
    def test_headers_that_dribble(self, request_timeout: float | None, mark: str) -> None:
        """A byte now and then does not keep a request alive beyond its time; nor is it an answer.

        Though its status was accepted, its headers have not ended.
        """
        how = answers("dribble=0.25", mark)
        web = HTTPCoordinatedExecutor(how, url=URL, timeout=2, request_timeout=request_timeout)
        error = self.expires(web, 6)
        assert "no answer within " in str(error) and error.report
        # a server whose request was given up is asked again
        asked = Path(error.report.log_path).read_text().count("request ")
        assert asked > 1 if request_timeout else asked == 1

    def test_bodies_that_never_end(self, mark: str) -> None:
        """The body that answer= waits for has no more time than the start."""
        how = answers("body=no ", "endless=0.1", mark)
        web = HTTPCoordinatedExecutor(how, url=URL, timeout=4, answer="yes")
        error = self.expires(web, 8)
        assert "HTTP 200 OK" in str(error)
        assert "its body does not match answer=: 'no no " in str(error)

    @pytest.mark.parametrize(
        ("line", "said"), [("", "not HTTP, but éé"), ("HTTP/1.1 503 ", "HTTP 503 éé")]
    )
    def test_first_lines_that_are_long(self, line: str, said: str, mark: str) -> None:
        broken = HTTPCoordinatedExecutor(answers(f"line={line}", mark), url=URL, timeout=2)
        with pytest.raises(TimeoutExpired, match=said) as caught:
            broken.start()
        assert len(str(caught.value)) < 3000
        # and the next question is not disturbed
        with HTTPCoordinatedExecutor(answers(mark), url=URL):
            pass

    def test_until_that_is_asked_after_it(self, mark: str) -> None:
        """The error has the refusal of the second condition, not that the first is asked again."""
        healthy = HTTPCoordinatedExecutor(
            answers(mark), url=URL, timeout=2, until=lambda e: a_while()
        )
        with pytest.raises(TimeoutExpired, match=r"last answer: until= returned None"):
            healthy.start()

    def test_status_that_raises(self, mark: str) -> None:
        """As with other callables, an exception that may not come again is waited for."""
        known = {200: True}
        late = HTTPCoordinatedExecutor(answers("busy=2", mark), url=URL, status=known.__getitem__)
        with late:
            pass

    def test_headers_and_body_that_are_long(self, mark: str) -> None:
        command = answers("body=" + "b" * 40_000, "header=" + "é" * 8_000, mark)
        with HTTPCoordinatedExecutor(command, url=URL, answer="b{40000}", timeout=20):
            pass

    def test_silence_says_how_long_it_was(self, mark: str) -> None:
        """Without an answer the message says how long it was waited for."""
        web = HTTPCoordinatedExecutor(answers("delay=1000", mark), url=URL, timeout=6)
        error = self.expires(web, 12)
        (seconds,) = re.findall(r"no answer within ([\d.]+) s from http://", str(error))
        assert 1 < float(seconds) <= 6

    def test_a_slow_healthy_server(self, mark: str) -> None:
        """An answer that takes more than a second is waited for."""
        with HTTPCoordinatedExecutor(answers("delay=1.5", mark), url=URL, timeout=60) as web:
            assert requests_of(web) == 1

    def test_request_timeout(self, mark: str) -> None:
        """With request_timeout= a request that takes longer is followed by others."""
        how = answers("delay=1000", mark)
        web = HTTPCoordinatedExecutor(how, url=URL, timeout=6, request_timeout=0.3)
        error = self.expires(web, 12)
        assert "no answer within 0.3 s from http://127.0.0.1:" in str(error)
        (asked,) = re.findall(r"asked (\d+) times", str(error))
        assert int(asked) > 2

    @linux
    @root
    @pytest.mark.parametrize("kind", ["TCP", "HTTP"])
    def test_a_resolver_that_is_silent(self, kind: str, mark: str, tmp_path: Path) -> None:
        """A slow look-up of a name extends no deadline, and delays no other service."""
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:8\n")
        (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
        script = f"""
import socket, sys, time
from summon_testcase import *
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
SimpleExecutor("true").start().stop()
slow = {{
    "TCP": lambda: TCPCoordinatedExecutor("sleep 1000", host="slow.example.org", port=80),
    "HTTP": lambda: HTTPCoordinatedExecutor("sleep 1000", url="http://slow.example.org/"),
}}[{kind!r}]()
slow._limits.timeout = 2
began = time.monotonic()
try:
    slow.start()
except TimeoutExpired as error:
    print(time.monotonic() - began, str(error).replace(chr(10), " "))
"""
        inside = (
            f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && "
            f'mount --bind {tmp_path}/nsswitch.conf /etc/nsswitch.conf && exec "$@"'
        )
        command = unshare("--mount", "--net", "sh", "-c", f"ip link set lo up; {inside}", "sh")
        done = subprocess.run(
            [*command, sys.executable, "-c", script, mark],
            env={**os.environ, "PYTHONPATH": ROOT},
            capture_output=True,
            text=True,
            timeout=60,
        )
        require("ermission" not in done.stderr, done.stderr)
        seconds, _, said = done.stdout.partition(" ")
        assert float(seconds) < 5, done
        assert "the address of 'slow.example.org' is not known yet" in said

    def test_refusals_get_rarer(self, mark: str) -> None:
        """The longer a server says 503, the more rarely it is asked."""
        web = HTTPCoordinatedExecutor(answers("busy=9999", mark), url=URL, timeout=6)
        error = self.expires(web, 15)
        assert "HTTP 503 Service Unavailable from http://127.0.0.1:" in str(error)
        assert error.report is not None
        # the last line may be cut off, by the end of the server
        lines = Path(error.report.log_path).read_text().splitlines()[:-1]
        asked = [float(line.split()[-1]) for line in lines if line.startswith("request ")]
        # a slow machine only makes pauses longer; the last question is that of the deadline
        for earlier, later in itertools.pairwise(asked[:-1]):
            assert later - earlier >= (earlier - asked[0] - 0.2) / 20, asked
        assert asked[-1] - asked[0] > 1, asked


class TestTheAsker:
    """The process of the asker: its start, its deaths, its end."""

    def test_it_is_nobodys_child_and_not_imported_here(self, mark: str) -> None:
        """The test process has no such child, and has not imported requests."""
        script = f"""
import os, sys
from summon_testcase import *
with HTTPCoordinatedExecutor({answers(mark)!r}, url={URL!r}):
    print("requests" in sys.modules, "urllib3" in sys.modules)
try:
    os.wait()
except ChildProcessError:
    print("no child")
"""
        done = program_of(script)
        assert done.stdout.split("\n")[:2] == ["False False", "no child"], done

    @linux
    def test_it_ends_with_the_test_process(self, mark: str, tmp_path: Path) -> None:
        """SIGKILL of the test process leaves no asker behind, even if it is busy."""
        script = f"""
from summon_testcase import *
HTTPCoordinatedExecutor({answers("delay=1000", mark)!r}, url={URL!r}).start()
"""
        with subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": ROOT, "TMPDIR": str(tmp_path)},
        ) as runner:
            logs = lambda: map(text, tmp_path.glob("*/*.log"))  # noqa: E731
            eventually(lambda: "request " in "".join(logs()), "the server is asked")
            (asker,) = [p for p in marked("asker.program") if belongs_to(p, runner.pid)]
            runner.kill()
        eventually(lambda: asker not in marked("asker.program"), "the asker's end")
        eventually(lambda: not marked(mark), "the server's end")

    @linux
    @pytest.mark.parametrize("times", [1, 2])
    def test_it_is_killed(self, times: int, mark: str) -> None:
        """A killed asker is started again, once; if it is killed twice, an error says so."""
        killed: list[int] = []
        web = HTTPCoordinatedExecutor(answers("delay=5", mark), url=URL, timeout=60)

        def kill(*_: object) -> None:
            log = instance_of(web).log.path if has_instance(web) else ""
            # the request of the one that lives has arrived
            if len(killed) < times and text(log).count("request ") > len(killed):
                (pid,) = askers()
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

        before = signal.signal(signal.SIGALRM, kill)
        signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
        try:
            if times == 1:
                with web:
                    assert requests_of(web) == 2
            else:
                with pytest.raises(StartFailed, match="ended by itself, twice") as caught:
                    web.start()
                assert str(caught.value).startswith("python")
                # the next start tries again
                with HTTPCoordinatedExecutor(answers(mark), url=URL):
                    pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert len(killed) == times

    def test_it_cannot_boot(self, mark: str) -> None:
        """The asker's standard error is in the message."""
        script = f"""
import sys
sys.path[:] = [entry for entry in sys.path if "-packages" not in entry]
from summon_testcase import *
try:
    HTTPCoordinatedExecutor({answers(mark)!r}, url={URL!r}).start()
except StartFailed as error:
    print(error)
"""
        done = program_of(script)
        assert "ended by itself, twice; it said:" in done.stdout, done
        assert "No module named 'requests'" in done.stdout

    @pytest.mark.parametrize(
        "line",
        ["raise ValueError('no OpenSSL')", "raise SystemExit('no OpenSSL')", "def no OpenSSL"],
    )
    def test_requests_is_broken(self, line: str, mark: str, tmp_path: Path) -> None:
        """However the import of requests fails, the error comes at once."""
        (tmp_path / "requests.py").write_text(line)
        script = f"""
import sys
sys.path[:] = [entry for entry in sys.path if "-packages" not in entry] + [{str(tmp_path)!r}]
from summon_testcase import *
them = [HTTPCoordinatedExecutor({answers(mark)!r}, url={URL!r}) for _ in range(6)]
try:
    Orchestrator(dict(zip("abcdef", them))).start()
except StartFailed as error:
    print(type(error).__name__, error)
"""
        done = program_of(script)
        assert "StartFailed " in done.stdout, done
        assert "ended by itself, twice; it said:" in done.stdout
        assert "no OpenSSL" in done.stdout
        # once for each service that asked, and not in each other's error
        assert done.stdout.count("Traceback (") <= 6

    def test_modules_of_the_project_do_not_stand_in(self, mark: str, tmp_path: Path) -> None:
        """A requests.py in the directory of the tests is not imported by the asker."""
        for name in ("requests", "urllib3", "idna"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')")
        script = f"""
import sys
from summon_testcase import *
sys.path.insert(0, {str(tmp_path)!r})
with HTTPCoordinatedExecutor({answers(mark)!r}, url={URL!r}):
    print("ready")
"""
        done = program_of(script)
        assert done.stdout == "ready\n", done

    def test_a_fork_has_its_own(self, mark: str) -> None:
        """A forked child has an asker of its own, and takes no answers for the parent."""
        with HTTPCoordinatedExecutor(answers(mark), url=URL):
            (mine,) = askers()
            child = os.fork()
            if child == 0:
                try:
                    with HTTPCoordinatedExecutor(answers("busy=3", mark), url=URL) as web:
                        good = requests_of(web) == 4 and askers() not in ([], [mine])
                    os._exit(0 if good else 1)
                finally:
                    os._exit(2)
            with HTTPCoordinatedExecutor(answers("busy=3", mark), url=URL) as web:
                assert requests_of(web) == 4
            assert os.waitpid(child, 0)[1] == 0
            assert askers() == [mine]

    def test_descriptors(self, mark: str) -> None:
        """Many services need no more descriptors for their questions than one does."""
        with HTTPCoordinatedExecutor(answers(mark), url=URL):
            pass
        before = descriptors()
        several = [HTTPCoordinatedExecutor(answers("delay=1", mark), url=URL) for _ in range(8)]
        with Orchestrator({f"web{n}": web for n, web in enumerate(several)}):
            assert descriptors() < before + 8 + 4
        assert descriptors() <= before

    @linux
    def test_servers_that_never_answer(self) -> None:
        """What is given up leaves no connection and no thread in the asker."""
        script = (
            "import socket; listener = socket.create_server(('127.0.0.1', 0))\n"
            "print(listener.getsockname()[1], flush=True); peers = []\n"
            "while True: peers.append(listener.accept())"
        )
        with running(script) as (server, port):
            target: Any = SimpleNamespace(pid=server.pid, keeper_pid=server.pid)

            def ask() -> None:
                said = set()
                asked = [
                    ProtocolProbe(protocol, "127.0.0.1", int(port), request_timeout=0.2)
                    for protocol in PROTOCOLS
                ]
                while asked:
                    for probe in list(asked):
                        refusal = probe.look(target)
                        if not probe.asked:
                            said.add(refusal)
                            asked.remove(probe)
                assert said == {f"no answer within 0.2 s from 127.0.0.1:{port}"}

            ask()
            (asker,) = askers()

            def held(what: str) -> int:
                return len(os.listdir(f"/proc/{asker}/{what}"))

            before = held("fd")
            # one for each question, the main one, and one that waits for the next question
            most = max(held("task"), len(PROTOCOLS) + 2)
            for _ in range(5):
                ask()
            # nor is anything left of those in which nobody is interested any more
            for _ in range(5):
                probe = ProtocolProbe("redis", "127.0.0.1", int(port))
                probe.look(target)
                probe.close()
            # not "==": some of the first ones may still have been open then
            eventually(lambda: held("fd") <= before, "their connections are closed")
            assert held("task") <= most

    def test_a_drop_that_overtakes_its_question(self) -> None:
        """Two threads of the asker receive them: it is not asked then."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = "from summon_testcase.asker.program import main; main()"
        words = [sys.executable, "-c", program, str(theirs.fileno()), str(os.getpid())]
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            subprocess.Popen(words, cwd=ROOT, pass_fds=[theirs.fileno()]) as asker,
            ours,
        ):
            theirs.close()

            def tell(*message: object) -> None:
                data = marshal.dumps(message)
                ours.sendall(struct.pack("=I", len(data)) + data)

            place = (("127.0.0.1",), server.getsockname()[1])
            tell(1, "drop", 0.0)
            tell(1, "converse", PATIENCE, "redis", *place, "", "", "")
            tell(2, "connect", PATIENCE, *place)
            ours.settimeout(PATIENCE)
            assert marshal.loads(ours.recv(1 << 16)[4:])[:2] == (2, "connected")
            server.settimeout(PATIENCE)
            server.accept()[0].close()
            # both connections would have been made by now
            tell(3, "look up", PATIENCE, "127.0.0.1")
            assert marshal.loads(ours.recv(1 << 16)[4:])[:2] == (3, "known")
            assert not select.select([server], [], [], 0)[0]
            ours.close()
            assert asker.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Certificate and key of 127.0.0.1."""
    return ",".join(map(str, needs.certificate(tmp_path_factory.mktemp("tls"))))


@contextlib.contextmanager
def cassette(tmp_path: Path) -> Iterator[None]:
    import vcr

    with vcr.use_cassette(str(tmp_path / "cassette.yaml"), record_mode="all"):
        yield
    assert not (tmp_path / "cassette.yaml").exists(), "a question was recorded"


@contextlib.contextmanager
def all_answered_by_responses(tmp_path: Path) -> Iterator[None]:
    import responses

    with responses.RequestsMock(assert_all_requests_are_fired=False) as active:
        active.get(re.compile(".*"), status=200)
        yield
        assert len(active.calls) == 0


@contextlib.contextmanager
def all_answered_by_requests_mock(tmp_path: Path) -> Iterator[None]:
    import requests_mock

    with requests_mock.Mocker() as active:
        active.get(requests_mock.ANY, status_code=200)
        yield
        assert active.call_count == 0


@contextlib.contextmanager
def no_session(tmp_path: Path) -> Iterator[None]:
    with mock.patch("requests.Session") as session, mock.patch("requests.get") as get:
        yield
    assert not session.called
    assert not get.called


@contextlib.contextmanager
def no_sockets(tmp_path: Path) -> Iterator[None]:
    import pytest_socket

    pytest_socket.disable_socket()
    try:
        yield
    finally:
        pytest_socket.enable_socket()


@contextlib.contextmanager
def proxies(tmp_path: Path) -> Iterator[None]:
    gone = "http://127.0.0.1:1"
    with mock.patch.dict(os.environ, HTTP_PROXY=gone, HTTPS_PROXY=gone, ALL_PROXY=gone):
        yield


TOOLS = [
    cassette,
    all_answered_by_responses,
    all_answered_by_requests_mock,
    no_session,
    no_sockets,
    proxies,
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_test_does_to_requests(
    tool: Any, scheme: str, certificate: str, mark: str, tmp_path: Path
) -> None:
    """Tools that replace requests or sockets neither answer a probe nor record its requests."""
    tls = [f"pem={certificate}"] if scheme == "https" else []
    web = HTTPCoordinatedExecutor(
        answers("busy=1", *tls, mark),
        url=f"{scheme}://{{host}}:{{port}}/",
        verify=certificate.split(",")[0],
    )
    with tool(tmp_path), web:
        assert requests_of(web) == 2


def test_a_relative_bundle(certificate: str, mark: str) -> None:
    """A relative path starts from the directory of the service, as in other arguments."""
    folder, pem = os.path.split(certificate.split(",")[0])
    with HTTPCoordinatedExecutor(
        answers(f"pem={certificate}", mark),
        url="https://{host}:{port}/",
        verify=pem,
        cwd=folder,
        timeout=20,
    ) as web:
        assert web.running()


class TestWhatIsAsked:
    def test_pattern(self, mark: str) -> None:
        """A pattern in answer= must match somewhere in the body."""
        how = answers("body=<p>request {n}</p>", mark)
        with HTTPCoordinatedExecutor(how, url=URL, answer=r"request [3-9]<") as web:
            assert requests_of(web) == 3

    def test_callable(self, mark: str) -> None:
        """A callable is given status, headers without regard to case, and the body as text."""
        seen: list[tuple[int, str, str]] = []

        def ok(status: int, headers: Mapping[str, str], body: str) -> bool:
            seen.append((status, headers["x-asked"], body))
            return body == "é3"

        how = answers("body=é{n}", mark)
        with HTTPCoordinatedExecutor(how, url=URL, answer=ok) as web:
            assert requests_of(web) == 3
        assert seen == [(200, "1", "é1"), (200, "2", "é2"), (200, "3", "é3")]

    def test_a_callable_is_given_all_of_it(self, mark: str) -> None:
        """The text that a callable looks for may come in the last part."""
        seen: list[str] = []

        def up(status: int, headers: Mapping[str, str], body: str) -> bool:
            seen.append(body)
            return "down" not in body

        how = answers("body=cache: up, db: down", "halves=0.5", mark)
        broken = HTTPCoordinatedExecutor(how, url=URL, timeout=3, answer=up)
        with pytest.raises(TimeoutExpired, match=r"made answer= return False|has not ended"):
            broken.start()
        assert set(seen) == {"cache: up, db: down"}
        # half of a body does not count as the whole when the time is over
        seen.clear()
        cut = HTTPCoordinatedExecutor(how, url=URL, timeout=2, request_timeout=0.2, answer=up)
        with pytest.raises(TimeoutExpired, match="body has not ended: 'cache: up'"):
            cut.start()
        assert not seen
        endless = answers("body=tick ", "endless=0.1", mark)
        with HTTPCoordinatedExecutor(
            endless, url=URL, request_timeout=1, answer=lambda s, h, b: "tick tick" in b
        ) as web:
            assert requests_of(web) == 1

    def test_body_that_goes_on(self, mark: str) -> None:
        """The first part of a body that never ends may be enough."""
        how = answers("body=tick ", "endless=0.1", mark)
        with HTTPCoordinatedExecutor(how, url=URL, timeout=60, answer="tick tick tick") as web:
            assert requests_of(web) == 1

    @pytest.mark.parametrize("where", ["/elsewhere", "http://[", "http://é.example/"])
    def test_redirects(self, where: str, mark: str) -> None:
        """Redirects are answers, wherever they lead to; their body may never end."""
        how = [f"moved={where}", "body=moved ", mark]
        with HTTPCoordinatedExecutor(answers(*how), url=URL, answer="^moved $"):
            pass
        with HTTPCoordinatedExecutor(answers("endless=0.1", *how), url=URL) as web:
            assert requests_of(web) == 1

    @pytest.mark.parametrize("charset", ["none", "hex", "idna", "undefined"])
    def test_encodings_that_are_none(self, charset: str, mark: str) -> None:
        """A body is decoded as text, whatever encoding it claims to have."""
        how = answers(f"type=text/plain; charset={charset}", "body=ö", mark)
        with HTTPCoordinatedExecutor(how, url=URL, answer="^ö$"):
            pass

    def test_body_of_a_refused_answer(self, mark: str) -> None:
        """The body of an answer whose status is refused is not waited for."""
        how = answers("busy=2", "body=up ", "endless=0.1", mark)
        with HTTPCoordinatedExecutor(how, url=URL, timeout=60, answer="up up") as web:
            assert requests_of(web) == 3
            assert requests_under_way() == 0

    def test_refused_body_is_shown(self, mark: str) -> None:
        """The message has the status and the beginning of the body."""
        how = answers("body=" + "down " * 40, mark)
        web = HTTPCoordinatedExecutor(how, url=URL, timeout=5, answer="up")
        with pytest.raises(TimeoutExpired) as caught:
            web.start()
        assert "HTTP 200 OK from http://127.0.0.1:" in str(caught.value)
        assert ", but its body does not match answer=: 'down down " in str(caught.value)
        assert "…'" in str(caught.value)

    def test_mistake_in_a_callable(self, mark: str) -> None:
        """A callable that cannot be right ends the wait; one that raises may be right later."""
        web = HTTPCoordinatedExecutor(answers(mark), url=URL, answer=lambda status: True)  # type: ignore[arg-type,misc]
        with pytest.raises(StartFailed, match="answer= raised TypeError"):
            web.start()
        how = answers("body={n}", mark)
        late = HTTPCoordinatedExecutor(how, url=URL, answer=lambda s, h, b: [3][3 - int(b)])
        with late:
            assert requests_of(late) == 3

    def test_auth(self, mark: str) -> None:
        """User and password are sent, and stay out of all words."""
        how = answers("user=me:secret", mark)
        with HTTPCoordinatedExecutor(how, url=URL, auth=("me", "secret")):
            pass
        web = HTTPCoordinatedExecutor(how[:-2] + ["user=me:other", mark], url=URL, timeout=4)
        request_of(web)["auth"] = ("me", "secret")
        with pytest.raises(TimeoutExpired) as caught:
            web.start()
        assert "HTTP 401 Unauthorized" in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_method_and_body(self, mark: str) -> None:
        """A body is sent, as text or bytes."""
        for body in ("{é}", "{é}".encode()):
            web = HTTPCoordinatedExecutor(
                answers("echo=1", mark), url=URL, method="POST", body=body, answer=r"^\{é\}$"
            )
            with web:
                assert requests_of(web) == 1
                assert "POST /" in web.tail()[0]

    @pytest.mark.parametrize("end", ["\r\n", "\n"])
    def test_answers_before_the_answer(self, end: str, mark: str) -> None:
        """102 and 103 are not the answer; lines may end in any way that curl accepts."""
        script = (
            "import socket, sys\n"
            "with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as listener:\n"
            "    while True:\n"
            "        with listener.accept()[0] as peer:\n"
            "            peer.recv(9999)\n"
            "            peer.sendall(sys.argv[2].encode())\n"
            "            print('request', flush=True)\n"
        )
        lines = ["HTTP/1.1 100 Continue", "", "HTTP/1.1 102 Processing", ""]
        lines += ["HTTP/1.1 103 Early Hints", "Link: </x>", "", "HTTP/1.1 204 Done", "X: y", "", ""]
        command = [sys.executable, "-S", "-c", script, "{port}", end.join(lines), mark]
        with HTTPCoordinatedExecutor(command, url=URL, status=204, timeout=30) as web:
            assert requests_of(web) == 0
            eventually(lambda: len(web.tail()) == 1, "it has told of the request")

    def test_unix_socket(self, mark: str) -> None:
        """A URL may name a unix socket."""
        web = HTTPCoordinatedExecutor(
            answers("busy=1", mark, where="{tmpdir}/app.sock"),
            url="http+unix://{tmpdir}%2Fapp.sock/health?x=1",
        )
        with web:
            assert web.url.startswith("http+unix://%2F")
            assert web.url_for("/other") == web.url.replace("/health?x=1", "/other")
            assert requests_of(web) == 2
            assert web.tail()[-1].startswith("request 2 GET /health?x=1 localhost ")
        with pytest.raises(TimeoutExpired, match=r"no socket at .*/none\.sock yet"):
            HTTPCoordinatedExecutor(
                idle(mark), url="http+unix://{tmpdir}%2Fnone.sock/", timeout=1
            ).start()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("auth", "me:secret"),
            ("auth", ("me", None)),
            ("body", {"a": 1}),
            ("body", "secret" * 20_000),
            ("url", "http+unix://{tmpdir}/app.sock/health"),
            ("url", "http+unix://{db.tmpdir}/app.sock"),
            ("answer", 200),
            ("answer", "("),
            ("request_timeout", -1),
            ("request_timeout", "1"),
            ("status", "200"),
            ("status", ()),
            ("headers", ["a"]),
            ("headers", {"a": 1}),
            ("headers", {"a": "b\r\nc: d"}),
            ("headers", {"Authorization": " Bearer secret"}),
            ("headers", {"Authorization": "Bearer secret\N{CHECK MARK}"}),
            ("headers", {"Authorization": "Bearer secret\0"}),
            ("headers", {"Authorization: Bearer secret": ""}),
            ("headers", [("Authorization", "Bearer secret")]),
            ("auth", ("me", "secret\N{CHECK MARK}")),
            ("auth", ("me", "secret\udc80")),
            ("method", 5),
            ("method", "GET\n"),
            ("method", "GE T"),
        ],
    )
    def test_what_cannot_be_sent(self, name: str, value: object) -> None:
        """A wrong value is refused where it is written, by its name, and not shown if secret."""
        with pytest.raises(InvalidArgument, match=f"{name}=") as caught:
            HTTPCoordinatedExecutor("true", **{"url": URL, name: value})
        assert "secret" not in str(caught.value)


class TestWhose:
    def test_another_services_answer(self, mark: str) -> None:
        """A URL with the host and port of another service waits for that service's answer."""
        with orchestrated(
            front=HTTPCoordinatedExecutor(answers("busy=1", "body={n}", mark), url=URL),
            worker=HTTPCoordinatedExecutor(
                idle(mark), url="http://{front.host}:{front.port}/", answer="[5-9]"
            ),
            other=HTTPCoordinatedExecutor(idle(mark), url="{front.url}x"),
        ) as (front, worker, other):
            assert worker.url == f"http://127.0.0.1:{front.port}/"
            assert other.url == f"http://127.0.0.1:{front.port}/x"
            assert requests_of(front) >= 5

    @pytest.mark.parametrize("flavour", ["TCP", "HTTP"])
    def test_foreign_listener(self, flavour: str, mark: str) -> None:
        """Another process may open the port once the service is spawned, but not before."""
        port = ports.lease()
        stranger = answers(mark, where=str(port))
        docker = subprocess.Popen(
            ["sh", "-c", 'read go && exec "$@"', "sh", *stranger], stdin=subprocess.PIPE
        )

        def executor(**options: Any) -> SimpleExecutor:
            command = idle(mark)
            if flavour == "TCP":
                return TCPCoordinatedExecutor(command, port=port, timeout=60, **options)
            return HTTPCoordinatedExecutor(
                command, url=f"http://127.0.0.1:{port}/", timeout=60, **options
            )

        def open_port() -> None:
            eventually(lambda: len(marked(mark)) > 1, "the service is spawned")
            os.write(docker.stdin.fileno(), b"go\n")  # type: ignore[union-attr]

        try:
            begun = threading.Thread(target=open_port)
            begun.start()
            with executor(foreign_listener=True):
                begun.join()
            for options in ({}, {"foreign_listener": True}):
                with pytest.raises(PortInUse, match=f"127.0.0.1:{port} is in use already"):
                    executor(**options).start()
        finally:
            docker.kill()
            docker.wait()
            docker.stdin.close()  # type: ignore[union-attr]
            ports.release(port)


class TestAddresses:
    @pytest.mark.parametrize("url", [URL, "http://[{host}]:{port}/"])
    def test_ipv6(self, url: str, mark: str) -> None:
        """An IPv6 address stands in brackets in a URL, whether they were written or not."""
        web = HTTPCoordinatedExecutor(
            answers(mark, where="[{host}]:{port}"), url=url, host="::1", env={"URL": "{url}"}
        )
        require(can_bind("::1"), "there is no IPv6 here")
        with web:
            assert web.url == f"http://[::1]:{web.port}/"
            assert web.url_for("/a") == f"http://[::1]:{web.port}/a"
        for brackets in ("127.0.0.1", "localhost"):
            with HTTPCoordinatedExecutor(answers(mark), url=url, host=brackets) as web:
                assert web.url == f"http://{brackets}:{web.port}/"

    def test_urls_without_http(self, mark: str) -> None:
        """Who is not asked by HTTP has a tcp:// address, and paths by HTTP all the same."""
        tcp = TCPCoordinatedExecutor(answers(mark, where="[{host}]:{port}"), host="::1")
        plain = SimpleExecutor([*idle(mark), "{url}"], port=4711)
        output = OutputCoordinatedExecutor(
            ["sh", "-c", "echo port 4712; sleep 1000", mark], r"port (?P<port>\d+)\n"
        )
        with plain, output:
            assert plain.url == "tcp://127.0.0.1:4711"
            assert output.url == "tcp://127.0.0.1:4712"
            assert output.url_for("/a?b") == "http://127.0.0.1:4712/a?b"
        redeclare(tcp, port=4713)
        assert tcp.url == "tcp://[::1]:4713"
        assert tcp.url_for("a") == "http://[::1]:4713/a"

    def test_stopped(self) -> None:
        """What only a running one has follows Python's rule for attributes that are not there."""
        for stopped in (
            TCPCoordinatedExecutor("sleep {port}"),
            HTTPCoordinatedExecutor("sleep {port}", url=URL),
            UnixSocketCoordinatedExecutor("sleep 1", path="{tmpdir}/a"),
        ):
            assert getattr(stopped, "url", None) is None
            assert not hasattr(stopped, "port")
            assert not hasattr(stopped, "pid")
            with pytest.raises(NotRunning, match="is not running"):
                stopped.port  # noqa: B018
            with pytest.raises(NotRunning):
                stopped.url_for("/")

    @pytest.mark.parametrize(
        ("url", "port"),
        [
            ("http://127.0.0.1:8000/", 9000),
            ("http://{host}:8000/", 9000),
            ("http://127.0.0.1/", 9000),
            ("https://{host}/x", 80),
        ],
    )
    def test_contradictions(self, url: str, port: int) -> None:
        """A port that is not the URL's is refused; a URL that says it gives it."""
        with pytest.raises(InvalidArgument, match=f"port={port} and url=.* contradict"):
            HTTPCoordinatedExecutor("true", url=url, port=port)
        assert HTTPCoordinatedExecutor("true", url=url).port in (8000, 80, 443)
        same = HTTPCoordinatedExecutor("true", url="http://{host}:{port}/", port=port)
        assert same.port == port

    def test_contradicting_hosts(self) -> None:
        """So is a host that is not the URL's, but for what stands for it."""
        url = "http://127.0.0.1:8000/"
        for host in ("127.0.0.2", "::1"):
            with pytest.raises(InvalidArgument, match=f"host='{host}' and url=.* contradict"):
                HTTPCoordinatedExecutor("true", url=url, host=host)
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):
            assert HTTPCoordinatedExecutor("true", url=url, host=host).host == host
        with pytest.raises(InvalidArgument, match="the path of the socket, quoted"):
            HTTPCoordinatedExecutor("true", url="http+unix:///tmp/app.sock/")


def typo(executor: object) -> object:
    return undefined  # type: ignore[name-defined]  # noqa: F821


def unequal(executor: object) -> None:
    assert executor is None, "the schema is of another version"


async def later(*whatever: object) -> bool:
    return False


def bit_by_bit(*whatever: object) -> Iterator[bool]:
    yield False


class TestUntilThatDoesNotRun:
    """To call what is async, or has a yield, does nothing, and what that returns is true."""

    @pytest.mark.parametrize("name", ["until", "answer", "status"])
    @pytest.mark.parametrize("code", [later, lambda *whatever: later(), bit_by_bit])
    def test_is_no_yes(self, name: str, code: Any, mark: str) -> None:
        it = HTTPCoordinatedExecutor(answers(mark), url=URL, timeout=20, name="it", **{name: code})
        said = f"^it: {name}= returned a (coroutine|generator), so that nothing of it has run"
        with pytest.raises(StartFailed, match=said):
            it.start()
        assert not marked(mark)

    def test_nor_are_methods_and_hooks(self, mark: str) -> None:
        class Clock(Executor):
            async def start(self) -> None:  # type: ignore[override]
                pass

            def stop(self) -> None:
                pass

        class Hooked(SimpleExecutor):
            async def ready(self) -> None:  # type: ignore[override]
                pass

        with pytest.raises(InvalidArgument, match=r"^start\(\) of Clock returned a coroutine"):
            Orchestrator([Clock()]).start()
        with pytest.raises(InvalidArgument, match=r"^it: ready\(\) returned a coroutine"):
            Hooked(idle(mark), name="it").start()
        assert not marked(mark)
        with (
            SimpleExecutor(idle(mark), name="it", reset=later) as it,
            pytest.raises(InvalidArgument, match=r"^it: reset= returned a coroutine"),
        ):
            it.reset()


class TestUntilThatCannotBeTrue:
    @pytest.mark.parametrize(
        ("until", "said"),
        [
            (typo, "NameError: name 'undefined' is not defined"),
            (lambda: True, "TypeError: "),
            (lambda e: e.prot, "AttributeError: "),
            (lambda e: e.name + 1, "TypeError: "),
            (lambda e: compile("(", "x", "exec"), "SyntaxError: "),
            (lambda e: __import__("no_such_module"), "ModuleNotFoundError: "),
            (unequal, "AssertionError: the schema is of another version"),
        ],
    )
    def test_ends_at_once(self, until: Any, said: str, mark: str) -> None:
        """A mistake in the callable is told at once, with the line it is in."""
        it = SimpleExecutor(idle(mark), until=until, timeout=60, name="it")
        began = time.monotonic()
        with pytest.raises(StartFailed) as caught:
            it.start()
        assert time.monotonic() - began < 20
        assert not isinstance(caught.value, TimeoutExpired)
        assert str(caught.value).startswith(f"it: until= raised {said}")
        assert caught.value.__cause__ is not None
        assert not marked(mark)

    @pytest.mark.parametrize(
        "error",
        [
            OSError("refused"),
            KeyError("x"),
            ValueError("no JSON"),
            AssertionError(),
            AssertionError("assert 1 == 2"),
            TypeError("'NoneType' object is not subscriptable"),
            NotRunning("it: is not running"),
        ],
    )
    def test_not_yet(self, error: Exception, mark: str) -> None:
        """What may be gone next time is waited for."""
        raised: list[Exception] = []

        def once(executor: object) -> bool:
            if not raised:
                raised.append(error)
                raise error
            return True

        with SimpleExecutor(idle(mark), until=once):
            assert raised == [error]

    def test_not_yet_in_what_it_calls(self, mark: str) -> None:
        """A library that stumbles over what is not there yet may do better next time."""
        calls: list[int] = []

        class Client:
            def ask(self) -> bool:
                calls.append(1)
                if len(calls) < 3:
                    raise AttributeError("'Client' object has no attribute 'connection'")
                return True

        client = Client()
        with SimpleExecutor(idle(mark), until=lambda e: client.ask()):
            assert len(calls) == 3


def test_a_name_for_all_addresses(mark: str) -> None:
    """0 is 0.0.0.0, at which nobody listens who listens on 127.0.0.1; who connects reaches him."""
    for kind in (TCPCoordinatedExecutor, HTTPCoordinatedExecutor):
        url = {"url": "http://0:{port}/"} if kind is HTTPCoordinatedExecutor else {}
        with kind(answers(mark), host="0", **url, timeout=10):
            pass


def test_a_name_is_looked_up_once(mark: str) -> None:
    """localhost needs no resolver, and no asker: it is in the file of hosts."""
    with mock.patch.object(asking, "ask", side_effect=AssertionError("somebody was asked")):
        with TCPCoordinatedExecutor(answers(mark, where="{host}:{port}"), host="localhost"):
            pass
    assert PATIENCE
