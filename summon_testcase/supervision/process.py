"""The client of a keeper: what it reports about its service, and the orders that it obeys."""

from __future__ import annotations

import errno
import signal
import threading

from ..declaration.command import Launch
from ..foreign import let_through
from ..keeper.messages import pack
from ..output.log import limit
from ..system.descriptors import moved_socket
from ..system.mailbox import Mailbox
from ..unpatched import os, select, socket, time
from . import warden
from .lease import InstanceFiles

#: all that have a channel; not as weak references, whose callbacks would swallow Ctrl-C
_processes: set[Process] = set()


def forget() -> None:
    """In a forked child: the services are the parent's."""
    for process in list(_processes):
        process.disown()


class Process:
    """A service as its keeper reports it.

    The attributes are as of the last :meth:`pump`, which never blocks.

    :param name: the service as its output names it, where that is shown.
    """

    #: the command that :meth:`spawn` runs, set before it is called
    launch: Launch
    #: whether there is a message when there is new output
    tells = True

    def __init__(self, files: InstanceFiles, name: str) -> None:
        self.files = files
        self._name = name
        self.pid = 0
        self.keeper_pid = 0
        #: whether the system forbids the keeper to adopt processes that the service leaves
        self.keeps_no_orphans = False
        #: status of the main process once it has ended, as in subprocess
        self.exit_code: int | None = None
        #: the moment at which what should run has ended, as the keeper has seen it; 0 if unknown
        self.ended_at = 0.0
        #: whether no process of the service is alive
        self.ended = False
        #: whether other processes of the service were alive when the main process had ended
        self.left_others = False
        #: whether the keeper has ended, and with it the service
        self.gone = False
        #: whether the keeper died before the service did
        self.lost = False
        #: why there is no process: the stage of the start that failed, and its errno
        self.refused: tuple[str, int] | None = None
        #: how many messages of the keeper have been noted
        self.heard = 0
        #: whether the keeper has received READY=1
        self.notified = False
        #: whether the service had ended before it was asked to; None before it was asked
        self.died_first: bool | None = None
        #: the number of the last :meth:`signal_everything` that the keeper has carried out
        self.signalled = 0
        #: the number of the last :meth:`sync` that the keeper has carried out
        self.synced = 0
        #: positions in all input that was ever sent: its end, and up to where the service, or the
        #: terminal or pipe in front of it, has taken it, or it was dropped
        self.sent = self.taken = 0
        #: bytes of input that were really taken
        self.written = 0
        #: whether no more input will be taken
        self.input_closed = False
        #: the calls that are sending, or waiting for their turn
        self.senders: list[tuple[int, object]] = []
        #: status and last line of the probe command that ended last
        self.probed: tuple[int, str] | None = None
        #: errno of the first output that could not be stored, and how many bytes could not be
        self.log_errno = self.lost_bytes = 0
        #: at the stop: whether the main process had to be killed, how many others had to be, and
        #: how many could not be killed
        self.killed = (False, 0, 0)
        #: status and output of the stop command, if one was run
        self.stopper_said: tuple[int, str] | None = None
        self._owner = os.getpid()
        self._lock = threading.RLock()
        #: whether the service was asked to end, so that its end is no death
        self.ending = False
        #: of one that other processes use, too: whether one of them has asked it to end
        self.stopped_by_others = False
        #: whether kill() was called, or a stop was interrupted, so that this end was wished for
        self.kill_wished = False
        self._launched = self._probing = self._watching = self._stopping = False
        #: whether only a part of a message was sent, so that the channel is of no use any more
        self._torn = False
        self._orders = 0
        self._channel: socket.socket | None = None
        self._theirs: socket.socket | None = None
        self._mailbox: Mailbox | None = None

    @property
    def fine(self) -> frozenset[int]:
        """Statuses with which the main process may end before the service is ready."""
        return self.launch.fine

    def spawn(self) -> None:
        """Have a keeper spawn the service; then :attr:`pid` or :attr:`refused` is set."""
        launch, files = self.launch, self.files
        pairs = [f"{key}={value}" for key, value in launch.env.items()]
        fields = [files.lease, files.base, files.log.path, str(limit()), launch.cwd]
        fields += [str(int(launch.tty)), str(int(launch.silent)), launch.notify, launch.program]
        fields += [str(len(launch.argv)), *launch.argv, *pairs]
        with self._lock:
            if self.gone:
                return
            try:
                self._channel, self._theirs = socket.socketpair()
                self._channel = moved_socket(self._channel)
                self._mailbox = Mailbox(self._channel, self._note)
                _processes.add(self)
                self._channel.setblocking(False)
                warden.keep(files.base, self._theirs, launch.farewell)
            except OSError as error:
                let_through(error)
                if not self.gone:
                    self.refused = "keeper", error.errno or errno.EAGAIN
                self._finished(lost=False)
            finally:
                # our copy of the keeper's end of the channel, which the keeper has by now
                if self._theirs is not None:
                    self._theirs.close()
            if self.gone and self._channel is not None:
                # a signal handler has ended the service in between
                self._channel.close()
            self._launched = True
            if (shown := warden.shown_as(self._name)) is not None:
                self._tell("echo", *shown)
            # joined, since one text is encoded much faster than dozens
            self._tell("launch", "\0".join(fields))
            self.farewell()

    def fileno(self) -> int:
        """A descriptor, readable when :meth:`pump` has something to do; -1 when it never will."""
        return -1 if self._channel is None else self._channel.fileno()

    def _tell(self, *fields: bytes | str | int | float) -> None:
        if os.getpid() != self._owner:
            return
        data, until = pack(*fields), time.monotonic() + warden.ANSWER
        with self._lock:
            channel = self._channel
            if channel is None or self.gone:
                return
            if self._torn:
                # Ctrl-C, or a signal handler that sends a message, has interrupted a long one
                self.abandon()
                return
            try:
                while data:
                    try:
                        data = data[channel.send(data) :]
                        self._torn = bool(data)
                    except BlockingIOError:
                        left = max(0.0, until - time.monotonic())
                        if not warden.ready(channel.fileno(), select.POLLOUT, left):
                            return
            except (OSError, ValueError) as error:
                let_through(error)
                # the keeper is dead; pump() will see that on the same channel
                return

    def pump(self) -> None:
        """Receive the keeper's messages, without blocking."""
        with self._lock:
            if self.gone or self._mailbox is None:
                return
            if not self._mailbox.collect() and not self.gone:
                if not self.pid and self.refused is None:
                    number = warden.launched()
                    self.refused = ("keeper", number) if number else None
                self._finished(lost=self.refused is None)

    def _note(self, message: bytes) -> None:
        self.heard += 1
        verb, *fields = message.split(b"\0")
        if verb == b"up":
            self.pid, self.keeper_pid = int(fields[0]), int(fields[1])
            self.keeps_no_orphans = fields[2] == b"1"
            warden.launched()
        elif verb == b"exited":
            self.exit_code, self.ended = int(fields[0]), self.gone or fields[1] == b"0"
            self.left_others |= fields[1] != b"0"
            # of a main process that may end, what it has left should run
            if fields[2:] and (not self.ended_at or self.exit_code in self.fine):
                self.ended_at = float(fields[2])
        elif verb == b"output":
            self._watching = False
        elif verb == b"taken":
            self.taken, self.written = int(fields[0]), int(fields[1])
            self.input_closed = fields[2] == b"1"
        elif verb == b"signalled":
            self.signalled = max(self.signalled, int(fields[0]))
        elif verb == b"synced":
            self.synced = max(self.synced, int(fields[0]))
        elif verb == b"ready":
            self.notified = True
        elif verb == b"probed":
            self.probed, self._probing = (
                (int(fields[0]), fields[1].decode("utf-8", "replace")),
                False,
            )
        elif verb == b"lost":
            self.log_errno, self.lost_bytes = int(fields[0]), int(fields[1])
        elif verb == b"refused":
            self.refused = fields[0].decode(), int(fields[1])
        elif verb == b"stopping":
            over = self.exit_code is not None and self.exit_code not in self.fine
            died = self.ended or over
            # a signal handler may come in between, and note the message first
            if self.died_first is None:
                self.died_first = died
        elif verb == b"gone":
            if fields[0]:
                self.exit_code = int(fields[0])
            self.killed = fields[1] == b"1", int(fields[2]), int(fields[3])
            if fields[4]:
                self.stopper_said = int(fields[4]), fields[5].decode("utf-8", "replace")
            self._finished(lost=False)

    def _finished(self, lost: bool) -> None:
        if lost and self.keeper_pid:
            warden.sync(self.keeper_pid)
        self.lost = lost
        self.forget()
        if self.keeper_pid and self.mine():
            warden.bury(self.keeper_pid)

    def forget(self) -> None:
        """Close the channel; may be called again, after Ctrl-C in here."""
        _processes.discard(self)
        self.gone = self.ended = True
        for end in (self._channel, self._theirs):
            if end is not None:
                end.close()

    def watch(self, position: int) -> None:
        """Ask the keeper for a message when there is output beyond a position in the log."""
        if not self._watching:
            self._watching = True
            self._tell("watch", position)

    def sync(self) -> int:
        """Have the keeper store all output and tell all news; done when :attr:`synced` has this."""
        with self._lock:
            order = self._orders = self._orders + 1
            self._tell("sync", order)
            return order

    def send(self, text: bytes) -> None:
        """Send a small piece of input; :attr:`taken` tells how much has been taken."""
        with self._lock:
            # counted first: if Ctrl-C keeps it from being sent, the next text has a later position
            position = self.sent = self.sent + len(text)
            self._tell("send", position, text)

    def end_input(self) -> None:
        """End the service's input; the end counts as one byte of input."""
        with self._lock:
            position = self.sent = self.sent + 1
            self._tell("eof", position)

    def forget_input(self) -> None:
        """Have the keeper drop input that has not been taken."""
        with self._lock:
            self._tell("forget", self.sent)

    def probe(self, timeout: float, argv: tuple[str, ...]) -> None:
        """Have the keeper run a probe command, unless one is running."""
        if not self._probing:
            self._probing = True
            self._tell("probe", timeout, *argv)

    def signal(self, number: int) -> None:
        """Signal the main process."""
        self._tell("signal", number, 0)

    def signal_everything(self, number: int) -> int:
        """Signal all processes of the service; done when :attr:`signalled` has this result."""
        with self._lock:
            order = self._orders = self._orders + 1
            self._tell("signal", number, order)
            return order

    def request_stop(
        self, number: int, grace: float, argv: tuple[str, ...] = (), elsewhere: bool = False
    ) -> None:
        """Begin to stop the service, once only; :attr:`gone` tells the end.

        :param number: the signal.
        :param grace: seconds until the service is killed.
        :param argv: the stop command, if there is one; the signal then comes later.
        :param elsewhere: whether the command stops a server that is no process of ours.
        """
        with self._lock:
            if not self._launched:
                self.forget()  # it is not spawned any more
            if not self._stopping:
                # set first: a signal handler that sees the end must not take it for a death
                self.ending = True
                self._tell("stop", number, grace, int(elsewhere), *argv)
                self._stopping = True

    def farewell(self) -> None:
        """Tell the keeper the stop command to run if this process dies without a stop."""
        if self.launch.farewell:
            self._tell("farewell", self.launch.farewell, *self.launch.stop)

    def request_kill(self) -> None:
        """Have the keeper SIGKILL all processes of the service; :attr:`gone` tells the end."""
        with self._lock:
            if not self._launched:
                self.forget()  # it is not spawned any more
            self.ending = self._stopping = True
            self._tell("kill")

    def abandon(self) -> None:
        """Give up a keeper that does not answer: the warden kills the processes that it left."""
        with self._lock:
            if not self.gone:
                if self.keeper_pid and os.getpid() == self._owner:
                    try:
                        os.kill(self.keeper_pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                elif os.getpid() == self._owner:
                    warden.give_up()
                self._finished(lost=True)

    def disown(self) -> None:
        """In a forked child: close the copy of the channel, and own no service."""
        # another thread may have held the lock when the child was forked
        self._lock = threading.RLock()
        self.forget()

    def mine(self) -> bool:
        """Whether this process started the service, and not a parent that has forked this one."""
        return os.getpid() == self._owner


def refusal(stage: str, number: int, launch: Launch) -> str:
    """Why a service could not be spawned, in words."""
    said = os.strerror(number)
    if number in (errno.EMFILE, errno.ENFILE):
        return f"no file descriptor is left for it (ulimit -n): {said}"
    if stage == "keeper" or number in (errno.EAGAIN, errno.ENOMEM):
        return f"no process could be forked for it: {said}"
    if stage == "process" and number == errno.ENOEXEC:
        return f"{launch.program} is no program and has no #! line: name its interpreter ({said})"
    if stage == "process" and number == errno.ENOENT and os.path.exists(launch.program):
        return (
            f"{launch.program} could not be executed, since its dynamic loader is not there: {said}"
        )
    if stage == "process":
        return f"{launch.program} could not be executed: {said}"
    if stage == "directory":
        return f"the directory {launch.cwd} could not be entered: {said}"
    if stage == "log":
        return f"its log could not be written: {said}"
    return f"its {stage} could not be set up: {said}"
