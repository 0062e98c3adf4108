"""The service under test: a small C program that stamps the moment when it is really ready."""

from __future__ import annotations

import mmap
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
#: the words of a slot, see server.c
MAIN, BEFORE, READY, SIGNAL, EXIT, WRITTEN, PID = range(7)
_SLOT = 128
_TCP = ("tcp", "http", "http503")
_PATH = ("unix", "file")


class Service(NamedTuple):
    """A service that can be started once, and where it writes its stamps."""

    argv: list[str]
    kind: str
    slot: int
    port: int = 0
    path: str = ""
    host: str = "127.0.0.1"
    banner: str = "READY-BANNER"
    timeout: float = 120.0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/"


class Ground:
    """A directory with the compiled server, its stamps, and what the services make.

    :param directory: one that another process has prepared; default: a new one.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._owned = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="summon-bench-")
        self.server = os.path.join(self.directory, "server")
        if self._owned:
            os.chmod(self.directory, 0o711)
            source = os.path.join(HERE, "server.c")
            subprocess.run(
                ["gcc", "-O2", "-Wall", "-static", "-o", self.server, source], check=True
            )
        self._serial = 0
        self._stamps = os.path.join(self.directory, f"stamps-{os.getpid()}")
        with open(self._stamps, "w+b") as stream:
            stream.truncate(1024 * _SLOT)
            self._map = mmap.mmap(stream.fileno(), 0)
        self._port = random.randrange(20000, 32000)

    def close(self) -> None:
        """Remove the directory, if it was made here."""
        self._map.close()
        if self._owned:
            shutil.rmtree(self.directory, ignore_errors=True)

    def port(self) -> int:
        """A free port below the ephemeral range, in which a poller could reach itself."""
        while True:
            self._port = 20000 + (self._port + 1) % 12000
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind(("127.0.0.1", self._port))
                except OSError:
                    continue
                return self._port

    def service(self, kind: str, delay_ms: float = 0, **options: object) -> Service:
        """A service that is ready some milliseconds after its main() began."""
        self._serial += 1
        slot = self._serial % 1024
        self._map[slot * _SLOT : (slot + 1) * _SLOT] = bytes(_SLOT)
        argv = [self.server, "--kind", kind, "--delay-ms", f"{delay_ms:.3f}"]
        argv += ["--stamp", self._stamps, "--slot", str(slot)]
        port, path = 0, ""
        if kind in _TCP:
            port = self.port()
            argv += ["--port", str(port)]
        if kind in _PATH:
            folder = os.path.join(self.directory, f"{os.getpid()}-{self._serial}")
            os.mkdir(folder)
            path = os.path.join(folder, "it.pid" if kind == "file" else "it.sock")
            argv += ["--path", path]
        if kind == "banner":
            argv += ["--banner", Service._field_defaults["banner"]]
        for name, value in options.items():
            argv += ["--" + name.replace("_", "-"), str(value)]
        return Service(argv, kind, slot, port, path)

    def stamp(self, service: Service, word: int) -> int:
        """One word of a service's slot: for most a moment in ns, 0 if it has not come."""
        value: int = struct.unpack_from("=Q", self._map, service.slot * _SLOT + word * 8)[0]
        return value

    def lateness(self, service: Service, end: int) -> float:
        """Milliseconds from the moment when it was ready to a moment in ns.

        :raises TooEarly: if it was not ready by then.
        """
        before = self.stamp(service, BEFORE)
        if not 0 < before <= end:
            raise TooEarly("returned before the service was ready")
        return (end - before) / 1e6

    def own_time(self, service: Service) -> float:
        """Milliseconds that the service itself took from its main() to being ready."""
        return (self.stamp(service, BEFORE) - self.stamp(service, MAIN)) / 1e6

    def clear(self, service: Service) -> None:
        """SIGKILL the service if it is still there, after the measurement."""
        pid = self.stamp(service, PID)
        if pid and _is_ours(pid, self.server):
            os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass
        if service.path:
            shutil.rmtree(os.path.dirname(service.path), ignore_errors=True)


def _is_ours(pid: int, program: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/exe") == program
    except OSError:
        return False


class TooEarly(Exception):
    """A start that returned before there was a service."""


class Watchdog:
    """Raises TimeoutError in the main thread once some seconds are over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, self._fire)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def _fire(self, *_: object) -> None:
        raise TimeoutError(f"not done after {self._seconds:g} s")

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
