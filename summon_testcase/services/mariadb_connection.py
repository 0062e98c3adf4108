"""A connection to a MariaDB server, in its own protocol.

A driver of the tests may be patched, instrumented, or not there; what is asked here is little.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..foreign import suppress
from .database_connection import Lost, Refused, Row, Session

if TYPE_CHECKING:
    from ..scheduling.deadline import Deadline

#: what this client can do: long passwords, a database at the login, the protocol of MySQL 4.1, its
#: way to log in, several statements and results, plugins
_ABILITIES = 0x1 | 0x8 | 0x200 | 0x8000 | 0x10000 | 0x20000 | 0x80000
#: what each session begins with: the options of the server may say otherwise
AUTOCOMMIT = "SET autocommit = 1"
#: UTF-8, of up to four bytes
_CHARACTERS = 45
#: bytes of the longest packet; what is longer is sent in several
_PACKET = (1 << 24) - 1
#: in the status of an answer: one more follows
_MORE = 8


class Connection(Session):
    """A session of the user ``root``, who has no password.

    :param address: of the server: host and port.
    :param database: the database that is asked; empty for none.
    :raises Lost: from all methods, if the server has ended it, or cannot be reached.
    """

    def __init__(self, address: tuple[str, int], database: str) -> None:
        #: of the next packet
        self._number = 0
        #: whether the server has greeted
        self._greeted = False
        self._database = database
        super().__init__(address)

    def close(self) -> None:
        """Say that it ends, since the server warns of sessions that just break off; and end it."""
        if self._greeted:
            self._number = 0
            with suppress(Lost):
                self._tell(b"\1")
        super().close()

    def ask(self, statements: str, deadline: Deadline) -> list[Row]:
        """The rows that answer the last of some statements.

        :param statements: with semicolons between them.
        :raises Refused: if the server refuses one of them; those after it are not run.
        :raises TimeoutError: if there is no answer in time.
        """
        if not self._greeted:
            self._log_in(deadline)
            statements = f"{AUTOCOMMIT}; {statements}"
        self._number = 0
        self._tell(b"\3" + statements.encode())
        while True:
            rows, more = self._answer(deadline)
            if not more:
                return rows

    def _answer(self, deadline: Deadline) -> tuple[list[Row], bool]:
        """The rows of one answer, and whether another one follows."""
        first = self._packet(deadline)
        if first[0] == 0:
            _, at = _number(first, 1)
            _, at = _number(first, at)
            return [], _says_more(first, at)
        for _ in range(_number(first, 0)[0] + 1):  # the columns, and their end
            self._packet(deadline)
        rows: list[Row] = []
        while True:
            packet = self._packet(deadline)
            if packet[0] == 0xFE and len(packet) < 9:
                return rows, _says_more(packet, 3)
            rows.append(_row(packet))

    def _log_in(self, deadline: Deadline) -> None:
        self._packet(deadline)  # the greeting
        login = struct.pack("<IIB23x", _ABILITIES, _PACKET, _CHARACTERS) + b"root\0\0"
        self._tell(login + self._database.encode() + b"\0mysql_native_password\0")
        if self._packet(deadline)[0] == 0xFE:
            # It asks for another plugin; an empty packet is no password for all.
            self._tell(b"")
            self._packet(deadline)
        self._greeted = True

    def _packet(self, deadline: Deadline) -> bytes:
        packet, size = b"", _PACKET
        while size == _PACKET:
            header = self._take(4, deadline)
            size, self._number = int.from_bytes(header[:3], "little"), header[3] + 1
            packet += self._take(size, deadline)
        if packet[:1] == b"\xff":
            # its class, of six letters, stands before the words of most errors
            words = packet[9 if packet[3:4] == b"#" else 3 :].decode(errors="replace")
            raise Refused(words, str(int.from_bytes(packet[1:3], "little")))
        return packet

    def _tell(self, data: bytes) -> None:
        for start in range(0, len(data) + 1, _PACKET):
            part = data[start : start + _PACKET]
            header = len(part).to_bytes(3, "little") + bytes([self._number % 256])
            self._number += 1
            self._send(header + part)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(data[at], 0)
    end = at + 1 + size
    return (int.from_bytes(data[at + 1 : end], "little") if size else data[at]), end


def _says_more(packet: bytes, at: int) -> bool:
    return bool(int.from_bytes(packet[at : at + 2], "little") & _MORE)


def _row(packet: bytes) -> Row:
    row: Row = []
    at = 0
    while at < len(packet):
        if packet[at] == 0xFB:
            row.append(None)
            at += 1
            continue
        size, at = _number(packet, at)
        row.append(packet[at : at + size].decode(errors="replace"))
        at += size
    return row


def identifier(name: str) -> str:
    """A name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"
