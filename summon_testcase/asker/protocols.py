"""Asks servers whether they are ready, in their own protocols, with the standard library alone.

Each protocol has a function.  It sends what a client sends first, and returns if the answer is
that of a ready server.  Any other answer raises ``Unready`` with the words of the server.

A server that asks for a login, or refuses ours, is ready: these servers do so only once they have
started.  Redis is different.  It asks for the password while it still loads its data, so whoever
protects it by a password has to tell it here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from .program import Question

#: bytes that a server may send until it is ready; a message that claims to be longer is garbage
_MOST = 1 << 14
#: letters of an answer that a message shows
_SHOWN = 80


class Unready(Exception):
    """The server has answered, but not as a ready one; its argument is the answer in words."""


class Talk:
    """A conversation with a server.

    :param sock: the connection to it.
    :param user: who asks; empty: whoever is usual.
    :param password: of the user; empty: none.
    """

    def __init__(self, sock: socket.socket, user: str = "", password: str = "") -> None:
        self._socket = sock
        self.user, self.password = user, password
        #: all bytes that the server has sent
        self.heard = b""
        #: how many of them have been taken
        self._taken = 0

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        :param size: how many.
        :raises EOFError: if the connection ends before them.
        """
        end = self._taken + size
        while len(self.heard) < end:
            self._hear()
        start, self._taken = self._taken, end
        return self.heard[start:end]

    def line(self) -> bytes:
        """Return the next line without its end.

        :raises EOFError: if the connection ends before the line does.
        """
        while (end := self.heard.find(b"\n", self._taken)) < 0:
            self._hear()
        return self.take(end + 1 - self._taken).rstrip(b"\r\n")

    def ask(
        self, question: bytes, ready: bytes | tuple[bytes, ...], skipped: tuple[bytes, ...] = ()
    ) -> None:
        """Send bytes, and read the line that answers them.

        :param ready: how the answer of a ready server begins; a tuple: any of them.
        :param skipped: how lines begin that may precede the answer.
        :raises Unready: if there is another line.
        """
        self.say(question)
        while (line := self.line()).startswith(skipped):
            pass
        if not line.startswith(ready):
            raise Unready(shown(line))

    def garbage(self) -> Unready:
        """Return what to raise if the server does not speak this protocol."""
        return Unready(shown(self.heard))

    def _hear(self) -> None:
        if len(self.heard) > _MOST:
            raise self.garbage()
        data = self._socket.recv(4096)
        if not data:
            raise EOFError
        self.heard += data


def shown(data: bytes) -> str:
    """An answer as a message shows it: in quotes, and cut if it is long."""
    try:
        quoted = repr(data.decode().rstrip("\r\n")[:_SHOWN])
    except UnicodeDecodeError:
        quoted = repr(data[:_SHOWN]).removeprefix("b")
    return quoted + (" (a TLS alert: it expects TLS)" if data.startswith(b"\x15\x03") else "")


def redis(talk: Talk) -> None:
    """PING and +PONG; the answer is -LOADING while Redis loads its data."""
    if talk.password:
        login = [talk.user, talk.password] if talk.user else [talk.password]
        talk.ask(_resp("AUTH", *login), b"+OK")
    talk.ask(_resp("PING"), b"+PONG")


def _resp(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded)


def memcached(talk: Talk) -> None:
    """The command version, and a version."""
    talk.ask(b"version\r\n", (b"VERSION ", b"CLIENT_ERROR unauthenticated"))


def nats(talk: Talk) -> None:
    """INFO from the server, then PING and PONG; the server sends a PING too."""
    talk.ask(b"", b"INFO ")
    hello = b'CONNECT {"verbose":false}\r\nPING\r\n'
    talk.ask(hello, (b"PONG", b"-ERR 'Authorization Violation'"), (b"PING", b"INFO "))


def smtp(talk: Talk) -> None:
    """220 from the server, then EHLO and 250; a dash says that more lines follow."""
    talk.ask(b"", b"220", (b"220-",))
    talk.ask(b"EHLO localhost\r\n", b"250", (b"250-",))
    talk.say(b"QUIT\r\n")


def ssh(talk: Talk) -> None:
    """The versions of both; the server may send other lines before its own."""
    talk.say(b"SSH-2.0-summon_testcase\r\n")
    while not (line := talk.line()).startswith(b"SSH-"):
        pass
    # 1.99 is a server that speaks older versions too
    if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
        raise Unready(shown(line))


def postgresql(talk: Talk) -> None:
    """A startup message, and all messages until ReadyForQuery or a request for a password."""
    # The database is not template1: no other can be created while somebody is connected to it.
    words = ["user", talk.user or "postgres", "database", "postgres", ""]
    start = struct.pack("!I", 3 << 16) + b"".join(word.encode() + b"\0" for word in words)
    talk.say(struct.pack("!I", len(start) + 4) + start)
    while True:
        kind, size = struct.unpack("!cI", talk.take(5))
        if kind not in b"ERSKZNv" or not 4 <= size <= _MOST:
            raise talk.garbage()
        body = talk.take(size - 4)
        if kind == b"E":
            fields = {field[:1]: field[1:] for field in body.split(b"\0")}
            # class 28: the login is refused; "the database system is starting up" is class 57
            if fields.get(b"C", b"").startswith(b"28"):
                return
            raise Unready(shown(fields.get(b"M", b"")))
        if kind == b"Z":
            talk.say(b"X\0\0\0\4")
            return
        # 0 is AuthenticationOk
        if kind == b"R" and int.from_bytes(body[:4], "big"):
            return


def mysql(talk: Talk) -> None:
    """The greeting of the server, a login without a password, and SELECT 1."""
    if _mysql_packet(talk)[0] != 10:
        raise talk.garbage()
    # long passwords, the protocol of MySQL 4.1, its way to log in, plugins; UTF-8
    login = struct.pack("<IIB23x", 0x88201, 1 << 24, 33)
    login += (talk.user or "root").encode() + b"\0\0mysql_native_password\0"
    answer = _mysql_packet(talk, login, 1)
    if answer[0] == 0xFE:  # It asks for another plugin; an empty packet is no password for all.
        answer = _mysql_packet(talk, b"", 3)
    if answer[0] == 0:
        _mysql_packet(talk, b"\3SELECT 1", 0)
        talk.say(b"\1\0\0\0\1")
    elif answer[0] != 0xFF:
        raise talk.garbage()


def _mysql_packet(talk: Talk, sent: bytes | None = None, number: int = 0) -> bytes:
    """Send a packet, if there is one, and return the next of the server.

    :raises Unready: for an error, unless it is of class 28: the login is refused.
    """
    if sent is not None:
        talk.say(len(sent).to_bytes(3, "little") + bytes([number]) + sent)
    size = int.from_bytes(talk.take(4)[:3], "little")
    if not 0 < size <= _MOST:
        raise talk.garbage()
    packet = talk.take(size)
    if packet[0] == 0xFF and packet[3:6] != b"#28":
        # its class stands before the words of most errors
        raise Unready(shown(packet[9 if packet[3:4] == b"#" else 3 :]))
    return packet


def amqp(talk: Talk) -> None:
    """The header of AMQP 0-9-1, and Connection.Start in a whole frame."""
    talk.say(b"AMQP\0\0\x09\x01")
    kind, channel, size = struct.unpack("!BHI", talk.take(7))
    if (kind, channel) != (1, 0) or not 4 <= size <= _MOST:
        raise talk.garbage()
    frame = talk.take(size + 1)
    if frame[:4] != struct.pack("!HH", 10, 10) or frame[-1] != 0xCE:
        raise talk.garbage()


def mqtt(talk: Talk) -> None:
    """CONNECT of MQTT 3.1.1 without a client identifier, and CONNACK."""
    talk.say(b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0")
    answer = talk.take(4)
    if answer[:2] != b"\x20\2":
        raise talk.garbage()
    # 0 is success; 4 and 5: the login is refused
    if answer[3] not in (0, 4, 5):
        raise Unready(f"CONNACK with the code {answer[3]}")
    if answer[3] == 0:
        talk.say(b"\xe0\0")


PROTOCOLS: dict[str, Callable[[Talk], None]] = {
    function.__name__: function
    for function in (redis, memcached, nats, smtp, ssh, postgresql, mysql, amqp, mqtt)
}


def converse(
    question: Question,
    protocol: str,
    addresses: tuple[str, ...],
    port: int,
    path: str,
    user: str,
    password: str,
) -> None:
    """Ask a server whether it is ready; tell "ready", "said" and what, or why there is no answer.

    :param protocol: one of ``PROTOCOLS``.
    :param addresses: numeric ones; the first that accepts a connection is asked.
    :param path: of a unix socket to ask instead; empty for TCP.
    :param user: for redis, postgresql and mysql.
    :param password: for redis.
    """
    heard = b""
    try:
        with question.reach(addresses, port, path) as sock:
            if sock.getsockname() == sock.getpeername():
                # The kernel chose the very port that we called, at which nobody listens.
                raise ConnectionRefusedError
            talk = Talk(sock, user, password)
            try:
                PROTOCOLS[protocol](talk)
            finally:
                heard = talk.heard
        told: tuple[str, ...] = ("ready",)
    except Unready as unready:
        told = "said", str(unready)
    except (EOFError, OSError) as error:
        told = _silence(question, error, shown(heard) if heard else "")
    question.tell(*told)


def _silence(question: Question, error: Exception, heard: str) -> tuple[str, ...]:
    # The asker itself ends the connection when the time is over.
    if question.over or isinstance(error, TimeoutError):
        return ("late" if question.connected else "unconnected"), heard
    if isinstance(error, ConnectionRefusedError):
        return "refused", ""
    # A server may reset a connection before the call that made it has returned here.
    if not question.connected and not isinstance(error, ConnectionResetError):
        return "cannot", str(getattr(error, "strerror", None) or error)
    return (
        "broken",
        f"it closed the connection after {heard}" if heard else "it closed the connection",
    )
