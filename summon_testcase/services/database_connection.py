"""What connections to database servers have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from ..errors import SummonError
from ..foreign import let_through
from ..unpatched import socket

if TYPE_CHECKING:
    from ..scheduling.deadline import Deadline

#: a row of an answer, as text
Row = list[str | None]
S = TypeVar("S", bound="Session")

#: seconds that a connection may take, and what is sent first
_PATIENCE = 10.0
#: bytes that are received at once
_CHUNK = 1 << 16


class Refused(Exception):
    """The server refuses something; its argument is what it says.

    :ivar code: what it says as five letters, which no language changes.
    """

    def __init__(self, said: str, code: str = "") -> None:
        super().__init__(said)
        self.code = code


class Lost(Exception):
    """The connection has ended; its argument says how."""


class Session:
    """A connection to a server.

    :param address: of the server: host and port.
    :raises Lost: from all methods, if the server has ended it, or cannot be reached.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._heard = b""
        try:
            self._socket = socket.create_connection(address, _PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            let_through(error)
            raise Lost(f"no connection: {error}") from None

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; the server sees that."""
        self._socket.close()

    def _take(self, size: int, deadline: Deadline) -> bytes:
        while len(self._heard) < size:
            try:
                self._socket.settimeout(max(min(deadline.left(), 1e6), 0.001))
                data = self._socket.recv(_CHUNK)
            except TimeoutError as error:
                let_through(error)
                raise
            except OSError as error:
                let_through(error)
                raise Lost(f"the connection has ended: {error}") from None
            if not data:
                raise Lost("the server has ended the connection")
            self._heard += data
        taken, self._heard = self._heard[:size], self._heard[size:]
        return taken

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            let_through(error)
            raise Lost(f"the connection has ended: {error}") from None


@contextlib.contextmanager
def failing(called: str, what: str) -> Iterator[None]:
    """A block in which a server is asked for something.

    :param what: what fails if it refuses, in words.
    :raises SummonError: instead of the exceptions of a connection.
    """
    try:
        yield
    except (Refused, Lost, TimeoutError) as error:
        let_through(error)
        said = "the server does not answer" if isinstance(error, TimeoutError) else error
        raise SummonError(f"{called}: {what}: {said}", executor=called) from None
