"""Where tests of the command run it: a directory with a stack, in a terminal and without one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pexpect

from ..needs import locate
from ..samples import PATIENCE, ROOT, eventually, having, processes_with

#: redis where it is installed
DB = (
    "redis-server --port {port} --save ''"
    if locate("redis-server")
    else f"{sys.executable} -S -u -m http.server --bind {{host}} {{port}}"
)
#: db, and web, which refers to it; lone refers to none
STACK = f"""
import os
from unittest import TestCase
from summon_testcase import (
    OutputCoordinatedExecutor, SimpleExecutor, SummonMixin, TCPCoordinatedExecutor)

class Db(TCPCoordinatedExecutor):
    def env(self):
        return {{"DATABASE": self.url}}

class StackTest(SummonMixin, TestCase):
    db = Db({DB!r}, scope="run", restart=True)
    web = OutputCoordinatedExecutor(
        ["sh", "-c", "trap 'echo bye; exit' TERM; echo web sees $DB; sleep 600 & wait"],
        "web sees .*\\n", env={{"DB": "{{db.port}}"}})
    lone = SimpleExecutor("sleep 600")
"""

#: one service that is ready, and one that never is
NEVER = """
from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor

class Never:
    first = SimpleExecutor("sleep 600")
    then = OutputCoordinatedExecutor("sleep 600", "ready", after=first)
"""


class Stage:
    """A directory in which commands run.

    :param place: an empty directory for temporary files.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.here = place.parent / "project"
        self.runtime = place.parent / "runtime"
        for directory in (self.here, self.runtime):
            directory.mkdir()
        (self.here / "stack.py").write_text(STACK)
        (self.here / "never.py").write_text(NEVER)
        dropped = {"NO_COLOR", "SUMMON_ATTACH"}
        self.env = {key: text for key, text in os.environ.items() if key not in dropped}
        self.env |= {
            "PYTHONPATH": ROOT,
            "TMPDIR": str(place),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TERM": "xterm",
            "COLUMNS": "200",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "summon_testcase", *words]

    @contextlib.contextmanager
    def start(
        self, *words: str, stderr: int = subprocess.STDOUT, within: Sequence[str] = ()
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command without a terminal; it is killed if the block fails.

        :param within: the beginning of a command that runs it.
        """
        with subprocess.Popen(
            [*within, *self.command(*words)],
            cwd=self.here,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def summon(self, *words: str, status: int = 0, within: Sequence[str] = ()) -> str:
        """What a command writes, once it has ended with a status."""
        with self.start(*words, within=within) as process:
            said, _ = process.communicate(timeout=PATIENCE * 2)
        assert process.returncode == status, said
        return said

    def redirected(self, streams: str, *words: str, **variables: str) -> tuple[int, str]:
        """The exit status of a command whose streams a shell redirects, and what is written.

        :param streams: as the shell has it, such as ``2>&-``.
        """
        done = subprocess.run(
            ["sh", "-c", f'"$@" {streams}', "sh", *self.command(*words)],
            cwd=self.here,
            env={**self.env, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE * 2,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    @contextlib.contextmanager
    def terminal(self, *words: str, **variables: str) -> Iterator[pexpect.spawn]:
        """A command in a terminal of its own."""
        command = self.command(*words)
        terminal = pexpect.spawn(
            command[0],
            command[1:],
            cwd=str(self.here),
            env={**self.env, **variables},
            timeout=PATIENCE,
            encoding="utf-8",
            dimensions=(50, 200),
        )
        terminal.delaybeforesend = None
        try:
            yield terminal
        finally:
            terminal.close(force=True)

    def shows(self, *words: str, status: int = 0) -> str:
        """What a terminal shows of a command that ends with a status."""
        with self.terminal(*words) as terminal:
            return ended(terminal, status)

    def stack(self) -> dict[str, Any]:
        """What the only stack tells in its file; empty if there is none."""
        files = list((self.runtime / "summon_testcase").glob("*.json"))
        return json.loads(files[0].read_text()) if files else {}

    def is_up(self) -> bool:
        """Whether all of the stack is ready."""
        return self.stack().get("state") == "running"

    def pid_of(self, name: str) -> int:
        """The main process of a service."""
        return self.stack()["services"][name]["pid"]

    def state_of(self, name: str) -> str:
        """The phase that a service is in."""
        return self.stack()["services"][name]["state"]

    def remove_named_logs(self) -> None:
        """Remove the logs that are kept since an error has named them."""
        logs = list(self.place.glob("*/*.log"))
        assert logs
        for log in logs:
            log.unlink()
            with contextlib.suppress(OSError):  # there is another log in it
                log.parent.rmdir()

    def kill_what_is_left(self) -> None:
        """SIGKILL what a failed test may have left; keepers then see to their services.

        Those cannot all be found here: redis writes over its environment.
        """
        keepers = having("keeper.warden")
        for pid in having(str(self.place), "environ"):
            if pid in keepers:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def nothing_is_left(self) -> None:
        """Check that no process, and no file, is left."""
        eventually(lambda: not processes_with(str(self.place)), "its processes are gone")
        eventually(lambda: not os.listdir(self.place), "its files are gone")
        registry = self.runtime / "summon_testcase"
        assert not registry.exists() or os.listdir(registry) == ["lock"]


def ended(terminal: pexpect.spawn, status: int) -> str:
    """What a terminal shows until its command has ended with a status."""
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert (terminal.exitstatus, terminal.signalstatus) == (status, None), terminal.before
    return plain(terminal.before)


def plain(text: str) -> str:
    """Text without colours, and with newlines as they are elsewhere."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")
