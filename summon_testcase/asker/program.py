"""The asker: many questions at once, each in a thread of its own."""

from __future__ import annotations

import contextlib
import errno
import marshal
import math
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from .protocols import converse

#: Bytes of a body that go into one message.  A message is one packet, of which the test process
#: reads 64 KiB at most; the headers, with up to two bytes for each letter, must fit in as well.
PIECE = 16384
#: letters of a text in an answer; longer ones are cut, since a status line may have any length
_WORDS = 300
#: more bytes than any question has
_LONGEST = 1 << 18
#: seconds to wait for a connection, which a server accepts late only if its queue is full
_CONNECTION = 5.0


def shortened(fact: Any) -> Any:
    """The same fact; a long text is cut."""
    long = isinstance(fact, str) and len(fact) > _WORDS
    return f"{fact[:_WORDS]}…" if long else fact


class Question:
    """One question to a server or resolver that may never answer.

    :param number: the number by which the test process knows the question.
    :param seconds: how long the test process waits for an answer.
    :param send: sends a message to the test process.
    """

    def __init__(self, number: int, seconds: float, send: Callable[[bytes], None]) -> None:
        self.number = number
        self.end = time.monotonic() + seconds
        #: whether there was a connection
        self.connected = False
        #: whether the question is answered, or its time is over
        self.over = False
        self._send = send
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._copied = False

    def left(self) -> float:
        """Seconds left; never 0, which would make a socket non-blocking."""
        return max(0.001, self.end - time.monotonic())

    def tell(self, kind: str, *facts: Any) -> None:
        """Send an answer, or the next part of one."""
        data = marshal.dumps((self.number, kind, *map(shortened, facts)))
        self._send(struct.pack("=I", len(data)) + data)

    def connect(
        self, family: int, address: Any, patience: float, wrapped: bool = False
    ) -> socket.socket:
        """Connect; the connection is shut down when the time of the question is over.

        :param patience: seconds to wait for the connection.
        :param wrapped: whether the caller puts TLS around the socket, which then takes its
            descriptor.
        :raises OSError: if there is no connection; TimeoutError if the time is over.
        """
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(min(patience, self.left()))
            sock.connect(address)
            with self._lock:
                if self.over:
                    raise TimeoutError("timed out")
                # copied for TLS only: with hundreds of questions descriptors are few
                self._connection = sock.dup() if wrapped else sock
                self._copied = wrapped
            self.connected = True
            sock.settimeout(self.left())
            return sock
        except BaseException:
            sock.close()
            raise

    def reach(
        self, addresses: tuple[str, ...], port: int, path: str = "", wrapped: bool = False
    ) -> socket.socket:
        """Connect to the first address that accepts a connection, or to a unix socket.

        :param path: of the unix socket; empty for TCP.
        :param wrapped: see :meth:`connect`.
        :raises OSError: if there is no connection, the reason of the last address.
        """
        if path:
            return self.connect(socket.AF_UNIX, path, _CONNECTION)
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                sock = self.connect(family, (address, port), _CONNECTION, wrapped)
            except OSError:
                if address == addresses[-1]:
                    raise
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        raise AssertionError("a host without addresses")

    def give_up(self) -> None:
        """End a question whose time is over: the thread that answers meets a closed connection."""
        with self._lock:
            self.over = True
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Note that the question is answered."""
        with self._lock:
            self.over = True
            if self._connection is not None and self._copied:
                self._connection.close()
            self._connection = None


class Asker:
    """Takes questions from a socket and answers each in a thread of its own.

    All idle threads receive from the same socket, and the kernel wakes one of them for each
    question: so no question is handed from thread to thread.

    :param control: the socket; one message is one packet where the system has such sockets.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sending = threading.Lock()
        self._packets = control.type == getattr(socket, "SOCK_SEQPACKET", None)
        #: without packets a message may come in pieces, which one thread must receive
        self._receiving = threading.Lock()
        #: how many threads are waiting for a question
        self._idle = 0
        self._under_way: dict[int, Question] = {}
        #: questions that were dropped before the thread that has received them had noted them
        self._dropped: set[int] = set()
        self._lock = threading.Lock()
        #: the time at which the main thread looks for questions whose time is over
        self._looks_at = math.inf
        self._woken, self._wake = os.pipe()

    def send(self, data: bytes) -> None:
        """Send a message; do nothing if the test process is gone."""
        with self._sending, contextlib.suppress(OSError):
            self._control.sendall(data)

    def _receive(self) -> bytes:
        """The next message; this process ends when the test process has closed the socket."""
        if self._packets:
            message = self._control.recv(_LONGEST)[4:]
        else:
            with self._receiving:
                size = self._control.recv(4, socket.MSG_WAITALL)
                message = self._control.recv(
                    int.from_bytes(size, sys.byteorder), socket.MSG_WAITALL
                )
        if not message:
            os._exit(0)
        return message

    def _work(self) -> None:
        while True:
            number, kind, seconds, *facts = marshal.loads(self._receive())
            if kind == "drop":
                with self._lock:
                    dropped = self._under_way.get(number)
                    if dropped is None:
                        self._dropped.add(number)
                if dropped is not None:
                    dropped.give_up()
                continue
            question = Question(number, seconds, self.send)
            with self._lock:
                if number in self._dropped:
                    self._dropped.remove(number)
                    continue
                self._under_way[number] = question
                self._idle -= 1
                alone, sooner = not self._idle, question.end < self._looks_at
            if sooner:
                os.write(self._wake, b"!")
            if alone:
                # if no more threads are allowed, the next question waits for this one
                with contextlib.suppress(RuntimeError):
                    self._employ()
            try:
                KINDS[kind](question, *facts)
            except Exception as error:
                question.tell("cannot", f"{type(error).__name__}: {error}")
            finally:
                with self._lock:
                    self._under_way.pop(number, None)
                    self._idle += 1
                question.close()

    def _employ(self) -> None:
        """Start one more thread that receives questions.

        :raises RuntimeError: if no more threads are allowed.
        """
        with self._lock:
            self._idle += 1
        try:
            threading.Thread(target=self._work, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._idle -= 1
            raise

    def _press(self) -> float:
        """Give up questions whose time is over; seconds until the next one's is."""
        with self._lock:
            now = time.monotonic()
            asked = [q for q in self._under_way.values() if not q.over]
            self._looks_at = min((q.end for q in asked if now < q.end), default=math.inf)
        for question in asked:
            if now >= question.end:
                question.give_up()
        return self._looks_at - now

    def run(self, parent: int) -> None:
        """Serve until the test process closes the socket, or the warden dies."""
        self._employ()
        poller = select.poll()
        poller.register(self._woken, select.POLLIN)
        watched = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                watched = os.pidfd_open(parent)
                poller.register(watched, select.POLLIN)
        while os.getppid() == parent:
            seconds = min(self._press(), 86400.0 if watched >= 0 else 0.2)
            # rounded up to a whole millisecond: otherwise the loop would be busy near the end
            ready = dict(poller.poll(max(0.0, seconds) * 1000 + 1))
            if watched in ready:
                return
            if self._woken in ready:
                os.read(self._woken, 4096)


def look_up(question: Question, host: str) -> None:
    """The numeric addresses of a host."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        question.tell("unknown", error.strerror or str(error))
    except ValueError as error:  # a label that is empty or too long, a null byte
        question.tell("unknown", f"not a host name ({error})")
    else:
        question.tell("known", tuple(dict.fromkeys(str(entry[4][0]) for entry in found)))


def connect(question: Question, addresses: tuple[str, ...], port: int) -> None:
    """Connect to one address after the other until one accepts; tell the result of each."""
    found: list[tuple[str, str]] = []
    for address in addresses:
        patience = question.left() / (len(addresses) - len(found))
        found.append(connect_once(question, address, port, patience))
        if found[-1][0] == "accepted":
            break
    question.tell("connected", tuple(found), addresses)


def connect_once(question: Question, address: str, port: int, patience: float) -> tuple[str, str]:
    """Connect once: a word for what happened, and its detail."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with question.connect(family, (address, port), patience) as sock:
            if sock.getsockname()[:2] == sock.getpeername()[:2]:
                # The kernel gave us the very port we called, and TCP allows a
                # simultaneous open with oneself.
                return "itself", ""
            sock.shutdown(socket.SHUT_RDWR)
    except ConnectionRefusedError:
        return "refused", ""
    except TimeoutError:
        return "late", f"{patience:.2g}"
    except OSError as error:
        # accepted, and closed or reset before we did
        if error.errno not in (errno.ENOTCONN, errno.ECONNRESET):
            return "cannot", error.strerror or str(error)
    return "accepted", ""


#: held while requests is imported: if that fails, one thread prints why and ends the process
_importing = threading.Lock()


def requesting() -> Any:
    """The module that sends requests, imported when it is first needed."""
    with _importing:
        try:
            from . import requesting
        except BaseException:
            # Without a working requests the asker is of no use.  The test process shows what it
            # prints here.
            import traceback

            traceback.print_exc()
            os._exit(1)
    return requesting


def request(question: Question, *facts: Any) -> None:
    """Send an HTTP request."""
    requesting().request(question, *facts)


def prepare(question: Question, what: tuple[Any, ...] = ()) -> None:
    """Prepare a request while the server is still starting, so that sending it is quick."""
    prepared = requesting().prepared
    with contextlib.suppress(Exception):
        # a wrong request is reported when it is sent
        prepared(*what)


KINDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "request": request,
    "look up": look_up,
    "connect": connect,
    "converse": converse,
}


def take_no_signals() -> None:
    """Ignore all signals that can be ignored: the warden ends us by SIGKILL."""
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main() -> None:
    """Run with the arguments CONTROL-FD WARDEN-PID, and directories where requests may be."""
    control, parent = int(sys.argv[1]), int(sys.argv[2])
    take_no_signals()
    # these directories take the place of this program's own, which requests must not import from
    sys.path[-1:] = sys.argv[3:]
    Asker(socket.socket(fileno=control)).run(parent)
    os._exit(0)
