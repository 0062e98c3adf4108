"""The proxy: it passes on what the two sides of each connection send to each other.

It is run as ``python program.py CONTROL HOST PORT TARGET``, and obeys one order for each connection
to the unix socket CONTROL: ``begin ID FAULT VALUE``, ``end ID`` or ``forget``.  The answer ``ok``
comes when the order has taken effect.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import math
import os
import resource
import socket
import struct
import sys

#: bytes that are held in one direction of a connection before its sender has to wait
_HELD = 1 << 16
#: the same while there is a delay, so that a large transfer is late and not slow
_HELD_LATE = 1 << 20
#: into how many pieces what a limit lets pass in a second is cut
_PIECES = 20
#: connections that may wait to be accepted
_BACKLOG = 1024
#: seconds until the proxy tries again to accept, if the system has no descriptor for it
_PAUSE = 0.05


class Faults:
    """The faults of the moment.  Those of one kind add up, as if there were proxies in a row."""

    def __init__(self) -> None:
        #: by the number that the test process has given to each
        self._all: dict[str, tuple[str, float]] = {}

    def begin(self, number: str, kind: str, value: float) -> None:
        """One more fault."""
        self._all[number] = kind, value
        self._tell(kind, value, "begins")

    def end(self, number: str) -> None:
        """The end of one fault, if there is such a fault."""
        if number in self._all:
            self._tell(*self._all.pop(number), "ends")

    def forget(self) -> None:
        """The end of all faults."""
        for number in list(self._all):
            self.end(number)

    def _tell(self, kind: str, value: float, what: str) -> None:
        shown = f"{value:g}" if kind in ("delay", "limit") else ""
        print(f"{kind}({shown}) {what}", flush=True)

    def _values(self, kind: str) -> list[float]:
        return [value for known, value in self._all.values() if known == kind]

    @property
    def delay(self) -> float:
        """Seconds by which answers are late."""
        return sum(self._values("delay"))

    @property
    def limit(self) -> float:
        """Bytes per second that pass in one direction of a connection."""
        return min(self._values("limit"), default=math.inf)

    @property
    def cut(self) -> bool:
        """Whether every connection is reset."""
        return bool(self._values("cut"))

    @property
    def refuse(self) -> bool:
        """Whether nobody listens."""
        return bool(self._values("refuse"))


class Side(asyncio.Protocol):
    """One side of a connection: what it sends is passed on to the other side.

    :param faults: those of the moment.
    :param answers: whether this is the side of the target.
    """

    other: Side
    _transport: asyncio.Transport

    def __init__(self, faults: Faults, answers: bool) -> None:
        self._faults = faults
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        #: what this side has sent and the other was not given yet, with the time when it came; no
        #: bytes stand for its end, or for a reset
        self._held: collections.deque[tuple[float, bytes]] = collections.deque()
        self._size = 0
        #: the time at which the line has passed on what it was given, if there is a limit
        self._line_free = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: whether this side is slow to take what it is sent
        self._full = False
        #: whether this side will send no more
        self._ended = False
        #: whether this side is closed by a reset, which is the last of what it sends
        self._broken = False
        #: whether the other side has been given all that this side has sent, and its end
        self._passed = False
        self.connected = False
        #: set when the connection to this side is closed
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.connected = True
        sock = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        close_by_reset(sock)
        if self.other.closed.is_set():
            self.reset()
        self.other.pass_on()

    def data_received(self, data: bytes) -> None:
        self._held.append((self._loop.time(), data))
        self._size += len(data)
        self.pass_on()

    def eof_received(self) -> bool:
        self._ended = True
        self._held.append((self._loop.time(), b""))
        self.pass_on()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.other.pass_on()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()
        for side in (self, self.other):
            if side._timer is not None:
                side._timer.cancel()
        if error is not None:
            self._broken = True
            self._held.append((self._loop.time(), b""))
            self.pass_on()

    def pass_on(self) -> None:
        """Give the other side what may pass now; come back when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.other.closed.is_set():
            # nobody is there to take it
            self._held.clear()
            self._size = 0
            return
        if not self._broken and (self.closed.is_set() or not self.connected):
            return
        delay = self._faults.delay if self._answers else 0.0
        limit = self._faults.limit
        if self._broken and not delay and limit == math.inf:
            # also if the other side is slow to take what was sent before
            self.other.reset()
            return
        while self._held and self.other.connected and limit:
            came, data = self._held[0]
            if data and self.other._full:
                break
            piece = data if limit == math.inf else data[: max(1, int(limit / _PIECES))]
            due = max(came + delay, self._line_free) + len(piece) / limit
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self.pass_on)
                break
            if len(piece) < len(data):
                self._held[0] = came, data[len(piece) :]
            else:
                self._held.popleft()
            self._size -= len(piece)
            self._line_free = due if limit < math.inf else 0.0
            if piece:
                self.other._transport.write(piece)
            elif self._broken and not self._held:
                self.other.reset()
            else:
                self._end()
        if self._ended or self._broken:
            return
        if self._size < (_HELD_LATE if delay else _HELD):
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _end(self) -> None:
        """Tell the other side that this one sends no more; close when both have ended."""
        self._passed = True
        if not self.other._passed:
            self.other._transport.write_eof()
            return
        for side in (self, self.other):
            # what was written last still has to arrive
            close_by_reset(side._transport.get_extra_info("socket"), False)
            side._transport.close()

    def reset(self) -> None:
        """End the connection to this side at once, so that it reads a reset."""
        if self.connected:
            self._transport.abort()


def close_by_reset(sock: socket.socket, reset: bool = True) -> None:
    """Set whether the end of a socket, also by the end of this process, resets its connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))


class Proxy:
    """Listens, and connects each client with the target.

    :param host: the address, or the name, at which to listen.
    :param target: host and port, or the path of a unix socket.
    """

    def __init__(self, host: str, port: int, target: str) -> None:
        self._address = host, port
        self._target = target
        self._faults = Faults()
        self._listeners: list[socket.socket] = []
        #: the two sides of each connection, and the task that lasts as long as it
        self._connections: dict[asyncio.Task[None], tuple[Side, Side]] = {}
        self._loop = asyncio.get_running_loop()

    def listen(self) -> None:
        """Listen at all addresses of the host.

        :raises OSError: if that is not possible at any of them.
        """
        failure: OSError | None = None
        for family, _, _, _, place in socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM):
            try:
                listener = socket.create_server(place[:2], family=family, backlog=_BACKLOG)
            except OSError as error:
                failure = error
                continue
            listener.setblocking(False)
            self._listeners.append(listener)
            self._loop.add_reader(listener, self._accept, listener)
        if not self._listeners:
            raise failure or OSError("no address to listen at")

    def _accept(self, listener: socket.socket) -> None:
        """Accept all clients that have come."""
        while True:
            try:
                client, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                print(f"cannot accept: {error.strerror}", flush=True)
                self._loop.remove_reader(listener)
                self._loop.call_later(_PAUSE, self._accept_again, listener)
                return
            client.setblocking(False)
            close_by_reset(client)
            if self._faults.cut:
                client.close()
                continue
            sides = Side(self._faults, answers=False), Side(self._faults, answers=True)
            sides[0].other, sides[1].other = reversed(sides)
            task = self._loop.create_task(self._connect(client, *sides))
            self._connections[task] = sides
            task.add_done_callback(self._connections.pop)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    async def _connect(self, client: socket.socket, here: Side, there: Side) -> None:
        """Connect a client with the target, for as long as the connection lasts."""
        try:
            await self._loop.connect_accepted_socket(lambda: here, client)
            await self._reach(there)
            await here.closed.wait()
            await there.closed.wait()
        except OSError as error:
            # asyncio has words of its own for a refused connection
            why = os.strerror(error.errno) if error.errno else error
            print(f"no connection to {self._target}: {why}", flush=True)
            there.connection_lost(error)
            if here.connected:
                await here.closed.wait()
        finally:
            for side in (here, there):
                if side.connected:
                    side.reset()
                    await side.closed.wait()

    async def _reach(self, side: Side) -> None:
        """Connect to the target.

        :raises OSError: if there is no connection.
        """
        if self._target.startswith("/"):
            await self._loop.create_unix_connection(lambda: side, self._target)
            return
        host, _, port = self._target.rpartition(":")
        made, _ = await self._loop.create_connection(lambda: side, host.strip("[]"), int(port))
        if made.get_extra_info("sockname") == made.get_extra_info("peername"):
            # the kernel chose the very port that was called, at which nobody listens
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry out one order, and answer.

        The loop handles events in the order in which they came.  So clients that have connected
        before the order are accepted by now.
        """
        words = (await reader.readline()).decode().split()
        if words[:1] == ["begin"]:
            self._faults.begin(words[1], words[2], float(words[3]))
        elif words[:1] == ["end"]:
            self._faults.end(words[1])
        elif words == ["forget"]:
            self._faults.forget()
        answer = "ok"
        try:
            await self._apply()
        except OSError as error:
            answer = f"cannot listen again at {self._address}: {error.strerror}"
        writer.write(f"{answer}\n".encode())
        writer.close()

    async def _apply(self) -> None:
        if self._faults.refuse:
            while self._listeners:
                listener = self._listeners.pop()
                self._loop.remove_reader(listener)
                listener.close()
        elif not self._listeners:
            self.listen()
        if self._faults.cut or self._faults.refuse:
            ending = list(self._connections)
            for task in ending:
                task.cancel()
            if ending:
                await asyncio.wait(ending)
        for sides in self._connections.values():
            for side in sides:
                side.pass_on()


async def serve(control: str, host: str, port: str, target: str) -> None:
    """Serve until this process is ended."""
    proxy = Proxy(host, int(port), target)
    os.umask(0o177)  # the socket is for its owner only
    await asyncio.start_unix_server(proxy.obey, control)
    try:
        proxy.listen()
    except OSError as error:
        sys.exit(f"cannot listen at {host}, port {port}: {error.strerror or error}")
    await asyncio.get_running_loop().create_future()


def main() -> None:
    """Run the proxy."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(*sys.argv[1:]))


if __name__ == "__main__":
    main()
