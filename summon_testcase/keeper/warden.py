"""The warden: the process that forks a keeper per service."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import time
from select import POLLIN, POLLOUT

from .files import remove_leftovers, remove_run
from .keeper import Keeper
from .messages import pack, seconds, take
from .processes import (
    CHUNK,
    Ended,
    RunnerWatch,
    become_subreaper,
    read_wakeups,
    sweep,
    take_signals,
    wake_on_signals,
)

#: after the death of the test process each keeper has so many seconds to sweep by itself
_KEEPERS_GRACE = 0.3
#: seconds that the test process may take to die once its socket is closed
_LONGEST_DEATH = 10.0


class Warden:
    """Forks a keeper per service, and sweeps in the place of a keeper that died too early."""

    def __init__(self, control: socket.socket, runner: RunnerWatch) -> None:
        self.control = control
        self.runner = runner
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.channels: list[int] = []
        self.keepers: dict[int, str] = {}
        self.patience: dict[int, float] = {}
        #: pids of askers, which end by themselves when the warden ends
        self.askers: set[int] = set()
        self.orphaned: list[str] = []
        #: the command to run at the end if the test process has been killed
        self.last_command: list[bytes] = []
        #: keepers whose end the test process wants to know
        self.awaited: set[int] = set()
        #: where keepers show the output of their services; -1 for nowhere
        self.terminal = -1

    def tell(self, word: str, pid: int) -> None:
        """Send the test process a word about a process; never blocks."""
        self.outbox += pack(word, pid)
        self.flush()

    def flush(self) -> None:
        """Send queued messages as far as the socket takes them."""
        try:
            while self.outbox:
                del self.outbox[: self.control.send(self.outbox, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            pass
        except OSError:
            # The test process is dead; listen() will see that on the same socket.
            self.outbox.clear()

    def listen(self) -> None:
        """Read and obey what the test process sent."""
        try:
            data, fds, _, _ = socket.recv_fds(self.control, CHUNK, 16)
        except OSError:
            raise Ended from None
        for fd in fds:
            os.set_inheritable(fd, False)
        self.channels += fds
        if not data:
            raise Ended
        self.inbox += data
        while (message := take(self.inbox)) is not None:
            verb, _, rest = message.partition(b"\0")
            if verb == b"keep":
                base, _, patience = rest.partition(b"\0")
                self.keep(os.fsdecode(base), seconds(patience or b"0"))
            elif verb == b"sync":
                pid = int(rest)
                if pid in self.keepers:
                    self.awaited.add(pid)
                else:
                    self.tell("synced", pid)
            elif verb == b"echo":
                from .echo import without_waiting  # most runs show nothing

                self.terminal = without_waiting(self.channels.pop(0))
            elif verb == b"ask":
                self.ask(rest.split(b"\0"))
            elif verb == b"after":
                self.last_command = rest.split(b"\0") if rest else []
            else:
                raise ValueError(f"unknown message {verb!r}")

    def keep(self, base: str, patience: float) -> None:
        """Fork a keeper for the channel that came with the message.

        :param patience: seconds that its sweep may take once the test process has died.
        """
        # with family and type given, Python need not ask the system for them
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, self.channels.pop(0))
        try:
            pid = os.fork()
        except OSError as error:
            with contextlib.suppress(OSError):
                channel.send(pack("refused", "keeper", error.errno or errno.EAGAIN))
        else:
            if pid == 0:
                try:
                    os.setsid()
                    self.control.close()
                    become_subreaper()
                    Keeper(channel, self.runner, self.terminal).run()
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    os._exit(0)
            self.keepers[pid] = base
            self.patience[pid] = patience
        channel.close()

    def ask(self, arguments: list[bytes]) -> None:
        """Start an asker for the channel and the standard error that came with the message.

        :param arguments: the code of the asker, then the arguments that follow channel and
            parent on its command line.
        """
        channel, said = self.channels.pop(0), self.channels.pop(0)
        # the options with which this program was started, and which are thus known to work
        python = sys.orig_argv[: sys.orig_argv.index("-c") + 1]
        code, directory, *rest = arguments
        argv: list[str | bytes] = [*python, code, directory]
        argv += [str(channel), str(os.getpid()), *rest]
        os.set_inheritable(channel, True)
        try:
            self.askers.add(
                os.posix_spawn(
                    sys.executable,
                    argv,
                    os.environ,
                    file_actions=[(os.POSIX_SPAWN_DUP2, said, 2)],
                )
            )
        except OSError as error:
            os.write(said, f"it could not be spawned: {error}\n".encode())
        finally:
            os.close(channel)
            os.close(said)

    def ended(self, pid: int, status: int) -> None:
        """Note that a child has ended; sweep the orphans of a keeper that was killed."""
        self.askers.discard(pid)
        base = self.keepers.pop(pid, "")
        self.patience.pop(pid, None)
        if base and status:
            self.orphaned.append(base)
            reaped: dict[int, int] = {}
            sweep(self.keepers.keys() | self.askers, reaped)
            for other, code in reaped.items():
                self.ended(other, code)
        if pid in self.awaited:
            self.awaited.discard(pid)
            self.tell("synced", pid)

    def reap(self) -> None:
        """Reap children that have ended."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self.ended(*found)

    def run(self, directory: str) -> None:
        """Serve until the test process dies or closes its socket."""
        take_signals()
        wake = wake_on_signals()
        poller = select.poll()
        for fd in (self.control.fileno(), wake, self.runner.fd):
            if fd >= 0:
                poller.register(fd, POLLIN)
        interval = self.runner.interval
        dismissed = False
        try:
            while True:
                poller.modify(self.control, POLLIN | (POLLOUT if self.outbox else 0))
                ready = dict(poller.poll(interval and interval * 1000))
                if self.runner.gone(ready):
                    break
                if wake in ready:
                    if signal.SIGTERM in read_wakeups(wake):
                        dismissed = True
                        break
                    # only after SIGCHLD: waitpid() makes the kernel look at each of hundreds
                    self.reap()
                self.flush()
                if ready.get(self.control.fileno(), 0) & ~POLLOUT:
                    self.listen()
        except Ended:
            pass
        finally:
            self.end()
            # After a SIGTERM to us the test process may start the services again, in the same
            # directories.
            if not dismissed or self.runner.dead():
                for base in self.orphaned:
                    remove_run(base)
                remove_leftovers(directory)
            if self.last_command and self.runner_dies():
                with contextlib.suppress(OSError):
                    os.execv(self.last_command[0], self.last_command)

    def runner_dies(self) -> bool:
        """Wait for the death of the test process, which has closed its socket, perhaps by dying."""
        until = time.monotonic() + _LONGEST_DEATH
        while not self.runner.dead() and time.monotonic() < until:
            time.sleep(0.002)
        return self.runner.dead()

    def end(self) -> None:
        """Give keepers time to sweep their services, then sweep the keepers."""
        self.control.close()
        began = time.monotonic()
        # a keeper whose service is stopped by a command has as long as that command may take
        while time.monotonic() - began < _KEEPERS_GRACE + max(self.patience.values(), default=0.0):
            if not self.keepers:
                break
            self.reap()
            time.sleep(0.002)
        self.orphaned += self.keepers.values()
        sweep()


def main() -> None:
    """Run with the arguments RUNNER-PID DIRECTORY; standard input is the control socket."""
    runner, directory = int(sys.argv[1]), sys.argv[2]
    control = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    # Descriptor 0 stays taken: what is opened next must not get that number.
    os.dup2(2, 0)
    # The test process waits for this process, which ends here.  The fork goes on as the
    # warden and is no child of the test process: a test's own os.wait() never meets it.
    try:
        if os.fork():
            os._exit(0)
    except OSError as error:
        # at the limit of processes; the test process reads the errno from our status
        os._exit(error.errno or errno.EAGAIN)
    become_subreaper()
    # keepers share these pages of memory; a garbage collection would copy them all
    gc.disable()
    gc.freeze()
    Warden(socket.socket(fileno=control), RunnerWatch(runner)).run(directory)
