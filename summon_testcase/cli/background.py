"""``summon up -d``: a process of its own that outlives the terminal."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Sequence

from ..foreign import let_through
from ..unpatched import os, subprocess
from .screen import NobodyReads, put


def start(words: Sequence[str]) -> int:
    """Start the command once more in the background, and wait until its stack is ready.

    It writes to this terminal until then, so that errors of the start are read here.

    :param words: the command line, without the program.
    :returns: the exit status: 0 once all is ready, otherwise that of the process.
    """
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "summon_testcase", *words, "--ready-to", str(writer)]
    # a session of its own: neither Ctrl-C nor the end of this terminal reaches it
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, pass_fds=[writer], start_new_session=True
    )
    os.close(writer)
    try:
        if os.read(reader, 1):
            return os.EX_OK
        status = child.wait()
        return status if status >= 0 else 128 - status
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        child.wait()
        raise
    finally:
        os.close(reader)
        child.returncode = child.returncode or 0  # it goes on: no warning that it was left


def detach(ready_to: int, output: str) -> None:
    """In the background: leave the terminal, and tell the foreground that all is ready.

    :param ready_to: the descriptor by which the foreground waits.
    :param output: the path of a file for what the process writes from now on.
    :raises NobodyReads: if the foreground was killed meanwhile.
    """
    for stream in (sys.stdout, sys.stderr):
        put("", stream, flush=True)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(ready_to, b"+")
    except OSError as error:
        let_through(error)
        raise NobodyReads(errno.EPIPE, "the command in the foreground has ended") from None
    for fd in (1, 2):
        os.dup2(file, fd)
    os.close(file)
    os.close(ready_to)
