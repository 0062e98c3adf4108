"""A connection to a PostgreSQL server, in its own protocol.

A driver of the tests may be patched, instrumented, or not there; what is asked here is little.  And
a statement that takes long, such as the copy of a database, is sent without waiting for its answer:
the server works while the test runs.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import SummonError
from ..foreign import let_through
from ..unpatched import socket, time

if TYPE_CHECKING:
    from ..scheduling.deadline import Deadline

#: a row of an answer, as text
Row = list[str | None]

#: version 3.0 of the protocol
_VERSION = 3 << 16
#: bytes that are received at once
_CHUNK = 1 << 16
#: how a COPY from a client is answered: only psql reads the lines that follow it in a file
_NO_DATA = b"COPY FROM stdin needs psql, which is not installed"


class Refused(Exception):
    """The server refuses something; its argument is what it says.

    :ivar code: what it says as five letters, which no language changes.
    """

    def __init__(self, said: str, code: str = "") -> None:
        super().__init__(said)
        self.code = code


class Lost(Exception):
    """The connection has ended; its argument says how."""


class Connection:
    """A session, whose statements are answered in the order in which they were sent.

    :param address: of the server: host and port.
    :param user: who asks; a password is not known.
    :param database: the database that is asked.
    :raises Lost: from all methods, if the server has ended it, or cannot be reached.
    """

    def __init__(self, address: tuple[str, int], user: str, database: str) -> None:
        self._heard = b""
        #: how many statements have no answer yet; the greeting counts
        self._awaited = 1
        #: the server's version, ``15.3``; known once it has answered something
        self.version = ""
        words = ("user", user, "database", database, "application_name", "summon_testcase", "")
        body = struct.pack("!I", _VERSION) + b"".join(word.encode() + b"\0" for word in words)
        try:
            self._socket = socket.create_connection(address)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            let_through(error)
            raise Lost(f"no connection: {error}") from None
        self._send(struct.pack("!I", len(body) + 4) + body)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; the server sees that."""
        self._socket.close()

    def ask(self, statement: str, deadline: Deadline) -> list[Row]:
        """The rows that answer a statement, after the answers to those before.

        :param statement: or several with semicolons between them, which are one transaction.
        :raises Refused: if the server refuses it, or one before it.
        :raises TimeoutError: if there is no answer in time.
        """
        self.tell(statement)
        return self.answers(deadline)

    def tell(self, *statements: str) -> None:
        """Send statements, and do not wait for the answers; each is a transaction of its own."""
        for statement in statements:
            body = statement.encode() + b"\0"
            self._send(b"Q" + struct.pack("!I", len(body) + 4) + body)
            self._awaited += 1

    def answers(self, deadline: Deadline) -> list[Row]:
        """Wait for all answers; the rows of the last one.

        :raises Refused: for the first statement that was refused, when all are answered.
        :raises TimeoutError: if they do not come in time.
        """
        rows: list[Row] = []
        refused: Refused | None = None
        while self._awaited:
            kind, body = self._message(deadline)
            if kind == b"T":
                rows = []
            elif kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                refused = refused or _refusal(body)
            elif kind == b"G":
                self._send(b"f" + struct.pack("!I", len(_NO_DATA) + 5) + _NO_DATA + b"\0")
            elif kind == b"S":
                name, value, _ = body.decode().split("\0")
                self.version = value if name == "server_version" else self.version
            elif kind == b"R" and body != b"\0\0\0\0":
                raise Refused("the server asks for a password, which is not known")
            elif kind == b"Z":
                self._awaited -= 1
                rows = rows if not self._awaited else []
        if refused is not None:
            raise refused
        return rows

    def _message(self, deadline: Deadline) -> tuple[bytes, bytes]:
        kind, size = struct.unpack("!cI", self._take(5, deadline))
        return kind, self._take(size - 4, deadline)

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


def _row(body: bytes) -> Row:
    row: Row = []
    at = 2
    while at < len(body):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        row.append(None if size < 0 else body[at : at + size].decode())
        at += max(size, 0)
    return row


def _refusal(body: bytes) -> Refused:
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0")}
    said = [fields.get(b"M", "it says nothing")]
    said += [
        f"{what}: {fields[key]}"
        for key, what in ((b"D", "detail"), (b"H", "hint"))
        if key in fields
    ]
    return Refused("; ".join(said), fields.get(b"C", ""))


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


def identifier(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def cut(connection: Connection, database: str, deadline: Deadline) -> int:
    """End all other sessions of a database, so that it can be renamed or removed.

    :returns: how many there were.
    """
    most = 0
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = {literal(database)} AND pid <> pg_backend_pid()"
    )
    while rows := connection.ask(others, deadline):
        most = max(most, len(rows))
        time.sleep(0.0005)  # the server has no way to say when they have gone
        if deadline.expired():
            raise TimeoutError
    return most
