"""The sample module under real runners, each a process of its own.

Whatever hooks a runner calls: every service that starts also stops, nothing is alive when
the runner is gone, and its exit code tells whether the tests passed.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import summon_testcase

from .needs import give_up
from .samples import BARE, eventually, having

if TYPE_CHECKING:
    _TestCase = unittest.TestCase
else:
    _TestCase = object

SAMPLE = Path(__file__).resolve().parent / "runners" / "sample"
#: where the package under test is
PACKAGE = str(Path(summon_testcase.__file__).resolve().parent.parent)
#: the words that failing tests of the sample send to its service
REPORTED = ("body", "clean-up", "error", "set-up", "sub-test", "tear-down", "async", "own")
#: the whole of a run; they take two seconds
TIMEOUT = 60


class Outcome(NamedTuple):
    """The results of a run of the sample."""

    status: int
    output: str
    #: lines of the sample's log: "start NAME PID", "stop NAME PID", "test CLASS.METHOD", ...
    log: list[str]
    #: where the log was, which also marks the environment of all that the run started
    log_path: str

    def names(self, kind: str) -> Counter[str]:
        """How often each name stands in the log after a word."""
        return Counter(line.split()[1] for line in self.log if line.startswith(f"{kind} "))

    def alive(self) -> set[int]:
        """The processes of the run that live: services, keepers and all others."""
        return set(having(self.log_path, "environ"))


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


class Checks(_TestCase):
    """The tests for every runner; the classes below say how each runner is called."""

    #: arguments for Python; ``{modules}``, ``{files}`` and ``{pattern}`` name what is to run,
    #: ``{tmpdir}`` a directory to write to
    command: list[str]
    #: what to install from PyPI
    package = ""
    #: the words by which it reports three skipped tests
    skips = r"skipped=3"
    #: whether it ever calls setUpClass
    calls_set_up_class = True
    #: its report of tests whose output has odd characters
    unencodable = r"failures=5"
    #: its exit code after Ctrl-C
    interrupted = -signal.SIGINT

    def setUp(self) -> None:
        module = self.command[1]
        if not is_installed(module):
            give_up(f"{module} is not installed (pip install {self.package})")

    def run_modules(self, *modules: str, **more: str) -> Outcome:
        """Run modules of the sample, with every warning an error; `more` is environment."""
        with tempfile.TemporaryDirectory() as tmpdir:
            words = {
                "{modules}": list(modules),
                "{files}": [f"{module}.py" for module in modules],
                "{pattern}": [f"^({'|'.join(modules)})$"],
            }
            arguments = [
                word.replace("{tmpdir}", tmpdir)
                for argument in self.command
                for word in words.get(argument, [argument])
            ]
            log = Path(tmpdir, "log")
            log.touch()
            # variables of a pytest that runs this test are not for the runner inside
            # "CI" changes what pytest prints
            foreign = ("PYTEST_", "CI", "BUILD_NUMBER")
            env = {key: os.environ[key] for key in os.environ if not key.startswith(foreign)}
            done = subprocess.run(
                [sys.executable, "-X", "dev", "-W", "error", *arguments],
                cwd=SAMPLE,
                env={
                    **env,
                    "TMPDIR": tmpdir,
                    "SAMPLE_LOG": str(log),
                    "PYTHONPATH": os.pathsep.join([PACKAGE, env.get("PYTHONPATH", "")]),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **BARE,
                    **more,
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=TIMEOUT,
                check=False,
            )
            lines = log.read_text().splitlines()
            return Outcome(done.returncode, done.stdout, lines, str(log))

    def run_sample(self, *modules: str) -> Outcome:
        """Run modules, and check what holds for every run."""
        outcome = self.run_modules(*modules)
        with self.subTest("each start has its stop"):
            self.assertTrue(outcome.names("start"), outcome.output)
            self.assertEqual(outcome.names("start"), outcome.names("stop"), outcome.output)
        with self.subTest("nothing is alive a moment after"):
            eventually(lambda: not outcome.alive(), outcome.output)
        with self.subTest("nobody complains"):
            for complaint in ("ResourceWarning", "Exception ignored", "RuntimeWarning"):
                self.assertNotIn(complaint, outcome.output)
        return outcome

    def test_tests_that_pass(self) -> None:
        """All tests of two modules run with their services, once each; the run succeeds."""
        outcome = self.run_sample("sample_first", "sample_second")
        self.assertEqual(outcome.status, 0, outcome.output)
        self.assertEqual(
            outcome.names("test"),
            Counter(
                [
                    "Dependent.test_front_asks_back",
                    "Dependent.test_back",
                    "Forgetful.test_lone",
                    "Parent.test_shared",
                    "Child.test_shared",
                    "Child.test_own",
                    "Asynchronous.test_answer",
                    "Elsewhere.test_elsewhere",
                    "Heir.test_shared",
                    "Heir.test_heir",
                ]
            ),
            outcome.output,
        )
        self.assertRegex(outcome.output, self.skips)
        # once per class that declares the service; services of skipped tests never start
        self.assertEqual(
            outcome.names("start"),
            Counter(front=1, back=1, lone=3, shared=3, extra=2, own=1),
            outcome.output,
        )

    def test_tests_that_fail(self) -> None:
        """A run with a start, a test and a setUpClass that fail fails; other classes pass."""
        outcome = self.run_sample("sample_broken")
        self.assertEqual(outcome.status, 1, outcome.output)
        expected = Counter(
            [
                "Bystander.test_passes",
                "Failing.test_fails",
                "Failing.test_passes",
                "Successor.test_passes",
            ]
        )
        if not self.calls_set_up_class:
            expected["RaisingSetUpClass.test_its_class_raises"] = 1
        self.assertEqual(outcome.names("test"), expected, outcome.output)
        self.assertEqual(outcome.names("tried"), Counter(broken=1), "the start is paid once")
        for name in ("CannotStart", "test_one", "test_two", "Failing", "test_fails"):
            self.assertIn(name, outcome.output)
        self.assertRegex(outcome.output, r"ProcessExited.*\bbroken\b")

    def test_ctrl_c(self) -> None:
        """Ctrl-C in a test ends the run, and everything stops."""
        outcome = self.run_sample("sample_interrupted")
        self.assertEqual(outcome.status, self.interrupted, outcome.output)
        self.assertEqual(
            outcome.names("test"),
            Counter(["Before.test_before", "Interrupted.test_interrupted"]),
            outcome.output,
        )

    def test_scopes(self) -> None:
        """Services start once for a test, a module or the run, as declared, and all stop."""
        outcome = self.run_sample("sample_scopes", "sample_scopes_elsewhere")
        self.assertEqual(outcome.status, 0, outcome.output)
        self.assertEqual(
            outcome.names("test"),
            Counter(
                [
                    "Shared.test_all",
                    "SharedAgain.test_all",
                    "SharedAgain.test_lone",
                    "Elsewhere.test_all",
                    "Elsewhere.test_lone",
                ]
            ),
            outcome.output,
        )
        self.assertEqual(
            outcome.names("start"), Counter(hub=1, area=2, lone=2, own=5), outcome.output
        )

    def test_reports(self) -> None:
        """The report of a test that fails has what services wrote in it, and who died."""
        outcome = self.run_modules("sample_reports")
        said = outcome.output
        self.assertEqual(outcome.status, 1, said)
        eventually(lambda: not outcome.alive(), "nothing is alive")
        for words in REPORTED:
            with self.subTest(words):
                self.assertEqual(said.count(f"| talker was asked: GET /said-in-{words}-"), 1, said)
        for words in ("silent wrote", "| talker was asked: GET /said-in-passing-"):
            self.assertNotIn(words, said)
        for name, count in {"mortal": 1, "quiet": 1, "phoenix": 2}.items():
            self.assertEqual(outcome.names("start")[name], count, said)
        ran = outcome.names("test")
        for after in ("Dying.test_2_after", "Dying.test_3_after", "DyingTwice.test_4_after"):
            self.assertEqual(ran[after], 0)
        for death in (
            "mortal: was killed by SIGKILL during Dying.test_1_dies",
            "quiet: was killed by SIGABRT during DyingUnnoticed.test_1_passes",
            "phoenix: was killed by SIGQUIT during DyingTwice.test_3_dies",
        ):
            self.assertRegex(said, f"ProcessExited: {death}")
        self.assertIn(
            "phoenix: was killed by SIGQUIT during DyingTwice.test_1_dies; started again before "
            "DyingTwice.test_2_fails (restart=)",
            said,
        )

    def test_output_that_cannot_be_encoded(self) -> None:
        """Characters that the runner's output cannot encode are spelt out, and no others."""
        for encoding, cafe in {
            "ascii": r"caf\xe9 \u2713 \U0001f600",
            "utf-8": "caf\xe9 \u2713 \U0001f600",
        }.items():
            outcome = self.run_modules("sample_unencodable", PYTHONIOENCODING=encoding)
            said = outcome.output
            self.assertEqual(outcome.status, 1, said)
            self.assertNotIn("UnicodeEncodeError", said)
            for words in ("one", "two", "three", "four", "five", "six", "die", "broken"):
                self.assertIn(f"{cafe} {words}", said)
            self.assertRegex(said, self.unencodable)


class UnittestTest(Checks, unittest.TestCase):
    command = ["-m", "unittest", "{modules}"]


class PytestTest(Checks, unittest.TestCase):
    command = ["-m", "pytest", "-c", os.devnull, "-p", "no:cacheprovider", "-v", "{files}"]
    package = "pytest"
    skips = r"\b3 skipped"
    unencodable = r"9 failed, 2 passed, 1 error"
    interrupted = 2


class Nose2Test(Checks, unittest.TestCase):
    command = ["-m", "nose2", "{modules}"]
    package = "nose2"


class NoseTest(Checks, unittest.TestCase):
    command = ["-m", "nose", "{files}"]
    package = "pynose"
    skips = r"SKIP=3"
    interrupted = 0  # it takes Ctrl-C for the end of the tests, and says OK


class ZopeTest(Checks, unittest.TestCase):
    command = ["-m", "zope.testrunner", "--test-path", ".", "--tests-pattern", "{pattern}"]
    package = "zope.testrunner"
    skips = r"\b3 skipped"
    unencodable = r"with 5 failures"
    calls_set_up_class = False


class TrialTest(Checks, unittest.TestCase):
    command = ["-m", "twisted.trial", "--temp-directory", "{tmpdir}/trial", "{modules}"]
    package = "twisted"
    skips = r"skips=3"
    calls_set_up_class = False

    def test_its_own_testcase(self) -> None:
        """With trial's TestCase the services start, or fail, and a skip starts nothing."""
        outcome = self.run_sample("sample_trial")
        self.assertEqual(outcome.names("start"), Counter(lone=1), outcome.output)
        self.assertEqual(outcome.names("test"), Counter(["Deferring.test_answer"]), outcome.output)
        self.assertEqual(outcome.names("tried"), Counter(broken=1), outcome.output)
        self.assertIn("skips=1, errors=2, successes=1", outcome.output)


class TesttoolsTest(Checks, unittest.TestCase):
    command = ["-m", "testtools.run", "{modules}"]
    package = "testtools"
    skips = r"sss"
    unencodable = r"failures=10"


if __name__ == "__main__":
    unittest.main()
