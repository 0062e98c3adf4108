"""Fork and exec, for the service and for probe commands beside it."""

from __future__ import annotations

import contextlib
import os
import signal


def spawn(
    program: bytes,
    argv: list[bytes],
    env: dict[bytes, bytes],
    cwd: bytes,
    ends: tuple[int, int],
    terminal: int = -1,
) -> tuple[int, str, int]:
    """Run a program in a process group of its own.

    :param ends: its standard input, and its standard output and error.
    :param terminal: its controlling terminal, where it becomes the foreground; -1 if none.
    :returns: its pid, the stage that failed, and the errno, which is 0 on success.
    """
    failure, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        stage = "group"
        try:
            os.setpgid(0, 0)
            if terminal >= 0:
                os.tcsetpgrp(terminal, os.getpid())
            for target, end in ((0, ends[0]), (1, ends[1]), (2, ends[1])):
                os.dup2(end, target)
            stage = "cwd"
            os.chdir(cwd)
            stage = "exec"
            _execute(program, argv, env)
        except OSError as error:
            os.write(report, f"{stage} {error.errno}".encode())
        finally:
            os._exit(127)
    os.close(report)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    # ends with exec, which closes the other end, or with the child
    with open(failure, "rb") as stream:
        stage, _, number = stream.read().decode().partition(" ")
    return pid, stage, int(number or 0)


def _execute(program: bytes, argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Exec with signals as a shell would give them."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execve(program, argv, env)
