"""The client of the warden in the test process."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import keeper
from ..errors import SpawnFailed
from ..foreign import is_foreign, let_through, suppress
from ..keeper.messages import pack
from ..output import log
from ..readiness import asking
from ..scheduling.deadline import Deadline
from ..scheduling.greenlets import waiting
from ..scheduling.steps import Pause, wait
from ..system.descriptors import moved, moved_socket
from ..system.mailbox import Mailbox
from ..unpatched import os, socket, subprocess, switched_on, time
from . import interpreter, recording, shutdown

if TYPE_CHECKING:
    from .echo import Echo

# Without the empty path, which stands for the current directory: that is "/", where anybody may
# have put modules.
_BOOT, _ASKER = (
    "import sys; sys.path[:] = filter(None, sys.path); sys.path.append(sys.argv.pop(1)); "
    f"from {program} import main; main()"
    for program in ("keeper.warden", "asker.program")
)
#: the directory in which keeper and asker are
_PROGRAMS = os.path.dirname(os.path.dirname(keeper.__file__))
#: seconds within which warden and keepers must answer a message
ANSWER = 10.0
#: a variable that, set and not ``0``, has the output of services shown as it comes
ECHO = "SUMMON_ECHO"


class Warden:
    """The warden of this process: the one parent of all keepers."""

    def __init__(self) -> None:
        command = interpreter.command()
        directory = log.run_directory()
        self._launcher: subprocess.Popen[bytes] | None = None
        self._control, theirs = socket.socketpair()
        self._control = moved_socket(self._control)
        #: messages by which the warden says that it has swept after a dead keeper
        self._synced: set[bytes] = set()
        self._mailbox = Mailbox(self._control, self._synced.add)
        #: the process group of the warden and the askers
        self._group = 0
        #: a descriptor of the file that is the standard error of warden and keepers: they write
        #: to it only if they fail
        self._said = -1
        self._words = b""
        #: where keepers show the output of their services; None for nowhere
        self.echo: Echo | None = None
        write = -1
        try:
            self._said, write = os.pipe()
            self._said = moved(self._said)
            for fd in (self._said, write):
                os.set_blocking(fd, False)
            # Popen uses vfork() here: to copy the page tables of a large test process takes tens
            # of milliseconds.  The process that it starts forks the warden and ends.
            self._launcher = subprocess.Popen(
                [*command, "-c", _BOOT, _PROGRAMS, str(os.getpid()), directory],
                # as standard input, since its number is known in the other process
                stdin=theirs.fileno(),
                stdout=write,
                stderr=write,
                env=interpreter.environment(),
                cwd="/",
                start_new_session=True,
            )
            self._group = self._launcher.pid
            if said := recording.command():
                self._control.sendall(pack("after", *command, *said))
            if switched_on(ECHO):
                self._show_output()
        except BaseException as error:
            self.close()
            passing = is_foreign(error) or getattr(error, "errno", 0) in _PASSING
            if isinstance(error, OSError) and not passing:
                raise SpawnFailed(
                    "summon_testcase could not run its warden: the Python interpreter that "
                    f"sys.executable names, {command[0]}, could not be executed: {error.strerror}"
                ) from None
            raise
        finally:
            theirs.close()
            if write >= 0:
                os.close(write)

    def _show_output(self) -> None:
        """Give the warden the terminal on which keepers show the output of their services."""
        from .echo import place

        self.echo = place()
        if self.echo is not None:
            socket.send_fds(self._control, [pack("echo")], [self.echo.fd])

    def said(self) -> str:
        """The last lines that warden and keepers have written to their standard error."""
        try:
            while self._said >= 0 and (more := os.read(self._said, 65536)):
                self._words = (self._words + more)[-4096:]
        except BlockingIOError:
            pass
        return "\n".join(self._words.decode("utf-8", "replace").strip().splitlines()[-20:])

    def reap_launcher(self) -> int:
        """Wait for the process that started the warden, which ends soon; its status."""
        # taken away first: a signal handler that comes here meanwhile must not wait for it, too
        launcher, self._launcher = self._launcher, None
        if launcher is None:
            return 0
        try:
            return launcher.wait()
        except BaseException:
            self._launcher = launcher
            raise

    def alive(self) -> bool:
        """Whether the warden still runs."""
        return self._mailbox.collect()

    def keep(self, base: str, channel: socket.socket, patience: float = 0.0) -> None:
        """Have the warden fork a keeper that serves a channel."""
        socket.send_fds(self._control, [pack("keep", base, patience)], [channel.fileno()])

    def ask(self, channel: socket.socket, said: int, paths: list[str]) -> None:
        """Have the warden start an asker that serves a channel."""
        message = pack("ask", _ASKER, _PROGRAMS, *paths)
        socket.send_fds(self._control, [message], [channel.fileno(), said])

    def sync(self, keeper: int) -> None:
        """Wait until the warden has killed what a dead keeper left."""
        deadline = Deadline(ANSWER)
        answer = pack("synced", keeper)[4:]
        try:
            self._control.sendall(pack("sync", keeper))
        except OSError as error:
            let_through(error)
            return
        while self._mailbox.collect() and answer not in self._synced and not deadline.expired():
            wait(Pause((self._control.fileno(),), deadline.at))
        self._synced.discard(answer)

    def close(self) -> bool:
        """Close the socket: the warden then sweeps what is left, and ends.

        :returns: whether the warden was a child of ours.
        """
        if self._control.fileno() >= 0:
            self._mailbox.collect()
            with suppress(OSError):
                # it may have died, and then nobody reads this
                self._control.send(pack("after"), socket.MSG_DONTWAIT)
        self._control.close()
        try:
            if self._launcher is not None:
                self._launcher.wait(ANSWER)
        except subprocess.TimeoutExpired:
            self.give_up()
        self.reap_launcher()
        group, self._group = self._group, 0
        ours = _reap(-group)
        if self._said >= 0:
            said, self._said = self._said, -1
            os.close(said)
        return ours

    def give_up(self) -> None:
        """Kill the process that should start the warden, but does not get there."""
        if self._launcher is not None:
            self._launcher.kill()

    def forget(self) -> None:
        """In a forked child: close the copy of the socket; the warden is the parent's."""
        self._control.close()
        if self._launcher is not None:
            self._launcher.returncode = 0
            self._launcher = None
        if self._said >= 0:
            os.close(self._said)


#: errors of a lack that may pass
_PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def ready(fd: int, event: int, seconds: float) -> bool:
    """Wait for one event of one descriptor; whether it came in time."""
    poller = waiting().poll()
    poller.register(fd, event)
    return bool(poller.poll(seconds * 1000))


def _reap(which: int) -> bool:
    """Wait for processes that are children of ours if we are PID 1, or a sub-reaper.

    :param which: a process, or a group if negative; 0 for none.
    :returns: whether they were children of ours.
    """
    ours, deadline = False, Deadline(ANSWER)
    try:
        while which and not deadline.expired():
            if os.waitpid(which, os.WNOHANG)[0]:
                ours = True
            else:
                wait(Pause((), min(deadline.at, time.monotonic() + 0.002)))
    except ChildProcessError:
        pass
    return ours


_warden: Warden | None = None
#: whether a warden that was a child of ours was killed, so that its keepers are children of ours
_adopting = False
_lock = threading.RLock()


def _look() -> None:
    """Forget a warden that has died."""
    global _warden, _adopting
    if _warden is not None and not _warden.alive():
        _adopting = _warden.close() or _adopting
        _warden = None


def bury(keeper: int) -> None:
    """Reap a keeper that has ended, if it is a child of ours."""
    with _lock:
        _look()
        if _adopting:
            _reap(keeper)


def _current() -> Warden:
    """The warden of this process, started if there is none or it has died."""
    global _warden
    _look()
    if _warden is None:
        _warden = Warden()
    return _warden


def warm_up() -> None:
    """Start the warden ahead of the first service; whether it still runs is asked later."""
    with _lock:
        if _warden is None:
            _current()


def keep(base: str, channel: socket.socket, patience: float = 0.0) -> None:
    """Have the warden of this process fork a keeper that serves a channel.

    :param patience: seconds that the keeper's sweep may take once the test process has died.
    :raises OSError: if no warden could be started.
    """
    _have(lambda warden: warden.keep(base, channel, patience))


def shown_as(name: str) -> tuple[int, str] | None:
    """The colour and the name with which the output of a service is shown; None if it is not."""
    with _lock:
        shown = None if _warden is None else _warden.echo
        return None if shown is None else shown.front(name)


def ask(channel: socket.socket, said: int, paths: list[str]) -> None:
    """Have the warden of this process start an asker that serves a channel.

    :param said: a descriptor for its standard error.
    :param paths: directories where requests may be.
    :raises OSError: if no warden could be started.
    """
    _have(lambda warden: warden.ask(channel, said, paths))


def _have(order: Callable[[Warden], None]) -> None:
    with _lock:
        warden = _warden or _current()
        try:
            order(warden)
        except OSError as error:
            let_through(error)
            if warden.alive():
                raise
            # the warden has died: try once more, with a new one
            try:
                order(_current())
            except (BrokenPipeError, ConnectionResetError) as error:
                let_through(error)
                number = launched()
                if number:
                    raise OSError(number, os.strerror(number)) from None
                raise SpawnFailed(no_answer()) from None


def launched() -> int:
    """After the first answer of a keeper, or without one: reap what started the warden.

    :returns: errno if the warden could not be forked, else 0.
    """
    with _lock:
        status = _warden.reap_launcher() if _warden is not None else 0
    return status if status in (errno.EAGAIN, errno.ENOMEM) else 0


def give_up() -> None:
    """Without an answer: kill the process that should start the warden, if it still runs."""
    with _lock:
        if _warden is not None:
            _warden.give_up()


def no_answer() -> str:
    """In words, why no keeper has answered."""
    with _lock:
        said = _warden.said() if _warden is not None else ""
    also = f", and said:\n{said}" if said else ", and said nothing"
    return f"its keeper, run by {sys.executable}, died or did not answer{also}"


def sync(keeper: int) -> None:
    """Wait until the warden has killed what a dead keeper left."""
    with _lock:
        if _warden is not None:
            _warden.sync(keeper)


def close() -> None:
    """End the warden of this process, and with it all services that still run."""
    global _warden
    with _lock:
        if _warden is not None:
            _warden.close()
            _warden = None


def forget() -> None:
    """In a forked child: the warden is the parent's."""
    global _warden, _adopting, _lock
    _lock = threading.RLock()
    _adopting = False
    if _warden is not None:
        _warden.forget()
        _warden = None


log.before_use = shutdown.give_back_at_exit
asking.launched_by(ask)
