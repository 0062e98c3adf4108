"""What is declared, and what is refused of it before anything is spawned."""

from __future__ import annotations

import enum
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    CommandCoordinatedExecutor,
    CommandNotFound,
    FileCoordinatedExecutor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    NotifyCoordinatedExecutor,
    Orchestrator,
    OutputCoordinatedExecutor,
    PostgreSQL,
    SimpleExecutor,
    TCPCoordinatedExecutor,
    UnixSocketCoordinatedExecutor,
    orchestrated,
    summoned,
)

ROOT = Path(__file__).resolve().parent.parent

#: what each constructor must be given
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
    """A callable, which few arguments may be."""


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
#: which of these kinds each argument takes; all others are refused
TAKES: dict[str, set[str]] = {
    "command": COMMAND,
    "probe": COMMAND,
    "stop_command": {*COMMAND, "None"},
    "shell": FLAG,
    "timeout": {*NUMBER, "None"},
    "request_timeout": {*NUMBER, "None"},
    "probe_timeout": NUMBER,
    "stop_timeout": NUMBER,
    "env": {"mapping", "None"},
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
    "requires": {*NAMES, "None", "empty list"},
    "until": {"function", "class", "None"},
    "alive": {"function", "class", "None"},
    "scope": set(),
    "reset": {"function", "class", "None"},
    "restart": {"True", "number"},
    "host": TEXT,
    "port": {"number", "None"},
    "url": set(),
    "method": TEXT,
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
    """What is of a wrong kind."""

    @pytest.mark.parametrize("make, argument", dict.fromkeys(every_argument()))
    def test_arguments(self, make: Callable[..., Any], argument: str) -> None:
        """Whatever is given is taken, or refused with the name of the argument."""
        for kind, value in KINDS.items():
            given = {**NEEDED[make], argument: value}
            if make is PostgreSQL and argument in ("one_shot", "shell"):
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
        """What cannot be started is no member, of whatever kind it is."""
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
        """What is sent, and what is waited for, is of the right kind."""
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


class Colour(str, enum.Enum):
    """Text that has another text."""

    RED = "red"


class Number(enum.IntEnum):
    """Numbers likewise."""

    TWO = 2


class TestCommand:
    def test_words(self) -> None:
        """Numbers and paths are taken, and members of enumerations for their values."""
        words = ["x", 6379, 0.5, Path("/a b"), Colour.RED, Number.TWO]
        executor = SimpleExecutor(words)
        assert executor._command == ("x", "6379", "0.5", "/a b", "red", "2")
        assert SimpleExecutor(Path("/a b/c"))._command == ("/a b/c",)

    @pytest.mark.parametrize(
        "word", [None, True, b"x", ["x"], {"x"}, object, 1j, "a\ud800", "a\0"], ids=repr
    )
    def test_no_words(self, word: Any) -> None:
        """All else is refused, alone and among others, also in a probe."""
        for command in (["x", word], ["x", "y", word]):
            with pytest.raises(InvalidArgument, match=r"command= "):
                SimpleExecutor(command)
            with pytest.raises(InvalidArgument, match=r"probe= "):
                CommandCoordinatedExecutor("x", command)
        if word != ["x"]:
            with pytest.raises(InvalidArgument, match=r"command="):
                SimpleExecutor(word)

    def test_variables(self) -> None:
        """The same of the values of variables."""
        env = {"A": 6379, "B": 0.5, "C": Path("/a b"), "D": Colour.RED, "E": Number.TWO, "F": None}
        executor = SimpleExecutor("x", env=env)
        taken = {"A": "6379", "B": "0.5", "C": "/a b", "D": "red", "E": "2", "F": None}
        assert executor._env == taken

    def test_in_a_locale_without_it(self) -> None:
        """What the encoding of the locale has not is refused; no value is shown."""
        code = (
            "from summon_testcase import *\n"
            "for give in ({'command': ['x', '\\xfc']}, {'command': 'x', 'env': {'A': 'hid\\xfc'}},"
            " {'command': 'x', 'cwd': '/\\xfc'}):\n"
            "    try: SimpleExecutor(**give, name='web')\n"
            "    except InvalidArgument as error: print(ascii(str(error)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-X", "utf8=0", "-c", code],
            env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)},
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
        """A file name that is no text in this locale can be given, as Python has it."""
        odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
        os.mkdir(odd)
        with SimpleExecutor(["pwd"], cwd=odd, env={"ODD": odd}, one_shot=True) as it:
            assert os.path.samefile(it._current("x").launch.cwd, odd)


class TestPortTold:
    """Whether a service is told the port that it is waited for at."""

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
        executor.bind({"db": executor})
        with pytest.raises(CommandNotFound, match="'x' is not on the PATH"):
            executor.check()

    def test_in_a_file(self) -> None:
        """What a subclass writes into a file before the start is not known."""

        class Configured(TCPCoordinatedExecutor):
            def prepare(self) -> None:
                """Write a file."""

        with pytest.raises(CommandNotFound):
            Configured("x").check()
