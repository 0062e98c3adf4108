"""What tests do with services; the lines while services start; programs that are missing."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
import tempfile
import time
import unittest
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from pyfakefs import fake_filesystem_unittest

from summon_testcase import (
    CommandCoordinatedExecutor,
    NotRunning,
    OutputCoordinatedExecutor,
    PostgreSQL,
    SimpleExecutor,
    SummonTestCase,
    TCPCoordinatedExecutor,
    TimeoutExpired,
)

from ..cases import run
from ..samples import eventually, service, status


def repl(**options: Any) -> OutputCoordinatedExecutor:
    return OutputCoordinatedExecutor(service("repl.py", "x"), "> ", **options)


class ReplTest(SummonTestCase):
    """Services to which a test sends text."""

    repl = repl()
    python = OutputCoordinatedExecutor(
        [sys.executable, "-i", "-q"],
        r">>> ",
        env={"PYTHON_BASIC_REPL": "1", "PYTHONSTARTUP": None},
    )
    asks = OutputCoordinatedExecutor(service("password.py", "x"), "Password: ", scope="test")

    def test_a_repl(self) -> None:
        """Python's own REPL computes what it is sent, and remembers it."""
        self.python.sendline("x = 6 * 7")
        self.python.sendline("print('x is', x)")
        self.assertOutput(self.python, r"^(>>> )*x is 42$")
        self.assertNoOutput(self.python, "Error")
        self.python.sendline("y")
        match = self.assertOutput(self.python, r"(\w+): name 'y' is not defined")
        self.assertEqual(match[1], "NameError")

    def test_a_password_prompt(self) -> None:
        """A prompt on /dev/tty is answered; the answer is not echoed."""
        self.asks.sendline("secret")
        self.assertOutput(self.asks, r"got 6 characters")
        self.assertNoOutput(self.asks, "secret")

    def test_output_that_does_not_come(self) -> None:
        """assertOutput fails after its own time with what was waited for, and the last lines."""
        self.repl.sendline("word")
        self.assertOutput(self.repl, "WORD")
        began = time.monotonic()
        with self.assertRaises(AssertionError) as caught:
            self.assertOutput(self.repl, "never", timeout=0.2, msg="the reason")
        self.assertLess(time.monotonic() - began, 5)
        for words in ("repl: output matching 'never' did not come within 0.2 s", "WORD", "reason"):
            self.assertIn(words, str(caught.exception))
        self.assertTrue(caught.exception.__suppress_context__)

    def test_output_that_should_not_come(self) -> None:
        """assertNoOutput fails with the whole line that matches, at once."""
        self.repl.sendline("one two three")
        self.assertOutput(self.repl, "THREE")
        self.assertNoOutput(self.repl, ["FOUR", re.compile("five")])
        with self.assertRaisesRegex(
            AssertionError, "repl wrote what matches 'W.': '(> )?ONE TWO THREE' : the reason"
        ):
            self.assertNoOutput(self.repl, ["FOUR", "W."], msg="the reason")

    def test_output_over_a_progress_bar(self) -> None:
        """assertNoOutput sees a line where the screen shows one, as assertOutput does."""
        self.python.sendline(r"print('10%\r\x1b[KERROR: full')")
        self.assertOutput(self.python, "^ERROR: full$")
        with self.assertRaisesRegex(AssertionError, "ERROR: full"):
            self.assertNoOutput(self.python, "^ERROR")

    def test_output_that_came_just_now(self) -> None:
        """assertNoOutput knows everything that was written before it was called."""
        missed = []
        for number in range(50):
            with tempfile.TemporaryDirectory() as directory:
                # the file is there once the line has been written
                path = os.path.join(directory, "file")
                self.python.sendline(f"_ = print('no', {number}, flush=True), open({path!r}, 'w')")
                while not os.path.exists(path):
                    pass
                try:
                    self.assertNoOutput(self.python, rf"^(>>> )*no {number}$")
                except AssertionError:
                    continue
                missed.append(number)
        self.assertEqual(missed, [])

    def test_not_running(self) -> None:
        """Both say that a service is not running."""
        for check in (self.assertOutput, self.assertNoOutput):
            with self.assertRaises(NotRunning):
                check(repl(), "word")


class MarksTest(unittest.TestCase):
    """Where in the output assertions begin."""

    def test_each_test_begins_anew(self) -> None:
        """Assertions of a test ignore output that an earlier test has caused."""

        class Case(SummonTestCase):
            repl = repl()

            def test_1(self) -> None:
                self.repl.sendline("word")
                with self.repl.paused():
                    pass
                eventually(lambda: "WORD" in " ".join(self.repl.tail()), "the output")

            def test_2(self) -> None:
                self.assertNoOutput(self.repl, "WORD")
                with self.assertRaises(AssertionError):
                    self.assertOutput(self.repl, "WORD", timeout=0.05)
                with self.assertRaises(TimeoutExpired):
                    self.repl.wait_for_output("WORD", timeout=0.05)

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))

    def test_the_first_test_sees_what_came_since_it_was_ready(self) -> None:
        """Lines after readiness, before the first test, are there for it to wait for."""

        class Case(SummonTestCase):
            server = OutputCoordinatedExecutor(
                ["sh", "-c", "echo up; echo then; exec sleep 100"], "up\n"
            )

            @classmethod
            def setUpClass(cls) -> None:
                eventually(lambda: "then" in cls.server.tail(), "the line")

            def test(self) -> None:
                self.assertOutput(self.server, "then")
                self.assertNoOutput(self.server, "then")

        result = run(Case)
        self.assertEqual((result.errors, result.failures), ([], []))

    def test_a_failed_assertion_is_a_failure(self) -> None:
        """A failed assertion is a failure, no error, also when the service ends."""

        class Mine(AssertionError):
            pass

        class Case(SummonTestCase):
            failureException = Mine
            server = repl(restart=True)

            def test_1(self) -> None:
                self.server.sendline("quit")
                self.assertOutput(self.server, "never", timeout=10)

            def test_2(self) -> None:
                self.server.sendline("word")
                self.assertOutput(self.server, "WORD")
                self.assertNoOutput(self.server, "WORD")

        with self.assertLogs("summon_testcase"):
            result = run(Case)
        self.assertEqual((result.errors, len(result.failures)), ([], 2))
        for _, text in result.failures:
            self.assertIn("Mine: server", text)
            for path in re.findall(r"full log: (\S+)", text):
                if os.path.exists(path):
                    os.unlink(path)


class FaultsTest(SummonTestCase):
    """Faults that a test causes."""

    server = OutputCoordinatedExecutor(
        ["sh", "-c", "sleep 1000 & echo up; wait"], "up", expected_exit=143
    )

    def test_paused_and_continued(self) -> None:
        """All of its processes are stopped in the block, and run after it, even if it raises."""
        with self.assertRaises(ValueError):
            with self.server.paused():
                self.assertEqual(status(self.server.pid)[0], "T")
                raise ValueError
        eventually(lambda: status(self.server.pid)[0] != "T", "going on")

    def test_killed(self) -> None:
        """After kill() it is not running, and says so."""
        self.server.kill()
        self.assertFalse(self.server.running())
        self.assertEqual(self.server.exit_code, -signal.SIGKILL)

    def test_stopped(self) -> None:
        """In the block it is not running; after it, it is."""
        with self.server.stopped():
            self.assertFalse(self.server.running())
        self.assertTrue(self.server.running())


class EndedTest(unittest.TestCase):
    """A service that a test wants to end."""

    def test_waited_for(self) -> None:
        """It is no death, whatever its status; the next test has another run of it."""

        class Case(SummonTestCase):
            repl = repl()
            fails = OutputCoordinatedExecutor(["sh", "-c", "echo up; read x; exit 3"], "up\n")

            def test_1(self) -> None:
                self.repl.sendline("quit")
                self.assertEqual(self.repl.wait(15), 0)
                self.fails.sendline()
                self.assertEqual(self.fails.wait(15), 3)

            def test_2(self) -> None:
                self.repl.sendline("one")
                self.assertOutput(self.repl, "ONE")
                self.assertTrue(self.fails.running())
                self.repl.send_eof()
                self.assertEqual(self.repl.wait(15), 0)

        result = run(Case)
        self.assertTrue(result.wasSuccessful(), result.errors)

    def test_not_waited_for(self) -> None:
        """The error says what such a test should do."""

        class Case(SummonTestCase):
            repl = repl()

            def test_1(self) -> None:
                self.repl.sendline("quit")
                self.repl.wait_for_output("bye", timeout=15)
                eventually(lambda: not self.repl.running(), "it has ended")

        [(_, said)] = run(Case).errors
        self.assertIn("call its stop() afterwards", said)


class MissingTest(unittest.TestCase):
    """Programs that are not installed."""

    def run_with(self, value: str | None, **attributes: Any) -> unittest.TestResult:
        attributes["test"] = lambda case: None
        case = type("Case", (SummonTestCase,), attributes)
        with mock.patch.dict(os.environ):
            os.environ.pop("SUMMON_FORBID_SKIPS", None)
            if value is not None:
                os.environ["SUMMON_FORBID_SKIPS"] = value
            return run(case)

    def missing(self, **options: Any) -> dict[SimpleExecutor, str]:
        """Executors for which a program is missing, and the words of the error."""
        known = ["/bin/sh", "etcd", "no-such-tool"]
        return {
            SimpleExecutor("memcached", **options): "install the Debian package memcached",
            SimpleExecutor("/nowhere/postgres", **options): "no file '/nowhere/postgres'",
            SimpleExecutor("./no-such-script", **options): "does not exist in",
            SimpleExecutor("no-such-thing", **options): "install it, or write its full path",
            SimpleExecutor("wait 3", **options): "'wait' is no program but a word of the shell: ",
            SimpleExecutor("/bin/true", requires="etcd", **options): "package etcd-server",
            SimpleExecutor("/bin/true", requires=known, **options): "package etcd-server",
            SimpleExecutor("/bin/true", requires="./tool", **options): "does not exist in",
            CommandCoordinatedExecutor("/bin/sleep 9", "pg_isready", **options): "postgresql-cl",
            PostgreSQL(bindir="/nowhere", **options): "the Debian package postgresql",
        }

    def setUp(self) -> None:
        # with this PATH only programs beside Python, or in sbin, are found
        patch = mock.patch.dict(os.environ, PATH="/usr/lib/nowhere:/bin/none")
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_missing_program_is_an_error(self) -> None:
        """A command or requirement that is not found is an error that says what to install."""
        for declared, reason in self.missing().items():
            result = self.run_with(None, server=declared)
            self.assertEqual((len(result.errors), result.skipped), (1, []))
            self.assertRegex(result.errors[0][1], rf"server: .*{reason}")

    def test_an_optional_one_skips(self) -> None:
        """With optional=True it skips, unless skips are forbidden; the reason is the same."""
        for declared, reason in self.missing(optional=True).items():
            for value in (None, "", "0"):
                result = self.run_with(value, server=declared)
                self.assertEqual((result.errors, len(result.skipped)), ([], 1))
                self.assertRegex(result.skipped[0][1], rf"^server: .*{reason}")
            result = self.run_with("1", server=declared)
            self.assertEqual((len(result.errors), result.skipped), (1, []))

    def test_what_is_there_but_cannot_run_is_an_error(self) -> None:
        """A directory, or a file that may not be executed, is not missing."""
        for command in ("/tmp", "/etc/passwd"):
            result = self.run_with(None, server=SimpleExecutor(command, optional=True))
            self.assertEqual((len(result.errors), result.skipped), (1, []))
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "server").touch(0o644)
            Path(directory, "link").symlink_to("/no/such")
            env = {"PATH": f"/no/such:{directory}"}
            for word, said in ("server", "may not be executed"), ("link", "is a link to /no/such"):
                server = SimpleExecutor(word, env=env, optional=True)
                result = self.run_with(None, server=server)
                self.assertEqual((len(result.errors), result.skipped), (1, []))
                self.assertIn(f"'{directory}/{word}' {said}", result.errors[0][1])
            Path(directory, "directory").mkdir()
            server = SimpleExecutor("directory", env=env, optional=True)
            self.assertEqual(len(self.run_with(None, server=server).skipped), 1)

    def test_a_skip_hides_nothing(self) -> None:
        """The error of another service is not hidden by the skip for an optional one."""
        result = self.run_with(
            None,
            cache=SimpleExecutor("no-such-cache", optional=True),
            web=SimpleExecutor("no-such-web"),
        )
        self.assertEqual((len(result.errors), result.skipped), (1, []))
        self.assertIn("web: command not found", result.errors[0][1])

    def test_what_has_run_does_not_skip(self) -> None:
        """A program that vanishes after its service has run is an error."""
        with tempfile.TemporaryDirectory() as directory:
            program = Path(directory, "server")
            program.write_text("#!/bin/sh\nexec /bin/sleep 1000\n")
            program.chmod(0o755)
            server = SimpleExecutor(["server"], env={"PATH": directory}, optional=True)
            self.assertTrue(self.run_with(None, server=server).wasSuccessful())
            program.unlink()
            result = self.run_with(None, server=server)
        self.assertEqual((len(result.errors), result.skipped), (1, []))

    def test_a_replaced_search_skips_nothing(self) -> None:
        """Patches of shutil.which, or of the file system, have no effect on the search."""
        echo = SimpleExecutor(["/bin/echo", "here"], requires="sh", optional=True)
        os.environ["PATH"] = "/usr/bin:/bin"
        with mock.patch("shutil.which", return_value=None):
            self.assertEqual(self.run_with(None, server=echo).skipped, [])
        with fake_filesystem_unittest.Patcher():
            result = self.run_with(None, server=SimpleExecutor("echo here", optional=True))
        self.assertEqual((result.errors, result.skipped), ([], []))

    def test_the_suite_agrees(self) -> None:
        """tests/needs.py understands the variable as the library does."""
        from summon_testcase.unpatched import switched_on

        from ..needs import skips_are_forbidden

        for value in ("", "0", "1", "yes"):
            with mock.patch.dict(os.environ, SUMMON_FORBID_SKIPS=value):
                self.assertEqual(skips_are_forbidden(), switched_on("SUMMON_FORBID_SKIPS"))


#: a server that is up, though not as the test expects it
LISTENS_ELSEWHERE = "import socket; s = socket.create_server(('127.0.0.1', 0)); s.accept()"


class ProgressTest(unittest.TestCase):
    """Lines on standard error, and log records, while services start."""

    def said(self, executor: Any, stream: Any = None, **env: str) -> str:
        """The lines that a start writes to standard error; it writes none to standard output."""
        out, err = io.StringIO(), stream or io.StringIO()
        with mock.patch.dict(os.environ, env), redirect_stdout(out), redirect_stderr(err):
            with self.assertRaises(TimeoutExpired) as caught:
                executor.start()
        assert caught.exception.report is not None
        os.unlink(caught.exception.report.log_path)
        self.assertEqual(out.getvalue(), "")
        return err.getvalue()

    def slow(self, timeout: float) -> TCPCoordinatedExecutor:
        command = service("silent.py", "x", "{port}")
        return TCPCoordinatedExecutor(command, name="slow", timeout=timeout)

    def test_a_slow_start_says_what_it_waits_for(self) -> None:
        """After a second one line, where the variable asks for it."""
        said = self.said(self.slow(1.5), SUMMON_VERBOSE="1")
        self.assertRegex(said, r"\Asumm\w+: waiting for slow: .*127\.0\.0\.1:\d+.* \(1 s\)\n\Z")

    def test_what_looks_wrong(self) -> None:
        """A typical last word stands in the line; and that there is no sign of life at all."""
        script = "echo warming up; echo '[Errno 98] Address already in use'; echo bye; sleep 100"
        stuck = OutputCoordinatedExecutor(script, "never", shell=True, name="stuck", timeout=0.8)
        with mock.patch("summon_testcase.readiness.progress.MOMENTS", (0.3,)):
            said = self.said(stuck, SUMMON_VERBOSE="1")
            self.assertRegex(said, r" \(0 s\); it wrote: \[Errno 98\] Address already in use\n\Z")
            mute = OutputCoordinatedExecutor("sleep 100", "never", name="mute", timeout=0.8)
            self.assertRegex(self.said(mute, SUMMON_VERBOSE="1"), r"\(0 s\)\n\Z")
            with mock.patch("summon_testcase.supervision.failures.SILENCE", 0.1):
                said = self.said(mute, SUMMON_VERBOSE="1")
                self.assertRegex(said, r"; it has written nothing, and listens nowhere\n\Z")
                talks = OutputCoordinatedExecutor(
                    "echo starting; sleep 100", "never", shell=True, name="talks", timeout=0.8
                )
                self.assertRegex(self.said(talks, SUMMON_VERBOSE="1"), r"\(0 s\)\n\Z")
                server = [sys.executable, "-c", LISTENS_ELSEWHERE]
                busy = OutputCoordinatedExecutor(server, "never", name="busy", timeout=0.8)
                self.assertRegex(self.said(busy, SUMMON_VERBOSE="1"), r"\(0 s\)\n\Z")

    def test_one_that_only_events_can_end(self) -> None:
        """Even if no message ends the wait, the line comes in time, and again later."""
        silent = OutputCoordinatedExecutor(service("silent.py", "x"), "never", timeout=0.8)
        with mock.patch("summon_testcase.readiness.progress.MOMENTS", (0.1, 0.5)):
            said = self.said(silent, SUMMON_VERBOSE="1")
        self.assertEqual(len(re.findall(r"waiting for \S+: 0 bytes of.* \(\d s\)\n", said)), 2)

    def test_on_a_terminal(self) -> None:
        """On a terminal the line comes without the variable."""
        terminal = mock.Mock(wraps=io.StringIO(), isatty=lambda: True)
        with mock.patch("summon_testcase.readiness.progress.MOMENTS", (0.1,)):
            said = self.said(self.slow(0.3), terminal, SUMMON_VERBOSE="")
        self.assertIn("waiting for slow", said)

    def test_nothing_is_said_by_default(self) -> None:
        """No line comes on a pipe, or with the variable set to 0, or for a fast start."""
        with mock.patch("summon_testcase.readiness.progress.MOMENTS", (0.1,)):
            for value in ("", "0"):
                self.assertEqual(self.said(self.slow(0.3), SUMMON_VERBOSE=value), "")
        self.assertEqual(self.said(self.slow(0.3), SUMMON_VERBOSE="1"), "")

    def test_without_standard_error(self) -> None:
        """A start succeeds where standard error is closed, or takes no text."""
        closed = io.StringIO()
        closed.close()
        for stream in (None, closed, io.BytesIO(), object()):
            ready = partial(lambda moment, _: time.monotonic() > moment, time.monotonic() + 0.3)
            slow = SimpleExecutor(service("silent.py", "x"), until=ready)
            with (
                mock.patch.dict(os.environ, SUMMON_VERBOSE="1"),
                mock.patch("summon_testcase.readiness.progress.MOMENTS", (0.1,)),
                mock.patch.object(sys, "stderr", stream),
                slow,
            ):
                self.assertTrue(slow.running())

    def test_logging(self) -> None:
        """The logger has start, ready and stop, with durations."""
        with self.assertLogs("summon_testcase", logging.INFO) as logs:
            with SimpleExecutor("sleep 100", name="db"):
                pass
        self.assertEqual(
            [re.sub(r"\d+\.\d{3} s", "N s", record.getMessage()) for record in logs.records],
            ["db: starting", "db: ready after N s", "db: stopped after N s"],
        )


if __name__ == "__main__":
    unittest.main()
