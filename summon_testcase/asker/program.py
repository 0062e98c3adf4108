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

#: a part of a body that is sent at once. A message is one packet, of which the test process
#: takes 64 KiB: with the headers, two bytes for each letter, it must not be longer.
PIECE = 16384
#: letters of what is told in words; a server may give as its status line whatever it likes
_WORDS = 300
#: bytes of a question, and more
_LONGEST = 1 << 18


def shortened(fact: Any) -> Any:
    """A fact, not all of it if it is a long text."""
    long = isinstance(fact, str) and len(fact) > _WORDS
    return f"{fact[:_WORDS]}…" if long else fact


class Question:
    """One question on its way to somebody who may never answer.

    :param number: by which the test process knows it.
    :param seconds: after which nobody is interested any more.
    :param send: takes a message to the test process.
    """

    def __init__(self, number: int, seconds: float, send: Callable[[bytes], None]) -> None:
        self.number = number
        self.end = time.monotonic() + seconds
        #: whether there was a connection
        self.connected = False
        #: whether it was given up: its time is over
        self.over = False
        self._send = send
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._copied = False

    def left(self) -> float:
        """Seconds left; never 0, which would mean not to wait at all."""
        return max(0.001, self.end - time.monotonic())

    def tell(self, kind: str, *facts: Any) -> None:
        """Send an answer, or the next part of one."""
        data = marshal.dumps((self.number, kind, *map(shortened, facts)))
        self._send(struct.pack("=I", len(data)) + data)

    def connect(
        self, family: int, address: Any, patience: float, wrapped: bool = False
    ) -> socket.socket:
        """A connection that ends with the question.

        :param wrapped: TLS will take the descriptor away from what is returned.
        :raises OSError: if there is none; a TimeoutError after so many seconds.
        """
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(min(patience, self.left()))
            sock.connect(address)
            with self._lock:
                if self.over:
                    raise TimeoutError("timed out")
                # a copy only where it must be: with hundreds of questions descriptors are few
                self._connection = sock.dup() if wrapped else sock
                self._copied = wrapped
            self.connected = True
            sock.settimeout(self.left())
            return sock
        except BaseException:
            sock.close()
            raise

    def give_up(self) -> None:
        """Its time is over: whoever reads or writes there meets the end of the connection."""
        with self._lock:
            self.over = True
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """It is answered."""
        with self._lock:
            self.over = True
            if self._connection is not None and self._copied:
                self._connection.close()
            self._connection = None


class Asker:
    """Takes questions from a socket and answers each in a thread of its own.

    Threads that have nothing to do receive, all from the same socket: the kernel wakes one of
    them for each question, and nobody hands it on.

    :param control: the socket; one message is one packet where the system has such sockets.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sending = threading.Lock()
        self._packets = control.type == getattr(socket, "SOCK_SEQPACKET", None)
        #: held by who receives, where a message may come in pieces
        self._receiving = threading.Lock()
        #: how many threads receive
        self._idle = 0
        self._under_way: dict[int, Question] = {}
        self._lock = threading.Lock()
        #: the moment at which the main thread looks next what is over
        self._looks_at = math.inf
        self._woken, self._wake = os.pipe()

    def send(self, data: bytes) -> None:
        """Send a message; a test process that is gone needs none."""
        with self._sending, contextlib.suppress(OSError):
            self._control.sendall(data)

    def _receive(self) -> bytes:
        """The next message; this process ends when the test process lets go of it."""
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
                if dropped is not None:
                    dropped.give_up()
                continue
            question = Question(number, seconds, self.send)
            with self._lock:
                self._under_way[number] = question
                self._idle -= 1
                alone, sooner = not self._idle, question.end < self._looks_at
            if sooner:
                os.write(self._wake, b"!")
            if alone:
                # where no more threads are allowed the next question has to wait for this one
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
        """Have one more thread receive.

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
        """Give up what is over; seconds until the next will be."""
        with self._lock:
            now = time.monotonic()
            asked = [q for q in self._under_way.values() if not q.over]
            self._looks_at = min((q.end for q in asked if now < q.end), default=math.inf)
        for question in asked:
            if now >= question.end:
                question.give_up()
        return self._looks_at - now

    def run(self, parent: int) -> None:
        """Serve until the test process lets go, or the warden has died."""
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
            # rounded up: a wait of nothing would be a busy loop
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
    """Connect to several addresses until one accepts: what became of each."""
    found: list[tuple[str, str]] = []
    for address in addresses:
        patience = question.left() / (len(addresses) - len(found))
        found.append(connect_once(question, address, port, patience))
        if found[-1][0] == "accepted":
            break
    question.tell("connected", tuple(found), addresses)


def connect_once(question: Question, address: str, port: int, patience: float) -> tuple[str, str]:
    """Connect once: whether somebody else than this very socket answered, and why not."""
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
        if error.errno != errno.ENOTCONN:  # accepted, and closed before we did
            return "cannot", error.strerror or str(error)
    return "accepted", ""


#: of many that try at the same time one says why it failed
_importing = threading.Lock()


def requesting() -> Any:
    """What sends requests, imported when it is first needed."""
    with _importing:
        try:
            from . import requesting
        except BaseException:
            # without requests, or with a broken one, it is of no use; who started it reads why
            import traceback

            traceback.print_exc()
            os._exit(1)
    return requesting


def request(question: Question, *facts: Any) -> None:
    """Send an HTTP request."""
    requesting().request(question, *facts)


def prepare(question: Question, what: tuple[Any, ...] = ()) -> None:
    """Do what a request takes, but for sending it, while who will be asked is still starting."""
    prepared = requesting().prepared
    with contextlib.suppress(Exception):
        # what is wrong with it is told when it is sent
        prepared(*what)


KINDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "request": request,
    "look up": look_up,
    "connect": connect,
}


def take_no_signals() -> None:
    """Let no signal end us but those that cannot be refused: the warden kills us."""
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main() -> None:
    """Run with the arguments CONTROL-FD WARDEN-PID, and directories where requests may be."""
    control, parent = int(sys.argv[1]), int(sys.argv[2])
    take_no_signals()
    # in the place of the directory of this program, in which other modules are
    sys.path[-1:] = sys.argv[3:]
    Asker(socket.socket(fileno=control)).run(parent)
    os._exit(0)
