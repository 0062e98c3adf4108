"""Servers that are stopped by a command, by another signal, or by a test itself."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    CommandNotFound,
    InvalidArgument,
    NotRunning,
    Orchestrator,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    StopFailed,
    TimeoutExpired,
    UnknownReference,
)

from ..doubles import death_of, keeper_pid, stands_idle
from ..samples import eventually, marked, service, text

#: ends well when a file appears, and notes each signal
OBEYS = (
    'trap "echo TERM >> {tmpdir}/signals; exit 0" TERM; echo up; '
    "until test -e {tmpdir}/stop; do sleep 0.02; done; exit 0"
)


def sh(script: str, mark: str, **options: Any) -> OutputCoordinatedExecutor:
    """A shell that says "up"."""
    return OutputCoordinatedExecutor(["sh", "-c", script, mark], "up\n", name="it", **options)


class TestStopCommand:
    @pytest.mark.parametrize("command", ["touch {tmpdir}/stop", ["touch", "{tmpdir}/stop"]])
    def test_instead_of_a_signal(self, command: Any, mark: str) -> None:
        """It is run, templates filled in, and nobody is signalled."""
        it = sh(OBEYS, mark, stop_command=command).start()
        signals = f"{it.tmpdir}/signals"
        with it.stopped():
            assert it.exit_code == 0 and text(signals) == ""
        it.stop()
        assert it.exit_code == 0 and not marked(mark)

    def test_its_environment(self, mark: str, tmp_path: Path) -> None:
        """It is run in the directory and with the environment of the service."""
        told = tmp_path / "told"
        script = f'echo "$PWD $COLOUR {{name}} {{port}}" > {told}; touch {{tmpdir}}/stop'
        with sh(
            OBEYS,
            mark,
            cwd=tmp_path,
            env={"COLOUR": "red"},
            stop_command=["sh", "-c", script],
            port=4711,
        ):
            pass
        assert told.read_text() == f"{tmp_path} red it 4711\n"

    def test_a_port_that_its_banner_told(self, mark: str, tmp_path: Path) -> None:
        """``{port}`` is the one that the service listens on."""
        told = tmp_path / "told"
        with OutputCoordinatedExecutor(
            ["sh", "-c", "echo port 4712; sleep 1000", mark],
            r"port (?P<port>\d+)\n",
            stop_command=["sh", "-c", f"echo {{port}} > {told}; exit 1"],
        ) as it:
            with pytest.raises(StopFailed):
                it.stop()
        assert told.read_text() == "4712\n"

    def test_it_does_not_help(self, mark: str) -> None:
        """After half of the time the signal is sent, which is no failure."""
        it = sh(OBEYS, mark, stop_command="true", stop_timeout=4).start()
        signals, began = Path(it.tmpdir, "signals"), time.monotonic()
        with it.stopped():
            assert time.monotonic() - began >= 2
            assert signals.read_text() == "TERM\n"
        it.kill()

    def test_it_hangs(self, mark: str) -> None:
        """The signal ends the service; that the command did not end is told."""
        hangs = ["sh", "-c", "echo waiting for it; sleep 1000", mark]
        it = sh(OBEYS, mark, stop_command=hangs, stop_timeout=1).start()
        with pytest.raises(StopFailed, match=r"did not end within 1 s: waiting for it"):
            it.stop()
        assert it.exit_code == 0 and not marked(mark)

    def test_deaf_to_both(self, mark: str) -> None:
        """SIGKILL in the end."""
        script = 'trap "" TERM; echo up; while :; do sleep 0.1; done'
        it = sh(script, mark, stop_command="echo asked", stop_timeout=0.6).start()
        began = time.monotonic()
        with pytest.raises(StopFailed, match=r"within 0\.6 s of stop_command= and SIGTERM and was"):
            it.stop()
        assert time.monotonic() - began < 15
        assert it.exit_code == -signal.SIGKILL and not marked(mark)

    def test_it_fails(self, mark: str) -> None:
        """Its status and what it said are in the error; the signal is sent at once."""
        words = ["sh", "-c", 'echo "cannot connect"; echo "\033[31mno such server" >&2; exit 3']
        it = sh(OBEYS, mark, stop_command=words, stop_timeout=120).start()
        began = time.monotonic()
        with pytest.raises(StopFailed) as caught:
            it.stop()
        assert time.monotonic() - began < 30
        said = "exited with status 3: cannot connect | no such server"
        assert said in caught.value.message and "stop_command=" in caught.value.message
        assert it.exit_code == 0 and not marked(mark)
        it.stop()

    def test_it_has_gone(self, mark: str, tmp_path: Path) -> None:
        """A program that was there at the start, and is not any more."""
        program = tmp_path / "stop"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        it = sh(OBEYS, mark, stop_command=str(program), stop_timeout=120).start()
        program.unlink()
        with pytest.raises(StopFailed, match="No such file"):
            it.stop()
        assert it.exit_code == 0 and not marked(mark)

    def test_checked_before_the_start(self, mark: str) -> None:
        """A program that is not there, and templates that name nothing."""
        with pytest.raises(CommandNotFound, match="no-such-program"):
            sh("echo up", mark, stop_command="no-such-program {port}").start()
        with pytest.raises(UnknownReference, match=r"\{itt\.port\}.*did you mean \{it\.port\}"):
            Orchestrator({"it": sh("echo up", mark, stop_command="true {itt.port}")}).start()
        for wrong in ("", [], "'", ["a\0b"]):
            with pytest.raises(InvalidArgument, match="stop_command="):
                sh("echo up", mark, stop_command=wrong)
        assert not marked(mark)

    def test_what_is_left(self, mark: str) -> None:
        """Processes that the service leaves when the command has ended it get TERM, as ever."""
        script = f"sh -c 'sleep 1000; :' $0 & {OBEYS}"
        with sh(script, mark, stop_command="touch {tmpdir}/stop"):
            assert len(marked(mark)) > 1
        assert not marked(mark)

    def test_what_has_ended_by_itself(self, mark: str, tmp_path: Path) -> None:
        """The command has nobody to stop then, and is not run."""
        told = tmp_path / "told"
        it = sh("echo up", mark, stop_command=f"touch {told}").start()
        eventually(lambda: not it.running(), "it has ended")
        it.stop()
        assert not told.exists()

    def test_a_frozen_service(self, mark: str) -> None:
        """It is thawed before its command is run."""
        it = sh(OBEYS, mark, stop_command="touch {tmpdir}/stop").start()
        with it.paused():
            it.stop()
        assert it.exit_code == 0

    def test_kill_needs_none(self, mark: str, tmp_path: Path) -> None:
        """kill() is at once."""
        told = tmp_path / "told"
        it = sh(OBEYS, mark, stop_command=f"touch {told}").start()
        it.kill()
        assert it.exit_code == -signal.SIGKILL and not told.exists()

    def test_a_group(self, mark: str) -> None:
        """In a group the references of the command are to what still runs."""
        group = Orchestrator(
            {
                "a": SimpleExecutor(service("silent.py", mark), port=4711),
                "b": sh(
                    OBEYS,
                    mark,
                    stop_command=["sh", "-c", "test {a.port} = 4711 && touch {tmpdir}/stop"],
                ),
            }
        )
        with group:
            pass
        assert not marked(mark)


class TestStop:
    def test_another_signal(self, mark: str) -> None:
        """``stop(signal=)`` is sent now, whatever was declared."""
        for options in ({}, {"stop_command": "false"}):
            it = sh('trap "exit 0" INT; echo up; while :; do sleep 0.02; done', mark, **options)
            it.start().stop(signal=signal.SIGINT)
            assert it.exit_code == 0
            it.start()
            with it.paused():
                it.stop(signal.SIGQUIT)
            assert it.exit_code == -signal.SIGQUIT

    def test_another_timeout(self, mark: str) -> None:
        """``stop(timeout=)`` likewise."""
        script = 'trap "" TERM INT; echo up; while :; do sleep 0.1; done'
        it = sh(script, mark, stop_timeout=300).start()
        began = time.monotonic()
        with pytest.raises(StopFailed, match=r"did not end within 0\.2 s of SIGTERM"):
            it.stop(timeout=0.2)
        assert time.monotonic() - began < 60
        it.start()
        with pytest.raises(StopFailed, match="within 0 s of SIGINT"):
            it.stop(signal.SIGINT, 0)
        assert not marked(mark)

    @pytest.mark.parametrize("seconds", [1e7, 1e300])
    def test_months(self, seconds: float, mark: str) -> None:
        """More than poll() counts to is as good as any other time."""
        with sh("echo up; exec sleep 1000", mark, timeout=seconds, stop_timeout=seconds) as it:
            assert it.running()
        assert it.exit_code == -signal.SIGTERM and not marked(mark)

    @pytest.mark.parametrize("wrong", [0, 999, "TERM", True])
    def test_no_signal(self, wrong: Any, mark: str) -> None:
        """What is none is refused, and nothing happens."""
        with sh("echo up; sleep 1000", mark) as it:
            for call in (it.stop, it.kill, it.signal):
                with pytest.raises(InvalidArgument, match="signal"):
                    call(wrong)
            with pytest.raises(InvalidArgument, match=r"timeout=-1 .* write seconds, 0 or more$"):
                it.stop(timeout=-1)
            assert it.running()

    def test_kill_by_another_signal(self, mark: str) -> None:
        """``kill(signal=)`` goes to all of it; SIGKILL follows for what is left."""
        script = "setsid sh -c 'sleep 1000; :' $0 & echo up; sleep 1000"
        it = sh(script, mark).start()
        it.kill(signal.SIGABRT)
        assert it.exit_code == -signal.SIGABRT and not marked(mark)
        it = sh('trap "" QUIT; echo up; while :; do sleep 0.1; done', mark, stop_timeout=0.3)
        it.start().kill(signal.SIGQUIT)
        assert it.exit_code == -signal.SIGKILL and not marked(mark)
        it.kill(signal.SIGABRT)

    def test_signal(self, mark: str) -> None:
        """``signal()`` goes to the main process, or to everything."""
        script = (
            'loop() { while :; do sleep 0.02; done; }; trap "echo main" HUP; trap "" USR1; '
            '(trap "echo child" HUP; trap "echo asked" USR1; echo up; loop) & loop'
        )
        with sh(script, mark) as it:
            it.signal(signal.SIGHUP)
            it.wait_for_output("^main\n", timeout=15)
            # had the child the signal, it would say so before it answers the next one
            it.signal(signal.SIGUSR1, everything=True)
            it.wait_for_output("^asked\n", timeout=15)
            assert "child" not in it.tail()
            it.signal(signal.SIGHUP, everything=True)
            it.wait_for_output("^child\n", timeout=15)
            it.kill()
            with pytest.raises(NotRunning):
                it.signal(signal.SIGHUP)

    def test_signal_to_what_has_ended(self, mark: str) -> None:
        """A signal that nobody gets is an error."""
        with sh("sleep 1000 & echo up", mark) as it:
            eventually(lambda: it.exit_code == 0, "the main process has ended")
            with pytest.raises(NotRunning, match="everything=True"):
                it.signal(signal.SIGHUP)
            it.signal(signal.SIGTERM, everything=True)
            eventually(lambda: not it.running(), "all of it has")


class TestWait:
    @pytest.mark.parametrize("status", [0, 3, -15])
    def test_its_status(self, status: int, mark: str) -> None:
        """wait() returns how it ended; that is no death then."""
        end = "kill $$" if status < 0 else f"exit {status}"
        with sh(f"echo up; read go; echo last; {end}", mark) as it:
            with pytest.raises(TimeoutExpired, match=r"did not end within 0\.05 s"):
                it.wait(timeout=0.05)
            assert it.running()
            it.sendline("go")
            assert it.wait(15) == status == it.exit_code
            assert it.tail(1) == ["last"] and not it.running()
            assert it.wait() == status
            assert death_of(it) is None and stands_idle(it)

    def test_a_one_shot(self, mark: str) -> None:
        """It has ended already, and is not run again for that."""
        with SimpleExecutor(["sh", "-c", "exit 0", mark], one_shot=True) as it:
            assert it.wait() == 0
            assert not stands_idle(it) and death_of(it) is None

    def test_without_end(self, mark: str) -> None:
        """It ends by its timeout, by default the executor's; what is not running is refused."""
        it = SimpleExecutor(service("silent.py", mark), timeout=0.2)
        with pytest.raises(NotRunning):
            it.wait()
        with it:
            for timeout in (-1, float("nan"), "x"):
                with pytest.raises(InvalidArgument):
                    it.wait(timeout)  # type: ignore[arg-type]
            with pytest.raises(TimeoutExpired, match=r"0\.2 s"):
                it.wait()
            assert death_of(it) is None

    def test_its_keeper_is_killed(self, mark: str) -> None:
        """Then nobody knows its status."""
        with sh("echo up; sleep 1000", mark) as it:
            os.kill(keeper_pid(it), signal.SIGKILL)
            with pytest.raises(ProcessExited, match="keeper was killed"):
                it.wait(15)
            it.kill()


class TestOneShot:
    def test_until_is_true_for_a_moment(self, mark: str, tmp_path: Path) -> None:
        """What ``until`` asks counts if it has been true at any moment."""
        path, seen = tmp_path / "there", tmp_path / "seen"
        script = f"touch {path}; until test -e {seen}; do sleep 0.02; done; rm {path}; exit 0"

        def there(it: SimpleExecutor) -> bool:
            if found := path.exists():
                seen.touch()
            return found

        with SimpleExecutor(
            ["sh", "-c", script, mark], one_shot=True, until=there, timeout=60
        ) as it:
            assert it.exit_code == 0 and not path.exists() and not it.running()

    def test_until_comes_true_later(self, mark: str, tmp_path: Path) -> None:
        """Or after the exit, as long as there is time."""
        asked: list[float] = []

        def after_a_while(it: SimpleExecutor) -> bool:
            if it.exit_code is not None:
                asked.append(time.monotonic())
            return bool(asked) and asked[-1] - asked[0] > 0.3

        with SimpleExecutor(["sh", "-c", ":", mark], one_shot=True, until=after_a_while):
            pass
        with pytest.raises(TimeoutExpired, match=r"until= returned False"):
            SimpleExecutor(
                ["sh", "-c", ":", mark], one_shot=True, until=lambda e: False, timeout=0.3
            ).start()

    def test_until_of_one_that_fails(self, mark: str) -> None:
        """The status counts all the same, at once."""
        began = time.monotonic()
        with pytest.raises(ProcessExited, match="status 5"):
            SimpleExecutor(
                ["sh", "-c", "exit 5", mark], one_shot=True, until=lambda e: True
            ).start()
        assert time.monotonic() - began < 30

    def test_accepted_statuses(self, mark: str) -> None:
        """``expected_exit`` says which are a success."""
        for accepted in (3, [3, 4], {3, -15}):
            with SimpleExecutor(
                ["sh", "-c", "exit 3", mark], one_shot=True, expected_exit=accepted
            ) as it:
                assert it.exit_code == 3 and death_of(it) is None
        with pytest.raises(ProcessExited, match="status 3") as caught:
            SimpleExecutor(["sh", "-c", "exit 3", mark], one_shot=True, expected_exit=4).start()
        assert "its end with status 0 or 4 (one_shot=True)" in str(caught.value)
        with pytest.raises(ProcessExited, match="status 3"):
            OutputCoordinatedExecutor(
                ["sh", "-c", "exit 3", mark], "never", expected_exit=3
            ).start()


class TestWhatIsRun:
    @pytest.mark.parametrize(
        "command, shell, declared, run",
        [
            ("sleep   {port}", False, "sleep   {port}", "sleep 4711"),
            (["sleep", "{port}", "1.0"], False, "sleep '{port}' 1.0", "sleep 4711 1.0"),
            (["sh", "-c", "cat"], False, "sh -c cat", "sh -c cat"),
            ("exec sleep {port} | cat", True, "exec sleep {port} | cat", "exec sleep 4711 | cat"),
        ],
    )
    def test_command(self, command: Any, shell: bool, declared: str, run: str) -> None:
        """As it was written; while it runs with templates filled in.  Never the environment."""
        it = SimpleExecutor(command, shell=shell, port=4711, env={"KEY": "hunter2"}, name="it")
        for _ in range(2):
            assert it.command == declared and str(it) == f"<SimpleExecutor it: {declared}>"
            with it:
                assert it.command == run and str(it) == f"<SimpleExecutor it: {run}>"
                assert "hunter2" not in f"{it} {it!r} {it.command}"


def test_killed_as_declared(mark: str) -> None:
    """A stop signal of SIGKILL is no death, also at the end of a block; one before it is."""
    with sh("echo up; sleep 1000", mark, stop_signal=signal.SIGKILL) as it:
        it.restart()
    with pytest.raises(ProcessExited, match="was killed by SIGKILL before it was stopped"):
        with sh("echo up; sleep 1000", mark, stop_signal=signal.SIGKILL) as it:
            os.kill(it.pid, signal.SIGKILL)
            eventually(lambda: not it.running(), "its death")
