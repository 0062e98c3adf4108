"""A connection to a PostgreSQL server, in its own protocol.

A driver of the tests may be patched, instrumented, or not there; what is asked here is little.  And
a statement that takes long, such as the copy of a database, is sent without waiting for its answer:
the server works while the test runs.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from ..foreign import suppress
from ..unpatched import time
from .database_connection import Lost, Refused, Row, Session

if TYPE_CHECKING:
    from ..scheduling.deadline import Deadline

#: version 3.0 of the protocol
_VERSION = 3 << 16
#: how a COPY from a client is answered: only psql reads the lines that follow it in a file
_NO_DATA = b"COPY FROM stdin needs psql, which is not installed"


class Connection(Session):
    """A session, whose statements are answered in the order in which they were sent.

    :param address: of the server: host and port.
    :param user: who asks; a password is not known.
    :param database: the database that is asked.
    :raises Lost: from all methods, if the server has ended it, or cannot be reached.
    """

    def __init__(self, address: tuple[str, int], user: str, database: str) -> None:
        #: how many statements have no answer yet; the greeting counts
        self._awaited = 1
        #: the server's version, ``15.3``; known once it has answered something
        self.version = ""
        words = (
            *("user", user, "database", database, "application_name", "summon_testcase"),
            *("client_encoding", "UTF8", ""),
        )
        body = struct.pack("!I", _VERSION) + b"".join(word.encode() + b"\0" for word in words)
        super().__init__(address)
        self._send(struct.pack("!I", len(body) + 4) + body)

    def close(self) -> None:
        """Say that it ends, which the server does not log, and end it."""
        with suppress(Lost):
            self._send(b"X" + struct.pack("!I", 4))
        super().close()

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


def identifier(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def clone(version: str, name: str, template: str) -> tuple[str, str]:
    """The statements that make a database as a copy of another, each a transaction of its own.

    :param version: of the server.
    """
    major = re.match(r"\d+", version)  # of "15.3", or of "18beta1"
    # known to 15 and later; without durability this is the faster one
    strategy = " STRATEGY file_copy" if major and int(major[0]) >= 15 else ""
    # what CREATE DATABASE leaves out: ALTER DATABASE … SET, OWNER, and GRANT … ON DATABASE
    pair = f"made.datname = {literal(name)} AND its.datname = {literal(template)}"
    return (
        f"CREATE DATABASE {identifier(name)} TEMPLATE {identifier(template)}{strategy}",
        "INSERT INTO pg_db_role_setting SELECT made.oid, setrole, setconfig"
        " FROM pg_db_role_setting, pg_database its, pg_database made"
        f" WHERE setdatabase = its.oid AND {pair};"
        " UPDATE pg_database made SET datdba = its.datdba, datacl = its.datacl"
        f" FROM pg_database its WHERE {pair}",
    )


def cut(
    connection: Connection, database: str, deadline: Deadline, only: str = "true", grace: float = 0
) -> None:
    """End other sessions of a database, so that it can be renamed or emptied.

    :param only: a condition on the sessions.
    :param grace: seconds for which they may end by themselves, of which the log says nothing.
    :raises TimeoutError: if they do not end in time.
    """
    others = (
        "FROM pg_stat_get_activity(NULL) WHERE datid ="
        f" (SELECT oid FROM pg_database WHERE datname = {literal(database)})"
        f" AND pid <> pg_backend_pid() AND {only}"
    )
    until = time.monotonic() + grace
    while connection.ask(
        f"SELECT {'pg_terminate_backend(pid)' if time.monotonic() >= until else ''} {others}",
        deadline,
    ):
        time.sleep(0.0005)  # the server has no way to say when they have gone
        if deadline.expired():
            raise TimeoutError
