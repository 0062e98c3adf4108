"""The test process's side: it starts and stops services by message."""

from __future__ import annotations

import atexit
import os
import select
import socket
import subprocess
import sys
import threading

from .deadline import Deadline
from .errors import SpawnFailed
from .keeper.messages import Inbox, pack
from .log import remove_run_directory, run_directory

_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from keeper.program import main; main()"
#: seconds within which warden and keepers answer what they do at once
ANSWER = 10.0


class Warden:
    """The warden of this process: the one parent of all keepers."""

    def __init__(self) -> None:
        if not sys.executable:
            raise SpawnFailed(
                "summon_testcase needs a Python interpreter to run its warden, and "
                "sys.executable is empty"
            )
        self._control, theirs = socket.socketpair()
        self._inbox = Inbox()
        with theirs:
            # Popen takes the vfork path: copying the page tables of a large test process
            # costs tens of milliseconds.  What it starts forks the warden and ends.
            self._launcher: subprocess.Popen[bytes] | None = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _BOOT, os.path.dirname(__file__)),
                    *(str(theirs.fileno()), str(os.getpid()), run_directory()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd="/",
                start_new_session=True,
            )

    def reap_launcher(self) -> None:
        """Wait for the process that started the warden: it has ended by now."""
        if self._launcher is not None:
            self._launcher.wait()
            self._launcher = None

    def alive(self) -> bool:
        """Whether it still answers."""
        try:
            return bool(self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def keep(self, base: str) -> socket.socket:
        """Have a keeper forked; the channel to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [pack("keep", base)], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def sync(self, keeper: int) -> None:
        """Wait until what a dead keeper left has been killed."""
        deadline = Deadline(ANSWER)
        try:
            self._control.sendall(pack("sync", keeper))
            while True:
                while (message := self._inbox.take()) is not None:
                    if message == pack("synced", keeper)[4:]:
                        return
                if not ready(self._control.fileno(), select.POLLIN, deadline.left()):
                    return
                data = self._control.recv(4096)
                if not data:
                    return
                self._inbox.feed(data)
        except OSError:
            return

    def close(self) -> None:
        """Let go of it: it sweeps what is left, and ends."""
        self._control.close()
        self.reap_launcher()

    def forget(self) -> None:
        """In a forked child: close the copy; the warden is the parent's."""
        self._control.close()
        if self._launcher is not None:
            self._launcher.returncode = 0
            self._launcher = None


def ready(fd: int, event: int, seconds: float) -> bool:
    """Wait for one event of one descriptor; whether it came in time."""
    poller = select.poll()
    poller.register(fd, event)
    return bool(poller.poll(seconds * 1000))


_warden: Warden | None = None
_lock = threading.RLock()


def _current() -> Warden:
    """The warden of this process, started if there is none or it has died."""
    global _warden
    if _warden is not None and not _warden.alive():
        _warden.close()
        _warden = None
    if _warden is None:
        atexit.register(_at_exit)
        _warden = Warden()
    return _warden


def _at_exit() -> None:
    close()
    remove_run_directory()


def warm_up() -> None:
    """Start the warden ahead of the first service."""
    with _lock:
        _current()


def keep(base: str) -> socket.socket:
    """Have the warden of this process fork a keeper; the channel to it."""
    with _lock:
        warden = _current()
        try:
            return warden.keep(base)
        except OSError:
            # it died just now: once more, with a new one
            close()
            return _current().keep(base)


def launched() -> None:
    """A keeper has answered, so the warden is up: reap what started it."""
    with _lock:
        if _warden is not None:
            _warden.reap_launcher()


def sync(keeper: int) -> None:
    """Wait until what a dead keeper left has been killed."""
    with _lock:
        if _warden is not None:
            _warden.sync(keeper)


def close() -> None:
    """End the warden of this process, and with it whatever still runs."""
    global _warden
    with _lock:
        if _warden is not None:
            _warden.close()
            _warden = None


def _after_fork_in_child() -> None:
    global _warden, _lock
    _lock = threading.RLock()
    if _warden is not None:
        _warden.forget()
        _warden = None


os.register_at_fork(after_in_child=_after_fork_in_child)
