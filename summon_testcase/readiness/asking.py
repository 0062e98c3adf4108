"""The client of the asker in the test process: sends questions, takes answers, never blocks."""

from __future__ import annotations

import itertools
import marshal
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..errors import InvalidArgument, StartFailed
from ..output.log import run_directory
from ..system.descriptors import moved, moved_socket
from ..system.mailbox import Mailbox
from ..unpatched import LINUX, os, socket, time

#: bytes of a question at most: it is sent in one piece or not at all
LONGEST = 128 << 10
#: bytes of the body of an answer that the asker sends at most
BODY = 64 << 10
#: seconds after the end of a question within which the asker must say that its time is over
_GRACE = 2.0
#: packets, of which Ctrl-C never leaves a part unsent; macOS has no such sockets
_KIND = socket.SOCK_SEQPACKET if LINUX else socket.SOCK_STREAM


#: the function that starts an asker; see :func:`launched_by`
_launch: Callable[[socket.socket, int, list[str]], None] | None = None


class Question:
    """One question to the asker, with the answer as far as it has come.

    :param number: the number by which the asker knows it.
    :param seconds: how long the asker tries to answer.
    """

    def __init__(self, number: int, seconds: float, kind: str, facts: tuple[Any, ...]) -> None:
        self.number = number
        self.began = time.monotonic()
        self.until = self.began + seconds
        data = marshal.dumps((number, kind, min(seconds, 86400.0), *facts))
        #: the message that is sent to the asker
        self.message = struct.pack("=I", len(data)) + data
        #: the kind of the answer, and its facts; empty while there is no answer
        self.kind = ""
        self.facts: tuple[Any, ...] = ()
        #: the part of a body that has arrived
        self.body = b""
        #: whether time was over before the whole body had arrived
        self.cut = False
        #: whether the answer is complete
        self.over = False
        #: whether something has come that the probe has not looked at
        self.fresh = False

    def fileno(self) -> int:
        """A descriptor, readable when there may be news; -1 while there is no asker."""
        return _asker.fileno()

    def pump(self) -> bool:
        """Receive answers, without blocking; whether there is news for this question."""
        if not self.fresh:
            _asker.pump()
        return self.fresh

    def note(self, kind: str, *facts: Any) -> None:
        """Take an answer, or a part of one; the same one may come twice."""
        if kind == "answer":
            *head, at, piece, self.over, self.cut = facts
            self.body = self.body[:at] + piece
            facts = tuple(head)
        else:
            self.over = True
        self.kind, self.facts, self.fresh = kind, facts, True

    def late(self) -> bool:
        """Whether the asker has failed to say that the question's time is over."""
        return time.monotonic() > self.until + _GRACE

    def alive(self) -> None:
        """:raises StartFailed: if no answer will come, because the asker dies again and again."""
        if self.kind == "died":
            said = self.facts[0]
            raise StartFailed(
                "the process that asks whether it is ready (a Python interpreter with requests) "
                "ended by itself, twice" + (f"; it said:\n{said}" if said else "")
            )

    def drop(self) -> None:
        """Give up the question; the asker gives it up, too."""
        _asker.drop(self)


class _Asker:
    """The asker of this process: started when first needed, and again if it has died."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._under_way: dict[int, Question] = {}
        #: those of them that have not been sent yet
        self._unsent: dict[int, Question] = {}
        self._socket: socket.socket | None = None
        self._mailbox: Mailbox | None = None
        #: a descriptor of the file that is the asker's standard error
        self._said = -1
        #: how often it has died since its last answer
        self._deaths = 0
        self._prepared = False

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def begin(self, http: bool) -> None:
        """Have the asker boot, and import requests if HTTP will be asked."""
        with self._lock:
            if self._socket is None:
                self._start()
        if http and not self._prepared:
            self._prepared = True
            self.tell("prepare")

    def tell(self, kind: str, *facts: Any) -> None:
        with self._lock:
            self._send(Question(0, 60.0, kind, facts))

    def ask(self, seconds: float, kind: str, *facts: Any) -> Question:
        question = Question(next(self._numbers), seconds, kind, facts)
        if len(question.message) > LONGEST:
            raise InvalidArgument(
                f"url=, headers= and body= are longer than {LONGEST} bytes together: a question "
                "about readiness must be shorter"
            )
        with self._lock:
            self._under_way[question.number] = self._unsent[question.number] = question
            if len(self._unsent) == 1 and self._send(question):
                self._unsent.pop(question.number, None)
                return question
        self.pump()
        return question

    def drop(self, question: Question) -> None:
        with self._lock:
            known = self._under_way.pop(question.number, None)
            unsent = self._unsent.pop(question.number, None)
            if known is not None and unsent is None and not question.over:
                self._send(Question(question.number, 0.0, "drop", ()))

    def pump(self) -> None:
        """Send questions that wait to be sent, and receive answers; never blocks."""
        with self._lock:
            mailbox = self._mailbox
            if mailbox is not None and not mailbox.collect():
                self._died()
            if self._socket is None and self._under_way:
                if self._deaths > 1:
                    self._despair()
                    return
                self._start()
            for question in list(self._unsent.values()):
                if not self._send(question):
                    break
                self._unsent.pop(question.number, None)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, _KIND)
        path = os.path.join(run_directory(), f"asker-{os.getpid()}-{time.monotonic_ns()}")
        try:
            ours = moved_socket(ours)
            ours.setblocking(False)
            # the file is removed at once: the descriptor suffices, and nothing is left on disk
            said = moved(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600))
            os.unlink(path)
            self._close_said()
            self._said = said
            try:
                here = os.getcwd()
            except FileNotFoundError:  # the current directory was removed
                here = ""
            entries = [os.path.join(here, entry) for entry in sys.path if entry]
            paths = [os.path.normpath(entry) for entry in entries if os.path.isabs(entry)]
            # a project's own directory may have modules with the names of installed ones
            installed = ("site-packages", "dist-packages")
            paths.sort(key=lambda entry: os.path.basename(entry) not in installed)
            assert _launch is not None
            _launch(theirs, said, paths)
            self._mailbox = Mailbox(ours, self._note)
            self._socket = ours
        finally:
            theirs.close()
            if self._socket is not ours:
                ours.close()

    def _note(self, message: bytes) -> None:
        number, kind, *facts = marshal.loads(message)
        self._deaths = 0
        question = self._under_way.get(number)
        if question is not None:
            question.note(kind, *facts)
            if question.over:
                # here too: Ctrl-C may have come before anybody could drop the question
                self._under_way.pop(number, None)

    def _send(self, question: Question) -> bool:
        """Send a question; if that fails, the next pump() tries again.  Whether it was sent."""
        if self._socket is None:
            return False
        try:
            self._socket.send(question.message)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            # the asker is dead; pump() will see that on the same socket
            return False
        return True

    def _died(self) -> None:
        self._deaths += 1
        self._unsent = dict(self._under_way)
        self._prepared = False
        sock, self._mailbox, self._socket = self._socket, None, None
        if sock is not None:
            sock.close()

    def _despair(self) -> None:
        """Give up all questions: the asker has died twice without an answer."""
        said = os.pread(self._said, 8192, 0).decode("utf-8", "replace").strip()
        for question in self._under_way.values():
            question.note("died", said)
        self._unsent.clear()
        self._under_way = {}
        # the next question may start another asker
        self._deaths = 0

    def _close_said(self) -> None:
        said, self._said = self._said, -1
        if said >= 0:
            os.close(said)

    def close(self) -> None:
        """Close our end of the socket: the asker ends when no process has it open."""
        with self._lock:
            sock, self._socket, self._mailbox = self._socket, None, None
            if sock is not None:
                sock.close()
            self._close_said()


_asker = _Asker()


def forget() -> None:
    """In a forked child: close the copy of the socket, since the asker is the parent's."""
    # a new object: another thread may have held the lock of the old one when this was forked
    global _asker
    parents, _asker = _asker, _Asker()
    parents._lock = threading.RLock()
    parents.close()


def close() -> None:
    """Let go of the asker of this process, which ends."""
    _asker.close()


def launched_by(launch: Callable[[socket.socket, int, list[str]], None]) -> None:
    """Set the function that starts the asker.

    It belongs to ``supervision``, which this room must not import.

    :param launch: called with the asker's channel, a descriptor for its standard error, and
        directories in which requests may be installed.
    """
    global _launch
    _launch = launch


def warm_up(http: bool) -> None:
    """Start the asker early, so that it boots while the service starts.

    :param http: whether it will send HTTP requests, and is to import requests.
    """
    _asker.begin(http)


def tell(kind: str, *facts: Any) -> None:
    """Tell a running asker something that needs no answer."""
    _asker.tell(kind, *facts)


def ask(seconds: float, kind: str, *facts: Any) -> Question:
    """Put a question to the asker.

    :param seconds: how long the asker tries to answer.
    :param kind: one of ``KINDS`` in the asker's program; ``facts`` are its arguments.
    """
    return _asker.ask(seconds, kind, *facts)
