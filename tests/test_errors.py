"""The messages of errors, and refusals before anything is spawned."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import signal
import socket
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path

import pytest

import summon_testcase
from summon_testcase import (
    AlreadyRunning,
    AttachFailed,
    CommandCoordinatedExecutor,
    CommandNotFound,
    DependencyCycle,
    FailurePatternSeen,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    NotifyCoordinatedExecutor,
    NotRunning,
    OutputCoordinatedExecutor,
    PortInUse,
    ProcessExited,
    RequirementMissing,
    SimpleExecutor,
    SpawnFailed,
    StartFailed,
    StopFailed,
    SummonError,
    SummonTestCase,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    UnixSocketCoordinatedExecutor,
    UnknownReference,
    orchestrated,
)
from summon_testcase.system import ports

from .doubles import limits_of
from .samples import ROOT, eventually, marked, marker, parent, service

SECRET = "hunter2-do-not-print"


def failure(start: Callable[[], object]) -> SummonError:
    """The error that something raises, once it has travelled through pickle."""
    with pytest.raises(SummonError) as caught:
        start()
    error = caught.value
    travelled = pickle.loads(pickle.dumps(error))
    assert type(travelled) is type(error)
    assert str(travelled) == str(error)
    assert vars(travelled).keys() == vars(error).keys()
    assert SECRET not in str(error) and SECRET not in repr(error)
    assert SECRET.encode() not in pickle.dumps(error)
    return error


def failed_start(executor: SimpleExecutor) -> SummonError:
    error = failure(executor.start)
    assert isinstance(error, StartFailed)
    assert not executor.running()
    return error


def assert_in_order(error: SummonError, *patterns: str) -> None:
    """Each pattern matches a line of the message, and in this order."""
    lines = iter(str(error).splitlines())
    for pattern in patterns:
        assert any(re.fullmatch(pattern, line) for line in lines), (pattern, str(error))


def lines_of_output(first: int, last: int) -> list[str]:
    return [f"    \\| line {number}" for number in range(first, last + 1)]


class TestMessages:
    """What the message of each kind of error says, and in which order."""

    def test_timeout(self, mark: str) -> None:
        """TimeoutExpired: name, condition, last answer, time, command, directory, log."""
        script = "for i in $(seq 30); do echo line $i; done; sleep 1000"
        executor = TCPCoordinatedExecutor(
            ["sh", "-c", script, mark],
            name="db",
            cwd="/usr",
            env={"PASSWORD": SECRET, "PORT": "{port}"},
        )
        # a machine may be too busy for the shell to have begun in time
        for seconds in (0.4, 4, 40):
            limits_of(executor).timeout = seconds
            error = failed_start(executor)
            if "| line 30" in str(error):
                break
        assert isinstance(error, TimeoutExpired)
        assert (error.executor, error.timeout) == ("db", seconds)
        assert_in_order(
            error,
            rf"db: not ready within {seconds} s",
            r"  waited for: a connection to 127\.0\.0\.1:\d+",
            r"  last answer: connection refused by 127\.0\.0\.1:\d+ \(asked \d+ times?\)",
            r"  after: \d+\.\d\d s",
            re.escape(f"  command: {shlex.join(['sh', '-c', script, mark])}"),
            r"  directory: /usr",
            r"  output:",
            r"    \| line 1",
            r"    \| … 28 more like this",
            r"    \| line 30",
            r"  full log: /.*\.log",
        )
        assert error.message == f"db: not ready within {seconds} s"

    def test_exited(self, mark: str) -> None:
        """ProcessExited: with which status, and its last lines."""
        error = failed_start(
            OutputCoordinatedExecutor(service("exits.py", 3, 7, mark), "ready", name="web")
        )
        assert isinstance(error, ProcessExited)
        assert error.exit_code == 7
        assert_in_order(
            error,
            r"web: exited with status 7 before it was ready",
            r"  waited for: output matching 'ready'",
            r"  last answer: 21 bytes of output, none of them matching 'ready' \(asked .*\)",
            r"  after: .* s",
            r"  command: .*exits\.py 3 7 .*",
            r"  directory: .*",
            r"  process: exited with status 7",
            r"  output:",
            *lines_of_output(1, 3),
            r"  full log: .*",
        )

    def test_killed(self, mark: str) -> None:
        """ProcessExited by a signal names it; without output it says so."""
        error = failed_start(
            NotifyCoordinatedExecutor(service("exits.py", 0, -signal.SIGSEGV, mark), name="web")
        )
        assert isinstance(error, ProcessExited)
        assert error.exit_code == -signal.SIGSEGV
        assert_in_order(
            error,
            r"web: was killed by SIGSEGV before it was ready",
            r"  waited for: READY=1 on its NOTIFY_SOCKET",
            r"  process: was killed by SIGSEGV",
            r"  output: none",
        )

    def test_exited_with_success(self, mark: str) -> None:
        """Status 0 before readiness is an early exit as well."""
        error = failed_start(
            UnixSocketCoordinatedExecutor(service("exits.py", 1, 0, mark), "{tmpdir}/s", name="x")
        )
        assert isinstance(error, ProcessExited)
        assert_in_order(
            error,
            r"x: exited with status 0 before it was ready",
            r"  waited for: a connection to /.*/s",
            r"  last answer: no socket at /.*/s yet \(asked .*\)",
        )

    def test_failure_pattern(self, mark: str) -> None:
        """FailurePatternSeen: what was seen, and the lines around it."""
        error = failed_start(
            OutputCoordinatedExecutor(
                ["sh", "-c", "echo one; echo FATAL: disk; sleep 1000", mark],
                "ready",
                fails_on="FATAL: .*",
                name="db",
                env={"PASSWORD": SECRET},
            )
        )
        assert isinstance(error, FailurePatternSeen)
        assert error.matched == "FATAL: disk"
        assert_in_order(
            error,
            r"db: its output has 'FATAL: disk', which fails_on= means to be fatal",
            r"  after: .* s",
            r"  command: sh -c .*",
            r"  output:",
            r"    \| one",
            r"    \| FATAL: disk",
            r"  full log: .*",
        )

    def test_port_in_use(self, mark: str) -> None:
        """PortInUse: the port, its owner, and the owner's command."""
        with TCPCoordinatedExecutor(
            service("serves.py", "tcp", "{port}", "{tmpdir}/s", mark)
        ) as holder:
            error = failed_start(TCPCoordinatedExecutor("sleep 1000", port=holder.port, name="db"))
            assert isinstance(error, PortInUse)
            assert (error.port, error.owner_pid) == (holder.port, holder.pid)
            assert mark in (error.owner_command or "")
            assert error.message.startswith(
                f"db cannot start: 127.0.0.1:{holder.port} is in use already"
            ) or error.message.startswith(f"db: cannot start: 127.0.0.1:{holder.port}")
            assert str(holder.pid) in error.message and mark in error.message

    def test_port_taken_meanwhile(self, mark: str, tmp_path: Path) -> None:
        """PortInUse also if another process takes the port during the start; with its command."""
        port, go = ports.lease(), str(tmp_path / "go")
        try:
            with OutputCoordinatedExecutor(
                service("listens_when.py", port, go, mark), "up"
            ) as stranger:
                command = ["sh", "-c", ': >"$0"; sleep 1000', go, mark]
                error = failed_start(TCPCoordinatedExecutor(command, port=port, name="db"))
                assert isinstance(error, PortInUse)
                assert (error.executor, error.owner_pid) == ("db", stranger.pid)
        finally:
            ports.release(port)
        assert "listens_when.py" in (error.owner_command or "")
        assert_in_order(
            error,
            rf"db: 127\.0\.0\.1:{port} was taken by another process .*",
            r"  command: sh -c .*",
        )

    def test_command_not_found(self) -> None:
        """CommandNotFound: the program as written, and for a known server its package."""
        error = failed_start(SimpleExecutor("redis-servr --port 1", name="redis"))
        assert isinstance(error, CommandNotFound)
        assert (error.program, error.package) == ("redis-servr", None)
        assert str(error) == (
            "redis: command not found: 'redis-servr' is not on the PATH: install it, or write "
            "its full path"
        )
        error = failed_start(SimpleExecutor("redis-server", name="db", env={"PATH": "/nowhere"}))
        assert isinstance(error, CommandNotFound)
        assert (error.package, error.optional) == ("redis-server", False)
        assert "db: command not found: 'redis-server' is not installed" in error.message
        assert error.message.endswith("install the Debian package redis-server")

    def test_spawn_failed(self, tmp_path: Path) -> None:
        """SpawnFailed: the system's message, and what the user may do."""
        program = tmp_path / "program"
        program.write_text("no #! line\n")
        program.chmod(0o755)
        error = failed_start(SimpleExecutor([str(program)], name="odd"))
        assert isinstance(error, SpawnFailed)
        assert_in_order(
            error,
            r"odd: not started: .*/program is no program and has no #! line: name its "
            r"interpreter \(Exec format error\)",
            r"  command: .*/program",
        )

    def test_stop_failed(self, mark: str) -> None:
        """StopFailed: what the service did not do, within which time, and what to declare."""
        executor = OutputCoordinatedExecutor(
            service("deaf.py", mark),
            "deaf",
            stop_timeout=0.2,
            stop_signal=signal.SIGINT,
            name="web",
            env={"PASSWORD": SECRET},
        ).start()
        error = failure(executor.stop)
        assert isinstance(error, StopFailed)
        assert error.executor == "web"
        assert_in_order(
            error,
            r"web: it did not end within 0\.2 s of SIGINT and was killed: give it longer with "
            r"stop_timeout=, or another stop_signal=",
            r"  after: .* s",
            r"  command: .*deaf\.py .*",
            r"  process: was killed by SIGKILL",
            r"  output:",
            r"    \| deaf",
            r"  full log: .*",
        )

    def test_stop_errors_together(self, mark: str) -> None:
        """StopFailed of several has them all in `errors`, and travels with them."""
        command = service("deaf.py", mark)
        group = summon_testcase.Orchestrator(
            {n: OutputCoordinatedExecutor(command, "deaf", stop_timeout=0.2) for n in "ab"}
        ).start()
        error = failure(group.stop)
        assert isinstance(error, StopFailed)
        assert {getattr(e, "executor", "") for e in error.errors} == {"a", "b"}
        assert str(error).startswith("2 services did not stop as they should:\n")
        assert all(str(e) in str(error) for e in error.errors)

    def test_stop_errors_of_the_users(self) -> None:
        """An error of other code has its kind, its service, and its line of the user's."""

        class Broken(summon_testcase.Executor):
            def start(self) -> Broken:
                return self

            def stop(self) -> None:
                raise KeyError("lock")

        error = failure(summon_testcase.Orchestrator([Broken(), Broken()]).start().stop)
        assert isinstance(error, StopFailed)
        of_both = ["Broken 2: 'lock' (KeyError)", "Broken 1: 'lock' (KeyError)"]
        assert str(error).splitlines()[1:] == of_both
        assert error.__cause__ is error.errors[0]

    def test_a_constructor_that_forgets(self) -> None:
        """A constructor that does not call its base's is refused at once, not in the runner."""

        class Mine(SimpleExecutor):
            def __init__(self) -> None:
                pass

        error = failure(Mine)
        assert isinstance(error, InvalidArgument)
        assert str(error).startswith("Mine: its __init__() does not call super().__init__()")

    def test_already_running(self, mark: str) -> None:
        """AlreadyRunning: its pid, and what to call instead."""
        with SimpleExecutor(service("silent.py", mark), name="web") as executor:
            error = failure(executor.start)
            assert isinstance(error, AlreadyRunning)
            assert str(error) == (
                f"web: is running already (pid {executor.pid}): call stop() first, or restart()"
            )

    def test_not_running(self) -> None:
        """NotRunning: the attribute that is missing, and what to call first."""
        error = failure(SimpleExecutor("sleep 1", name="web").tail)
        assert isinstance(error, NotRunning)
        assert str(error) == ("web: has no output, since it is not running: call start() first")

    def test_wait_for_output(self, mark: str) -> None:
        """Output that does not come: the pattern, the time, and the output instead."""
        with OutputCoordinatedExecutor(
            ["sh", "-c", "echo up; echo other; sleep 1000", mark], "up", name="web"
        ) as executor:
            error = failure(lambda: executor.wait_for_output("order stored", timeout=0.1))
            log = executor.log_path
        assert isinstance(error, TimeoutExpired)
        assert_in_order(
            error,
            r"web: output matching 'order stored' did not come within 0\.1 s",
            r"  after: 0\.\d\d s",
            r"  output:",
            r"    \| up",
            r"    \| other",
            re.escape(f"  full log: {log}"),
        )
        assert Path(log).read_text() == "up\nother\n"

    def test_a_keeper_that_is_killed(self, mark: str) -> None:
        """If a service dies with its keeper, the error says so, and does not blame the service."""
        killed: list[int] = []

        def kill_keeper(executor: SimpleExecutor) -> None:
            if not killed:
                killed.append(parent(executor.pid))
                os.kill(killed[0], signal.SIGKILL)

        error = failed_start(
            SimpleExecutor(service("silent.py", mark), until=kill_keeper, name="web")
        )
        assert isinstance(error, ProcessExited)
        assert "its keeper was killed, and so was it" in error.message
        assert marked(mark) == []

    def test_a_stack_that_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """AttachFailed: how to bring one up, or to do without."""
        monkeypatch.setenv("SUMMON_ATTACH", "1")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

        class Case(SummonTestCase):
            web = SimpleExecutor("sleep 60", scope="run", shared=True)

            def test(self) -> None:
                """Never reached."""

        result = unittest.TestResult()
        Case("test").run(result)
        ((_, said),) = result.errors
        assert f"{AttachFailed.__name__}: web: no running stack has it, and SUMMON_ATTACH=1" in said
        assert "run `summon up -d TARGET`" in said
        assert "SUMMON_ATTACH=auto" in said

    def test_every_public_error_is_tested_here(self) -> None:
        """The list of errors and this module do not drift apart."""
        kinds = {
            name
            for name in summon_testcase.__all__
            if isinstance(kind := getattr(summon_testcase, name), type)
            and issubclass(kind, SummonError)
        }
        assert kinds <= globals().keys()


class TestLogs:
    def test_a_named_log_is_kept(self, mark: str) -> None:
        """The log that an error names exists, with all output; that of a good run is removed."""
        error = failed_start(OutputCoordinatedExecutor(service("exits.py", 100, 1, mark), "never"))
        assert error.report is not None
        kept = Path(error.report.log_path)
        assert kept.read_text() == "".join(f"line {n}\n" for n in range(1, 101))
        assert error.report.output == ("line 1", "… 98 more like this", "line 100")
        with SimpleExecutor(service("exits.py", 1, 0, mark)) as good:
            removed, directory = Path(good.log_path), Path(good.tmpdir)
            assert removed.exists() and directory.exists()
        assert not removed.exists() and not directory.exists()
        assert kept.exists()

    def test_nothing_that_a_terminal_obeys(self, mark: str) -> None:
        """Commands and answers of others are spelt out in a message too."""

        def odd(it: SimpleExecutor) -> bool:
            eventually(it.tail, "it has said something")
            raise ValueError("no\x1b[2J\x07\x9b2Jt\x08 yet")

        script = "printf '\\033c\\033[31mup\\n'; sleep 1000 # \x1bc\x07"
        executor = SimpleExecutor(["sh", "-c", script, mark], until=odd, timeout=0.2)
        error = failed_start(executor)
        said = str(error) + str(SummonError("a\x1bcb\nc\x9bHd"))
        assert said.replace("\n", "").isprintable(), ascii(said)
        assert said.endswith("ab\ncd")
        for words in ("no\\x07t\\x08 yet", "| up", "sleep 1000 # \\x07"):
            assert words in said

    def test_long_and_odd_lines(self, mark: str) -> None:
        """Bytes that are no UTF-8 are replaced in the message; all of them are in the log."""
        script = r"printf 'a\377b\n\033[31mred\n'; exit 1"
        error = failed_start(OutputCoordinatedExecutor(["sh", "-c", script, mark], "never"))
        assert error.report is not None
        assert error.report.output == ("a\ufffdb", "red")
        assert "\x1b" not in str(error)
        assert Path(error.report.log_path).read_bytes() == b"a\xffb\n\x1b[31mred\n"


#: a program that starts an executor, and prints the refusal and what was spawned
REFUSED = """
import json, os, pathlib, sys, tempfile
sys.path.insert(0, sys.argv[1])
from summon_testcase import *
try:
    exec(sys.argv[2])
except Exception as error:
    said = type(error).__name__, str(error)
else:
    said = "", ""
place = tempfile.gettempdir()
def has_place(pid):
    # the warden has the directory in its arguments, all else in its environment
    try:
        return any(place.encode() in pathlib.Path("/proc", pid, what).read_bytes()
                   for what in ("cmdline", "environ"))
    except OSError:
        return False
spawned = [pid for pid in os.listdir("/proc")
           if pid.isdigit() and int(pid) != os.getpid() and has_place(pid)]
files = [name for _, _, names in os.walk(place) for name in names]
print(json.dumps([*said, spawned, files]))
"""

INNOCENT = "innocent=SimpleExecutor('sleep 1000')"
BAD: dict[str, tuple[str, str, str]] = {
    "empty command": ("SimpleExecutor('')", "InvalidArgument", "command= is empty"),
    "blank command": ("SimpleExecutor('  ')", "InvalidArgument", "command= is empty"),
    "no words": ("SimpleExecutor([])", "InvalidArgument", "command= is empty"),
    "empty for a shell": ("SimpleExecutor(' ', shell=True)", "InvalidArgument", "is empty"),
    "words for a shell": (
        "SimpleExecutor(['echo', 'a b'], shell=True)",
        "InvalidArgument",
        "shell=True takes one string: write command=\"echo 'a b'\"",
    ),
    "unbalanced quotes": (
        "SimpleExecutor('echo \"foo')",
        "InvalidArgument",
        "cannot be split into words (no closing quotation in 'echo \"foo'): close the quote",
    ),
    "unknown reference": (
        f"orchestrated({INNOCENT}, redis=SimpleExecutor('sleep 1', port=1), "
        "web=SimpleExecutor('sleep {redsi.port}')).start()",
        "UnknownReference",
        "web: {redsi.port} names no declared service: did you mean {redis.port}?",
    ),
    "unknown reference alone": (
        "SimpleExecutor('sleep {redis.port}').start()",
        "UnknownReference",
        "{redis.port} names no declared service: no other service is declared here",
    ),
    "unknown field": (
        f"orchestrated({INNOCENT}, web=SimpleExecutor('sleep {{innocent.prt}}')).start()",
        "UnknownReference",
        "did you mean {innocent.port}?",
    ),
    "cycle": (
        f"orchestrated({INNOCENT}, a=SimpleExecutor('x {{b.port}}'), "
        "b=SimpleExecutor('x', after=['a'])).start()",
        "DependencyCycle",
        "services wait for each other in a circle: a -> b -> a",
    ),
    "port too high": (
        "TCPCoordinatedExecutor('sleep 1', port=65536)",
        "InvalidArgument",
        "port=65536 is no TCP port: write a number from 1 to 65535",
    ),
    "port zero": ("TCPCoordinatedExecutor('x', port=0)", "InvalidArgument", "port=0 is no TCP"),
    "port as text": ("TCPCoordinatedExecutor('x', port='80')", "InvalidArgument", "port='80'"),
    "port of a URL": (
        "HTTPCoordinatedExecutor('sleep 1', url='http://localhost:99999/')",
        "InvalidArgument",
        "no valid port",
    ),
    "URL without host": (
        "HTTPCoordinatedExecutor('sleep 1', url='http:///health')",
        "InvalidArgument",
        "url='http:///health' has no scheme, no host or no valid port",
    ),
    "URL without scheme": (
        "HTTPCoordinatedExecutor('sleep 1', url='localhost:8000/health')",
        "InvalidArgument",
        'write a URL such as "http://{host}:{port}/health"',
    ),
    "invalid banner": (
        "OutputCoordinatedExecutor('sleep 1', 'listening on (')",
        "InvalidArgument",
        "banner='listening on (' is not a regular expression: missing ), unterminated "
        "subpattern at position 13; to match it literally write re.escape('listening on (')",
    ),
    "empty banner": ("OutputCoordinatedExecutor('sleep 1', '')", "InvalidArgument", "is empty"),
    "banner of bytes": ("OutputCoordinatedExecutor('x', b'up')", "InvalidArgument", "banner="),
    "invalid fails_on": ("SimpleExecutor('x', fails_on='*')", "InvalidArgument", "fails_on='*'"),
    "negative timeout": (
        "SimpleExecutor('sleep 1', timeout=-1)",
        "InvalidArgument",
        "timeout=-1 is no duration: write seconds, 0 or more, or None for no limit",
    ),
    "timeout as text": ("SimpleExecutor('x', timeout='5')", "InvalidArgument", "timeout='5'"),
    "negative stop_timeout": (
        "SimpleExecutor('sleep 1', stop_timeout=-0.1)",
        "InvalidArgument",
        "stop_timeout=-0.1 is no duration: write seconds, 0 or more",
    ),
    "stop_timeout None": (
        "SimpleExecutor('x', stop_timeout=None)",
        "InvalidArgument",
        "stop_timeout=None",
    ),
    "no signal": ("SimpleExecutor('x', stop_signal=999)", "InvalidArgument", "stop_signal=999"),
    "missing cwd": (
        f"orchestrated({INNOCENT}, web=SimpleExecutor('sleep 1', cwd='/no/such')).start()",
        "InvalidArgument",
        "web: cwd='/no/such' is no directory: create /no/such first",
    ),
    "missing command": (
        f"orchestrated({INNOCENT}, web=SimpleExecutor('no-such-program')).start()",
        "CommandNotFound",
        "web: command not found: 'no-such-program' is not on the PATH",
    ),
    "missing file": (
        "SimpleExecutor('./no-such-program', cwd='/usr').start()",
        "CommandNotFound",
        "'./no-such-program' does not exist in /usr",
    ),
    "not executable": (
        "SimpleExecutor('/etc/passwd').start()",
        "CommandNotFound",
        "'/etc/passwd' may not be executed: set its x permission, or name its interpreter",
    ),
    "a directory": ("SimpleExecutor('/usr').start()", "CommandNotFound", "'/usr' is a directory"),
    "missing requirement": (
        f"orchestrated({INNOCENT}, db=SimpleExecutor('sleep 1', requires='no-such-db')).start()",
        "RequirementMissing",
        "db: command not found: 'no-such-db' is not on the PATH",
    ),
    "missing known requirement": (
        "SimpleExecutor('sleep 1', requires='etcd', env={'PATH': '/nowhere'}).start()",
        "RequirementMissing",
        "'etcd' is not installed: install the Debian package etcd-server",
    ),
    "a variable in front": (
        f"SimpleExecutor('PASSWORD={SECRET} A=1 server -x')",
        "InvalidArgument",
        "command= begins with PASSWORD=…, which only a shell understands: write "
        'env={"PASSWORD": …}, or shell=True',
    ),
    "cd": ("SimpleExecutor('cd /tmp && x')", "InvalidArgument", "begins with 'cd', which is no "),
    "operator": (
        "SimpleExecutor('redis-server && x')",
        "InvalidArgument",
        "command= has '&&', which only a shell understands: write shell=True, or put it in quotes",
    ),
    "operator in a probe": (
        "CommandCoordinatedExecutor('x', 'pg_isready >/dev/null')",
        "InvalidArgument",
        'probe=["sh", "-c", "…"]',
    ),
    "a variable in a variable": (
        f"SimpleExecutor('x', env={{'PATH': '/{SECRET}:$PATH'}})",
        "InvalidArgument",
        "env= has $PATH in 'PATH', and no shell fills it in: write the value of "
        'os.environ["PATH"] there',
    ),
    "no port told": (
        f"orchestrated({INNOCENT}, db=TCPCoordinatedExecutor('sleep 5')).start()",
        "InvalidArgument",
        "db: nothing tells it at which port to listen: write {port} into command= or env=, or "
        "give port= if it always is the same",
    ),
    "misspelt port": (
        "TCPCoordinatedExecutor('sleep {prot}', cwd='{tmpdir}', name='db').start()",
        "InvalidArgument",
        "did you mean {port} by {prot}? write {port}",
    ),
    "port in capitals": (
        "TCPCoordinatedExecutor('sleep {PORT}').start()",
        "InvalidArgument",
        "did you mean {port} by {PORT}?",
    ),
    "port for the shell": (
        "TCPCoordinatedExecutor('sleep ${port}', shell=True).start()",
        "InvalidArgument",
        "nothing tells it at which port",
    ),
    "port of another": (
        f"orchestrated({INNOCENT}, db=TCPCoordinatedExecutor('sleep {{innocent.port}}')).start()",
        "InvalidArgument",
        "db: nothing tells it at which port",
    ),
    "no port told to what is asked": (
        "HTTPCoordinatedExecutor('sleep 5', url='http://{host}:{port}/').start()",
        "InvalidArgument",
        "nothing tells it at which port",
    ),
    "no port told to what is probed": (
        "CommandCoordinatedExecutor('sleep 5', probe='nc -z {host} {port}').start()",
        "InvalidArgument",
        "nothing tells it at which port",
    ),
    "requires a number": (
        "SimpleExecutor('x', requires=['a', 3])",
        "InvalidArgument",
        "requires=3: write a name, or a list of names",
    ),
    "optional as text": ("SimpleExecutor('x', optional='no')", "InvalidArgument", "optional='no'"),
    "missing probe": (
        f"orchestrated({INNOCENT}, "
        "db=CommandCoordinatedExecutor('sleep 1', 'no-such-probe')).start()",
        "CommandNotFound",
        "db: command not found: 'no-such-probe' is not on the PATH",
    ),
    "name of a variable": (
        f"SimpleExecutor('x', env={{'A=B': '{SECRET}'}})",
        "InvalidArgument",
        "env= has 'A=…' for a name",
    ),
    "no text for a variable": (
        f"SimpleExecutor('x', env={{'PASSWORD': ['{SECRET}']}})",
        "InvalidArgument",
        "env= has no text for 'PASSWORD' but list",
    ),
    "NUL in a variable": (
        f"SimpleExecutor('x', env={{'PASSWORD': '{SECRET}\\0'}})",
        "InvalidArgument",
        "PASSWORD",
    ),
    "NUL in the command": ("SimpleExecutor(['a', 'b\\0'])", "InvalidArgument", "NUL"),
    "empty probe": ("CommandCoordinatedExecutor('x', probe='')", "InvalidArgument", "probe="),
    "empty path": ("FileCoordinatedExecutor('x', path='')", "InvalidArgument", "path="),
    "empty socket": ("UnixSocketCoordinatedExecutor('x', path='')", "InvalidArgument", "path="),
    **{
        f"host {host!r}": (
            f"TCPCoordinatedExecutor('x {{port}}', {host!r})",
            "InvalidArgument",
            "host=",
        )
        for host in ("[::1]", "127.0.0.1:80", "http://h", " h", "h\n", "a b", "{other.host}", "u@h")
    },
    "a home in a path": (
        "FileCoordinatedExecutor('x', '~/app.pid')",
        "InvalidArgument",
        "path='~/app.pid': no shell fills in the ~: write os.path.expanduser(…)",
    ),
    "a variable in a path": (
        "SimpleExecutor('x', cwd='$HOME/app')",
        "InvalidArgument",
        "cwd='$HOME/app': no shell fills in the $HOME: write os.environ[\"HOME\"]",
    ),
    "missing program of alive": (
        "SimpleExecutor('sleep 1', name='db', alive='no-such-probe')._check()",
        "CommandNotFound",
        "db: command not found: 'no-such-probe' is not on the PATH",
    ),
    "blank in a URL": (
        "HTTPCoordinatedExecutor('x', 'http://{host}:{port}/\\n')",
        "InvalidArgument",
        "url=",
    ),
    "two ports in a URL": (
        "HTTPCoordinatedExecutor('true {port}', 'http://{host}:{port}{port}/', name='web').start()",
        "InvalidArgument",
        "web: url 'http://127.0.0.1:",
    ),
    "a long socket": (
        "UnixSocketCoordinatedExecutor('true', '/' + 'x' * 200, name='web').start()",
        "InvalidArgument",
        "web: the path of a unix socket has at most",
    ),
    "banner group in the way": (
        "OutputCoordinatedExecutor('x', '(?P<pid>a)')",
        "InvalidArgument",
        "group 'pid'",
    ),
    "expected_exit": ("SimpleExecutor('x', expected_exit=999)", "InvalidArgument", "999"),
}


class TestRefusals:
    """Declarations that are refused before anything is spawned: no warden, no directory."""

    def refused(self, source: str, tmp_path: Path, **env: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-I", "-c", REFUSED, ROOT, source],
            env={**os.environ, "TMPDIR": str(tmp_path), **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == ""
        kind, said, spawned, left = json.loads(done.stdout)
        assert spawned == [], "something was spawned"
        assert left == [], "files are left while it runs"
        assert os.listdir(tmp_path) == [], "files are left after it"
        assert SECRET not in said
        return kind, said

    @pytest.mark.parametrize("source, kind, words", BAD.values(), ids=BAD.keys())
    def test_bad_input(self, source: str, kind: str, words: str, tmp_path: Path) -> None:
        """Refused with an error that says what is wrong, and nothing is spawned or left."""
        raised, said = self.refused(source, tmp_path)
        assert (raised, words in said) == (kind, True), said

    def test_port_in_use(self, tmp_path: Path, mark: str) -> None:
        """A port in use is refused, its owner named by pid and command."""
        with TCPCoordinatedExecutor(
            service("serves.py", "tcp", "{port}", "{tmpdir}/s", mark)
        ) as holder:
            for source in (
                f"TCPCoordinatedExecutor('sleep 1000', port={holder.port}).start()",
                f"HTTPCoordinatedExecutor('sleep 1000', url='http://127.0.0.1:{holder.port}/')"
                ".start()",
            ):
                kind, said = self.refused(source, tmp_path)
                assert kind == "PortInUse"
                assert f"127.0.0.1:{holder.port} is in use already" in said
                assert str(holder.pid) in said and mark in said

    def test_socket_in_use(self, tmp_path: Path) -> None:
        """A unix socket at which another process listens is refused."""
        with socket.socket(socket.AF_UNIX) as server:
            place = f"/tmp/{marker()[:20]}"
            server.bind(place)
            try:
                server.listen()
                kind, said = self.refused(
                    f"UnixSocketCoordinatedExecutor('sleep 1', path='{place}').start()", tmp_path
                )
            finally:
                os.unlink(place)
        assert kind == "PortInUse"
        assert place in said and str(os.getpid()) in said

    def test_the_port_is_free_again(self, tmp_path: Path, mark: str) -> None:
        """A start that failed gives its leased port back."""
        executor = TCPCoordinatedExecutor(service("silent.py", mark, "{port}"), timeout=0.1)
        with pytest.raises(TimeoutExpired) as caught:
            executor.start()
        found = re.search(r"127\.0\.0\.1:(\d+)", str(caught.value))
        assert found is not None
        assert ports.is_free(int(found[1]))

    def test_kinds(self) -> None:
        """Wrong declarations are ValueErrors; all errors have one base; none is an OSError."""
        for kind in (InvalidArgument, UnknownReference, DependencyCycle):
            assert issubclass(kind, ValueError)
        assert issubclass(RequirementMissing, CommandNotFound)
        for kind in (TimeoutExpired, PortInUse, CommandNotFound, SpawnFailed, ProcessExited):
            assert issubclass(kind, StartFailed)

    def test_a_secret_in_the_environment(self, mark: str) -> None:
        """Values of the environment are not in any error, also not as attributes."""
        executor = CommandCoordinatedExecutor(
            service("silent.py", mark), probe="false", timeout=0.1, env={"PASSWORD": SECRET}
        )
        failed_start(executor)
        failure(
            FileCoordinatedExecutor("no-such-program", "{tmpdir}/x", env={"PASSWORD": SECRET}).start
        )
        failure(
            HTTPCoordinatedExecutor(
                service("silent.py", mark, "{port}"),
                url="http://{host}:{port}/",
                headers={"Authorization": SECRET},
                timeout=0.1,
            ).start
        )
        failure(
            orchestrated(
                a=SimpleExecutor("sleep {b.prot}", env={"PASSWORD": SECRET}),
                b=SimpleExecutor("sleep 1"),
            ).start
        )
