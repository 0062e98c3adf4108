"""Declarations, and arguments that are refused before anything is spawned."""

from __future__ import annotations

import enum
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    CommandCoordinatedExecutor,
    CommandNotFound,
    Executor,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    NotifyCoordinatedExecutor,
    NotRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    PostgreSQL,
    SimpleExecutor,
    SpawnFailed,
    TCPCoordinatedExecutor,
    UnixSocketCoordinatedExecutor,
    UnknownReference,
    orchestrated,
    summoned,
)
from summon_testcase.unpatched import temporary_directory

from ..doubles import (
    DATA_MEMORY,
    bind,
    check_declared,
    command_of,
    env_of,
    instance_of,
    launch_of,
    probes_of,
    request_of,
)
from ..needs import needs
from ..places import root
from ..samples import BARE, ROOT, service

#: the arguments that each constructor needs
NEEDED: dict[Any, dict[str, Any]] = {
    SimpleExecutor: {"command": "x"},
    OutputCoordinatedExecutor: {"command": "x", "banner": "up"},
    TCPCoordinatedExecutor: {"command": "x {port}"},
    HTTPCoordinatedExecutor: {"command": "x {port}", "url": "http://{host}:{port}/"},
    UnixSocketCoordinatedExecutor: {"command": "x", "path": "{tmpdir}/s"},
    FileCoordinatedExecutor: {"command": "x", "path": "{tmpdir}/s"},
    NotifyCoordinatedExecutor: {"command": "x"},
    CommandCoordinatedExecutor: {"command": "x", "probe": "true"},
    PostgreSQL: {},
    Orchestrator: {"executors": [SimpleExecutor("x")]},
    summoned: {"thing": Orchestrator([])},
}


def function(*given: object) -> None:
    """A callable, which few arguments accept."""


#: values of many kinds
KINDS: dict[str, Any] = {
    "None": None,
    "True": True,
    "number": 3,
    "negative": -7777,
    "fraction": 0.5,
    "NaN": float("nan"),
    "text": "words of text",
    "empty text": "",
    "surrogate": "a\ud800",
    "NUL": "a\0b",
    "bytes": b"bytes",
    "empty bytes": b"",
    "list": ["a", "b"],
    "list of numbers": [1, 2],
    "list of None": [None],
    "list of bytes": [b"a"],
    "empty list": [],
    "mapping": {"a": "b"},
    "mapping of numbers": {1: 2},
    "set": {"a"},
    "function": function,
    "object": object(),
    "class": SimpleExecutor,
    "path": Path("/tmp"),
}
TEXT = {"text"}
PATH = {"text", "path"}
NUMBER = {"number", "fraction"}
FLAG = {"True"}
COMMAND = {"text", "path", "list", "list of numbers"}
NAMES = {"text", "list", "set", "mapping"}
#: the kinds that each argument accepts; it refuses all others
TAKES: dict[str, set[str]] = {
    "command": COMMAND,
    "probe": COMMAND,
    "stop_command": {*COMMAND, "None"},
    "shell": FLAG,
    "timeout": {*NUMBER, "None"},
    "request_timeout": {*NUMBER, "None"},
    "probe_timeout": NUMBER,
    "stop_timeout": NUMBER,
    "stop_wait": FLAG,
    "shared": FLAG,
    "env": {"mapping", "None", "list", "empty list"},
    "files": {"mapping", "None"},
    "cwd": {*PATH, "None"},
    "name": {"text", "empty text", "None"},
    "after": {*NAMES, "empty list"},
    "stop_signal": {"number"},
    "fails_on": {*NAMES, "None", "surrogate", "NUL"},
    "banner": {*NAMES, "surrogate", "NUL"},
    "expected_exit": {"number", "list of numbers", "empty list"},
    "tty": FLAG,
    "stdin": {"None"},
    "one_shot": FLAG,
    "launcher": FLAG,
    "foreign_listener": FLAG,
    "optional": FLAG,
    "requires": {*NAMES, *PATH, "None", "empty list"},
    "until": {"function", "class", "None"},
    "alive": {*COMMAND, "function", "class", "None"},
    "scope": set(),
    "reset": {"function", "class", "None"},
    "restart": {"True", "number"},
    "host": set(),
    "port": {"number", "None"},
    "url": set(),
    "method": set(),
    "status": {"number", "negative", "list of numbers", "function", "class"},
    "headers": {"mapping", "None"},
    "verify": {*FLAG, *PATH},
    "auth": {"list", "None"},
    "body": {"text", "empty text", "NUL", "bytes", "empty bytes", "None"},
    "answer": {"text", "surrogate", "NUL", "function", "class", "None"},
    "path": PATH,
    "settings": {"mapping", "None"},
    "initdb": {"list", "list of numbers", "empty list", "path"},
    "user": TEXT,
    "database": TEXT,
    "template": {*COMMAND, "function", "class", "None"},
    "template_key": {"None"},  # alone
    "bindir": {*PATH, "None"},
    "executors": {"empty list"},
    "thing": set(),
}


def every_argument() -> list[tuple[Any, str]]:
    """Each public constructor with each of its arguments, those that it hands on too."""
    found = []
    for make in NEEDED:
        shared = list(inspect.signature(SimpleExecutor).parameters)
        for name, parameter in inspect.signature(make).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                found += [(make, more) for more in shared if more != "command"]
            else:
                found.append((make, name))
    return found


class TestKinds:
    """Arguments of a wrong kind."""

    @pytest.mark.parametrize("make, argument", dict.fromkeys(every_argument()))
    def test_arguments(self, make: Callable[..., Any], argument: str) -> None:
        """Any value is accepted, or refused with the name of the argument."""
        for kind, value in KINDS.items():
            given = {**NEEDED[make], argument: value}
            if make is PostgreSQL and argument in ("one_shot", "shell"):
                continue
            # accepted where a probe can ask again, and where it has a way of its own to forget
            if argument in ("alive", "reset") and kind == "True":
                continue
            if kind in TAKES[argument]:
                make(**given)
                continue
            with pytest.raises((InvalidArgument, TypeError)) as caught:
                make(**given)
                pytest.fail(f"{argument}={value!r} was taken")
            words = (f"{argument}=", f"{make.__name__}(", "has no start()")
            assert any(word in str(caught.value) for word in words), (kind, str(caught.value))
            assert isinstance(caught.value, InvalidArgument) or make is summoned

    @pytest.mark.parametrize("members", [[None], [3], ["db"], [SimpleExecutor], [b""], [[]]])
    def test_members(self, members: list[Any]) -> None:
        """An object that cannot be started is refused as a member, of whatever kind it is."""
        for make in (Orchestrator, lambda things: orchestrated(*things)):
            with pytest.raises(InvalidArgument):
                make(members)
        with pytest.raises(InvalidArgument):
            orchestrated(web=members[0])

    @pytest.mark.parametrize("things", [3, None, "ab", b"ab", SimpleExecutor("x")])
    def test_no_list(self, things: Any) -> None:
        """One executor, or none, is no list of them."""
        with pytest.raises(InvalidArgument, match=r"^Orchestrator\(\): executors="):
            Orchestrator(things)
        with pytest.raises(InvalidArgument, match=r"executors= has 1 for a name"):
            Orchestrator({1: SimpleExecutor("x")})

    def test_methods(self) -> None:
        """Text to send, and patterns to wait for, must be of the right kind."""
        with SimpleExecutor("sleep 1000", name="web") as web:
            for wrong in (None, b"bytes", 3, ["a"], "a\ud800"):
                with pytest.raises(InvalidArgument, match=r"^web: send\(\) "):
                    web.send(wrong)  # type: ignore[arg-type]
                with pytest.raises(InvalidArgument, match=r"^web: send\(\) "):
                    web.sendline(wrong)  # type: ignore[arg-type]
            for pattern in (None, b"bytes", 3, [], "", "("):
                with pytest.raises(InvalidArgument, match=r"^web: pattern="):
                    web.wait_for_output(pattern)  # type: ignore[arg-type]
            for timeout in (-1, float("nan"), float("inf"), True, "5"):
                with pytest.raises(InvalidArgument, match=r"^web: timeout="):
                    web.wait_for_output("x", timeout=timeout)  # type: ignore[arg-type]
            for number in (None, b"5", "5", 1.5, -1, True):
                with pytest.raises(InvalidArgument, match=r"^web: lines="):
                    web.tail(number)  # type: ignore[arg-type]
            for flag in (None, 1, "yes"):
                with pytest.raises(InvalidArgument, match=r"^web: raw="):
                    web.wait_for_output("x", raw=flag)  # type: ignore[arg-type]
                with pytest.raises(InvalidArgument, match=r"^web: everything="):
                    web.signal(signal.SIGTERM, flag)  # type: ignore[arg-type]
            for path in (None, b"/x", 3, Path("/x"), ["/x"]):
                with pytest.raises(InvalidArgument, match=r"^web: path="):
                    web.url_for(path)  # type: ignore[arg-type]


class Colour(str, enum.Enum):
    """An enumeration whose members are text, and are formatted as another text."""

    RED = "red"


class Number(enum.IntEnum):
    """Numbers likewise."""

    TWO = 2


class TestCommand:
    def test_words(self) -> None:
        """Numbers and paths are taken, and members of enumerations for their values."""
        words = ["x", 6379, 0.5, Path("/a b"), Colour.RED, Number.TWO]
        executor = SimpleExecutor(words)
        assert command_of(executor) == ("x", "6379", "0.5", "/a b", "red", "2")
        assert command_of(SimpleExecutor(Path("/a b/c"))) == ("/a b/c",)

    @pytest.mark.parametrize(
        "word", [None, True, b"x", ["x"], {"x"}, object, 1j, "a\ud800", "a\0"], ids=repr
    )
    def test_no_words(self, word: Any) -> None:
        """Other values are refused, alone and among others, also in a probe."""
        for command in (["x", word], ["x", "y", word]):
            with pytest.raises(InvalidArgument, match=r"command= "):
                SimpleExecutor(command)
            with pytest.raises(InvalidArgument, match=r"probe= "):
                CommandCoordinatedExecutor("x", command)
        if word != ["x"]:
            with pytest.raises(InvalidArgument, match=r"command="):
                SimpleExecutor(word)

    def test_variables(self) -> None:
        """The same is true of the values of variables."""
        env = {"A": 6379, "B": 0.5, "C": Path("/a b"), "D": Colour.RED, "E": Number.TWO, "F": None}
        executor = SimpleExecutor("x", env=env)
        taken = {"A": "6379", "B": "0.5", "C": "/a b", "D": "red", "E": "2", "F": None}
        assert env_of(executor) == taken

    def test_in_a_locale_without_it(self) -> None:
        """Characters that the locale's encoding does not have are refused; no value is shown."""
        code = (
            "from summon_testcase import *\n"
            "for give in ({'command': ['x', '\\xfc']}, {'command': 'x', 'env': {'A': 'hid\\xfc'}},"
            " {'command': 'x', 'cwd': '/\\xfc'}):\n"
            "    try: SimpleExecutor(**give, name='web')\n"
            "    except InvalidArgument as error: print(ascii(str(error)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-X", "utf8=0", "-c", code],
            env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": ROOT},
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = done.stdout.splitlines()
        assert len(said) == 3, done.stderr
        places = ("command= has", "env= has a value for 'A' that has", "cwd= has")
        for line, words in zip(said, places, strict=True):
            assert line.startswith(f"'web: {words}") or line.startswith(f'"web: {words}')
            assert "ascii has not" in line and "PYTHONUTF8=1" in line and "hid" not in line

    def test_names_of_bytes_are_kept(self, tmp_path: Path) -> None:
        """A file name that is no text in this locale is accepted in Python's form."""
        odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
        os.mkdir(odd)
        with SimpleExecutor(["pwd"], cwd=odd, env={"ODD": odd}, one_shot=True) as it:
            assert os.path.samefile(instance_of(it).launch.cwd, odd)


class TestPortTold:
    """Whether a service gets to know the port at which its start waits."""

    @pytest.mark.parametrize(
        "executor",
        [
            TCPCoordinatedExecutor("x {port}"),
            TCPCoordinatedExecutor("x --url={url}"),
            TCPCoordinatedExecutor("x", env={"PORT": "{port}"}),
            TCPCoordinatedExecutor("x '$PORT'", env={"PORT": "{port}"}),
            TCPCoordinatedExecutor("x {db.port}", name="db"),
            TCPCoordinatedExecutor("x", port=4711),
            HTTPCoordinatedExecutor("x {url}", "http://{host}:{port}/"),
            HTTPCoordinatedExecutor("x", "http://127.0.0.1:4711/"),
            HTTPCoordinatedExecutor("x", "http://{host}:{port}/", port=4711),
            CommandCoordinatedExecutor("x", "true"),
            CommandCoordinatedExecutor("x", "true {port}", port=4711),
            OutputCoordinatedExecutor("x", "up at {port}"),
        ],
    )
    def test_told(self, executor: SimpleExecutor) -> None:
        """By its command or its environment, or by a port that is given."""
        bind(executor, {"db": executor})
        with pytest.raises(CommandNotFound, match="'x' is not on the PATH"):
            check_declared(executor)

    def test_in_a_file(self) -> None:
        """A subclass that writes a file before the start may put the port there."""

        class Configured(TCPCoordinatedExecutor):
            def prepare(self) -> None:
                """Write a file."""

        with pytest.raises(CommandNotFound):
            Configured("x").start()


class TestPaths:
    """Where a relative path starts, and a current directory that is gone."""

    def test_file(self, tmp_path: Path) -> None:
        """A relative path of a file starts from the directory of the service."""
        executor = FileCoordinatedExecutor(
            ["sh", "-c", "echo >ready; sleep 1000"], "ready", cwd=tmp_path, timeout=20
        )
        assert executor.path == f"{tmp_path}/ready"
        with executor:
            assert executor.path == f"{tmp_path}/ready"
        with FileCoordinatedExecutor(
            ["sh", "-c", "mkdir d; echo >d/it; sleep 1000"], "./d/it", cwd="{tmpdir}", timeout=20
        ) as inside:
            assert os.path.samefile(inside.path, f"{inside.tmpdir}/d/it")
        with pytest.raises(NotRunning):
            _ = inside.path

    def test_socket(self, tmp_path: Path) -> None:
        """So does the path of a socket."""
        command = service("serves.py", "unix", "s", "state", "x")
        with UnixSocketCoordinatedExecutor(command, "s", cwd=tmp_path, timeout=20) as server:
            assert server.path == f"{tmp_path}/s"

    @needs("postgres", package="postgresql")
    def test_no_current_directory(self, tmp_path: Path) -> None:
        """The error names a removed current directory, which does not matter with cwd=."""
        code = (
            "import os, sys\n"
            "from summon_testcase import *\n"
            "sys.path.append('lib')\n"
            "os.rmdir(os.getcwd())\n"
            "for make in (SimpleExecutor('true'), SimpleExecutor('true', cwd='x'),\n"
            "             SimpleExecutor('true', requires='./x'),\n"
            "             FileCoordinatedExecutor('true', 'x'),\n"
            "             CommandCoordinatedExecutor('true', 'true'), PostgreSQL()):\n"
            "    try: make.start()\n"
            "    except Exception as error: print(type(error).__name__, error)\n"
            "with SimpleExecutor('sleep 1000', cwd='/', requires='sh') as it: print(it.pid > 0)\n"
            "with CommandCoordinatedExecutor('sleep 1000', 'true', cwd='/'): print('probed')\n"
            "with PostgreSQL(cwd='/', initdb=['--text-search-config=simple']) as it:\n"
            "    print(it.pid > 0)\n"
            "with HTTPCoordinatedExecutor([sys.executable, '-m', 'http.server', '--bind',\n"
            "        '{host}', '{port}'], 'http://{host}:{port}/', cwd='/') as it: print(it.url)\n"
        )
        gone = tmp_path / "gone"
        gone.mkdir()
        program = tmp_path / "program.py"  # by -c Python 3.13 itself cannot import socket there
        program.write_text(code)
        done = subprocess.run(
            [sys.executable, str(program)],
            cwd=gone,
            env={**os.environ, "PYTHONPATH": ROOT},
            capture_output=True,
            text=True,
            timeout=120,
        )
        said = done.stdout.splitlines()
        assert len(said) == 10, done.stdout + done.stderr
        for line in said[:6]:
            assert line.startswith("InvalidArgument "), line
            assert "the current directory does not exist any more" in line and "cwd=" in line
        assert said[6:9] == ["True", "probed", "True"] and said[9].startswith("http://")


class TestScripts:
    """Scripts, whose first line names an interpreter."""

    def script(self, place: Path, line: str) -> str:
        path = place / "server"
        path.write_bytes(f"{line}\necho up\n".encode())
        path.chmod(0o755)
        return str(path)

    @pytest.mark.parametrize(
        "line, words, program",
        [
            ("#!/no/such/python3 -u", "is to be run by '/no/such/python3', which does", None),
            ("#! /no/such/node", "install the Debian package nodejs, or correct", None),
            ("#!/usr/bin/env no-such-lisp", "run by 'no-such-lisp', which is not on", None),
            ("#!/tmp", "is to be run by '/tmp', which does not exist, or may not be", None),
            ("#!/bin/sh\r", "begins with '#!/bin/sh\\r', whose line end is that of W", "/bin/sh"),
            ("#!/usr/bin/env python3\r", "convert it, as dos2unix does", "/usr/bin/env"),
            ("#!/bin/sh -e\r", "so that /bin/sh does not run it", "/bin/sh"),
        ],
    )
    def test_without_interpreter(
        self, tmp_path: Path, line: str, words: str, program: str | None
    ) -> None:
        """The error names the interpreter; a line end of Windows is no reason to skip."""
        executor = SimpleExecutor([self.script(tmp_path, line)], name="web", optional=True)
        with pytest.raises(CommandNotFound) as caught:
            executor.start()
        assert words in caught.value.message
        assert caught.value.program == program or caught.value.program in line
        assert caught.value.optional == (program is None)

    @pytest.mark.parametrize(
        "line", ["#!/bin/sh", "#! /bin/sh -e", "#!/usr/bin/env sh", "#!/usr/bin/env -S sh -e"]
    )
    def test_with_one(self, tmp_path: Path, line: str) -> None:
        """Scripts with existing interpreters run; options of env are left to env."""
        with SimpleExecutor([self.script(tmp_path, line)], one_shot=True) as it:
            assert it.tail() == ["up"]

    @pytest.mark.parametrize("line", ["#!", "#!  \t", "#!\n/bin/sh", "#! \r"])
    def test_an_empty_first_line(self, tmp_path: Path, line: str) -> None:
        """A first line without an interpreter: the error of the system says so."""
        with pytest.raises(SpawnFailed, match=r"web: not started: .*/server "):
            SimpleExecutor([self.script(tmp_path, line)], name="web").start()

    @pytest.mark.parametrize("by", ["{0}", "/usr/bin/env inner"])
    def test_a_script_for_an_interpreter(self, tmp_path: Path, by: str) -> None:
        """An interpreter may be a script without its own; a script that runs itself ends."""
        inner = tmp_path / "inner"
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        outer = self.script(tmp_path, f"#!{by.format(inner)}")
        for first, said in (
            ("#!/no/such/sh", "inner' is to be run by '/no/such/sh', which does not exist"),
            ("#!/bin/sh\r", "inner' begins with '#!/bin/sh"),
        ):
            inner.write_text(f"{first}\n")
            inner.chmod(0o755)
            with pytest.raises(CommandNotFound, match=said):
                SimpleExecutor([outer], env=env).start()
        inner.write_text('#!/bin/sh\necho "inner runs it"\n')
        with SimpleExecutor([outer], env=env, one_shot=True) as it:
            assert it.tail() == ["inner runs it"]
        inner.write_text(f"#!{inner}\n")
        with pytest.raises(SpawnFailed, match="could not be executed"):
            SimpleExecutor([str(inner)]).start()

    @pytest.mark.skipif(shutil.which("cc") is None, reason="cc makes the program")
    def test_without_loader(self, tmp_path: Path) -> None:
        """A program for another libc exists, but its loader does not."""
        (tmp_path / "it.c").write_text("int main(void) { return 0; }\n")
        loader = "-Wl,--dynamic-linker=/no/such/ld.so"
        subprocess.run(["cc", "it.c", "-o", "it", loader], cwd=tmp_path, check=True, timeout=60)
        with pytest.raises(SpawnFailed, match="/it could not be executed, since its dynamic load"):
            SimpleExecutor("./it", cwd=tmp_path).start()

    def test_in_a_probe(self, tmp_path: Path) -> None:
        """The same is true of a probe, and of programs in requires=."""
        script = self.script(tmp_path, "#!/no/such/sh")
        for executor in (
            CommandCoordinatedExecutor("sleep 9", [script]),
            SimpleExecutor("sleep 9", requires=script),
        ):
            with pytest.raises(CommandNotFound, match="run by '/no/such/sh'"):
                executor.start()


class Clock(Executor):
    """An executor of the user's with template fields of its own."""

    template_fields = ("zone",)
    zone = "utc"
    pid = 4711

    def start(self) -> Clock:
        return self

    def stop(self) -> None:
        """Nothing to do."""


class Watch(Clock):
    """A subclass that adds a field."""

    template_fields: Any = "hands"
    hands = 2
    after: Any = "first"


class Other:
    """No executor."""

    template_fields = ("zone",)
    zone = "cet"
    start = stop = lambda self: None


class TestReferences:
    def test_fields_add_up(self) -> None:
        """Fields of a class are offered beside those of all executors and of its bases."""
        echo = SimpleExecutor("echo {watch.name} {watch.pid} {watch.zone} {watch.hands}")
        with orchestrated(watch=Watch(), first=Clock(), echo=echo):
            assert instance_of(echo).launch.argv[1:] == ("watch", "4711", "utc", "2")
        wrong = SimpleExecutor("echo {watch.zonk}")
        with pytest.raises(InvalidArgument, match=r"did you mean \{watch\.zone\}\?"):
            orchestrated(watch=Watch(), first=Clock(), echo=wrong).start()
        told = SimpleExecutor("echo {watch.zone}")
        with orchestrated(watch=summoned(Other()), told=told):
            assert instance_of(told).launch.argv[1] == "cet"
        missing = SimpleExecutor("echo {watch.url}")
        with pytest.raises(InvalidArgument, match="it offers name, pid, zone, hands"):
            orchestrated(watch=Watch(), first=Clock(), echo=missing).start()

    @pytest.mark.parametrize("one", [True, False])
    def test_after_of_a_group(self, one: bool) -> None:
        """An orchestrator waits for one thing or several, by name or as such."""
        order: list[str] = []

        class Noted(Clock):
            def start(self) -> Noted:
                order.append(self.name)
                return self

        db, more = Noted(), Noted()
        after: Any = db if one else "db"
        for waits in (after, [after, more]):
            order.clear()
            group = Orchestrator([Noted()], after=waits)
            with orchestrated(group=group, more=more, db=db):
                assert order.index("db") < order.index("Noted 1")

    def test_after_of_ones_own(self) -> None:
        """The class attribute of an executor of one's own may be one name."""
        with pytest.raises(InvalidArgument, match="after= names 'first', which is not declared"):
            orchestrated(watch=Watch()).start()

    @pytest.mark.parametrize(
        "group", ["match", "tmpdir", "name", "after", "scope", "_instance", "own"]
    )
    def test_groups_in_the_way(self, group: str) -> None:
        """A group of a banner must not have the name of an attribute, of a subclass either."""

        class Own(OutputCoordinatedExecutor):
            own = 1

        with pytest.raises(InvalidArgument, match=f"banner= has a group '{group}'"):
            Own("x", f"up (?P<{group}>.)")

    def test_groups_that_are_not_told(self) -> None:
        """A group that took no part in the match is None, and no value for other services."""
        told = OutputCoordinatedExecutor(
            "sh -c 'echo up 5; sleep 100'",
            [r"up (?P<count>\d)( at (?P<place>\w+))?\n", r"down (?P<reason>\w+)\n"],
        )
        with told:
            assert (told.count, told.place, told.reason) == ("5", None, None)
        for field in ("place", "reason"):
            user = SimpleExecutor(f"sleep {{told.{field}}}", name="user")
            with pytest.raises(
                UnknownReference, match=rf"user: \{{told.{field}\}} cannot be filled"
            ):
                orchestrated(told=told, user=user).start()

    @pytest.mark.parametrize("port", ["http", "0", "99999"])
    def test_a_group_that_is_no_port(self, port: str) -> None:
        """A group named port is used as the port."""
        web = OutputCoordinatedExecutor(
            f"sh -c 'echo port {port}; sleep 9'", r"port (?P<port>.+)\n"
        )
        with pytest.raises(InvalidArgument, match=f"banner= has matched '{port}', which is no TCP"):
            web.start()
        assert not web.running()

    def test_groups_in_the_way_of_a_subclass(self) -> None:
        """An attribute that the constructor makes afterwards is found before the start."""

        class Own(OutputCoordinatedExecutor):
            def __init__(self, *given: Any) -> None:
                super().__init__(*given)
                self.own = 1

        check_declared(Own("sleep 1", "up (?P<other>.)(?P<port>.)"))
        with pytest.raises(InvalidArgument, match="banner= has a group 'own'"):
            check_declared(Own("sleep 1", "up (?P<own>.)"))


class TestPostgreSQL:
    def test_checks(self) -> None:
        """PostgreSQL refuses the arguments that all executors refuse."""
        for wrong, words in (
            (PostgreSQL(cwd="/no/such"), "cwd='/no/such' is no directory"),
            (PostgreSQL(env={"A": "{nobody.port}"}), "names no declared service"),
            (PostgreSQL(settings={"port": "{nobody.port}"}), "names no declared service"),
            (PostgreSQL(requires="no-such-tool"), "'no-such-tool' is not on the PATH"),
            (PostgreSQL(bindir="/no/such"), "'postgres' is not in /no/such"),
            (PostgreSQL(bindir="{here}/no"), f"is not in {ROOT}/tests/declaration/no"),
        ):
            with pytest.raises(Exception, match=words):
                check_declared(wrong)

    @needs("postgres", package="postgresql")
    @root
    def test_out_of_reach(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A cache that the server's user cannot reach is named; temporary files go elsewhere."""
        private = tmp_path / "private"
        private.mkdir(mode=0o700)
        (private / "place").mkdir(mode=0o755)
        monkeypatch.setenv("SUMMON_CACHE_DIR", str(private / "place"))
        with pytest.raises(SpawnFailed) as caught:
            PostgreSQL(name="db").start()
        assert "db: the server runs as the user postgres, since the tests" in caught.value.message
        # pytest's own directories are private already
        found = re.search("may not pass through (.*) to (.*): set", caught.value.message)
        assert found is not None and str(private).startswith(found[1])
        assert os.path.dirname(found[2]) == f"{private}/place"
        assert "set SUMMON_CACHE_DIR to a directory that all may enter" in caught.value.message
        (private / "bin").mkdir(mode=0o755)
        for program in ("initdb", "postgres"):
            shutil.copy("/bin/true", private / "bin" / program)
        with pytest.raises(SpawnFailed, match="/bin/initdb: set bindir= to a directory that all"):
            PostgreSQL(bindir=private / "bin").start()
        monkeypatch.delenv("SUMMON_CACHE_DIR")
        monkeypatch.setattr("tempfile.tempdir", str(private / "place"))
        monkeypatch.setattr(DATA_MEMORY, "/no/such")
        assert temporary_directory() == str(private / "place")
        with PostgreSQL(name="db") as db:
            assert db.running()


#: a module of its own, in which its functions declare executors
ELSEWHERE = """
from unittest import TestCase
from summon_testcase import SimpleExecutor, SummonMixin, orchestrated

def made():
    return SimpleExecutor("pwd", cwd="{here}")

class Handing(SimpleExecutor):
    def __init__(self, *words, **options):
        super().__init__(*words, **options)

class Base(SummonMixin, TestCase):
    inherited = SimpleExecutor("pwd", cwd="{here}")
"""


class TestHere:
    def test_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """{here} is the directory of the module that makes it, whoever uses or inherits it."""
        (tmp_path / "elsewhere_of_summon.py").write_text(ELSEWHERE)
        monkeypatch.syspath_prepend(tmp_path)
        import elsewhere_of_summon as elsewhere  # type: ignore[import-not-found]

        class Inherits(elsewhere.Base):  # type: ignore[misc, name-defined]
            own = SimpleExecutor("pwd", cwd="{here}")

        monkeypatch.chdir("/")
        here = os.path.dirname(os.path.abspath(__file__))
        for executor, place in (
            (elsewhere.made(), tmp_path),
            (Inherits.inherited, tmp_path),
            (Inherits.own, here),
            (elsewhere.Handing("pwd", cwd="{here}"), here),
        ):
            with orchestrated(executor):
                assert os.path.samefile(instance_of(executor).launch.cwd, place)

    def test_in_any_text(self) -> None:
        """{here} works in a command, its environment, a path, requires=; before the start too."""
        here = os.path.dirname(os.path.abspath(__file__))
        name = os.path.basename(__file__)
        executor = FileCoordinatedExecutor(
            ["{python}", "-c", "open('x', 'w')", "{here}"],
            "{here}/no-such-file",
            env={"HERE": "{here}"},
        )
        assert executor.path == f"{here}/no-such-file"
        check_declared(executor)
        assert launch_of(executor).argv[0] == launch_of(executor).program == sys.executable
        assert launch_of(executor).argv[3] == launch_of(executor).env["HERE"] == here
        url = "https://127.0.0.1:4711/"
        secure = HTTPCoordinatedExecutor("x", url, verify="{here}/ca.pem")
        assert vars(probes_of(secure)[0])["verify"] == f"{here}/ca.pem"
        with pytest.raises(CommandNotFound, match="may not be executed"):
            check_declared(SimpleExecutor("sleep 1", requires=f"{{here}}/{name}"))
        with pytest.raises(InvalidArgument, match=f"is no directory: create {here}/no"):
            check_declared(SimpleExecutor("sleep 1", cwd="{here}/no"))

    @pytest.mark.parametrize("command", ["{python} -V", ["/usr/bin/python", "-V"]])
    def test_what_it_is_called(self, command: Any) -> None:
        """Without a name by its program, whose template is nothing to read in a sentence."""
        with pytest.raises(NotRunning, match=r"^python: has no pid"):
            SimpleExecutor(command).pid  # noqa: B018

    @pytest.mark.parametrize("value", ["", None])
    def test_no_python(self, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that embeds Python may not know one."""
        monkeypatch.setattr(sys, "executable", value)
        with pytest.raises(InvalidArgument, match=r"web: \{python\} is not known"):
            check_declared(SimpleExecutor("{python} -V", name="web"))

    def test_nowhere(self) -> None:
        """Where there is no file there is no directory; it is said if it is asked for."""
        module = types.ModuleType("nowhere")
        vars(module)["SimpleExecutor"] = SimpleExecutor
        exec("made = SimpleExecutor('sleep 1', cwd='{here}')", vars(module))
        with pytest.raises(InvalidArgument, match=r"\{here\} is the directory of the module"):
            module.made.start()

    def test_main(self, tmp_path: Path) -> None:
        """A program is a module too, and so is a file that pytest has rewritten."""
        program = tmp_path / "test_it.py"
        program.write_text(
            "from summon_testcase import SimpleExecutor\n"
            "def test_it():\n"
            "    with SimpleExecutor('pwd', cwd='{here}', one_shot=True) as it: print(it.tail())\n"
            "if __name__ == '__main__': test_it()\n"
        )
        for how in (["test_it.py"], ["-m", "test_it"], ["-m", "pytest", "-q", "-s", "test_it.py"]):
            done = subprocess.run(
                [sys.executable, *how],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": ROOT, **BARE},
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert f"['{tmp_path}']" in done.stdout, done.stdout + done.stderr


#: each fails at another place, with a secret among its variables
SECRETS = """
import pytest
from collections import ChainMap, UserDict
from types import MappingProxyType
from summon_testcase import *

def good(**more):
    return {"PASSWORD": chr(104) * 20, **more}

class Own(TCPCoordinatedExecutor):
    def __init__(self, word, **options):
        super().__init__([word, "{port}"], **options)

MAKERS = [
    lambda more: Own("x", env=good(**more)),
    lambda more: SimpleExecutor("x", env=good(**more)),
    lambda more: OutputCoordinatedExecutor("x", "up", env=good(**more)),
    lambda more: TCPCoordinatedExecutor("x {port}", env=good(**more)),
    lambda more: HTTPCoordinatedExecutor("x {port}", "http://{host}:{port}/", env=good(**more)),
    lambda more: FileCoordinatedExecutor("x", "y", env=good(**more)),
    lambda more: CommandCoordinatedExecutor("x", "y", env=good(**more)),
    lambda more: NotifyCoordinatedExecutor("x", env=good(**more)),
    lambda more: PostgreSQL(env=good(**more)),
]

SECRET = chr(104) * 20
ASKED = {"headers": {"Authorization": SECRET}, "auth": ("me", SECRET), "body": SECRET}

class OwnWeb(HTTPCoordinatedExecutor):
    def __init__(self, headers, auth, body, **options):
        super().__init__("x {port}", URL, headers=headers, auth=auth, body=body, **options)

URL = "http://{host}:{port}/"

WRONG_ASKED = [
    {"headers": {"Authorization": SECRET.encode()}},
    {"headers": {"Authorization": SECRET + chr(10)}},
    {"headers": {SECRET + ":": "x"}},
    {"headers": [("Authorization", SECRET)]},
    {"auth": SECRET},
    {"auth": ["me", SECRET, ""]},
    {"auth": ("me", SECRET + chr(300))},
    {"body": {"password": SECRET}},
    {"body": SECRET + chr(0xd800)},
    {"body": SECRET.encode(), "answer": "("},
    {"no_such": 1},
    {"timeout": -1},
]

@pytest.mark.parametrize("make", [
    lambda number: HTTPCoordinatedExecutor("x {port}", URL, **{**ASKED, **WRONG_ASKED[number]}),
    lambda number: OwnWeb(**{**ASKED, **WRONG_ASKED[number]}),
], ids=["plain", "own"])
@pytest.mark.parametrize("number", range(12))
def test_request(make, number):
    make(number)

def test_request_that_is_sent():
    HTTPCoordinatedExecutor("sleep 100 {port}", URL, timeout=0.1, **ASKED).start()

@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("number", range(5))
def test_declared(make, number):
    wrong = [{"OTHER": [1]}, {"OTHER": "$PATH"}, {"A=B": "x"}, {"OTHER": chr(0)}, {'': "x"}]
    make(wrong[number])

@pytest.mark.parametrize("kind", [ChainMap, UserDict, MappingProxyType])
@pytest.mark.parametrize("make", [SimpleExecutor, Own, OutputCoordinatedExecutor])
def test_other_mappings(make, kind):
    make("x {port}", env=kind(good(OTHER=[1])))

@pytest.mark.parametrize("options", [dict(port=0), dict(timeout=-1), dict(stdin=3)])
def test_others(options):
    SimpleExecutor("x", env=good(), **options)

WRONG = [
    chr(104) * 20,
    ["PASSWORD=" + chr(104) * 20],
    (("PASSWORD", chr(104) * 20), {"A": "b"}),
    [good(), good(OTHER=[1])],
]

@pytest.mark.parametrize("number", range(4))
def test_no_mapping(number):
    PostgreSQL(env=WRONG[number])

WRONG_FILES = [
    SECRET,
    {"a": SECRET, "b": [SECRET]},
    {"a": SECRET + chr(0xd800)},
    {"a": SECRET, "/b": SECRET},
    ChainMap({"a": SECRET, "b": 3}),
]

@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("make", [SimpleExecutor, Own, OutputCoordinatedExecutor])
def test_files(make, number):
    make("x {port}", files=WRONG_FILES[number])

def test_files_with_a_wrong_reference():
    SimpleExecutor("x", files={"a": SECRET + "{db.port}"}).start()

def test_files_at_the_start():
    SimpleExecutor("x", files={"a": SECRET}, name="a" * 3, requires="no-such").start()

def test_reference():
    SimpleExecutor("sleep 1", env=good(URL=chr(104) * 20 + "{db.port}")).start()

def test_not_found():
    SimpleExecutor("no-such-program", env=good()).start()

def test_not_found_at_the_start():
    SimpleExecutor("{tmpdir}/no-such-program", env=good(PATH="{tmpdir}")).start()

def test_timeout():
    TCPCoordinatedExecutor("sleep 100 {port}", env=good(), timeout=0.1).start()

def test_exit():
    OutputCoordinatedExecutor("false", "up", env=good()).start()

def test_probe():
    CommandCoordinatedExecutor("sleep 100", "/no/such", env=good()).start()

def test_group():
    orchestrated(a=SimpleExecutor("false", one_shot=True, env=good())).start()

def test_until():
    SimpleExecutor("sleep 100", env=good(), timeout=0.1, until=lambda e: 1 / 0).start()
"""


class TestSecrets:
    def test_concealed_arguments_can_be_used(self) -> None:
        """A constructor of the user's can use concealed values like the original ones."""

        class Own(HTTPCoordinatedExecutor):
            def __init__(self, env: Any, body: Any, auth: Any) -> None:
                user, password = auth
                super().__init__(
                    f"x {{port}} {user}:{password}",
                    url="http://{host}:{port}/",
                    env={**dict(env), "USER": user},
                    body=json.dumps(body),
                )

        for env in ([("A", "b")], {"A": "b"}, types.MappingProxyType({"A": "b"})):
            own = Own(env=env, body={"c": "d"}, auth=("me", "secret"))
            assert own.command == "x {port} me:secret"
            assert (env_of(own)["A"], request_of(own)["body"]) == ("b", b'{"c": "d"}')

    @pytest.mark.parametrize("given", [{"c": "d"}, ["c"], ("c", "d"), {"c"}])
    def test_messages_name_the_kind_that_was_written(self, given: Any) -> None:
        """Errors name the type that the user gave, not that of the concealed value."""

        class Own(HTTPCoordinatedExecutor):
            def __init__(self, body: Any, where: str) -> None:
                options: Any = {where: {"X": body} if where in ("env", "headers") else body}
                super().__init__("x {port}", url="http://{host}:{port}/", **options)

        kind = type(given).__name__
        for make in (
            lambda: HTTPCoordinatedExecutor("x", "http://{host}:{port}/", body=given),
            lambda: Own(given, "body"),
            lambda: Own(body=given, where="body"),
            lambda: Own(body=given, where="headers"),
            lambda: Own(body=given, where="env"),
        ):
            with pytest.raises(InvalidArgument, match=rf"\bbut {kind}: write "):
                make()

    def test_tracebacks(self, tmp_path: Path) -> None:
        """Tools that show the variables of each frame do not show those of a service."""
        # inherited variables may hold secrets, too
        inherited = {"INHERITED": "i" * 20, "SUMMON_DEBUG": "1"}
        (tmp_path / "test_secrets.py").write_text(SECRETS)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-vv", "--showlocals"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ROOT, **BARE, **inherited},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.stdout.rstrip().splitlines()[-1].strip("= ").startswith("111 failed in"), (
            done.stdout[-2000:]
        )
        for secret in ("h" * 20, "i" * 20):
            assert [line for line in done.stdout.splitlines() if secret in line] == []
