"""Probe commands, stop commands and the sd_notify protocol.

The keeper looks after them because it is the parent of the service and of these commands.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import time

from .processes import CHUNK, is_stranger, kill
from .spawn import spawn


class SideCommand:
    """A command that probes or stops the service; only one runs at a time."""

    def __init__(self) -> None:
        self.env: dict[bytes, bytes] = {}
        self.pid = 0
        self.output = -1
        #: the time at which the command is killed
        self.end = 0.0
        self._text = b""

    def start(self, timeout: float, argv: list[bytes]) -> str:
        """Run a command for `timeout` seconds at most; while one runs, do nothing.

        :returns: why the command could not be run; empty if it could.
        """
        if self.pid:
            return ""
        self._text = b""
        self.end = time.monotonic() + timeout
        self.output, write = os.pipe()
        os.set_blocking(self.output, False)
        # an empty pipe for standard input: in a container there may be no /dev/null
        nothing, end = os.pipe()
        os.close(end)
        try:
            self.pid = spawn(argv[0], argv, self.env, (nothing, write))
        except OSError as error:
            self._close()
            return os.strerror(error.errno or 0)
        finally:
            os.close(nothing)
            os.close(write)
        return ""

    def _close(self) -> None:
        if self.output >= 0:
            os.close(self.output)
            self.output = -1

    def read(self) -> None:
        """Read the command's output and keep its end."""
        while self.output >= 0:
            try:
                data = os.read(self.output, CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._close()
            self._text = (self._text + data)[-2048:]

    def press(self, now: float) -> None:
        """Kill the command when its time is over."""
        if self.pid and now >= self.end:
            kill(-self.pid, signal.SIGKILL)
            kill(self.pid, signal.SIGKILL)

    def ended(self, status: int) -> tuple[int, bytes]:
        """Note that the command has ended; its status and the end of its output."""
        self.read()
        self._close()
        self.pid = 0
        return status, self._text.strip().replace(b"\0", b"")


class Notices:
    """The socket named by NOTIFY_SOCKET."""

    def __init__(self) -> None:
        self.fd = -1
        self._socket: socket.socket | None = None

    def listen(self, path: bytes) -> None:
        """Bind the socket; a leading "@" stands for an abstract address."""
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if hasattr(socket, "SO_PASSCRED"):
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        receiver.bind(b"\0" + path[1:] if path.startswith(b"@") else path)
        if not path.startswith(b"@"):
            os.chmod(path, 0o600)
        self._socket, self.fd = receiver, receiver.fileno()

    def ready(self) -> bool:
        """Receive one notice; whether it says READY=1 and one of our own processes sent it."""
        if self._socket is None:
            return False
        space = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * 64)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(CHUNK, space, socket.MSG_DONTWAIT)
        except OSError:
            return False
        # macOS passes no credentials; there the mode of the directory keeps other users out
        own = not hasattr(socket, "SCM_CREDENTIALS")
        barriers: list[int] = []
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                barriers += struct.unpack(f"={len(content) // 4}i", content)
            elif not own and kind == socket.SCM_CREDENTIALS:
                own = not is_stranger(struct.unpack("=3i", content)[0], os.getpid())
        for fd in barriers:
            # sd_notify_barrier() sends this descriptor and waits until we close it
            os.close(fd)
        return own and b"READY=1" in data.split(b"\n")
