"""Free ports, without races between parallel processes.

If each process binds port 0 and closes it again, two of them get the same port sooner or
later.  Here a process first locks a block of 64 ports, then picks ports inside it.  A lock
takes one descriptor, so that 500 services fit under ``ulimit -n 1024``.

Some servers are given one port, and take the next one too.  So only even ports are handed out,
whose next one is free, and stays so: no other lease, of whichever process, ever gets it.
"""

from __future__ import annotations

import errno
import random
import stat
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from ..errors import StartFailed
from ..foreign import is_foreign, let_through
from ..unpatched import LINUX, fcntl, open, os, socket, temporary_directory
from ..wording import counted
from . import procfs
from .descriptors import moved, moved_socket

#: ports that share one lock; an even number
BLOCK = 64
#: the lowest port that is handed out: most well-known services use lower ones
LOWEST = 20000
#: with fewer ports than this, parallel processes would leave each other none
ENOUGH = 64 * BLOCK

# not the random module's functions: a test's seed must not choose our ports, nor must we disturb
# the numbers that it gets; and a forked child must not repeat its parent's choices
_random = random.SystemRandom()


class Lock(Protocol):
    """A lock on a block of ports, until close() or the end of the process."""

    def close(self) -> None: ...


class _FileLock:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        # close() instead of flock(LOCK_UN), which would unlock it for a parent that forked, too
        os.close(self._fd)


def lock_by_socket(block: int) -> Lock | None:
    """Lock a block by the name of an abstract unix socket (Linux): no file is left.

    :returns: the lock, None if another holds it.
    :raises OSError: if the system has no abstract sockets.
    """
    if not LINUX:
        raise OSError(errno.EOPNOTSUPP, "abstract unix sockets exist on Linux only")
    sock = moved_socket(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    try:
        sock.bind(f"\0summon_testcase-ports-{block * BLOCK}")
    except OSError as error:
        sock.close()
        let_through(error)
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return sock


def lock_by_file(block: int) -> Lock | None:
    """Lock a block by a file in a directory of this user's own.

    :returns: the lock, None if another holds it.
    :raises StartFailed: if the directory is not this user's alone.
    :raises OSError: if the directory cannot be made, or the file cannot be opened.
    """
    directory = _private_directory()
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = moved(os.open(os.path.join(directory, str(block * BLOCK)), flags, 0o600))
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return _FileLock(fd)


def _private_directory() -> str:
    user = os.getuid()
    path = os.path.join(temporary_directory(), f"summon_testcase-ports-{user}")
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    # another user may have made it first, or a link that would lead our writes elsewhere
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != user or facts.st_mode & 0o077:
        raise StartFailed(
            f"no port can be leased: {path} must be a directory (not a link) that belongs to "
            f"user {user} with mode 0700; remove it, or set TMPDIR to a directory of your own"
        )
    return path


def is_free(port: int, may_linger: bool = False) -> bool:
    """Whether no process uses a port, on any address of IPv4 or IPv6.

    A port also counts as used if a socket is bound to it without listening.

    :param may_linger: whether it is free even if connections linger there in TIME_WAIT, which
        is true for a server that sets SO_REUSEADDR, if the one before has set it, too.
    :raises OSError: when the question cannot be asked (too many open files).
    """
    if not 0 < port < 65536:
        return False
    absent = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(may_linger))
                if family == socket.AF_INET6:
                    # without this the bind would also fail because of IPv4, which is tried apart
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(("", port))
        except OSError as error:
            let_through(error)
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            if family == socket.AF_INET or error.errno not in absent:
                return False
    return True


#: states of connections that are ending: FIN_WAIT1 and 2, TIME_WAIT, LAST_ACK, CLOSING
_LEFT = {4, 5, 6, 9, 11}
_LISTENS = 10


def lingering(port: int) -> str:
    """In words, that a former server's connections keep a port from being bound; or empty.

    The connections of a server that has ended keep its port for a minute, unless both that
    server and the next one set SO_REUSEADDR.
    """
    if is_free(port):
        return ""
    states = procfs.tcp_states(port)
    left = sum(state in _LEFT for state in states)
    if not left or _LISTENS in states:
        return ""
    return (
        f"port {port} was not free, though nobody listened there: {counted(left, 'connection')} of "
        "the run before it lingered (TIME_WAIT), which takes up to a minute unless the server sets "
        "SO_REUSEADDR: have it set that, or give it another port"
    )


def is_listened_at(port: int | None) -> bool:
    """Whether a process listens at a port."""
    return port is not None and _LISTENS in procfs.tcp_states(port)


def room(ephemeral: tuple[int, int], privileged: int = 1024) -> range:
    """The ports to choose from: outside the range from which the kernel chooses.

    Inside that range any outgoing connection may take a port first, and a probe that connects
    to a free port may be given the same port, and reach itself.

    :param ephemeral: the lowest and the highest port that the kernel chooses.
    :param privileged: ports below are root's.
    """
    low, high = ephemeral
    below = range(max(LOWEST, privileged), low)
    above = range(max(high + 1, privileged), 65536)
    for ports in (below, above):
        if len(ports) >= ENOUGH:
            return ports
    return range(max(1024, privileged), 65536)


def _system_room() -> range:
    base = "/proc/sys/net/ipv4"
    try:
        with open(f"{base}/ip_local_port_range") as file:
            low, high = map(int, file.read().split())
    except (OSError, ValueError) as error:
        let_through(error)
        low, high = 49152, 65535  # IANA's range, which macOS uses
    try:
        with open(f"{base}/ip_unprivileged_port_start") as file:
            privileged = max(int(file.read()), 1024)
    except (OSError, ValueError) as error:
        let_through(error)
        privileged = 1024
    return room((low, high), privileged)


class Leases:
    """The blocks that one process has locked, and the ports it has handed out.

    :param ports: the ports to choose from; None for those outside the kernel's own range.
    :param lock: locks the block with a number, or returns None if it is locked; by default
        by a socket, or by a file where the system has no abstract sockets.
    """

    def __init__(
        self, ports: range | None = None, lock: Callable[[int], Lock | None] | None = None
    ) -> None:
        self._ports = ports
        self._lock_block = lock
        # reentrant: a signal handler may release a port while this thread looks for one
        self._mutex = threading.RLock()
        self._taking = False
        self._blocks: dict[int, Lock] = {}
        self._leased: set[int] = set()

    def lease(self) -> int:
        """A free port that no other lease of this machine has, nor the port after it.

        :raises StartFailed: if none is left; the message says who has them.
        """
        with self._mutex:
            before = set(self._leased)
            try:
                self._taking = True
                port = self._take()
                self._taking = False
                return port
            except BaseException as error:
                self._taking = False
                self._leased &= before
                self._let_idle_go()
                if isinstance(error, OSError) and not is_foreign(error):
                    raise StartFailed(f"no port can be leased: {error}") from error
                raise

    def release(self, port: int) -> None:
        """End a lease; do nothing for a port that this process has not leased."""
        with self._mutex:
            # if Ctrl-C ends this, it is called again, or the next release unlocks the blocks
            self._leased.discard(port)
            if not self._taking:
                self._let_idle_go()

    def _let_idle_go(self) -> None:
        """Unlock blocks without a lease, except one, from which the next tests can choose."""
        for block in list(self._blocks):
            if len(self._blocks) > 1 and self._leased.isdisjoint(_members(block)):
                self._blocks.pop(block).close()

    def forget(self) -> None:
        """Start anew in a forked child: leases and locks are the parent's."""
        self._mutex = threading.RLock()
        for lock in self._blocks.values():
            lock.close()
        self._blocks.clear()
        self._leased.clear()

    def locked(self) -> int:
        """How many blocks this process holds."""
        with self._mutex:
            return len(self._blocks)

    def _take(self) -> int:
        # a port takes a minute to be free of the connections that a server has closed: where a
        # hundred servers start in each second, no other ports are left
        for may_linger in (False, True):
            port = self._choose(list(self._blocks), may_linger)
            if port is not None:
                return port
            ports = _system_room() if self._ports is None else self._ports
            numbers = range(-(-ports.start // BLOCK), ports.stop // BLOCK)
            foreign = 0
            left = [n for n in numbers if n not in self._blocks]
            while left:
                block = left.pop(_random.randrange(len(left)))
                lock = self._lock(block)
                if lock is None:
                    foreign += 1
                    continue
                self._blocks[block] = lock
                port = self._choose([block], may_linger)
                if port is not None:
                    return port
                self._blocks.pop(block).close()
        raise StartFailed(
            f"no free port is left in {ports.start}-{ports.stop - 1}: of "
            f"{counted(len(numbers), 'block')} of {BLOCK} ports {foreign} are locked by other "
            f"processes that use summon_testcase, and this process holds "
            f"{counted(len(self._leased), 'port')} in {counted(len(self._blocks), 'block')}; "
            f"run fewer test processes at once, stop services, or give a port= of your own"
        )

    def _choose(self, blocks: Iterable[int], may_linger: bool) -> int | None:
        candidates = [*set().union(*map(_members, blocks)) - self._leased]
        # not shuffled as a whole: mostly the first one will do
        while candidates:
            port = candidates.pop(_random.randrange(len(candidates)))
            if is_free(port, may_linger) and is_free(port + 1, may_linger):
                self._leased.add(port)
                return port
        return None

    def _lock(self, block: int) -> Lock | None:
        if self._lock_block is None:
            try:
                lock = lock_by_socket(block)
            except OSError as error:
                let_through(error)
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise
                self._lock_block = lock_by_file
            else:
                self._lock_block = lock_by_socket
                return lock
        return self._lock_block(block)


def _members(block: int) -> range:
    """The ports of a block that may be handed out."""
    return range(block * BLOCK, (block + 1) * BLOCK, 2)


_leases = Leases()
lease, release, forget = _leases.lease, _leases.release, _leases.forget
