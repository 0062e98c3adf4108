"""One adapter for each contender: start() returns when it believes the service ready.

Libraries are imported when first used, so that a worker pays only for the one it measures.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
import types
from importlib.util import find_spec
from typing import Any, ClassVar

from ..services import Service
from . import kernel

DEVNULL = subprocess.DEVNULL


class Contender:
    """Starts and stops one service in its own way."""

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    #: the packages that must be installed
    needs: ClassVar[str] = ""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: Any = None

    def start(self) -> None:
        """Start the service; block until it is ready."""
        self.process = subprocess.Popen(self.service.argv, stdin=DEVNULL, stdout=DEVNULL)
        self.wait()

    def wait(self) -> None:
        """Block until it is ready."""

    def stop(self) -> None:
        """Stop the service."""
        self.process.terminate()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Floor(Contender):
    """No sleeping, and no library: the least that is possible from Python."""

    name = "floor"
    kinds = frozenset({"tcp", "http", "http503", "unix", "file", "banner", "notify", "none"})

    def start(self) -> None:
        getattr(self, "_" + self.service.kind)()

    def _spawn(self, **options: Any) -> None:
        options.setdefault("stdout", DEVNULL)
        self.process = subprocess.Popen(self.service.argv, stdin=DEVNULL, **options)

    _none = _spawn

    def _tcp(self) -> None:
        self._spawn()
        while not kernel.tcp_probe((self.service.host, self.service.port)):
            pass

    def _http(self) -> None:
        self._spawn()
        while not kernel.http_probe((self.service.host, self.service.port)):
            pass

    _http503 = _http

    def _unix(self) -> None:
        self._watched(kernel.Inotify.CREATE)
        while not kernel.unix_probe(self.service.path):
            pass

    def _file(self) -> None:
        self._watched(kernel.Inotify.CLOSE_WRITE)

    def _watched(self, mask: int) -> None:
        directory, name = os.path.split(self.service.path)
        self.watch = kernel.Inotify(directory, mask)
        self._spawn()
        self.watch.wait_for(name)

    def _banner(self) -> None:
        self._spawn(stdout=subprocess.PIPE)
        kernel.scan(self.process.stdout.fileno(), self.service.banner.encode())

    def _notify(self) -> None:
        address = f"@bench-{os.getpid()}-{self.service.slot}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind("\0" + address[1:])
            self._spawn(env={**os.environ, "NOTIFY_SOCKET": address})
            while b"READY=1" not in notices.recv(4096):
                pass

    def stop(self) -> None:
        """Signal, then sleep until the process is gone."""
        pidfd = os.pidfd_open(self.process.pid)
        self.process.terminate()
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll(10000)
        os.close(pidfd)
        super().stop()
        if hasattr(self, "watch"):
            os.close(self.watch.fd)


class Loop(Contender):
    """The usual loop written by hand: look, sleep 0.1 s, look again."""

    name = "loop of 0.1 s"
    kinds = frozenset({"tcp", "http", "http503", "unix", "file"})

    def wait(self) -> None:
        while not self._ready():
            time.sleep(0.1)

    def _ready(self) -> bool:
        service = self.service
        if service.kind == "tcp":
            return kernel.tcp_probe((service.host, service.port))
        if service.kind == "unix":
            return kernel.unix_probe(service.path)
        if service.kind == "file":
            return os.path.exists(service.path)
        import requests

        try:
            return requests.head(service.url, timeout=1).ok
        except requests.RequestException:
            return False


class Pexpect(Contender):
    """Plain pexpect: spawn, then expect."""

    name = "pexpect"
    needs = "pexpect"
    kinds = frozenset({"banner"})
    #: as for pexpect.spawn
    options: ClassVar[dict[str, Any]] = {}

    def start(self) -> None:
        import pexpect

        argv, timeout = self.service.argv, self.service.timeout
        self.process = pexpect.spawn(argv[0], argv[1:], timeout=timeout, **self.options)
        self.process.expect(self.service.banner)

    def stop(self) -> None:
        self.process.kill(signal.SIGTERM)
        self.process.wait()
        self.process.close()


class Mirakuru(Contender):
    """The executor that mirakuru has for each kind."""

    name = "mirakuru"
    needs = "mirakuru"
    kinds = frozenset({"tcp", "http", "http503", "unix", "file", "banner", "none"})

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        import mirakuru
        from mirakuru.pid import PidExecutor

        argv, options = service.argv, {"timeout": service.timeout}
        self.executor: Any
        if service.kind == "tcp":
            self.executor = mirakuru.TCPExecutor(argv, service.host, service.port, **options)
        elif service.kind in ("http", "http503"):
            self.executor = mirakuru.HTTPExecutor(argv, service.url, **options)
        elif service.kind == "banner":
            self.executor = mirakuru.OutputExecutor(argv, service.banner, **options)
        elif service.kind == "unix":
            self.executor = mirakuru.UnixSocketExecutor(argv, service.path, **options)
        elif service.kind == "file":
            self.executor = PidExecutor(argv, service.path, **options)
        else:
            self.executor = mirakuru.SimpleExecutor(argv, **options)

    def start(self) -> None:
        self.executor.start()
        self.process = self.executor.process

    def stop(self) -> None:
        self.executor.stop()


class XProcess(Contender):
    """pytest-xprocess: a pattern for banners, startup_check for everything else."""

    name = "pytest-xprocess"
    needs = "xprocess"
    kinds = frozenset({"tcp", "http", "http503", "unix", "file", "banner"})

    def start(self) -> None:
        import py
        from xprocess import ProcessStarter
        from xprocess import XProcess as Fixture

        service, looks = self.service, Loop(self.service)
        self._root = tempfile.TemporaryDirectory(dir=os.path.dirname(service.argv[0]))
        quiet = types.SimpleNamespace(debug=lambda *_: None)
        self.fixture = Fixture(types.SimpleNamespace(), py.path.local(self._root.name), log=quiet)

        class Starter(ProcessStarter):  # type: ignore[misc, unused-ignore]
            args = service.argv
            timeout = service.timeout
            max_read_lines = 10**9
            if service.kind == "banner":
                pattern = service.banner
            else:

                def startup_check(self) -> bool:
                    return looks._ready()

        self.fixture.ensure("service", Starter)
        self.process = self.fixture.resources[-1].popen

    def stop(self) -> None:
        self.fixture.getinfo("service").terminate()
        self.process.wait()
        self.fixture._force_clean_up()
        self._root.cleanup()


class Summon(Contender):
    """The executor of summon_testcase for each kind."""

    name = "summon_testcase"
    kinds = Floor.kinds

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.executor = summon_executor(service)

    def start(self) -> None:
        self.executor.start()

    def stop(self) -> None:
        self.executor.stop()


def summon_executor(service: Service, **options: Any) -> Any:
    """Our executor for a service."""
    import summon_testcase as our

    argv = service.argv
    options.setdefault("timeout", service.timeout)
    if service.kind == "tcp":
        return our.TCPCoordinatedExecutor(argv, service.host, service.port, **options)
    if service.kind in ("http", "http503"):
        return our.HTTPCoordinatedExecutor(argv, service.url, **options)
    if service.kind == "banner":
        return our.OutputCoordinatedExecutor(argv, service.banner, **options)
    if service.kind == "unix":
        return our.UnixSocketCoordinatedExecutor(argv, service.path, **options)
    if service.kind == "file":
        return our.FileCoordinatedExecutor(argv, service.path, **options)
    if service.kind == "notify":
        return our.NotifyCoordinatedExecutor(argv, **options)
    return our.SimpleExecutor(argv, **options)


KINDS = ("tcp", "http", "http503", "unix", "file", "banner", "notify")
ALL: list[type[Contender]] = [
    contender
    for contender in (Floor, Loop, Pexpect, Mirakuru, XProcess, Summon)
    if not contender.needs or find_spec(contender.needs)
]


def named(name: str) -> type[Contender]:
    """The contender of that name."""
    return next(contender for contender in ALL if contender.name == name)
