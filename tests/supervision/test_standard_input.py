"""What a service is told: all of it arrives, or send() says how much did."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from summon_testcase import (
    InvalidArgument,
    NotRunning,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
    TimeoutExpired,
)

from ..samples import alive, eventually, marked

MEGA = 1 << 20
BOTH = pytest.mark.parametrize("tty", [True, False], ids=["terminal", "pipes"])


def sh(script: str, mark: str, **options: Any) -> OutputCoordinatedExecutor:
    """A shell that says "up" first."""
    return OutputCoordinatedExecutor(["sh", "-c", f"echo up; {script}", mark], "up\n", **options)


def once_there(path: Path) -> str:
    """Shell words that go on once there is a file."""
    return f"until test -e {path}; do sleep 0.02; done"


class TestMuch:
    @pytest.mark.parametrize("size", [20 * MEGA, 70 * MEGA], ids=["20 MiB", "70 MiB"])
    def test_all_of_it_arrives(self, size: int, mark: str) -> None:
        """However much it is, and though nobody reads at first."""
        with sh("sleep 0.3; wc -c", mark, tty=False) as counts:
            counts.send("x" * size)
            counts.send_eof()
            assert counts.wait_for_output(r"(\d+)\n", timeout=60)[1] == str(size)

    def test_on_a_terminal(self, mark: str) -> None:
        """Lines wait in front of a terminal that is full."""
        with sh("sleep 0.3; wc", mark) as counts:
            counts.send(("x" * 999 + "\n") * 2000)
            counts.send_eof()
            found = counts.wait_for_output(r"(\d+) +\d+ +(\d+)\n", timeout=60)
            assert found.groups() == ("2000", "2000000")

    def test_short_ones_and_long_ones(self, mark: str) -> None:
        """Bytes are counted, not characters."""
        sizes = [0, 1, 3, (1 << 15) - 1, 1 << 15, (1 << 17) + 1, 1]
        with sh("wc -c", mark, tty=False) as counts:
            for size in sizes:
                counts.send("\u20ac" * size)
            counts.send_eof()
            assert counts.wait_for_output(r"(\d+)\n", timeout=60)[1] == str(3 * sum(sizes))


class TestNotTaken:
    @BOTH
    def test_nobody_reads(self, tty: bool, mark: str) -> None:
        """It ends by its timeout, says how much was taken, and drops the rest."""
        with sh("sleep 1000", mark, tty=tty, timeout=0.5) as deaf:
            for timeout in (None, 0.3):
                began = time.monotonic()
                with pytest.raises(TimeoutExpired, match="it does not read") as caught:
                    deaf.send("x" * 20 * MEGA + "\n", timeout)
                assert time.monotonic() - began < 10
                assert f"({caught.value.taken} of 20971521 bytes)" in caught.value.message
                assert caught.value.timeout == (timeout or 0.5)
            assert deaf.running()

    def test_one_that_reads_slowly(self, mark: str) -> None:
        """That it does not read at all is not said of what has taken more than any pipe holds."""
        reads = "for n in $(seq 9); do head -c 20000 >/dev/null; done; sleep 1000"
        with sh(reads, mark, tty=False) as slow:
            with pytest.raises(TimeoutExpired, match="or too slowly") as caught:
                slow.send("x" * MEGA, timeout=0.5)
            assert caught.value.taken

    def test_how_long_it_was_waited_for(self, mark: str) -> None:
        """The error tells how long the wait was, not how long the service had been running."""
        with sh("sleep 2; echo awake; sleep 1000", mark, tty=False) as deaf:
            deaf.wait_for_output("awake")
            for wait in (lambda: deaf.send("x" * MEGA, 0.1), lambda: deaf.wait(0.1)):
                with pytest.raises(TimeoutExpired) as caught:
                    wait()
                assert caught.value.report is not None
                assert 0.1 <= (caught.value.report.seconds or 0) < 2

    def test_what_was_taken_is_true(self, mark: str, tmp_path: Path) -> None:
        """Exactly that many bytes arrive, and then what is sent next."""
        go = tmp_path / "go"
        with sh(f"{once_there(go)}; wc -c", mark, tty=False) as late:
            with pytest.raises(TimeoutExpired) as caught:
                late.send("x" * 20 * MEGA, timeout=0.2)
            go.touch()
            assert 0 < (caught.value.taken or 0) < MEGA
            late.send("y")
            late.send_eof()
            expected = (caught.value.taken or 0) + 1
            assert int(late.wait_for_output(r"(\d+)\n", timeout=30)[1]) == expected

    def test_it_ends_meanwhile(self, mark: str) -> None:
        """Whoever sends to what has ended is told how it ended."""
        with sh("head -c 300000 > /dev/null; exit 3", mark, tty=False) as short:
            with pytest.raises(ProcessExited, match="status 3 before it had taken") as caught:
                while True:
                    short.send("x" * MEGA, timeout=30)
            assert 300000 <= (caught.value.taken or 0) < MEGA
            with pytest.raises(ProcessExited):
                short.send("more")
            assert short.wait(15) == 3

    def test_it_has_closed_its_input(self, mark: str) -> None:
        """A service that lives, but reads no more."""
        with sh("exec < /dev/null; echo closed; sleep 1000", mark, tty=False) as closed:
            closed.wait_for_output("closed", timeout=15)
            with pytest.raises(NotRunning, match=r"has closed its standard input"):
                closed.send("x")
            assert closed.running()

    def test_no_text(self, mark: str) -> None:
        """What is no text is refused before anything is sent."""
        with sh("cat", mark) as echo:
            for wrong in (b"x", None, 3, "\udc80"):
                with pytest.raises(InvalidArgument, match=r"send\(\) was given"):
                    echo.send(wrong)  # type: ignore[arg-type]
                with pytest.raises(InvalidArgument, match=r"send\(\) was given"):
                    echo.sendline(wrong)  # type: ignore[arg-type]
            for timeout in (-1, float("nan"), "1"):
                with pytest.raises(InvalidArgument, match="timeout="):
                    echo.send("x", timeout)  # type: ignore[arg-type]
            assert echo.running()


class TestInterrupted:
    def test_by_a_signal(self, mark: str, tmp_path: Path) -> None:
        """Ctrl-C ends a send that blocks; what is sent later arrives, after what was taken."""
        go = tmp_path / "go"
        with sh(f"{once_there(go)}; tr -d x", mark, tty=False) as late:

            def interrupt(number: int, frame: object) -> None:
                raise KeyboardInterrupt

            before = signal.signal(signal.SIGALRM, interrupt)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                with pytest.raises(KeyboardInterrupt):
                    late.send("x" * 20 * MEGA)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            go.touch()
            late.send("later")
            late.send_eof()
            assert late.wait_for_output(r".+", timeout=30)[0] == "later"

    def test_a_handler_sends_too(self, mark: str, tmp_path: Path) -> None:
        """A handler does not wait for the send that it interrupts."""
        go = tmp_path / "go"
        with sh(f"{once_there(go)}; tr -d x", mark, tty=False) as late:

            def send(number: int, frame: object) -> None:
                go.touch()
                late.send("handler", timeout=20)

            before = signal.signal(signal.SIGALRM, send)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                late.send("x" * MEGA)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            late.send_eof()
            assert late.wait_for_output(r".+", timeout=30)[0] == "handler"

    def test_two_threads(self, mark: str) -> None:
        """What one thread sends is not mixed into what another does."""
        with sh("uniq -c", mark, tty=False) as counts:
            texts = [f"{word}\n" * 100_000 for word in ("one", "two", "three", "four")]
            threads = [threading.Thread(target=counts.send, args=(text,)) for text in texts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            counts.send_eof()
            eventually(lambda: not counts.running(), "it has ended")
            assert sorted(line.split()[0] for line in counts.tail()[1:]) == ["100000"] * 4


class TestTheEnd:
    @BOTH
    @pytest.mark.parametrize("last", ["", "\n", "unfinished"], ids=["none", "finished", "open"])
    def test_it_is_read(self, tty: bool, last: str, mark: str) -> None:
        """The end of input is one, whatever the last line is."""
        program = "import sys; print('up', flush=True); print(repr(sys.stdin.read()))"
        command = [sys.executable, "-Sc", program, mark]
        with OutputCoordinatedExecutor(command, "up\n", tty=tty) as reader:
            reader.send(f"one\ntwo{last}" if last else "")
            reader.send_eof()
            text = reader.wait_for_output(".+", timeout=15)[0]
            assert text == repr(f"one\ntwo{last}" if last else "")
            eventually(lambda: not reader.running(), "it ends by itself")
            assert reader.exit_code == 0

    def test_a_terminal_goes_on(self, mark: str) -> None:
        """After the end of input on a terminal, more can be read."""
        with sh("cat; echo between; cat; echo end", mark) as twice:
            twice.send("a")
            twice.send_eof()
            twice.wait_for_output("abetween\n", timeout=15)
            twice.sendline("b")
            twice.send_eof()
            twice.wait_for_output("b\nend\n", timeout=15)

    def test_another_character(self, mark: str) -> None:
        """What the service has made the character for it."""
        with sh("stty eof ^Y; echo set; cat; echo end", mark) as other:
            other.wait_for_output("set\n", timeout=15)
            other.send("x")
            other.send_eof()
            other.wait_for_output("xend\n", timeout=15)

    def test_a_pipe_is_closed(self, mark: str) -> None:
        """Nothing can be sent after it, and to end it again does nothing."""
        with sh("cat; echo end; sleep 1000", mark, tty=False) as once:
            once.send("x")
            once.send_eof()
            once.wait_for_output("xend\n", timeout=15)
            once.send_eof()
            with pytest.raises(NotRunning, match=r"send_eof\(\) has"):
                once.send("more")

    def test_nobody_reads(self, mark: str) -> None:
        """On a terminal that is full the end does not come through, either."""
        with sh("sleep 1000", mark) as deaf:
            with pytest.raises(TimeoutExpired):
                deaf.send("x\n" * MEGA, timeout=0.3)
            with pytest.raises(TimeoutExpired, match="the end of its input"):
                deaf.send_eof(timeout=0.3)

    def test_not_running(self) -> None:
        """There is nobody to tell."""
        with pytest.raises(NotRunning):
            SimpleExecutor("cat").send_eof()


class TestNoInput:
    @BOTH
    def test_it_is_empty(self, tty: bool, mark: str) -> None:
        """With ``stdin=None`` it reads the end at once; its output is what it always is."""
        script = "readlink /proc/self/fd/0; cat; test -t 1 && echo terminal; echo end; sleep 1000"
        with sh(script, mark, tty=tty, stdin=None) as empty:
            empty.wait_for_output("end\n", timeout=15)
            said = ["up", "/dev/null", *(["terminal"] if tty else []), "end"]
            assert empty.tail() == said
            for call in (lambda: empty.send("x"), lambda: empty.send(""), empty.send_eof):
                with pytest.raises(InvalidArgument, match="stdin=None"):
                    call()
            pid = empty.pid
        assert not alive(pid) and not marked(mark)

    def test_what_it_may_be(self) -> None:
        """Anything else is refused."""
        for wrong in ("x", 3, sys.stdin, False):
            with pytest.raises(InvalidArgument, match="stdin="):
                SimpleExecutor("cat", stdin=wrong)  # type: ignore[arg-type]
