"""Small services, most of them badly behaved, and the means to watch what became of them.

Each script takes a marker as its last argument and ignores it: what is left of a test is
found by looking for its marker in the command lines of all processes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).resolve().parent
#: for tests that run a program of their own
ROOT = str(HERE.parent.parent)
#: for a pytest in a test: the plug-ins that other tests need take it a second to import
BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
#: seconds after which a fact that should have come is given up
PATIENCE = 15.0

T = TypeVar("T")


def meets(directory: Path, number: int) -> str:
    """Shell words that go on once so many processes have come to them, all at the same time."""
    all_are_here = f'test "$(ls {directory} | grep -c met)" = {number}'
    return f"touch {directory}/met-$$; until {all_are_here}; do sleep 0.01; done"


def service(script: str, *arguments: object) -> list[str]:
    """The command that runs one of the scripts here."""
    interpreter = ["/bin/sh"] if script.endswith(".sh") else [sys.executable, "-S"]
    return [*interpreter, str(HERE / script), *map(str, arguments)]


def marker() -> str:
    """A word that no other process has in its command line."""
    return f"marker-{uuid.uuid4().hex}"


def _said(path: str) -> bytes:
    # tests ask this of all processes thousands of times: neither Path nor a buffer
    with open(path, "rb", buffering=0) as file:
        return file.read()


def having(word: str, where: str = "cmdline") -> list[int]:
    """The processes that have a word in their command line, or their environment.

    Zombies have neither, and the environment of another user's process is not to be read.

    :param where: the name of the file in ``/proc/PID`` that is searched.
    """
    sought, found = word.encode(), []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                said = _said(f"/proc/{name}/{where}")
                while where == "cmdline" and not said and os.readlink(f"/proc/{name}/exe"):
                    # a program that is just being replaced by another one has neither's words;
                    # zombies and the kernel's own threads have no program
                    said = _said(f"/proc/{name}/{where}")
                if sought in said:
                    found.append(int(name))
            except OSError:
                continue
    return sorted(found)


def marked(word: str) -> list[int]:
    """The other processes that have a word in their command line."""
    return [pid for pid in having(word) if pid != os.getpid()]


def processes_with(word: str) -> list[str]:
    """Commands of living processes that have a word in their environment.

    Without the package's own: this process keeps its warden, and its asker, until it ends.
    """
    commands = [text(f"/proc/{pid}/cmdline").replace("\0", " ") for pid in having(word, "environ")]
    return [command for command in commands if command and "import main; main()" not in command]


def status(pid: int) -> tuple[str, int]:
    """State and parent of a process; ``("", 0)`` if there is none."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[1])


def parent(pid: int) -> int:
    """The parent of a process."""
    return status(pid)[1]


@contextmanager
def frozen_for_a_moment(pid: int) -> Iterator[None]:
    """A process that another thread wakes after 0.3 s: who waits for it meanwhile is rewarded."""
    os.kill(pid, signal.SIGSTOP)
    waking = threading.Timer(0.3, os.kill, (pid, signal.SIGCONT))
    waking.start()
    try:
        yield
    finally:
        waking.join()


def alive(pid: int) -> bool:
    """Whether a process is there, and more than a zombie."""
    return status(pid)[0] not in ("", "Z", "X")


def eventually(ask: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Ask until the answer is true; the answer."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.005)
    return answer


def text(path: object) -> str:
    """The content of a file, empty while there is none."""
    try:
        return Path(str(path)).read_text()
    except OSError:
        return ""


def kill_marked(word: str) -> None:
    """SIGKILL what a failed test may have left."""
    for pid in marked(word):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
