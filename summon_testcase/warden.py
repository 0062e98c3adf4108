"""The test process's side: it starts and stops services by message."""

from __future__ import annotations

import atexit
import errno
import sys
import threading
from collections.abc import Callable

from .deadline import Deadline
from .errors import SpawnFailed
from .keeper.messages import Inbox, pack
from .log import remove_run_directory, run_directory
from .steps import Pause, wait
from .unpatched import os, select, socket, subprocess

_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from keeper.program import main; main()"
_ASKER = "import sys; sys.path.append(sys.argv.pop(1)); from asker.program import main; main()"
#: seconds within which warden and keepers answer what they do at once
ANSWER = 10.0


class Mailbox:
    """Messages that arrive at a socket.

    A signal handler that collects them too may come between any two steps, and Ctrl-C may
    end any of them.  So bytes are received and kept by one call into C, and kept until all
    of them are noted; which may then happen twice, in the same order.

    :param note: is given each message; to be given one again must do no harm.
    """

    def __init__(self, sock: socket.socket, note: Callable[[bytes], None]) -> None:
        self._socket, self._note = sock, note
        self._kept: list[bytes] = []

    def collect(self) -> bool:
        """Note what has arrived, without blocking; False when nothing more ever will."""
        more = True
        while more:
            received = map(self._socket.recv, (65536,), (socket.MSG_DONTWAIT,))
            try:
                self._kept.extend(received)
            except BlockingIOError:
                if not self._kept:
                    return True
                more = False
            except OSError:
                self._kept.append(b"")
            kept = self._kept
            over = kept[-1:] == [b""]
            inbox = Inbox()
            inbox.feed(b"".join(kept))
            while (message := inbox.take()) is not None:
                self._note(message)
            rest = [inbox.rest] if inbox.rest else []
            # one who came in between has dealt with the whole of it
            self._kept = rest if self._kept is kept else self._kept
            if over:
                return False
        return True


class Warden:
    """The warden of this process: the one parent of all keepers."""

    def __init__(self) -> None:
        if not sys.executable:
            raise SpawnFailed(
                "summon_testcase needs a Python interpreter to run its warden, and "
                "sys.executable is empty"
            )
        directory = run_directory()
        self._launcher: subprocess.Popen[bytes] | None = None
        self._control, theirs = socket.socketpair()
        self._mailbox = Mailbox(self._control, self._note)
        #: what dead keepers left has been killed: the messages that say so
        self._synced: set[bytes] = set()
        try:
            # Popen takes the vfork path: copying the page tables of a large test process
            # costs tens of milliseconds.  What it starts forks the warden and ends.
            self._launcher = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _BOOT, os.path.dirname(__file__)),
                    *(str(theirs.fileno()), str(os.getpid()), directory),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()

    def _note(self, message: bytes) -> None:
        self._synced.add(message)

    def reap_launcher(self) -> int:
        """Wait for the process that started the warden, which ends soon; its status."""
        # a signal handler that comes here meanwhile must not wait for it too
        launcher, self._launcher = self._launcher, None
        if launcher is None:
            return 0
        try:
            return launcher.wait()
        except BaseException:
            self._launcher = launcher
            raise

    def alive(self) -> bool:
        """Whether it still answers."""
        try:
            return bool(self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def keep(self, base: str, channel: socket.socket) -> None:
        """Have a keeper forked that serves a channel."""
        socket.send_fds(self._control, [pack("keep", base)], [channel.fileno()])

    def ask(self, channel: socket.socket, said: int, paths: list[str]) -> None:
        """Have an asker started that serves a channel."""
        message = pack("ask", _ASKER, os.path.dirname(__file__), *paths)
        socket.send_fds(self._control, [message], [channel.fileno(), said])

    def sync(self, keeper: int) -> None:
        """Wait until what a dead keeper left has been killed."""
        deadline = Deadline(ANSWER)
        answer = pack("synced", keeper)[4:]
        try:
            self._control.sendall(pack("sync", keeper))
        except OSError:
            return
        while self._mailbox.collect() and answer not in self._synced and not deadline.expired():
            wait(Pause((self._control.fileno(),), deadline.at))
        self._synced.discard(answer)

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


def keep(base: str, channel: socket.socket) -> None:
    """Have the warden of this process fork a keeper that serves a channel.

    :raises OSError: if no warden could be started.
    """
    _have(lambda warden: warden.keep(base, channel))


def ask(channel: socket.socket, said: int, paths: list[str]) -> None:
    """Have the warden of this process start an asker that serves a channel.

    :param said: a descriptor for its standard error.
    :param paths: directories where requests may be.
    :raises OSError: if no warden could be started.
    """
    _have(lambda warden: warden.ask(channel, said, paths))


def _have(order: Callable[[Warden], None]) -> None:
    with _lock:
        warden = _current()
        try:
            order(warden)
        except OSError:
            if warden.alive():
                raise
            # it died just now: once more, with a new one
            close()
            order(_current())


def launched() -> int:
    """A keeper has answered, or has not: reap what started the warden.

    :returns: errno if the warden could not be forked, else 0.
    """
    with _lock:
        status = _warden.reap_launcher() if _warden is not None else 0
    return status if status in (errno.EAGAIN, errno.ENOMEM) else 0


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
