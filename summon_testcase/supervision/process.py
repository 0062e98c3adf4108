"""One service as its keeper reports it, and what it can be told to do."""

from __future__ import annotations

import errno
import signal
import threading

from ..declaration.command import Launch
from ..foreign import let_through
from ..keeper.messages import pack
from ..output.log import limit
from ..scheduling.deadline import Deadline
from ..system.descriptors import moved_socket
from ..system.mailbox import Mailbox
from ..unpatched import os, select, socket
from . import warden
from .lease import InstanceFiles

#: those that have a channel; no weak references, whose callbacks would swallow an interrupt
_processes: set[Process] = set()


def forget() -> None:
    """In a forked child: the services are the parent's."""
    for process in list(_processes):
        process.disown()


class Process:
    """A service as its keeper reports it.

    Facts are as of the last :meth:`pump`, which never blocks.
    """

    #: what is run
    launch: Launch

    def __init__(self, files: InstanceFiles) -> None:
        self.files = files
        self.pid = 0
        self.keeper_pid = 0
        #: the system does not let its keeper adopt what the service leaves
        self.keeps_no_orphans = False
        #: status of the main process once it has ended, as in subprocess
        self.exit_code: int | None = None
        #: nothing of the service is alive
        self.ended = False
        #: others were, when the main process had ended
        self.left_others = False
        #: the keeper has nothing more to say: the service is gone
        self.gone = False
        #: the keeper died before the service did
        self.lost = False
        #: why there is no process: the stage that failed, and its errno
        self.refused: tuple[str, int] | None = None
        #: how many messages of the keeper have been noted
        self.heard = 0
        #: READY=1 was received
        self.notified = False
        #: it had ended when it was asked to; None before that
        self.died_first: bool | None = None
        #: the last order to signal everything that the keeper has carried out
        self.signalled = 0
        #: of all input that was ever sent, how much has been taken, or been forgotten
        self.sent = self.taken = 0
        #: bytes of it that the service has really taken
        self.written = 0
        #: no more will be
        self.input_closed = False
        #: who sends something, or waits until others have
        self.senders: list[tuple[int, object]] = []
        #: status and last line of the probe command that ended last
        self.probed: tuple[int, str] | None = None
        #: errno of the first output that could not be stored
        self.log_errno = 0
        #: at the stop: the main process, how many others, had to be killed; how many live on
        self.killed = (False, 0, 0)
        #: how the command that stops it ended, and what it said, if one was run
        self.stopper_said: tuple[int, str] | None = None
        self._owner = os.getpid()
        self._lock = threading.RLock()
        #: whether it was asked to end: then that is no death
        self.ending = False
        self._launched = self._probing = self._watching = self._stopping = False
        #: part of a message was sent, and the rest of it never will be
        self._torn = False
        self._orders = 0
        self._channel: socket.socket | None = None
        self._theirs: socket.socket | None = None
        self._mailbox: Mailbox | None = None

    @property
    def fine(self) -> frozenset[int]:
        """Statuses with which the main process may end before the service is ready."""
        return self.launch.fine

    def spawn(self, launch: Launch) -> None:
        """Have a keeper spawn it: :attr:`pid`, or :attr:`refused`, tells when that is done."""
        self.launch, files = launch, self.files
        pairs = [f"{key}={value}" for key, value in launch.env.items()]
        fields = [files.lease, files.log.path, str(limit()), launch.cwd, str(int(launch.tty))]
        fields += [str(int(launch.silent)), launch.notify, launch.program]
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
                self._let_go()
            if self.gone and self._channel is not None:
                # a signal handler that ended it came in between
                self._channel.close()
            self._launched = True
            # one text is encoded much faster than dozens are
            self._tell("launch", "\0".join(fields))
            self.farewell()

    def _let_go(self) -> None:
        """Close the keeper's end of the channel, which was sent to it."""
        if self._theirs is not None:
            self._theirs.close()

    def fileno(self) -> int:
        """Readable when there is something to :meth:`pump`; -1 once there never will be."""
        return -1 if self._channel is None else self._channel.fileno()

    def _tell(self, *fields: bytes | str | int | float) -> None:
        if os.getpid() != self._owner:
            return
        data = pack(*fields)
        deadline = Deadline(warden.ANSWER)
        with self._lock:
            channel = self._channel
            if channel is None or self.gone:
                return
            if self._torn:
                # Ctrl-C, or a signal handler that calls this, came into a long message
                self.abandon()
                return
            try:
                while data:
                    try:
                        data = data[channel.send(data) :]
                        self._torn = bool(data)
                    except BlockingIOError:
                        if not warden.ready(channel.fileno(), select.POLLOUT, deadline.left()):
                            return
            except (OSError, ValueError) as error:
                let_through(error)
                # its death is read from the same channel
                return

    def pump(self) -> None:
        """Take in what the keeper said."""
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
        elif verb == b"output":
            self._watching = False
        elif verb == b"taken":
            self.taken, self.written = int(fields[0]), int(fields[1])
            self.input_closed = fields[2] == b"1"
        elif verb == b"signalled":
            self.signalled = max(self.signalled, int(fields[0]))
        elif verb == b"ready":
            self.notified = True
        elif verb == b"probed":
            self.probed, self._probing = (
                (int(fields[0]), fields[1].decode("utf-8", "replace")),
                False,
            )
        elif verb == b"lost":
            self.log_errno = int(fields[0])
        elif verb == b"refused":
            self.refused = fields[0].decode(), int(fields[1])
        elif verb == b"stopping":
            over = self.exit_code is not None and self.exit_code not in self.fine
            died = self.ended or over
            # a signal handler that comes in between may see it to its end
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
        """It is gone; may be called again, where Ctrl-C came in between."""
        _processes.discard(self)
        self.gone = self.ended = True
        if self._channel is not None:
            self._channel.close()

    def watch(self, position: int) -> None:
        """Ask to be woken once there is output beyond a position in the log."""
        if not self._watching:
            self._watching = True
            self._tell("watch", position)

    def send(self, text: bytes) -> None:
        """Pass some input on, which is not much: :attr:`taken` tells how far that has come."""
        with self._lock:
            # counted first: what an interrupt leaves unsent is covered by what is sent next
            position = self.sent = self.sent + len(text)
            self._tell("send", position, text)

    def end_input(self) -> None:
        """End the service's input: counted as one byte of it."""
        with self._lock:
            position = self.sent = self.sent + 1
            self._tell("eof", position)

    def forget_input(self) -> None:
        """Have dropped what has not been taken."""
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
        """Signal all of the service: done once :attr:`signalled` is what is returned."""
        with self._lock:
            order = self._orders = self._orders + 1
            self._tell("signal", number, order)
            return order

    def request_stop(
        self, number: int, grace: float, argv: tuple[str, ...] = (), elsewhere: bool = False
    ) -> None:
        """Begin to stop, once only: :attr:`gone` tells the end.

        :param number: the signal.
        :param grace: seconds until it is killed.
        :param argv: the command that stops it, if there is one; then the signal comes later.
        :param elsewhere: what that command stops is no process of ours.
        """
        with self._lock:
            self._forestall()
            if not self._stopping:
                # first: a signal handler that comes after the message finds what this has ended
                self.ending = True
                self._tell("stop", number, grace, int(elsewhere), *argv)
                self._stopping = True

    def farewell(self) -> None:
        """Tell the keeper what to run if this process dies before the service is stopped."""
        if self.launch.farewell:
            self._tell("farewell", self.launch.farewell, *self.launch.stop)

    def request_kill(self) -> None:
        """SIGKILL everything: :attr:`gone` tells the end."""
        with self._lock:
            self._forestall()
            self.ending = self._stopping = True
            self._tell("kill")

    def _forestall(self) -> None:
        """See that it is not spawned, if it has not been."""
        if not self._launched:
            self.forget()

    def abandon(self) -> None:
        """Give up on a keeper that does not answer: the warden kills what it left."""
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
        """In a forked child: close the copy of the channel and know nothing."""
        # another thread may have held it when the child was forked
        self._lock = threading.RLock()
        self._let_go()
        self.forget()

    def mine(self) -> bool:
        """Whether this process started it, rather than a parent that forked us."""
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
