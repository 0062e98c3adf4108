"""The kill matrix: ways to end the test process, against shapes of service.

One cell is one way, one shape, one user.  A runner (``runner.py``) starts all shapes and ends
in one of the ways; what lives after that is counted, by shape.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ..another_user import NOBODY, interpreter_for_all
from ..samples import PATIENCE, alive, eventually, marked
from .scene import at_random, import_paths
from .shapes import available, processes

#: seconds after the death of the runner at which nothing may be left
LATEST = 1.0
#: seconds for which is looked at all
GIVEN_UP = 10.0
#: seconds after which a runner that says nothing is killed; one that does not die gets half
HANGS = 120.0

Runner = subprocess.Popen[str]


def _signal(number: int) -> Callable[[Runner], None]:
    return lambda runner: runner.send_signal(number)


def _twice(runner: Runner) -> None:
    assert runner.stdout is not None
    for word in ("waiting", "stopping"):
        said = runner.stdout.readline()
        assert said == f"{word}\n", f"said {said!r}, not {word}"
        if word == "waiting":
            runner.send_signal(signal.SIGINT)
    runner.send_signal(signal.SIGINT)


def _at_random(runner: Runner) -> None:
    at_random(0.4)
    runner.kill()


def _by_itself(runner: Runner) -> None:
    pass


#: what is done to the runner from outside; its own ways to end are in ``runner.py``
DEATHS: dict[str, Callable[[Runner], None]] = {
    "SIGKILL": _signal(signal.SIGKILL),
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGHUP": _signal(signal.SIGHUP),
    "sigint twice": _twice,
    "os._exit": _by_itself,
    "abort": _by_itself,
    "segfault": _by_itself,
    "return": _by_itself,
    "execv": _by_itself,
    "process group": lambda runner: os.killpg(runner.pid, signal.SIGKILL),
    "forked child": _signal(signal.SIGKILL),
    "flood": _signal(signal.SIGKILL),
    "keepers first": _by_itself,
    "warden first": _by_itself,
    "starting": _at_random,
}
#: no cell of the matrix, but a counter-proof: the same services as children of the runner
CONTROL = "unkept"
#: deaths with a clean-up of the runner's own, which may name a log in an error, and so keep it
POLITE = {"sigint twice", "return"}
#: of the other deaths only these leave something: an empty directory, which no process removes
LEAVES_DIRECTORY = {"warden first", "starting"}


@functools.cache
def unprivileged(needed: str = "") -> str:
    """Why no runner can be started as another user; empty if one can.

    :param needed: a further module that it must be able to import.
    """
    if os.getuid() != 0:
        return "not started by root, and so unprivileged anyway"
    program = interpreter_for_all()
    if program is None:
        return "there is no Python that every user may run"
    tried = subprocess.run(
        [program, "-c", f"import {needed or 'sys'}, {__package__}.runner"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(import_paths())},
        cwd="/",
        stderr=subprocess.PIPE,
        text=True,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        check=False,
    )
    # perhaps an old Python, or a checkout below a directory that others may not enter
    return tried.stderr.strip().rpartition("\n")[2]


@dataclass
class Outcome:
    """What was left of the services of one runner."""

    death: str
    user: str
    shapes: list[str]
    #: processes that lived one second after the death, by shape
    late: dict[str, int] = field(default_factory=dict)
    #: processes that still lived at the end of the look
    survivors: dict[str, int] = field(default_factory=dict)
    #: seconds from the death until all was gone
    seconds: float = 0.0
    #: files in the directory for temporary files that should not be there
    files: list[str] = field(default_factory=list)


class Stage:
    """The directory and the mark of one runner, by which its processes and files are found."""

    def __init__(self, nobody: bool) -> None:
        self.word = f"w{uuid.uuid4().hex[:12]}"
        # not below TMPDIR, by whose name wardens and keepers are found
        self.root = Path(tempfile.mkdtemp(prefix="k-"))
        self.work, self.tmp = self.root / "work", self.root / "tmp"
        os.chmod(self.root, 0o755)
        for place in (self.work, self.tmp):
            place.mkdir()
            if nobody:
                os.chown(place, NOBODY, NOBODY)
        self.user = NOBODY if nobody else None

    def begin(self, death: str, shapes: list[str]) -> Runner:
        """Start the runner."""
        program = interpreter_for_all() if self.user else sys.executable
        assert program is not None
        paths = os.pathsep.join(import_paths())
        with open(self.root / "stderr", "w") as stderr:
            runner = self._popen(program, [death, *shapes], paths, stderr)
        self.tell(runner, self.word, str(self.work))
        return runner

    def tell(self, runner: Runner, *lines: str) -> None:
        """Write lines to the runner."""
        assert runner.stdin is not None
        runner.stdin.write("".join(f"{line}\n" for line in lines))
        runner.stdin.flush()

    def _popen(self, program: str, arguments: list[str], paths: str, stderr: TextIO) -> Runner:
        return subprocess.Popen(
            [program, "-m", f"{__package__}.runner", *arguments],
            env={**os.environ, "TMPDIR": str(self.tmp), "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd="/",
            start_new_session=True,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )

    def said(self, runner: Runner) -> list[str]:
        """The words of the next line of the runner."""
        assert runner.stdout is not None
        line = runner.stdout.readline()
        if not line:
            raise AssertionError(f"the runner has ended: {self.complaints()}")
        return line.split()

    def complaints(self) -> str:
        """The standard error of the runner."""
        return (self.root / "stderr").read_text()

    def left(self, before: set[tuple[int, str]]) -> dict[str, int]:
        """How many processes live, by shape: found by the mark, or known from before."""
        found: dict[str, int] = {}
        by_word = processes(self.word)
        for shape in by_word.values():
            found[shape] = found.get(shape, 0) + 1
        known = [pid for pid, began in before if pid not in by_word and birth(pid) == began]
        if known:
            found["(known by pid)"] = len(known)
        # wardens and keepers; a forked child has the runner's command line, not theirs
        ours = [pid for pid in marked(str(self.tmp)) if pid not in by_word]
        if ours:
            found["(warden, keepers)"] = len(ours)
        for shape in ("chain", "chain_setsid"):
            if shape not in found and answers(f"{self.word}-{shape}"):
                found[shape] = 1
        return found

    def files_left(self, death: str) -> list[str]:
        """Files that are left in the directory for temporary files, and should not be."""
        found = []
        # os.walk() ignores files that vanish meanwhile
        for place, directories, files in os.walk(self.tmp):
            for name in directories + files:
                path = Path(place, name)
                kept = death in POLITE and (path.suffix == ".log" or path.parent == self.tmp)
                empty = place == str(self.tmp) and death in LEAVES_DIRECTORY and name in directories
                if not (kept or empty):
                    found.append(str(path.relative_to(self.tmp)))
        return sorted(found)

    def end(self, runner: Runner) -> None:
        """Kill all processes that are left, and remove the files."""
        # at once: a chain of forks has left each pid by the time it is killed
        with contextlib.suppress(ProcessLookupError):
            os.killpg(runner.pid, signal.SIGKILL)
        runner.communicate()
        end = time.monotonic() + PATIENCE
        while (found := [*processes(self.word), *marked(str(self.tmp))]) and (
            time.monotonic() < end
        ):
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)


def birth(pid: int) -> str:
    """When a process that lives was started; empty for one that has ended."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def answers(address: str) -> bool:
    """Whether a chain holds its listener."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.2)
        try:
            client.connect("\0" + address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # its backlog is full
            return True
    return True


def below(ancestor: int) -> set[tuple[int, str]]:
    """A process and all its descendants, each with its time of birth."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(name))
    found, queue = [], [ancestor]
    while queue:
        found += queue
        queue = [child for pid in queue for child in children.get(pid, [])]
    return {(pid, began) for pid in found if (began := birth(pid))}


def play(death: str, nobody: bool = False, shapes: list[str] | None = None) -> Outcome:
    """Start services of all shapes, end the runner, and see what is left."""
    shapes = available() if shapes is None else shapes
    outcome = Outcome(death, "nobody" if nobody else "", shapes)
    stage = Stage(nobody)
    child = 0
    before: set[tuple[int, str]] = set()
    runner = stage.begin(death, [*shapes, *(["flood"] if death == "flood" else [])])
    # kill a runner that hangs, which ends all waits for its next line
    watchdog = threading.Timer(HANGS, runner.kill)
    watchdog.start()
    try:
        if death == "starting":
            assert stage.said(runner) == ["starting"]
        else:
            words = stage.said(runner)
            if words[0] == "child":
                child = int(words[1])
                words = stage.said(runner)
            assert words[0] == "up", words
            if death == CONTROL:
                # nobody has waited for them
                eventually(lambda: set(shapes) <= set(stage.left(before)), "all shapes")
            else:
                before = below(int(words[1]))
                missing = set(shapes) - set(stage.left(before))
                assert not missing, f"not there before the death: {missing}"
            stage.tell(runner, "go on")
        DEATHS.get(death, _by_itself)(runner)
        if death == "execv":
            # the new program has the same pid, and lives
            assert stage.said(runner) == ["other"]
        else:
            runner.wait(HANGS / 2)
        began = time.monotonic()

        def over() -> bool:
            asked = time.monotonic() - began
            left = stage.left(before)
            outcome.files = [] if death == CONTROL else stage.files_left(death)
            if asked >= LATEST and not outcome.late:
                outcome.late = left
            outcome.seconds = time.monotonic() - began
            if asked > (LATEST if death == CONTROL else GIVEN_UP):
                outcome.survivors = left
                return True
            return not (left or outcome.files)

        eventually(over, "all is gone, or given up", HANGS)
        assert not child or alive(child)
    finally:
        watchdog.cancel()
        if child:
            os.kill(child, signal.SIGKILL)
        stage.end(runner)
    return outcome
