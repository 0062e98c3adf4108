"""Children, their children, and how to end them all."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import select
import signal
import sys
import time
from collections.abc import Container, Iterable, Set

#: bytes moved at once
CHUNK = 65536


class Ended(Exception):
    """The work of this process is over."""


def proc_is_ours() -> bool:
    """Whether there is a /proc, and the numbers in it are those that we know processes by.

    That of another pid namespace (``unshare --pid`` without a new mount) has others.
    """
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _stat(pid: int | str) -> list[bytes]:
    """What /proc/PID/stat has after the name, the state first.

    Empty if the process is gone, or /proc does not tell.
    """
    if not proc_is_ours():
        return []
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()
    except OSError:
        return []


def stat_parent(pid: int | str) -> int:
    """The parent of a process, 0 if there is no such process."""
    facts = _stat(pid)
    return int(facts[1]) if facts else 0


def program_of(pid: int) -> bytes:
    """Something that stays the same while a process, and what it forks, is one program.

    Empty where that is not known.  It is where the stack began, which the kernel chooses anew for
    each program.
    """
    begin = b"".join(_stat(pid)[25:26])
    return b"" if begin == b"0" else begin


def wait_until_stopped(pids: Iterable[int], patience: float = 0.1) -> None:
    """Wait until processes that were sent SIGSTOP do not run any more.

    One on another processor goes on until it is interrupted there.
    """
    end = time.monotonic() + patience
    for pid in pids:
        while (_stat(pid) or [b"X"])[0] in (b"R", b"S", b"D") and time.monotonic() < end:
            time.sleep(0.0002)


def children() -> list[int]:
    """The direct children of this process, zombies included."""
    if not proc_is_ours():
        return asked_children()
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children", "rb") as stream:
            return [int(word) for word in stream.read().split()]
    except OSError:
        pass
    try:
        return [int(p) for p in os.listdir("/proc") if p.isdigit() and stat_parent(p) == me]
    except OSError:
        return []


def asked_children() -> list[int]:
    """The direct children of this process where /proc does not tell: each pid is asked for."""
    found = []
    for pid in _numbers_since_birth():
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            continue
        except AttributeError:  # macOS
            break
        found.append(pid)
    return found


def _numbers_since_birth() -> Iterable[int]:
    """The pids that what descends from this process may have.

    They lie between its own and that of a process which is forked now.
    """
    me = os.getpid()
    try:
        newest = os.fork()
        if newest == 0:
            os._exit(0)
        os.waitpid(newest, 0)
    except OSError:  # a limit of processes
        newest = me + 32768
    # the kernel begins anew at the end of its numbers, which is this at most
    numbers = [range(me, newest)] if newest > me else [range(me, 1 << 22), range(2, newest)]
    return itertools.chain(*numbers)


def newest_children(span: int = 64) -> list[int]:
    """Children among the newest pids: a chain that keeps re-forking outruns a full list."""
    me = os.getpid()
    try:
        with open("/proc/loadavg", "rb") as stream:
            newest = int(stream.read().split()[-1])
    except (OSError, IndexError, ValueError):
        return []
    return [pid for pid in range(newest, max(1, newest - span), -1) if stat_parent(pid) == me]


def kill(pid: int, number: int) -> None:
    """Signal a process, or a group if negative; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def sweep(
    spare: Set[int] = frozenset(), reaped: dict[int, int] | None = None, patience: float = 5.0
) -> int:
    """SIGKILL every descendant until none is left.

    Only direct children are signalled, whose pids cannot be reused before we reap
    them; when one dies, its own children become ours (sub-reaper).

    :param spare: children to leave alone; they are reaped all the same.
    :param reaped: receives the wait status of each child reaped.
    :param patience: seconds after which a process that cannot be killed is given up.
    :returns: how many could not be killed, as far as they are known; at least one if any.
    """
    end = time.monotonic() + patience
    if subreaper_refused:
        _kill_session()
    quiet = 0
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid:
            if reaped is not None:
                reaped[pid] = status
            continue
        found = [p for p in {*children(), *newest_children()} if p not in spare]
        if not found and not spare:
            # there are some, of which /proc does not tell
            found = asked_children()
        for child in found:
            _kill_with_group(child, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        if (spare and quiet > 1) or time.monotonic() > end:
            return len(found) if spare else max(1, len(found))
        time.sleep(0.0005 if time.monotonic() < end - patience + 0.1 else 0.01)


def _kill_with_group(pid: int, number: int) -> None:
    """Signal a child, and its group at once: fork cannot outrun a signal to its group."""
    with contextlib.suppress(OSError):
        group = os.getpgid(pid)
        if group not in (os.getpgrp(), 0):
            os.killpg(group, number)
            return
    kill(pid, number)


def _kill_session() -> None:
    """SIGKILL who is in the session of this process, and may be nobody's child here."""
    me = os.getpid()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != me and _stat(name)[3:4] == [b"%d" % me]:
                kill(int(name), signal.SIGKILL)


#: looked up once, in the warden: each keeper inherits it
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
#: orphans go to init, since the system forbids us to be their reaper
subreaper_refused = False


def become_subreaper() -> None:
    """Orphaned descendants come to this process (Linux); elsewhere nothing happens."""
    global subreaper_refused
    if _prctl is not None:
        subreaper_refused = _prctl(36, 1, 0, 0, 0) != 0


def others_in_group(leader: int) -> list[int]:
    """The members of a process group of this session, but the one that it is named after."""
    me = os.getpid()
    if proc_is_ours():
        pids: Iterable[int] = (int(name) for name in os.listdir("/proc") if name.isdigit())
    else:
        pids = _numbers_since_birth()
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            # not one that has been given the number of a group that ended
            if os.getpgid(pid) == leader != pid and os.getsid(pid) == me:
                found.append(pid)
    return found


def is_stranger(pid: int, ancestor: int) -> bool:
    """Whether a process is known not to descend from another."""
    while pid > 1 and pid != ancestor:
        facts = _stat(pid)
        if not facts:
            # gone, or hidden: nothing speaks against it
            return False
        pid = int(facts[1])
    return pid != ancestor


def descendants(ancestor: int) -> list[int]:
    """All that descends from a process, parents before children."""
    below: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                below.setdefault(stat_parent(name), []).append(int(name))
    found: list[int] = []
    queue = [ancestor]
    while queue:
        queue = [child for pid in queue for child in below.get(pid, [])]
        found += queue
    return found


def signal_descendants(number: int) -> None:
    """Signal all that descends from this process; return once SIGSTOP has stopped them.

    Where /proc does not tell, its children and the groups that they are in.
    """
    if not proc_is_ours():
        for pid in children():
            _kill_with_group(pid, number)
        return
    seen = {os.getpid()}
    # a tree may grow while it is being stopped: look until it stays the same
    while new := [pid for pid in descendants(os.getpid()) if pid not in seen]:
        for pid in new:
            kill(pid, number)
        seen.update(new)
        if number == signal.SIGSTOP:
            # before the next look: one that still runs, on another processor, may fork
            wait_until_stopped(new)


class RunnerWatch:
    """Tells that the test process has died."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.fd = os.pidfd_open(pid)

    @property
    def interval(self) -> float | None:
        """Seconds between looks where nothing announces the death."""
        return None if self.fd >= 0 else 0.2

    def gone(self, ready: Container[int]) -> bool:
        """Whether it has died, given the descriptors that poll found ready."""
        return self.fd in ready if self.fd >= 0 else self.dead()

    def dead(self) -> bool:
        """Whether it has died, asked now."""
        if self.fd >= 0:
            poller = select.poll()
            poller.register(self.fd, select.POLLIN)
            return bool(poller.poll(0))
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False


#: all but those that nobody can catch
SIGNALS = frozenset(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def take_signals() -> None:
    """Notice SIGCHLD and SIGTERM, and ignore every other signal that would end or stop us.

    A terminal or a lost reader may send one, or a service that tells its parent that it is
    ready (``kill -USR1 $PPID``).  Done once, in the warden: each keeper inherits it.
    """
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in SIGNALS - {signal.SIGCHLD, signal.SIGTERM, signal.SIGCONT}:
        signal.signal(number, signal.SIG_IGN)
    # the thread of the test that started us may have blocked any of them
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def wake_on_signals() -> int:
    """A descriptor of this process that becomes readable at a signal that is noticed."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def read_wakeups(fd: int) -> bytes:
    """The numbers of the signals that came."""
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""
