"""The keeper: parent, terminal and reaper of one service."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import time

from . import processes
from .capture import Capture
from .files import remove_life, remove_run
from .messages import pack, seconds, take
from .probing import Notices, SideCommand
from .processes import (
    CHUNK,
    Ended,
    RunnerWatch,
    children,
    is_dying,
    kill,
    others_in_group,
    program_of,
    read_wakeups,
    signal_descendants,
    sweep,
    wake_on_signals,
)
from .spawn import bring_to_foreground, spawn

#: bytes of output that the keeper still reads after the service has ended
_LAST_OUTPUT = 4 << 20
#: Seconds until :meth:`Keeper.look_again` is called for the first time; the pause doubles then.
_SECOND_LOOK = 0.01


class Keeper:
    """Runs one service, and obeys the test process on one channel until the service is gone.

    :param terminal: a descriptor for output that the test process wants to be shown; -1 for none.
    """

    def __init__(self, channel: socket.socket, runner: RunnerWatch, terminal: int = -1) -> None:
        self.channel = channel
        self.runner = runner
        self.terminal = terminal
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.capture = Capture()
        self.probe = SideCommand()
        self.stopper = SideCommand()
        self.notices = Notices()
        #: the common beginnings of the paths of the service's life, and of this run; empty when
        #: the test process removes these files
        self.base = self.run_base = ""
        #: pid of the main process; 0 once it is reaped
        self.main = 0
        #: the process group of the main process, which may outlive it
        self.group = 0
        self.status: int | None = None
        #: whether the service has run, and none of its processes is left
        self.empty = False
        #: whether the test process wants a message at the next output
        self.watched = False
        self.told_exit = False
        self.told_lost = (0, 0)
        self.told_taken = (0, 0, 0)
        self.stop_signal = 0
        self.stop_half = self.stop_end = 0.0
        #: processes, beside the main process, that were asked to end: pid -> program_of(pid)
        self.asked_to_end: dict[int, bytes] = {}
        #: the time of the next :meth:`look_again`, 0 for never, and the pause before it
        self.look_at = self.look_after = 0.0
        #: whether the stop command is at work; meanwhile the keeper signals nobody
        self.commanded = False
        #: seconds and words of a command to run if the test process dies without stopping
        self.farewell: tuple[float, list[bytes]] = (0.0, [])
        #: the status of the stop command, and the end of its output
        self.stopper_said: tuple[int, bytes] | None = None

    # -- talking with the test process --

    def tell(self, *fields: bytes | str | int | float) -> None:
        """Queue a message; never blocks."""
        self.outbox += pack(*fields)
        self.flush()

    def flush(self) -> None:
        """Send queued messages as far as the socket takes them."""
        try:
            while self.outbox:
                del self.outbox[: self.channel.send(self.outbox)]
        except BlockingIOError:
            pass
        except OSError:
            self.outbox.clear()

    def listen(self) -> None:
        """Read and obey what the test process sent."""
        try:
            data = self.channel.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise Ended
        self.inbox += data
        while (message := take(self.inbox)) is not None:
            verb, _, rest = message.partition(b"\0")
            self.obey(verb, rest)

    def obey(self, verb: bytes, rest: bytes) -> None:
        """Do what one message asks."""
        if verb == b"watch":
            self.watched = True
            self.announce(int(rest))
        elif verb == b"sync":
            self.reap()
            self.reap_the_dying()
            self.drain()
            self.tell_lost()
            self.tell("synced", int(rest))
        elif verb == b"send":
            position, text = rest.split(b"\0", 1)
            self.capture.send(text, int(position))
            self.tell_taken()
        elif verb == b"eof":
            self.capture.end_input(int(rest))
            self.tell_taken()
        elif verb == b"forget":
            self.capture.forget_input(int(rest))
            self.tell_taken()
        elif verb == b"probe":
            timeout, *argv = rest.split(b"\0")
            failure = self.probe.start(seconds(timeout), argv)
            if failure:
                self.tell("probed", 127, failure)
        elif verb == b"signal":
            number, order = rest.split(b"\0")
            self.signal(int(number), int(order))
        elif verb == b"stop":
            number, grace, elsewhere, *argv = rest.split(b"\0")
            self.begin_stop(int(number), seconds(grace), elsewhere == b"1", argv)
        elif verb == b"kill":
            self.finish()
        elif verb == b"farewell":
            grace, *argv = rest.split(b"\0")
            self.farewell = seconds(grace), argv
        elif verb == b"echo":
            self.show_output(rest)
        elif verb == b"launch" and not self.base:
            self.launch(rest.split(b"\0"))
        else:
            raise ValueError(f"unexpected message {verb!r}")

    # -- the service --

    def show_output(self, rest: bytes) -> None:
        """Have the output shown from now on, with a name in a colour in front of each line."""
        if self.terminal >= 0:
            from .echo import Echo  # most runs show nothing

            colour, name = rest.split(b"\0")
            self.capture.echo = Echo(self.terminal, name.decode("utf-8", "replace"), int(colour))

    def launch(self, fields: list[bytes]) -> None:
        """Open the log and the terminal, start the service, and tell the test process."""
        base, run_base, log, limit, cwd, tty, silent, notify, program, count, *words = fields
        argv, pairs = words[: int(count)], words[int(count) :]
        env = dict(pair.split(b"=", 1) for pair in pairs)
        self.base, self.run_base = os.fsdecode(base), os.fsdecode(run_base)
        self.probe.env = self.stopper.env = env
        stage = "log"
        try:
            self.capture.open_log(log, int(limit), kept=log != run_base + b".log")
            stage = "directory"
            os.chdir(cwd)
            if notify:
                stage = "notify socket"
                self.notices.listen(notify)
            stage = "terminal"
            make = self.capture.open_terminal if tty == b"1" else self.capture.open_pipes
            ends = make(silent == b"1")
            stage = "process"
            self.main = self.group = spawn(program, argv, env, ends)
        except OSError as error:
            # from here on the test process removes the files
            self.base = ""
            self.tell("refused", stage, error.errno or errno.EIO)
            raise Ended from None
        if self.capture.terminal >= 0:
            bring_to_foreground(self.capture.terminal, self.main)
        for end in ends:
            if end != self.capture.terminal:
                os.close(end)
        self.tell("up", self.main, os.getpid(), int(processes.subreaper_refused))

    def drain(self, limit: int = 1 << 20) -> None:
        """Move output to the log, and tell the test process if it wants to know."""
        before = self.capture.stored
        self.capture.drain(limit)
        self.announce(before)
        if not self.told_lost[0]:
            self.tell_lost()

    def tell_lost(self) -> None:
        """Tell the test process how much output could not be stored, if that has changed."""
        lost = self.capture.lost
        if lost != self.told_lost:
            self.told_lost = lost
            self.tell("lost", *lost)

    def announce(self, position: int) -> None:
        """Tell the test process that there is output beyond a position, if it wants to know."""
        if self.watched and self.capture.stored > position:
            self.watched = False
            self.tell("output")

    def tell_taken(self) -> None:
        """Tell the test process how much input was taken, if that has changed."""
        taken = self.capture.input_taken()
        if taken != self.told_taken:
            self.told_taken = taken
            self.tell("taken", *taken)

    def signal(self, number: int, order: int) -> None:
        """Signal the main process, or all descendants of this keeper.

        :param order: 0 for the main process alone; otherwise the number of the order, with
            which the keeper answers when it has signalled all.
        """
        if order:
            signal_descendants(number)
            self.tell("signalled", order)
        elif self.main:
            kill(self.main, number)

    # -- the end of the service --

    def reap(self) -> None:
        """Reap children that have ended, and tell the test process."""
        left, probed, now = True, None, time.monotonic()
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, code = found[0], os.waitstatus_to_exitcode(found[1])
                if pid == self.main:
                    # not told yet: first its last output goes to the log, below
                    self.main, self.status = 0, code
                    self.commanded = False
                elif pid == self.probe.pid:
                    probed = self.probe.ended(code)
                elif pid == self.stopper.pid:
                    self.stopper_said = self.stopper.ended(code)
                self.asked_to_end.pop(pid, None)
        except ChildProcessError:
            left = False
        if self.status is not None and not self.empty and not (left and self.told_exit):
            self.told_exit = True
            self.drain(_LAST_OUTPUT)
            self.tell_lost()
            self.empty = not left
            self.tell("exited", self.status, int(left), now)
        if probed:
            # sent after "exited": the test process knows the state of the service by then
            self.tell("probed", probed[0], probed[1].rpartition(b"\n")[2])
        if self.stop_signal:
            self.go_on_stopping()

    def reap_the_dying(self, patience: float = 0.1) -> None:
        """Reap the main process if its end is only a moment away.

        :param patience: seconds after which it is left for later, since it hangs in the kernel.
        """
        end = time.monotonic() + patience
        while self.main and is_dying(self.main) and time.monotonic() < end:
            time.sleep(0.0002)
            self.reap()

    def begin_stop(self, number: int, grace: float, elsewhere: bool, argv: list[bytes]) -> None:
        """Ask the main process to end by a signal, or run the stop command.

        Processes that the main process leaves behind are asked once it has ended.

        :param elsewhere: whether to run the command even if no process is left here.
        """
        # first tell of an end that came before this stop and was not caused by it
        self.reap()
        self.tell("stopping")
        if not self.base or (self.empty and not elsewhere):
            self.finish()
        now = time.monotonic()
        self.stop_signal, self.stop_half, self.stop_end = number, now + grace / 2, now + grace
        if argv:
            refused = self.stopper.start(grace, argv)
            self.commanded = not refused
            self.stopper_said = (127, refused.encode()) if refused else None
        if not self.commanded:
            self.ask_to_end()
        self.go_on_stopping()

    def ask_to_end(self) -> None:
        """Signal the main process; if it has ended, the processes that it left behind."""
        self.commanded = False
        if self.main:
            kill(self.main, self.stop_signal)
            kill(self.main, signal.SIGCONT)
        else:
            self.end_orphans()

    def go_on_stopping(self) -> None:
        """Take the next step of a stop after a process has ended."""
        if self.commanded and self.stopper_said and self.stopper_said[0] != 0:
            self.ask_to_end()
        if self.empty and not self.stopper.pid:
            self.finish()
        if self.status is not None and not self.commanded:
            self.end_orphans()

    def end_orphans(self) -> None:
        """Ask each process to end that became our child when its parent ended, once."""
        for pid in children():
            ours = pid in (self.main, self.probe.pid, self.stopper.pid)
            if pid not in self.asked_to_end and not ours:
                self.ask(pid, signal.SIGTERM)

    def ask(self, pid: int, number: int) -> None:
        """Ask a process other than the main process to end."""
        if number == signal.SIGTERM:
            self.asked_to_end[pid] = program_of(pid)
            self.look_after = _SECOND_LOOK
            self.look_at = time.monotonic() + self.look_after
        kill(pid, number)
        kill(pid, signal.SIGCONT)

    def look_again(self) -> None:
        """Ask processes again that run another program than when they were asked.

        Between fork() and exec() a process has the signal handlers of its parent.  If one of
        these has handled the signal, the new program knows nothing of it.
        """
        for pid in self.asked_to_end.keys() & children():
            asked, program = self.asked_to_end[pid], program_of(pid)
            if asked and program and asked != program:
                self.ask(pid, signal.SIGTERM)

    def press(self) -> None:
        """Do what is due by the clock."""
        now = time.monotonic()
        self.probe.press(now)
        if not self.stop_signal:
            return
        if now >= self.stop_end:
            self.finish()
        if self.look_at and now >= self.look_at:
            self.look_after *= 2
            self.look_at = now + self.look_after if self.asked_to_end else 0.0
            self.look_again()
        if self.stop_half and now >= self.stop_half:
            self.stop_half = 0.0
            if self.commanded:
                self.ask_to_end()
            else:
                self.ask_others()

    def ask_others(self) -> None:
        """Ask members of the main process's group that have not been asked yet.

        None of them is asked twice, and neither is the main process: to many servers a second
        signal means "at once".  A daemon, which has left the group, is asked a second time: it
        became our child, and was asked, before it had set its signal handlers perhaps.
        """
        number = self.stop_signal if self.main else signal.SIGTERM
        members = others_in_group(self.group)
        self.asked_to_end = {
            pid: program for pid, program in self.asked_to_end.items() if pid in members
        }
        for pid in members:
            if pid not in self.asked_to_end:
                self.ask(pid, number)
        if not self.main:
            self.end_orphans()

    def finish(self) -> None:
        """Kill what is left, tell the test process how the service ended, and end."""
        main = self.main
        reaped: dict[int, int] = {}
        immortal = sweep(reaped=reaped)
        reaped.pop(self.probe.pid, None)
        if self.stopper.pid:
            # the sweep has killed the stop command, whose time is over
            code = os.waitstatus_to_exitcode(reaped.pop(self.stopper.pid, signal.SIGKILL))
            self.stopper_said = self.stopper.ended(code)
        if main in reaped:
            self.status = os.waitstatus_to_exitcode(reaped[main])
        killed = [pid for pid, status in reaped.items() if status == signal.SIGKILL]
        self.drain(_LAST_OUTPUT)
        self.tell_lost()
        status = "" if self.status is None else self.status
        said = self.stopper_said or ("", b"")
        self.tell("gone", status, int(main in killed), len(killed), immortal, *said)
        self.base, self.farewell = "", (0.0, [])
        if self.outbox:
            self.channel.settimeout(1)
            self.flush()
        raise Ended

    # -- the loop --

    def run(self) -> None:
        """Serve until the service is gone, or the test process dies or closes the channel."""
        wake = wake_on_signals()
        # it ends the warden alone, which kills its keepers: here it is a service that tells its
        # parent something
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.channel.setblocking(False)
        try:
            # the order to launch has arrived already
            self.listen()
            while True:
                self.turn(wake)
        except Ended:
            pass
        finally:
            sweep()
            self.bid_farewell()
            if self.base:
                remove_run(self.run_base)
                # a test process that lives may start another run in the same directory
                if self.runner.dead():
                    remove_life(self.base)
            if self.capture.echo is not None:
                self.capture.echo.finish()

    def bid_farewell(self) -> None:
        """Run the stop command of a service that no sweep here can reach (a container).

        It runs when the test process has died without stopping the service, for as many seconds
        as ``farewell`` has.
        """
        grace, argv = self.farewell
        # a stop command that ran before was swept: its pid no longer counts
        self.stopper.pid = 0
        if not argv or self.stopper.start(grace, argv):
            return
        end = time.monotonic() + grace
        while time.monotonic() < end and os.waitpid(self.stopper.pid, os.WNOHANG)[0] == 0:
            self.stopper.read()
            time.sleep(0.01)
        sweep()

    def turn(self, wake: int) -> None:
        """Wait for an event, and deal with it."""
        capture, probe, echo = self.capture, self.probe, self.capture.echo
        poller = select.poll()
        poller.register(self.channel, select.POLLIN | (select.POLLOUT if self.outbox else 0))
        ends = (capture.output, self.notices.fd, probe.output, self.stopper.output)
        for fd in (wake, self.runner.fd, *ends):
            if fd >= 0:
                poller.register(fd, select.POLLIN)
        if capture.pending_input and capture.input >= 0:
            both = select.POLLIN if capture.input == capture.output else 0
            poller.register(capture.input, select.POLLOUT | both)
        if echo is not None and echo.pending:
            poller.register(echo.fd, select.POLLOUT)
        ready = dict(poller.poll(self.patience()))
        if self.runner.gone(ready):
            raise Ended
        woken = read_wakeups(wake) if wake in ready else b""
        if capture.output in ready:
            self.drain()
        if echo is not None:
            echo.write()
        if capture.pending_input:
            capture.feed()
            self.tell_taken()
        if self.notices.fd in ready and self.notices.ready():
            self.tell("ready")
        for command in (probe, self.stopper):
            if command.output in ready:
                command.read()
        if woken:
            self.reap()
        self.flush()
        if self.channel.fileno() in ready:
            self.listen()
        self.press()

    def patience(self) -> float | None:
        """Milliseconds until something is due by the clock, None if nothing is."""
        due = [self.probe.end] if self.probe.pid else []
        if self.stop_signal:
            due.append(self.stop_half or self.stop_end)
            due += [self.look_at] if self.look_at else []
        if self.runner.interval:
            due.append(time.monotonic() + self.runner.interval)
        # at most a day: poll() refuses more than some weeks
        return max(0.0, min(min(due) - time.monotonic(), 86400)) * 1000 + 1 if due else None
