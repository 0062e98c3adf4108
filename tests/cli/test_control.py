"""``summon up -d``, and the commands about stacks that run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from summon_testcase import AlreadyRunning, ProcessExited
from summon_testcase.cli import control, signals
from summon_testcase.cli.main import main
from summon_testcase.stacks import registry
from summon_testcase.stacks.client import Client
from summon_testcase.stacks.registry import Registration

from ..places import require, root, unshare
from ..samples import PATIENCE, alive, eventually
from .stage import Stage, ended

Ask = Callable[..., str]


@pytest.fixture
def ask(stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """A function that carries out a command line in this process, and returns what it writes."""
    monkeypatch.chdir(stage.here)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(stage.runtime))
    monkeypatch.setattr(signals, "hear", lambda: None)

    def ask(*words: str, status: int = 0) -> str:
        assert main(words) == status, capsys.readouterr()
        captured = capsys.readouterr()
        return captured.out + captured.err

    return ask


@pytest.fixture
def up(stage: Stage) -> Stage:
    """A stack in the background; the test ends it."""
    with stage.terminal("up", "-d", "stack.py") as terminal:
        terminal.expect(r"web is ready after")
        terminal.expect(r"NAME +ADDRESS +URL +LOG\r\n")
        ended(terminal, 0)  # the terminal is closed with that
    assert stage.is_up()
    return stage


def test_a_day_in_the_background(up: Stage, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command once, since a stack takes its time to start."""
    owner = up.stack()["pid"]
    assert os.getsid(owner) == owner

    said = ask("ps")
    assert f"stack.py in {up.here} (pid {owner}): running\n" in said
    assert "db    running" in said
    (facts,) = json.loads(ask("ps", "--json", "stack.py:StackTest"))
    port = facts["services"]["db"]["port"]

    monkeypatch.chdir(up.runtime)
    assert f"what runs is stack.py in {up.here} (pid {owner})" in ask("ps", status=1)
    assert f"stack.py in {up.here} (pid {owner}): running\n" in ask("ps", "--all")
    monkeypatch.chdir(up.here)

    assert ask("logs", "web") == f"web    | web sees {port}\n"
    said = ask("logs")
    assert f"web    | web sees {port}\n" in said
    assert "db     |" in said
    assert "there is no service 'wbe'" in ask("logs", "wbe", status=2)

    assert ask("wait", "--timeout", "5") == ""
    with up.start("logs", "-f", "web") as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == f"web    | web sees {port}\n"
        before = up.pid_of("web")
        assert ask("restart", "web") == "web was restarted\n"
        assert up.pid_of("web") != before
        assert follower.stdout.readline() == "web    | bye\n"
        assert follower.stdout.readline() == f"web    | web sees {port}\n"
        assert "no service 'wbe'" in ask("restart", "wbe", status=1)

        before = up.pid_of("web")
        assert ask("restart", "db", "--cascade") == "db was restarted\n"
        assert up.pid_of("web") != before  # it refers to db
        assert follower.stdout.readline() == "web    | bye\n"
        assert follower.stdout.readline() == f"web    | web sees {port}\n"

        os.kill(up.pid_of("lone"), signal.SIGKILL)
        eventually(lambda: up.state_of("lone") == "dead", "it is noticed")
        said = ask("wait", "--timeout", "0", status=1)
        assert "not ready within 0 s: lone is dead" in said
        ask("restart", "lone")

        assert ask("down") == f"stack.py in {up.here} (pid {owner}) is down\n"
        assert follower.stdout.read() == "web    | bye\n"
        assert follower.wait(15) == 0
    assert not alive(owner)
    assert "no stack runs in" in ask("down", status=1)
    up.remove_named_logs()


def test_its_files_are_removed_while_it_runs(up: Stage, ask: Ask) -> None:
    """By logind, when the user logs out, or by a cleaner of /tmp: the owner makes them anew."""
    place = up.runtime / "summon_testcase"
    found = {path for path in place.iterdir() if path.suffix in (".json", ".socket", ".alive")}
    assert len(found) == 3
    for path in found:
        path.unlink()
        eventually(path.exists, f"there is a {path.suffix}")
        assert "running\n" in ask("ps")
    shutil.rmtree(up.runtime)
    up.runtime.mkdir(mode=0o700)
    eventually(lambda: found <= {*up.runtime.glob("*/*")}, "it can be found again")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert "is up already" in up.summon("up", "stack.py", status=1)
    assert "is down\n" in ask("down")


@pytest.mark.parametrize("end", ["down", "kill"])
def test_commands_in_another_container(up: Stage, end: str) -> None:
    """They share the directory, but not the pids: who lives is not taken for dead."""
    there = unshare("--pid", "--fork", "--kill-child", "--mount-proc")
    owner = up.stack()["pid"]
    assert f"(pid {owner}): running\n" in up.summon("ps", within=there)
    assert "is up already" in up.summon("up", "-d", "stack.py", status=1, within=there)
    assert f"(pid {owner}): running\n" in up.summon("ps")
    if end == "down":
        assert "is down\n" in up.summon("down", within=there)
    else:
        os.kill(owner, signal.SIGKILL)
        eventually(lambda: not alive(owner), "it is gone")
    assert "no stack runs" in up.summon("ps", status=1, within=there)
    assert os.listdir(up.runtime / "summon_testcase") == ["lock"]


def test_a_failed_start_in_the_background_is_told_in_front(stage: Stage) -> None:
    (stage.here / "broken.py").write_text(
        "from summon_testcase import OutputCoordinatedExecutor\n"
        "class Broken:\n"
        "    it = OutputCoordinatedExecutor(['sh', '-c', 'echo no disk; exit 3'], 'ready')\n"
    )
    said = stage.summon("up", "-d", "broken.py", status=1)
    assert "summon: it: exited with status 3 before it was ready" in said
    assert "no disk" in said
    stage.remove_named_logs()


@root
def test_no_room_for_what_it_would_tell(stage: Stage, ask: Ask) -> None:
    """A stack in the background goes on, and answers what has become of requests."""
    small = str(stage.runtime)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", small]
    require(subprocess.run(mounted).returncode == 0, "a small tmpfs can be mounted")
    try:
        stage.summon("up", "-d", "stack.py")
        with (
            pytest.raises(OSError, match="No space left"),
            open(f"{small}/filler", "wb", 0) as file,
        ):
            while True:
                file.write(bytes(1024))
        ask("restart", "db")
        os.kill(stage.pid_of("lone"), signal.SIGKILL)

        def lone() -> dict[str, Any]:
            with Client(registry.find()) as client:
                found: dict[str, Any] = client.ask("describe")["stack"]["services"]["lone"]
            return found

        eventually(lambda: "died" in lone(), "its death is noticed")
        ask("restart", "web")
        ask("down")
        stage.remove_named_logs()
        stage.nothing_is_left()
    finally:
        stage.kill_what_is_left()
        subprocess.run(["umount", "-l", small], check=True)


FRAIL = """
from summon_testcase import OutputCoordinatedExecutor
def frail(**options):
    return OutputCoordinatedExecutor(
        "test ! -e broken || exit 3; echo up; exec sleep 600", "up", shell=True, **options)
class Frail:
    db = frail()
    web = frail(after=db)
"""
FAILED = "exited with status 3 before it was ready"


def test_a_failed_restart_counts_as_a_death(stage: Stage, ask: Ask) -> None:
    (stage.here / "frail.py").write_text(FRAIL)
    with stage.start("up", "frail.py") as process:
        ask("wait", "--timeout", "30")
        (stage.here / "broken").touch()
        said = ask("restart", "db", "--cascade", status=1)
        assert f"db: {FAILED}" in said
        assert f"and failed: web: {FAILED}" in said
        assert "stopped" in ask("ps")
        ask("down")
        said, _ = process.communicate(timeout=PATIENCE)
    assert said.count(f"db: {FAILED}") == said.count(f"web: {FAILED}") == 1
    assert process.returncode == 1
    stage.remove_named_logs()


@pytest.mark.parametrize("how", ["restart", "start"])
def test_a_failed_start_on_request_is_mended(stage: Stage, ask: Ask, how: str) -> None:
    (stage.here / "frail.py").write_text(FRAIL)
    with stage.start("up", "frail.py", "db", "--restart") as process:
        ask("wait", "--timeout", "30")
        with Client(registry.find()) as client:
            if how == "start":
                client.ask("stop", service="db")
            (stage.here / "broken").touch()
            with pytest.raises(ProcessExited, match=FAILED):
                client.ask(how, service="db")
        (stage.here / "broken").unlink()
        eventually(lambda: stage.state_of("db") == "running", "it is mended")
        ask("down")
        said, _ = process.communicate(timeout=PATIENCE)
    assert f"db: {FAILED}" in said
    assert said.count("db was started again") == 1
    assert process.returncode == 0
    stage.remove_named_logs()


def test_restarts_are_in_the_report(stage: Stage, ask: Ask) -> None:
    """With their reasons; also those of an executor of one's own, and not one that fails."""
    (stage.here / "own.py").write_text(
        "from summon_testcase import Executor, SimpleExecutor\n"
        "class Own(Executor):\n"
        "    def start(self): return self\n"
        "    def stop(self): pass\n"
        "class Stack:\n"
        "    a, b = SimpleExecutor('sleep 600'), SimpleExecutor('sleep 600')\n"
        "    own = Own()\n"
        "    own.after = (b,)\n"
    )
    with stage.start("up", "own.py", "--restart", "--report", "out") as process:
        ask("wait", "--timeout", "30")
        ask("restart", "b", "--cascade")
        before = stage.pid_of("b")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: stage.pid_of("b") != before, "it is mended")
        with Client(registry.find()) as client:
            client.ask("stop", service="a")
            client.ask("start", service="a")
            with pytest.raises(AlreadyRunning):
                client.ask("start", service="a")
            client.ask("stop", service="a", until_closed=True)
        eventually(lambda: stage.state_of("a") == "running", "it runs again")
        ask("down")
        process.communicate(timeout=PATIENCE)
    made = json.loads((stage.here / "out" / "report.json").read_text())
    reasons = {each["name"]: [why for _, why in each["restarts"]] for each in made["services"]}
    death = "--restart: b: was killed by SIGKILL while the stack was up"
    assert reasons == {
        "a": ["a test had stopped it", "a test had stopped it"],
        "b": ["summon restart b --cascade", death],
        "own": ["summon restart b --cascade"],
    }


GROUPS = """
from summon_testcase import Orchestrator, SimpleExecutor
def nap(**options):
    return SimpleExecutor("sleep 600", **options)
class Groups:
    base = nap()
    back = Orchestrator({"db": nap(), "web": nap(after="db"), "lone": nap()}, after="base")
    front = nap(after="back")
"""


def test_references_within_groups(stage: Stage, ask: Ask) -> None:
    """What refers to a member is restarted with it: other members, and what refers to the group."""
    (stage.here / "groups.py").write_text(GROUPS)
    with stage.start("up", "groups.py") as process:
        ask("wait", "--timeout", "30")

        def pids() -> dict[str, int]:
            (facts,) = json.loads(ask("ps", "--json"))
            return {name: each["pid"] for name, each in facts["services"].items()}

        (facts,) = json.loads(ask("ps", "--json"))
        assert {name: each["after"] for name, each in facts["services"].items()} == {
            "base": [],
            "back.db": ["base"],
            "back.web": ["back.db"],
            "back.lone": ["base"],
            "front": ["back"],
        }
        before = pids()
        ask("restart", "back.db", "--cascade")
        first = pids()
        assert {name for name in before if first[name] != before[name]} == {
            *("back.db", "back.web", "front")
        }
        ask("restart", "base", "--cascade")
        assert not set(first.items()) & set(pids().items())
        ask("down")
        process.communicate(timeout=PATIENCE)


STAYS = """
from summon_testcase import OutputCoordinatedExecutor
class Stays:
    stays = OutputCoordinatedExecutor(
        ["sh", "-c", "trap '' TERM; echo here; while :; do sleep 600; done"],
        "here", stop_timeout=600)
"""


def test_ctrl_c_while_it_starts_in_the_background(stage: Stage) -> None:
    with stage.terminal("up", "-d", "never.py") as terminal:
        terminal.expect("first is ready")
        terminal.sendintr()
        assert "Traceback" not in ended(terminal, 130)


SLOW = """
from unittest import TestCase
from summon_testcase import OutputCoordinatedExecutor, SummonMixin
class SlowTest(SummonMixin, TestCase):
    web = OutputCoordinatedExecutor(
        "echo booting; until test -e go; do sleep 0.05; done; echo open; exec sleep 600",
        "open", shell=True, scope="run", shared=True)
    def test(self):
        pass
"""


def test_what_is_told_while_it_starts(stage: Stage, ask: Ask) -> None:
    (stage.here / "slow.py").write_text(SLOW)
    with stage.start("up", "slow.py") as process:
        eventually(lambda: stage.stack().get("services"), "its services are in its file")
        with stage.start("logs", "-f") as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "web    | booting\n"
            assert ask("logs", "web") == "web    | booting\n"
            assert "there is no service 'wbe': there are web" in ask("logs", "wbe", status=2)
            assert "web   starting" in ask("ps")
            assert "is starting: web is starting" in ask("wait", "--timeout", "0", status=1)
            tests = subprocess.run(
                [sys.executable, "-m", "unittest", "slow"],
                cwd=stage.here,
                env={**stage.env, "SUMMON_ATTACH": "1"},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            assert "is still starting: run `summon wait slow.py` there first" in tests.stderr
            (stage.here / "go").touch()
            assert follower.stdout.readline() == "web    | open\n"
            ask("wait", "--timeout", "30")
            ask("down")
            assert follower.wait(PATIENCE) == 0
        process.communicate(timeout=PATIENCE)


def test_down_while_it_starts(stage: Stage, ask: Ask) -> None:
    with stage.start("up", "-d", "never.py") as process:
        assert process.stdout is not None
        assert "first is ready" in process.stdout.readline()
        assert "is starting" in ask("wait", "--timeout", "0", status=1)
        assert "is down" in ask("down")
        assert process.wait(15) == 1


def test_a_stack_that_does_not_go_down(
    stage: Stage, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not said to be down."""
    (stage.here / "stays.py").write_text(STAYS)
    with stage.start("up", "stays.py") as process:
        ask("wait", "--timeout", "30")
        monkeypatch.setattr(control, "_DOWN", 0.3)
        assert "has not answered in time" in ask("down", status=1)
        process.send_signal(signal.SIGINT)
        process.wait(15)


def test_in_a_terminal(up: Stage) -> None:
    owner = up.stack()["pid"]
    assert up.shows("wait") == ""
    assert f"stack.py in {up.here} (pid {owner}): running\nNAME  STATE" in up.shows("ps")
    with up.terminal("logs", "-f", "web") as terminal:
        terminal.expect(r"\x1b\[\d+mweb    \|\x1b\[0m web sees")
        assert up.shows("restart", "web") == "web was restarted\n"
        terminal.expect("bye")
        terminal.sendintr()
        ended(terminal, 130)
    assert "is down\n" in up.shows("down")
    assert "no stack runs in" in up.shows("down", status=1)


def test_several_stacks(stage: Stage, ask: Ask) -> None:
    (stage.here / "other.py").write_text(
        "from summon_testcase import SimpleExecutor\n"
        "class Other:\n    nap = SimpleExecutor('sleep 600')\n"
    )
    with stage.start("up", "other.py") as process:
        assert ask("wait", "--timeout", "30", "other.py") == ""
        another = Registration(how="up", target="x.py", file="/x.py", name="X")
        try:
            said = ask("down", status=1)
            assert "several stacks run here: say which, by its TARGET or its pid: other.py" in said
            assert "restarted" in ask("restart", "nap", "--target", "other.py")
            assert "is down" in ask("down", "other:Other")
        finally:
            another.remove()
        said, _ = process.communicate(timeout=15)
    assert "summon | nap was restarted on request\n" in said
    assert process.returncode == 0


def test_several_stacks_of_one_target(up: Stage, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a pid; without that the one which is up is meant, and not those of summon run."""
    owner = up.stack()["pid"]
    with up.start("run", "stack.py", "lone", "--", "sleep", "600") as first:
        with up.start("run", "stack.py", "lone", "--", "sleep", "600") as second:

            def are_up() -> bool:
                stacks = json.loads(ask("ps", "--json"))
                return [stack["state"] for stack in stacks] == ["running"] * 3

            eventually(are_up, "all are up")
            assert "web was restarted" in ask("restart", "web")
            assert ask("ps", "stack.py").count("running\n") >= 3
            monkeypatch.chdir("/")
            assert f"(pid {first.pid}): running\n" in ask("ps", str(first.pid))
            assert "no stack of 1 runs in /: what runs is " in ask("down", "1", status=1)
            monkeypatch.chdir(up.here)
            assert f"(pid {owner}) is down" in ask("down", "stack.py")
            said = ask("down", "stack.py", status=1)
            assert f"(pid {first.pid})" in said and f"(pid {second.pid})" in said
            for process in (first, second):
                assert f"(pid {process.pid}) is down" in ask("down", str(process.pid))
                process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("name", "encoding"), [("caf\u00e9", "ascii:strict"), ("caf\udce9", "utf-8:strict")]
)
def test_a_directory_whose_name_cannot_be_encoded(stage: Stage, name: str, encoding: str) -> None:
    """Only its name is spelt out; the commands do and tell the same."""
    stage.here = stage.here.rename(stage.here.parent / name)
    stage.env["PYTHONIOENCODING"] = encoding
    assert stage.redirected("", "up", "-d", "stack.py")[0] == 0
    status, told = stage.redirected("", "ps")
    assert (status, "lone  running" in told) == (0, True), told
    assert stage.redirected("", "restart", "lone") == (0, "lone was restarted\n")
    status, told = stage.redirected("", "down")
    assert (status, told.endswith(") is down\n")) == (0, True), told
