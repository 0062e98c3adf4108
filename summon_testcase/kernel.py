"""Read-only questions to the operating system: who listens, who descends from whom.

Everything here only looks.  Where the system is not Linux, or a sandbox hides
the answer, the functions say so with None (or an empty list) and never guess.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import re
import shlex
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

#: characters of a command line that are worth showing
COMMAND_LENGTH = 200

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_TCP_LISTEN = 10
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
_ERROR = struct.Struct("=i")  # the start of nlmsgerr: a negative errno
_SEQUENCE_AT = 8
_INODE_AT = 68  # in inet_diag_msg

_MAPPED = bytes(10) + b"\xff\xff"  # what ::ffff:a.b.c.d begins with


@functools.lru_cache(maxsize=1024)
def _question(host: str, port: int) -> tuple[bytes, bytes]:
    """The request for one address, before and after its sequence number.

    :raises ValueError: for a host that is a name.
    """
    numeric = host.partition("%")[0]  # the scope of fe80::1%eth0 is no part of the address
    family = socket.AF_INET6 if ":" in numeric else socket.AF_INET
    try:
        address = socket.inet_pton(family, numeric)
    except OSError as error:
        raise ValueError(f"not a numeric address: {host!r}") from error
    if address.startswith(_MAPPED):
        # The kernel takes the IPv4 path only if both ends are written as mapped.
        family, address = socket.AF_INET, address[len(_MAPPED) :]
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES)
    body += struct.pack("!HH", port, 0) + address.ljust(16, b"\0") + bytes(16)
    body += struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    length = _HEADER.size + len(body)
    header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    return header[:_SEQUENCE_AT], header[_SEQUENCE_AT + 4 :] + body


class SockDiag:
    """One netlink socket that answers which socket listens on an address.

    It needs no privilege, sees its own network namespace only, and never
    connects to the service.  One thread at a time may use it.

    :raises OSError: when the kernel refuses netlink, or answers it wrongly.
    """

    _socket: socket.socket

    def __init__(self) -> None:
        self._sequence = itertools.count(1)
        if sys.platform != "linux":
            raise OSError(errno.EOPNOTSUPP, "netlink exists on Linux only")
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        )
        try:
            # Answers are queued before send() returns; the limit is for sandboxes
            # that accept the question and drop it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 1, 0))
            self._socket.bind((0, 0))
            self._try_out()
        except BaseException:
            self.close()
            raise

    def _try_out(self) -> None:
        # A kernel without the tcp_diag module says ENOENT to everything, which
        # also means "nobody listens": only a known listener tells them apart.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as known:
            known.bind(("127.0.0.1", 0))
            known.listen(1)
            inode = self.listener("127.0.0.1", known.getsockname()[1])
            if inode != os.fstat(known.fileno()).st_ino:
                raise OSError(errno.EOPNOTSUPP, "the kernel does not list its TCP listeners")

    def fileno(self) -> int:
        """The descriptor of the netlink socket."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""
        self._socket.close()

    def listener(self, host: str, port: int) -> int:
        """The inode of the socket that would get a connection to this address.

        :param host: a numeric address, IPv4 or IPv6; a listener on a wildcard
            or dual-stack address answers for it too.
        :param port: the TCP port.
        :returns: the inode, 0 if nobody listens.
        :raises ValueError: for a host that is a name.
        :raises OSError: when the kernel refuses the question.
        """
        before, after = _question(host, port)
        sequence = next(self._sequence) & 0xFFFFFFFF
        self._socket.send(before + struct.pack("=I", sequence) + after)
        while True:
            for kind, body in _answers(self._socket.recv(8192), sequence):
                if kind == _SOCK_DIAG_BY_FAMILY:
                    # The look-up may also find a socket that is bound or connected.
                    if body[1] != _TCP_LISTEN:
                        return 0
                    return int.from_bytes(body[_INODE_AT : _INODE_AT + 4], sys.byteorder)
                if kind == _NLMSG_ERROR:
                    code = -_ERROR.unpack_from(body)[0]
                    if code == errno.ENOENT:
                        return 0
                    raise OSError(code, os.strerror(code))


def _answers(data: bytes, sequence: int) -> Iterator[tuple[int, bytes]]:
    """Type and body of the messages in one datagram that belong to one question.

    An exception between send() and recv() (Ctrl-C) leaves its answer in the
    queue: the number keeps it from being taken for the next one.
    """
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        if number == sequence:
            yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


class _Shared:
    """The one netlink socket of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.diag: SockDiag | None = None
        self.refused = False

    def listener(self, host: str, port: int) -> int | None:
        with self.lock:
            if self.refused:
                return None
            try:
                if self.diag is None:
                    self.diag = SockDiag()
                return self.diag.listener(host, port)
            except OSError as error:
                if self.diag is not None:
                    self.diag.close()
                    self.diag = None
                # A full descriptor table may pass; a forbidden family does not.
                self.refused = error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)
                return None

    def forget(self) -> None:
        """In a forked child: two processes on one socket would take each other's answers."""
        self.lock = threading.Lock()
        if self.diag is not None:
            self.diag.close()
            self.diag = None


_shared = _Shared()
os.register_at_fork(after_in_child=_shared.forget)


def listener(host: str, port: int) -> int | None:
    """The inode of the socket listening on a numeric address, by the kernel's word.

    Any thread may ask, and a forked child too: each process has its own socket.

    :param host: a numeric address, IPv4 or IPv6.
    :param port: the TCP port.
    :returns: the inode; 0 if nobody listens; None where the kernel cannot be
        asked (not Linux, a sandbox).
    :raises ValueError: for a host that is a name.
    """
    _question(host, port)
    return _shared.listener(host, port)


def parent_of(pid: int) -> int | None:
    """The parent of a process; None if there is no such process, or no /proc."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended; a zombie has ended."""
    if pid <= 0:  # to kill() these are groups of processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (ProcessLookupError, OverflowError):
        return False
    fields = _stat(pid)
    return not fields or fields[0] not in (b"Z", b"X")


def descends_from(pid: int, ancestor: int) -> bool:
    """Whether one process is a child, a grandchild, ... of another."""
    seen = set()
    parent = parent_of(pid)
    while parent and parent not in seen:  # a reused pid could close a circle
        if parent == ancestor:
            return True
        seen.add(parent)
        parent = parent_of(parent)
    return False


def descendants(pid: int) -> list[int]:
    """Children of a process, their children and so on, nearest first.

    A snapshot: who forks meanwhile may be missing.  Empty without /proc.
    """
    children: Callable[[int], list[int]]
    main_thread = os.getpid()
    if os.path.exists(f"/proc/{main_thread}/task/{main_thread}/children"):
        children = _children
    else:  # CONFIG_PROC_CHILDREN is not in every kernel
        families: dict[int, list[int]] = {}
        for process in _processes():
            parent = parent_of(process)
            if parent is not None:
                families.setdefault(parent, []).append(process)
        children = functools.partial(_listed, families)

    found: dict[int, None] = {}
    todo = [pid]
    while todo:
        fresh = [child for parent in todo for child in children(parent) if child not in found]
        found.update(dict.fromkeys(fresh))
        todo = fresh
    found.pop(pid, None)
    return list(found)


def socket_holder(inode: int, pids: Iterable[int]) -> int | None:
    """The first of some processes that has a socket open.

    :param inode: the socket, as :func:`listener` names it.
    :returns: its pid; None if none has it, as far as this user may see.
    """
    target = f"socket:[{inode}]"
    for pid in pids:
        directory = f"/proc/{pid}/fd"
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            try:
                if os.readlink(f"{directory}/{name}") == target:
                    return pid
            except OSError:
                continue
    return None


def any_socket_holder(inode: int) -> int | None:
    """The process with the lowest pid, of all that this user may see, that has a socket open."""
    return socket_holder(inode, _processes())


def readable_fds(pid: int) -> bool:
    """Whether this user may see which files a process has open."""
    try:
        os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    return True


def command_line(pid: int) -> str | None:
    """The command of a process as one would type it, on one line.

    :returns: at most 200 characters; None if there is no such process, or no /proc.
    """
    raw = _read(f"/proc/{pid}/cmdline")
    if raw is None:
        return None
    # Who overwrites its title (nginx, postgres) leaves padding behind it.
    words = raw.rstrip(b"\0 ").decode(errors="replace").split("\0")
    text = words[0] if len(words) == 1 else shlex.join(words)
    if not text:  # a kernel thread or a zombie
        text = (_read(f"/proc/{pid}/comm") or b"").decode(errors="replace").strip()
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    if len(text) > COMMAND_LENGTH:
        text = text[: COMMAND_LENGTH - 3] + "..."
    return text or None


def _processes() -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
    except OSError:
        return []


def _listed(families: dict[int, list[int]], pid: int) -> list[int]:
    return families.get(pid, [])


def _children(pid: int) -> list[int]:
    found = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    for thread in threads:
        found += (_read(f"/proc/{pid}/task/{thread}/children") or b"").split()
    return [int(child) for child in found]


def _stat(pid: int) -> list[bytes]:
    """State, parent and what follows in /proc/<pid>/stat; empty if it cannot be read."""
    raw = _read(f"/proc/{pid}/stat")
    # The name in brackets is the user's: it may hold spaces and brackets itself.
    return raw[raw.rfind(b")") + 1 :].split() if raw else []


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:  # also ESRCH: the process ended between open and read
        return None
