"""What must hold under every runner, and how a run of one is made."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.samples import eventually, having
from tests.test_runners import PACKAGE, REPORTED, SAMPLE, Outcome

from .matrix_rows import Row

#: seconds for a whole run; most take three
DEADLINE = 120.0
#: seconds for one that is expected to hang
PATIENCE = 25.0
#: seconds until nothing may be alive
A_MOMENT = 2.0
#: those that a test of the sample kills
MORTALS = {"mortal", "quiet", "phoenix"}
#: that which has the scope "run"
OF_THE_RUN = "hub"
COMPLAINTS = ("ResourceWarning", "Exception ignored", "RuntimeWarning")


class Ran(NamedTuple):
    """A run that is over."""

    outcome: Outcome
    #: whether it had to be killed
    hung: bool
    #: what was alive a moment later
    left: set[int]
    seconds: float

    @property
    def said(self) -> str:
        return self.outcome.output


class Verdict(NamedTuple):
    """What came of a scenario under a runner: problems by check."""

    row: Row
    scenario: str
    problems: dict[str, list[str]]
    ran: Ran
    #: what the runner did that is no problem of ours
    remarks: tuple[str, ...] = ()


# -- a run --


def run(
    row: Row, modules: Iterable[str], deadline: float = DEADLINE, ctrl_c: str | None = None
) -> Ran:
    """Have a runner run modules of the sample.

    :param ctrl_c: a line of the log; when it is there, SIGINT goes where a terminal sends it, to
        all processes of the group.
    """
    modules = list(modules) if row.takes_async else without_async(modules)
    with tempfile.TemporaryDirectory(prefix="m-") as tmpdir:
        words = {
            "{modules}": modules,
            "{files}": [f"{module}.py" for module in modules],
            "{pattern}": [f"^({'|'.join(modules)})$"],
        }
        arguments = [
            word.replace("{tmpdir}", tmpdir)
            for argument in row.command
            for word in words.get(argument, [argument])
        ]
        Path(tmpdir, "test_all.py").write_text(
            "def load_tests(loader, tests, pattern):\n"
            f"    return loader.loadTestsFromNames({modules})\n"
        )
        log, output = Path(tmpdir, "log"), Path(tmpdir, "output")
        log.touch()
        foreign = (
            "CI",
            "BUILD_NUMBER",
            "PYTEST_",
            "DJANGO_",
            "STESTR_",
            "PYTHONWARNINGS",
            "COLUMNS",
            "FORCE_COLOR",
        )
        env = {key: os.environ[key] for key in os.environ if not key.startswith(foreign)}
        # which stestr runs its workers with, and make may have set for its own use
        env["PYTHON"] = sys.executable
        began = time.monotonic()
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-W", "error", *arguments],
                cwd=SAMPLE,
                env={
                    **env,
                    "TMPDIR": tmpdir,
                    "SAMPLE_LOG": str(log),
                    "PYTHONPATH": os.pathsep.join([PACKAGE, str(SAMPLE)]),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if ctrl_c:
                    with contextlib.suppress(AssertionError):
                        eventually(
                            lambda: ctrl_c in log.read_text() or process.poll() is not None,
                            "the moment of Ctrl-C",
                            deadline,
                        )
                    if process.poll() is None and ctrl_c in log.read_text():
                        os.killpg(process.pid, signal.SIGINT)
                        # tests that are not interrupted by that may end now
                        with log.open("a") as written:
                            written.write("ctrl-c pressed\n")
                status = process.wait(max(began + deadline - time.monotonic(), 0))
                hung = False
            except subprocess.TimeoutExpired:
                hung = True
                os.killpg(process.pid, signal.SIGKILL)  # its workers too, but not services
                status = process.wait()

        seconds = time.monotonic() - began
        with contextlib.suppress(AssertionError):
            eventually(lambda: not alive(str(log)), "nothing is alive", A_MOMENT)
        left = alive(str(log))
        said = output.read_text(errors="replace")
        made = Outcome(status, said, log.read_text().splitlines(), str(log))
        for pid in left and alive(str(log)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return Ran(made, hung, left, seconds)


def alive(mark: str) -> set[int]:
    """The processes of a run that live: they have this in their environment.

    Not those whose pids the log has, which may be other processes' by now.
    """
    return set(having(f"SAMPLE_LOG={mark}", "environ"))


def without_async(modules: Iterable[str]) -> list[str]:
    """The names of the classes of modules, but for those of asyncio."""
    classes = {type(test) for test in cases_of(modules)}
    return sorted(
        f"{case.__module__}.{case.__qualname__}"
        for case in classes
        if not issubclass(case, unittest.IsolatedAsyncioTestCase)
    )


def cases_of(modules: Iterable[str]) -> Iterator[unittest.TestCase]:
    """The tests of modules, or of classes."""

    def cases(suite: object) -> Iterator[unittest.TestCase]:
        if isinstance(suite, unittest.TestSuite):
            for member in suite:
                yield from cases(member)
        else:
            yield suite  # type: ignore[misc]

    if str(SAMPLE) not in sys.path:
        sys.path.insert(0, str(SAMPLE))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sample_settings")
    if any("django" in module for module in modules):
        import django

        django.setup()
    yield from cases(unittest.defaultTestLoader.loadTestsFromNames(modules))


def tests_of(modules: Iterable[str], row: Row) -> Counter[str]:
    """The tests that should run, as the log calls them."""
    found: Counter[str] = Counter()
    for test in cases_of(modules if row.takes_async else without_async(modules)):
        name = getattr(test, "_testMethodName", "")
        skipped = any(
            getattr(thing, "__unittest_skip__", False) or getattr(thing, "skip", False)
            for thing in (type(test), getattr(test, name, None))
        )
        if not skipped:
            found[f"{type(test).__name__}.{name}"] += row.copies
    for test in methods_of(modules):
        found[test] += row.copies
    return found


def methods_of(modules: Iterable[str]) -> Iterator[str]:
    """The tests of modules that are methods of other classes than a TestCase, for pytest."""
    for module in map(importlib.import_module, modules):
        for case in vars(module).values():
            if (
                isinstance(case, type)
                and case.__module__ == module.__name__
                and not issubclass(case, unittest.TestCase)
            ):
                for name in dir(case):
                    marks = [
                        mark.name
                        for thing in (case, getattr(case, name))
                        for mark in getattr(thing, "pytestmark", ())
                    ]
                    if name.startswith("test_") and "skip" not in marks:
                        yield f"{case.__name__}.{name}"


def load_all(rows: Iterable[Row]) -> None:
    """Import all modules that will be asked for, before there are threads."""
    for row in rows:
        for modules in (*row.sample, row.own_passing, row.own_failing):
            for _ in cases_of(modules):
                pass


# -- what must hold --


def expect(problems: list[str], what: str, truth: object) -> None:
    if not truth:
        problems.append(what)


def ends(row: Row, scenario: str, ran: Ran, problems: dict[str, list[str]]) -> None:
    """The checks of every scenario."""
    log = ran.outcome.log
    open_: dict[str, str] = {}
    for line in log:
        word, *rest = line.split()
        if word == "start":
            open_[rest[1]] = rest[0]
        elif word == "stop":
            open_.pop(rest[1], None)
    unstopped = dict(open_)
    if scenario == "failing":
        unstopped = {pid: name for pid, name in open_.items() if name not in MORTALS}
    elif scenario == "interrupted":  # workers are killed, and so may be their services
        unstopped = {pid: name for pid, name in open_.items() if int(pid) in ran.left}
    elif row.ends_workers:
        unstopped = {pid: name for pid, name in open_.items() if name != OF_THE_RUN}
    balance = problems["starts = stops"]
    expect(balance, f"started and not stopped: {unstopped}", not unstopped)
    expect(balance, "nothing was started", ran.outcome.names("start"))
    expect(problems["nothing alive"], f"alive after {A_MOMENT} s: {ran.left}", not ran.left)
    for complaint in COMPLAINTS:
        heard = complaint in ran.said and not row.untidy
        # a KeyboardInterrupt may come where it can only be ignored
        expect(balance, complaint, not heard or scenario == "interrupted")


def passing(row: Row, ran: Ran, problems: dict[str, list[str]]) -> None:
    """Tests that pass: once each, with their services, and the run succeeds."""
    here = problems["tests pass"]
    modules = (*row.sample.passing, *row.own_passing)
    expect(here, f"exit status {ran.outcome.status}", ran.outcome.status == 0)
    wanted = tests_of(modules, row)
    found = ran.outcome.names("test")
    expect(here, f"tests: missing {wanted - found}, more {found - wanted}", wanted == found)
    starts = ran.outcome.names("start")
    expect(here, "what is skipped was started", not starts["never"])
    if not row.splits and not row.shuffles and row.workers == 1:
        fixed = {"front": 1, "back": 1, "extra": 2, "hub": 1, "area": 2}
        differing = {name: starts[name] for name, n in fixed.items() if starts[name] != n}
        expect(problems["starts = stops"], f"starts: {differing}", not differing)
    if row.own_passing:
        own = tests_of(row.own_passing, row)
        found = ran.outcome.names("test")
        expect(problems["its own tests"], "did not run", all(found[name] for name in own))
    held: set[str] = set()
    seen = 0
    for line in ran.outcome.log:
        word, name, *_ = line.split()
        if word in ("start", "stop") and name.isdecimal():
            if word == "start":
                seen += 1
                expect(problems["ports apart"], f"port {name} was in use", name not in held)
                held.add(name)
            else:
                held.discard(name)
    expect(problems["ports apart"], "no ports were seen", seen)


def cannot_start(row: Row, ran: Ran, problems: dict[str, list[str]]) -> None:
    """One service that cannot start, and nothing else, makes the run fail."""
    here = problems["failed start fails"]
    expect(here, f"exit status {ran.outcome.status}", ran.outcome.status not in (0, None))
    tried = ran.outcome.names("tried")["broken"]
    expect(here, f"was tried {tried} times", 1 <= tried <= 2 * row.workers)
    found = ran.outcome.names("test")
    expect(here, "its tests ran", not any(name.startswith("CannotStart") for name in found))
    expect(here, "is not named", re.search(r"ProcessExited.*\bbroken\b", ran.said))
    if not row.stops_early:
        for name in ("Bystander.test_passes", "Successor.test_passes"):
            expect(here, f"{name} ran {found[name]} times", found[name] == row.copies)
        for name in ("test_one", "test_two", *(["test_three"] if row.takes_async else [])):
            expect(here, f"{name} is not named", name in ran.said)


def failing(row: Row, ran: Ran, problems: dict[str, list[str]]) -> None:
    """Tests that fail: the run fails, and its report has what services said."""
    here = problems["failures fail"]
    expect(here, f"exit status {ran.outcome.status}", ran.outcome.status not in (0, None))
    found = ran.outcome.names("test")
    expect(here, "a test without its service ran", not found["CannotStart.test_one"])
    wrote = problems["output in report"]
    notes = [said_count(ran.said, word) for word in REPORTED]
    if row.stops_early:
        expect(here, "went on", len(found) < 10)
        # the first of the failures: the module is named first
        expect(wrote, "nothing", "Failing" in ran.said or "broken" in ran.said)
        return
    for name in ("Bystander.test_passes", "Failing.test_passes", "Successor.test_passes"):
        expect(here, f"{name} ran {found[name]} times", found[name] == row.copies)
    for word, count in zip(REPORTED, notes, strict=True):
        if word == "async" and not row.takes_async:
            continue
        if word == "sub-test" and row.drops_subtests:
            continue
        right = count >= 1 if row.copies_share else count == row.copies * row.prints
        expect(wrote, f"{word}: {count} times", right)
    for word in ("silent wrote", "talker was asked: GET /said-in-passing-"):
        expect(wrote, f"has {word!r}", word not in ran.said)
    dead = problems["death named"]
    deaths = [
        r"mortal: was killed by SIGKILL during (\S+::)?Dying(\.|::)test_1_dies",
        r"quiet: was killed by SIGABRT during (\S+::)?DyingUnnoticed(\.|::)test_1_passes",
    ]
    # where each worker has its own, or another class ran in between, it may start once more
    if not row.splits and not row.shuffles:
        deaths.append(r"phoenix: was killed by SIGQUIT during (\S+::)?DyingTwice(\.|::)test_3_dies")
    for death in deaths:
        # of ours, or in front of what the test's own exception says
        expect(dead, f"no {death}", re.search(rf"\b(ProcessExited|\w+Error): {death}", ran.said))
    if not row.splits and not row.shuffles:
        for name in ("Dying.test_2_after", "Dying.test_3_after", "DyingTwice.test_4_after"):
            expect(dead, f"{name} ran", not found[name])
    if row.own_failing:
        own = problems["its own tests"]
        said = said_count(ran.said, "their-case")
        expect(own, f"output {said} times", said == 1)
        others = ("Deferring.test_answer",) if "sample_trial" in row.own_failing else ()
        for name in others:
            expect(own, f"{name} ran {found[name]} times", found[name] == 1)


def said_count(said: str, word: str) -> int:
    """How often the line for this word is there, in a note or, under pytest, in a section."""
    return said.count(f"talker was asked: GET /said-in-{word}-")


def interrupted(row: Row, ran: Ran, problems: dict[str, list[str]]) -> tuple[str, ...]:
    """Ctrl-C: whatever becomes of the run, everything stops."""
    here = problems["Ctrl-C"]
    if ran.hung:
        expect(here, f"hung, killed after {ran.seconds:.0f} s", row.hangs)
        return ("hangs after Ctrl-C; once it is killed, its services are gone",)
    status = ran.outcome.status
    expect(here, f"exit status {status}", status != 0 or row.ignores_ctrl_c)
    return ("exits with 0 after Ctrl-C",) if status == 0 else ()


Check = Callable[[Row, Ran, dict[str, list[str]]], "tuple[str, ...] | None"]

#: by name, what to look at; a row has the modules that it runs under this name
SCENARIOS: dict[str, Check] = {
    "passing": passing,
    "cannot_start": cannot_start,
    "failing": failing,
    "interrupted": interrupted,
}
CHECKS = (
    "tests pass",
    "failures fail",
    "failed start fails",
    "starts = stops",
    "nothing alive",
    "ports apart",
    "output in report",
    "death named",
    "Ctrl-C",
    "its own tests",
)


def judge(row: Row, scenario: str) -> Verdict:
    """Run a scenario under a runner, and look at what came of it."""
    may_hang = row.hangs and scenario == "interrupted"
    ran = run(
        row,
        (*getattr(row.sample, scenario), *getattr(row, f"own_{scenario}", ())),
        deadline=PATIENCE if may_hang else DEADLINE,
        ctrl_c="test Interrupted." if scenario == "interrupted" else None,
    )
    problems: dict[str, list[str]] = {name: [] for name in CHECKS}
    ends(row, scenario, ran, problems)
    if ran.hung and not may_hang:
        for name in CHECKS:
            problems[name].append(f"hung, killed after {ran.seconds:.0f} s")
        return Verdict(row, scenario, problems, ran)
    remarks = SCENARIOS[scenario](row, ran, problems)
    return Verdict(row, scenario, problems, ran, remarks or ())
