"""Asks the kernel who listens on a TCP address (Linux).

Nothing connects to the service.  Where the kernel cannot be asked the answer is None, never a
guess.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import struct
import threading

from ..foreign import let_through
from ..unpatched import LINUX, os, socket
from .descriptors import moved_socket

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
_FACTS = struct.Struct("=xB66xI")  # of inet_diag_msg: the state, and the inode at its end
#: bytes of an answer that are read; attributes follow, which are not needed
_LONGEST = 256

_MAPPED = bytes(10) + b"\xff\xff"  # what ::ffff:a.b.c.d begins with


@functools.lru_cache(maxsize=1024)
def _question(host: str, port: int) -> tuple[bytes, bytes]:
    """The request for one address: its bytes before and after the sequence number.

    :raises ValueError: if the host is a name.
    """
    numeric = host.partition("%")[0]  # the scope of fe80::1%eth0 is no part of the address
    family = socket.AF_INET6 if ":" in numeric else socket.AF_INET
    try:
        address = socket.inet_pton(family, numeric)
    except OSError as error:
        let_through(error)
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
        if not LINUX:
            raise OSError(errno.EOPNOTSUPP, "netlink exists on Linux only")
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        asked = socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG)
        self._socket = moved_socket(asked)
        try:
            # The kernel has queued the answer before send() returns.  The limit of a second
            # is for sandboxes that accept the question and drop it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 1, 0))
            self._socket.bind((0, 0))
            self._try_out()
        except BaseException:
            self.close()
            raise

    def _try_out(self) -> None:
        # A kernel without the tcp_diag module answers ENOENT to every question, and so does
        # one that has the module if nobody listens: only a known listener tells them apart.
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
        """Close the socket; may be called twice."""
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
        number = 0
        try:
            while number != sequence:
                # Each answer is one datagram.  After Ctrl-C between send() and recv() an old
                # answer may be in the queue: its sequence number tells it from ours.
                answer = self._socket.recv(_LONGEST)
                _, kind, _, number, _ = _HEADER.unpack_from(answer)
            if kind == _NLMSG_ERROR:
                code = -_ERROR.unpack_from(answer, _HEADER.size)[0]
                if code == errno.ENOENT:
                    return 0
                raise OSError(code, os.strerror(code))
            state, inode = _FACTS.unpack_from(answer, _HEADER.size)
        except struct.error:
            raise OSError(errno.EPROTO, "netlink gave a short answer") from None
        # The look-up may also find a socket that is bound or connected.
        return int(inode) if state == _TCP_LISTEN else 0


class _Shared:
    """The one netlink socket of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.diag: SockDiag | None = None
        self.asking = False
        self.refused = False

    def listener(self, host: str, port: int) -> int | None:
        """The inode of the socket that listens on a numeric address, as the kernel says.

        Any thread may ask, and a forked child too: each process has its own socket.

        :param host: an address, IPv4 or IPv6.
        :param port: the TCP port.
        :returns: the inode; 0 if nobody listens; None where the kernel cannot be
            asked (not Linux, a sandbox).
        :raises ValueError: for a host that is a name.
        """
        _question(host, port)  # it refuses a name where the kernel cannot be asked too
        with self.lock:
            # True in a signal handler that has interrupted a question of its own thread
            nested = self.asking
            try:
                self.asking = True
                if self.refused:
                    return None
                if nested:
                    with contextlib.closing(SockDiag()) as another:
                        return another.listener(host, port)
                if self.diag is None:
                    self.diag = SockDiag()
                return self.diag.listener(host, port)
            except OSError as error:
                let_through(error)
                if nested:
                    return None
                if self.diag is not None:
                    self.diag.close()
                    self.diag = None
                # A full table of descriptors may pass; refused netlink sockets stay refused.
                self.refused = error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)
                return None
            finally:
                self.asking = nested

    def forget(self) -> None:
        """Drop the socket in a forked child: two processes would take each other's answers."""
        self.lock, self.asking = threading.RLock(), False
        if self.diag is not None:
            self.diag.close()
            self.diag = None


_shared = _Shared()
listener = _shared.listener
forget = _shared.forget
