"""How warden and keepers find, signal and kill all processes that descend from them."""

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

#: bytes that one read takes at most
CHUNK = 65536
#: so many pids there are if nobody has set another limit, and there may be at most
_USUAL_LIMIT, _HIGHEST = 32768, 1 << 22


class Ended(Exception):
    """The work of this process is over."""


def proc_is_ours() -> bool:
    """Whether there is a /proc that numbers processes as this process does.

    After ``unshare --pid`` without a new mount, /proc shows the pids of the outer namespace.
    """
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _stat(pid: int | str) -> list[bytes]:
    """The fields of /proc/PID/stat that follow the name; the first of them is the state.

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
    """A mark of the program that a process runs: forks share the mark, exec() changes it.

    The mark is the address at which the stack begins: the kernel chooses a new one at each
    exec().  Empty where /proc does not tell.
    """
    begin = b"".join(_stat(pid)[25:26])
    return b"" if begin == b"0" else begin


#: bits of the flags in /proc/PID/stat: it has begun to exit; a signal has ended it
_EXITING, _SIGNALED = 0x4, 0x400


def is_dying(pid: int) -> bool:
    """Whether a process has been killed, or has begun to exit, and can be reaped in a moment.

    SIGKILL takes effect when the process runs the next time; then the kernel has to free its
    memory.
    """
    facts = _stat(pid)
    if len(facts) < 29:
        return False
    flags, killed = int(facts[6]), int(facts[28]) >> (signal.SIGKILL - 1) & 1
    # the first thread may have ended while others go on: then it is a zombie for long
    return bool(killed or flags & _SIGNALED or (flags & _EXITING and facts[0] != b"Z"))


def wait_until_stopped(pids: Iterable[int], patience: float = 0.1) -> None:
    """Wait until processes that were sent SIGSTOP have stopped.

    A process that runs on another processor goes on until the kernel interrupts it there.
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
    """The direct children of this process where /proc does not tell: each pid is tried."""
    if not hasattr(os, "waitid"):  # macOS
        return []
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # there are none: to try all numbers would take seconds
        return []
    for numbers in _numbers_since_birth():
        found = [pid for pid in numbers if _is_child(pid)]
        if found:
            return found
    return []


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _numbers_since_birth() -> list[Iterable[int]]:
    """The pids that descendants of this process can have, first those that they probably have.

    These lie between its own pid and that of a process that is forked now.  If the kernel has gone
    through all numbers once since the birth of this process, descendants may have any other.
    """
    me = os.getpid()
    try:
        newest = os.fork()
        if newest == 0:
            os._exit(0)
        os.waitpid(newest, 0)
    except OSError:  # at the limit of processes no fork tells the newest pid
        newest = me + _USUAL_LIMIT
    if newest > me:
        low = itertools.chain(range(2, me), range(newest, _USUAL_LIMIT))
        return [range(me, newest), low, range(max(newest, _USUAL_LIMIT), _HIGHEST)]
    # after the highest pid the kernel starts again with low ones
    try:
        with open("/proc/sys/kernel/pid_max", "rb") as stream:
            highest = int(stream.read())
    except (OSError, ValueError):
        # to try all takes seconds
        highest = _USUAL_LIMIT
    likely = itertools.chain(range(me, highest), range(2, newest))
    return [likely, range(newest, me), range(max(me, highest), _HIGHEST)]


def newest_children(span: int = 64) -> list[int]:
    """Children among the newest pids.

    A process that forks and ends, again and again, is gone before a list of all is read.
    """
    me = os.getpid()
    try:
        with open("/proc/loadavg", "rb") as stream:
            newest = int(stream.read().split()[-1])
    except (OSError, IndexError, ValueError):
        return []
    return [pid for pid in range(newest, max(1, newest - span), -1) if stat_parent(pid) == me]


def kill(pid: int, number: int) -> None:
    """Signal a process, or with a negative pid a group; if it is gone, do nothing."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def sweep(
    spare: Set[int] = frozenset(), reaped: dict[int, int] | None = None, patience: float = 5.0
) -> int:
    """SIGKILL every descendant until none is left.

    Only direct children are signalled: the kernel does not reuse their pids before we reap
    them.  When a child dies, its own children become ours, since we are a sub-reaper.

    :param spare: children to leave alive; if one ends, it is reaped all the same.
    :param reaped: receives the wait status of each child reaped.
    :param patience: seconds after which the sweep gives up a process that cannot be killed.
    :returns: how many could not be killed.  Where nothing tells their number, 1.
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
            # waitpid() says that there are children, but /proc does not list them
            found = asked_children()
        for child in found:
            _kill_with_group(child, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        if (spare and quiet > 1) or time.monotonic() > end:
            return len(found) if spare else max(1, len(found))
        time.sleep(0.0005 if time.monotonic() < end - patience + 0.1 else 0.01)


def _kill_with_group(pid: int, number: int) -> None:
    """Signal a child and its whole group: no fork escapes a signal to the group."""
    with contextlib.suppress(OSError):
        group = os.getpgid(pid)
        if group not in (os.getpgrp(), 0):
            os.killpg(group, number)
            return
    kill(pid, number)


def _kill_session() -> None:
    """SIGKILL all in the session of this process, also those that are not its children."""
    me = os.getpid()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != me and _stat(name)[3:4] == [b"%d" % me]:
                kill(int(name), signal.SIGKILL)


#: The warden looks this up once; each keeper inherits it.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
#: whether the system has refused us the role of a sub-reaper, so that orphans go to init
subreaper_refused = False


def become_subreaper(wanted: bool = True) -> None:
    """Have orphaned descendants become children of this process (Linux only), or not any more."""
    global subreaper_refused
    if _prctl is not None:
        subreaper_refused = _prctl(36, int(wanted), 0, 0, 0) != 0


def others_in_group(leader: int) -> list[int]:
    """The members of a process group of this session, except its leader."""
    me = os.getpid()
    if proc_is_ours():
        pids: Iterable[int] = (int(name) for name in os.listdir("/proc") if name.isdigit())
    else:
        pids = itertools.chain(*_numbers_since_birth()[:1])
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            # the session tells a member from a stranger whose group has got the same number
            if os.getpgid(pid) == leader != pid and os.getsid(pid) == me:
                found.append(pid)
    return found


def is_stranger(pid: int, ancestor: int) -> bool:
    """Whether a process is known not to descend from another."""
    while pid > 1 and pid != ancestor:
        facts = _stat(pid)
        if not facts:
            # The process is gone or hidden: we cannot know that it is a stranger.
            return False
        pid = int(facts[1])
    return pid != ancestor


def descendants(ancestor: int) -> list[int]:
    """All descendants of a process, parents before children."""
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
    """Signal all descendants of this process.  After SIGSTOP wait until they have stopped.

    Where /proc does not tell, signal the children of this process and their groups.
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
            # before the next look: one that still runs on another processor may fork
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


#: all signals except the two that no process can catch
SIGNALS = frozenset(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def take_signals() -> None:
    """Notice SIGCHLD and SIGTERM, and ignore every other signal that would end or stop us.

    Such signals come from a terminal, from a pipe without a reader, or from a service that
    tells its parent that it is ready (``kill -USR1 $PPID``).  The warden calls this once;
    keepers inherit the result, and ignore SIGTERM, too.
    """
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in SIGNALS - {signal.SIGCHLD, signal.SIGTERM, signal.SIGCONT}:
        signal.signal(number, signal.SIG_IGN)
    # the thread that started us may have blocked some signals, and we have inherited that
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def wake_on_signals() -> int:
    """A descriptor that becomes readable when SIGCHLD or SIGTERM arrives."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def read_wakeups(fd: int) -> bytes:
    """The numbers of the signals that have arrived."""
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""
