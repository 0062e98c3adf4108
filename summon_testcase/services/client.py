"""A connection to a ready-made service, by which it is told what to do."""

from __future__ import annotations

import re
from types import TracebackType

from ..errors import SummonError, TimeoutExpired
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..scheduling.deadline import Deadline
from ..tracebacks import hidden
from ..unpatched import socket
from ..wording import at

__tracebackhide__ = hidden

#: seconds that a conversation may take
PATIENCE = 10.0
#: bytes of an answer that an error shows
_SHOWN = 200


class Client:
    """A conversation with a service that runs, of 10 seconds at most.

    :param service: the service.
    :param address: host and port, or the path of a unix socket; default: those of the service.
    :param what: what it is told, in words that follow "could not".
    :raises SummonError: from each of its methods, if the service answers otherwise, or ends it.
    :raises TimeoutExpired: if it does not answer in time.
    """

    def __init__(
        self,
        service: SimpleExecutor,
        address: tuple[str, int] | str | None = None,
        what: str = "be reset",
    ) -> None:
        self._called, self._what = service._called, what
        self._address = address or (service.host, service.port)
        self._deadline = Deadline(PATIENCE)
        self._heard = b""

    def __enter__(self) -> Client:
        try:
            self._socket = self._connect()
        except OSError as error:
            let_through(error)
            raise self._failure(error, "to connect") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def _connect(self) -> socket.socket:
        if not isinstance(self._address, str):
            return socket.create_connection(self._address, self._deadline.left())
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(self._deadline.left())
            sock.connect(self._address)
            return sock
        except BaseException:
            sock.close()
            raise

    def say(self, data: bytes) -> None:
        """Send something."""
        try:
            self._socket.settimeout(max(self._deadline.left(), 0.001))
            self._socket.sendall(data)
        except OSError as error:
            let_through(error)
            raise self._failure(error, "to send") from None

    def take(self, size: int) -> bytes:
        """The next bytes that it sends."""
        while len(self._heard) < size:
            self._hear()
        taken, self._heard = self._heard[:size], self._heard[size:]
        return taken

    def take_until(self, end: bytes) -> bytes:
        """What it sends up to some end, which is left out."""
        while end not in self._heard:
            self._hear()
        taken, _, self._heard = self._heard.partition(end)
        return taken

    def expect(self, data: bytes, answer: bytes) -> None:
        """Send something that has one good answer."""
        self.say(data)
        found = self.take(1)
        while found != answer:
            if not answer.startswith(found):
                raise self.refused(found + self._heard)
            found += self.take(1)

    def request(self, method: str, path: str) -> bytes:
        """Send a request of HTTP without a body; the body of the answer, whose status is 200."""
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Length: 0"]
        self.say("\r\n".join([*head, "Connection: close", "", ""]).encode())
        answer = self.take_until(b"\r\n\r\n")
        if b" 200 " not in answer.partition(b"\r\n")[0]:
            raise self.refused(answer)
        size = re.search(rb"\r\ncontent-length: *([0-9]+)", answer, re.IGNORECASE)
        return self.take(int(size[1])) if size else b""

    def refused(self, answer: bytes) -> SummonError:
        """The error for another answer."""
        said = answer[:_SHOWN].decode("utf-8", "replace").strip()
        return SummonError(
            f"{self._called}: could not {self._what}: it answered {said!r}", executor=self._called
        )

    def _hear(self) -> None:
        try:
            self._socket.settimeout(max(self._deadline.left(), 0.001))
            data = self._socket.recv(1 << 16)
        except OSError as error:
            let_through(error)
            raise self._failure(error, "for its answer") from None
        if not data:
            raise SummonError(
                f"{self._called}: could not {self._what}: it closed the connection",
                executor=self._called,
            )
        self._heard += data

    def _failure(self, error: OSError, what: str) -> SummonError:
        address = self._address
        place = address if isinstance(address, str) else at(*address)
        where = f"{self._called} at {place}"
        if isinstance(error, TimeoutError):
            return TimeoutExpired(
                f"{where} could not {self._what}: waited {what} for "
                f"{self._deadline.elapsed():.1f} s",
                executor=self._called,
                timeout=PATIENCE,
            )
        return SummonError(f"{where} could not {self._what}: {error}", executor=self._called)
