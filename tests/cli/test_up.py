"""``summon up``, in a terminal and without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from ..places import unshare
from ..samples import PATIENCE, eventually, processes_with
from .stage import Stage, ended

TABLE = r"NAME +ADDRESS +URL +LOG\r?\n"


def test_in_a_terminal(stage: Stage) -> None:
    """Table, then coloured names of one width, and Ctrl-C stops all."""
    with stage.terminal("up", "stack.py") as terminal:
        terminal.expect(r"db is ready after [\d.]+ s")
        terminal.expect(r"web is ready after")
        terminal.expect(TABLE)
        terminal.expect(r"db +127\.0\.0\.1:(\d+) +tcp://127\.0\.0\.1:\1 +(\S+)\r\n")
        port, log = terminal.match.groups()
        assert Path(log).exists()
        terminal.expect(rf"\x1b\[(\d+)mweb    \|\x1b\[0m web sees {port}\r\n")
        terminal.sendintr()
        said = ended(terminal, 0)
    assert "summon | stopping\n" in said
    assert "web    | bye\n" in said  # what it wrote when it was stopped
    assert "Traceback" not in said


def test_a_second_ctrl_c_kills(stage: Stage) -> None:
    """An executor of one's own is still stopped in its own way."""
    (stage.here / "deaf.py").write_text(
        "from summon_testcase import Executor, OutputCoordinatedExecutor\n"
        "class Own(Executor):\n"
        "    def start(self): pass\n"
        "    def stop(self): print('own has stopped', flush=True)\n"
        "class Deaf:\n"
        "    own = Own()\n"
        "    one = OutputCoordinatedExecutor(\n"
        "        'trap \"echo deaf\" TERM; echo up; sleep 600 & while :; do wait; done', 'up',\n"
        "        shell=True, stop_timeout=60, after=own)\n"
    )
    with stage.terminal("up", "deaf.py") as terminal:
        terminal.expect("one    .*[|].* up\r\n")
        terminal.sendintr()
        terminal.expect("stopping")
        terminal.expect("deaf")
        terminal.sendintr()
        assert "own has stopped" in ended(terminal, 130)


def test_what_a_start_waits_for_is_told_once(stage: Stage) -> None:
    (stage.here / "slow.py").write_text(
        "from summon_testcase import OutputCoordinatedExecutor\n"
        "class Slow:\n"
        "    it = OutputCoordinatedExecutor(\n"
        "        'until test -e go; do sleep 0.1; done; echo up; exec sleep 600', 'up',\n"
        "        shell=True)\n"
    )
    with stage.terminal("up", "slow.py") as terminal:
        terminal.expect(r"\x1b\[\d+msummon \|\x1b\[0m it is waited for: ")
        said = terminal.before
        (stage.here / "go").touch()
        terminal.expect(r"NAME +LOG\r\n")
        said += terminal.before
        terminal.sendintr()
        said += ended(terminal, 0)
    assert "summon_testcase: " not in said


def test_ctrl_c_while_it_starts(stage: Stage) -> None:
    with stage.terminal("up", "never.py") as terminal:
        terminal.expect("first is ready")
        terminal.sendintr()
        assert "Traceback" not in ended(terminal, 130)


def test_a_terminal_that_goes_away(stage: Stage) -> None:
    with stage.terminal("up", "stack.py") as terminal:
        terminal.expect(TABLE)
        terminal.expect("web sees")
        terminal.ptyproc.fileobj.close()
        eventually(lambda: not terminal.isalive(), "it has ended")
        terminal.closed = True
        assert (terminal.exitstatus, terminal.signalstatus) == (129, None)


def test_a_broken_pipe(stage: Stage) -> None:
    """As ``summon up stack.py web | head -1``: even if no service writes anything more."""
    with stage.start("up", "stack.py", "lone", stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        last = "lone  "  # of the table, after which nothing is written
        assert any(line.startswith(last) for line in iter(process.stdout.readline, ""))
        process.stdout.close()
        assert process.wait(15) == 141
        assert process.stderr.read() == ""


def test_a_death_is_told_and_the_others_go_on(stage: Stage) -> None:
    with stage.terminal("up", "stack.py") as terminal:
        terminal.expect("web sees")
        pid = stage.pid_of("web")
        os.kill(pid, signal.SIGKILL)
        terminal.expect(r"web: was killed by SIGKILL while the stack was up")
        terminal.expect(r"web sees \d+")  # its last lines
        assert "running" in stage.summon("ps")
        terminal.sendintr()
        ended(terminal, 1)
    stage.remove_named_logs()


def test_a_death_is_mended(stage: Stage) -> None:
    """Also if that fails the first time."""
    (stage.here / "frail.py").write_text(
        "from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor\n"
        "class Frail:\n"
        "    web = OutputCoordinatedExecutor(\n"
        "        'test ! -e broken || exit 3; echo up; exec sleep 600', 'up', shell=True)\n"
        "    lone = SimpleExecutor('sleep 600')\n"
    )
    with stage.start("up", "frail.py", "web", "--restart") as process:
        eventually(stage.is_up, "it is up")
        (stage.here / "broken").touch()
        os.kill(stage.pid_of("web"), signal.SIGKILL)
        eventually(lambda: stage.state_of("web") == "stopped", "it cannot start")
        (stage.here / "broken").unlink()
        eventually(lambda: stage.state_of("web") == "running", "it is mended")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=15)
    assert "\x1b[" not in said  # this is no terminal
    assert "lone is ready" not in said  # nothing needs it
    assert said.count("web: was killed by SIGKILL while the stack was up") == 1
    assert said.count("web: exited with status 3 before it was ready") == 1
    assert said.count("web was started again") == 1
    assert process.returncode == 0
    stage.remove_named_logs()


def test_a_full_disk_is_told(stage: Stage) -> None:
    """Once, by the screen alone."""
    (stage.here / "loud.py").write_text(
        "from summon_testcase import OutputCoordinatedExecutor\n"
        "class Loud:\n"
        "    web = OutputCoordinatedExecutor(\n"
        "        'echo up; until test -e go; do sleep 0.05; done; '\n"
        "        'head -c 300000 /dev/zero; touch wrote; exec sleep 600', 'up', shell=True)\n"
    )
    (stage.here / "kept").mkdir()
    stage.env["SUMMON_LOGS"] = "kept"
    mount = 'mount -t tmpfs -o size=64k none kept; exec "$@"'
    within = [*unshare("--user", "--map-root-user", "--mount"), "sh", "-c", mount, "sh"]
    said = "web: part of its log could not be written: No space left on device"
    with stage.start("up", "loud.py", within=within) as process:
        eventually(stage.is_up, "it is up")
        (stage.here / "go").touch()
        eventually((stage.here / "wrote").exists, "the disk is full")
        stage.summon("ps")
        process.terminate()
        told, _ = process.communicate(timeout=PATIENCE)
    assert [line for line in told.splitlines() if said in line] == [f"summon | {said}"]


@pytest.mark.parametrize("detach", [(), ("-d",)])
def test_a_full_disk_for_the_registry(stage: Stage, detach: tuple[str, ...]) -> None:
    """The start fails, and leaves no files."""
    script = (
        'mount -t tmpfs -o size=16k none "$XDG_RUNTIME_DIR"; '
        'cat /dev/zero >"$XDG_RUNTIME_DIR/zeros" 2>/dev/null; '
        '"$@"; echo $?; ls "$XDG_RUNTIME_DIR/summon_testcase"'
    )
    within = [*unshare("--user", "--map-root-user", "--mount"), "sh", "-c", script, "sh"]
    said = stage.summon("up", *detach, "stack.py", within=within)
    assert "cannot be written: [Errno 28] No space left on device" in said
    assert said.endswith("\n1\nlock\n")


def test_it_ends_when_nothing_runs_any_more(stage: Stage) -> None:
    (stage.here / "brief.py").write_text(
        "from summon_testcase import SimpleExecutor\n"
        "well = {'a': SimpleExecutor('true', one_shot=True), 'b': SimpleExecutor('sleep 0.1')}\n"
        "badly = {'a': SimpleExecutor('false')}\n"
    )
    stage.summon("up", "brief:well")
    assert "a: exited with status 1" in stage.summon("up", "brief:badly", status=1)
    stage.remove_named_logs()


def test_two_of_one_target_and_kill_9(stage: Stage) -> None:
    """What has happened until then is in the report all the same."""
    with stage.start("up", "stack.py", "--report", "out") as process:
        eventually(stage.is_up, "it is up")
        said = stage.summon("up", "./stack.py:StackTest", status=1)
        assert f"./stack.py:StackTest is up already in {stage.here} (pid {process.pid})" in said
        process.kill()
        process.wait()
    eventually((stage.here / "out" / "report.html").exists, "the report")
    eventually(lambda: not processes_with(str(stage.place)), "its services are gone")
    assert "no stack runs in" in stage.summon("ps", status=1)


def test_watch(stage: Stage) -> None:
    """A file restarts what it concerns, and those that refer to it."""
    pytest.importorskip("watchfiles")
    code = stage.here / "code"
    code.mkdir()
    (code / "db.conf").write_text("")
    (stage.here / "stack.py").write_text(
        "from summon_testcase import SimpleExecutor\n"
        "class Stack:\n"
        "    db = SimpleExecutor(['sh', '-c', 'exec sleep 600', 'code/db.conf'])\n"
        "    web = SimpleExecutor('sleep 600', after=db)\n"
        "    lone = SimpleExecutor('sleep 600')\n"
    )
    words = ["up", "stack.py", "--watch", "code/*.conf", "--watch", "lone=code/*.txt", "--cascade"]
    words += ["--report", "out"]
    with stage.terminal(*words) as terminal:
        terminal.expect(r"watching code/\*\.conf")
        before = {name: stage.pid_of(name) for name in ("db", "web", "lone")}
        (code / "other.py").write_text("ignored")
        (code / "db.conf").write_text("changed")
        terminal.expect(r"code/db\.conf has changed: restarting db\r\n")
        terminal.expect("db restarted")
        assert stage.pid_of("db") != before["db"]
        assert stage.pid_of("web") != before["web"]
        assert stage.pid_of("lone") == before["lone"]
        (code / "a.txt").write_text("new")
        terminal.expect(r"code/a\.txt has changed: restarting lone")
        terminal.expect("lone restarted")
        (code / "unused.conf").write_text("new")
        terminal.expect(r"code/unused\.conf has changed, which concerns no service: to say which,")
        # what has died starts again with the next change, even if nothing else runs
        for name in before:
            os.kill(stage.pid_of(name), signal.SIGKILL)
            terminal.expect(f"{name}: was killed by SIGKILL")
        (code / "db.conf").write_text("mended")
        terminal.expect("db restarted")
        terminal.sendintr()
        ended(terminal, 1)  # lone is dead
    made = json.loads((stage.here / "out" / "report.json").read_text())
    reasons = {each["name"]: [why for _, why in each["restarts"]] for each in made["services"]}
    assert reasons["lone"] == ["--watch: code/a.txt has changed"]
    assert reasons["db"] == ["--watch: code/db.conf has changed"] * 2


def test_a_failed_restart_by_watch_is_told_once(stage: Stage) -> None:
    pytest.importorskip("watchfiles")
    (stage.here / "frail.py").write_text(
        "from summon_testcase import OutputCoordinatedExecutor\n"
        "class Frail:\n"
        "    web = OutputCoordinatedExecutor(\n"
        "        'test ! -e broken.txt || exit 3; echo up; exec sleep 600', 'up', shell=True)\n"
    )
    with stage.terminal("up", "frail.py", "--watch", "web=*.txt") as terminal:
        terminal.expect("watching web=")
        (stage.here / "broken.txt").touch()
        terminal.expect("web: exited with status 3 before it was ready")
        stage.summon("ps")  # is answered after all that is told of it
        terminal.sendintr()
        assert "exited with status 3 before it was ready" not in ended(terminal, 1)
    stage.remove_named_logs()


def test_what_services_write_is_shown_once(stage: Stage) -> None:
    """Also if the user wants to see it while tests run."""
    stage.env["SUMMON_ECHO"] = "1"
    with stage.start("up", "stack.py", "web") as process:
        eventually(stage.is_up, "it is up")
        process.terminate()
        said, _ = process.communicate(timeout=PATIENCE)
    assert said.count("web sees") == 1
