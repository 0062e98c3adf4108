"""One adapter for each way to a fresh, empty PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from glob import glob
from typing import Any

from . import kernel


class Peer:
    """Plain testing.postgresql: initdb each time."""

    def start(self) -> int:
        import testing.postgresql

        self._server = testing.postgresql.Postgresql()
        return int(self._server.settings["port"])

    def stop(self) -> None:
        self._server.stop()

    def close(self) -> None:
        """Nothing is kept."""


class Cached(Peer):
    """The factory of testing.postgresql, which keeps the result of initdb."""

    def __init__(self) -> None:
        import testing.postgresql

        self._factory = testing.postgresql.PostgresqlFactory(cache_initialized_db=True)

    def start(self) -> int:
        self._server = self._factory()
        return int(self._server.settings["port"])

    def close(self) -> None:
        self._factory.clear_cache()


class Ours:
    """PostgreSQL() of summon_testcase."""

    def __init__(self) -> None:
        import summon_testcase

        self._executor = summon_testcase.PostgreSQL()

    def start(self) -> int:
        return int(self._executor.start().port)

    def stop(self) -> None:
        self._executor.stop()

    def close(self) -> None:
        """Nothing is kept."""


class Floor:
    """The floor: cp, exec, and reading until the server says that it is ready; then a kill."""

    def __init__(self) -> None:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._root = tempfile.mkdtemp(prefix="summon-bench-", dir=memory)
        self._template = os.path.join(self._root, "template")
        programs = sorted(glob("/usr/lib/postgresql/*/bin"))
        self._bin = programs[-1] if programs else os.path.dirname(shutil.which("postgres") or "")
        subprocess.run(
            [
                *(os.path.join(self._bin, "initdb"), "-D", self._template, "-U", "postgres"),
                *("--auth=trust", "--locale=C", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> int:
        self._data = os.path.join(self._root, "data")
        subprocess.run(["cp", "-a", "--reflink=auto", self._template, self._data], check=True)
        port = _port()
        options = [f"-c{name}=off" for name in ("fsync", "synchronous_commit", "full_page_writes")]
        options += ["-cunix_socket_directories=", "-cwal_level=minimal", "-cmax_wal_senders=0"]
        self._server = subprocess.Popen(
            [os.path.join(self._bin, "postgres"), "-D", self._data, "-p", str(port), *options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert self._server.stderr is not None
        kernel.scan(self._server.stderr.fileno(), b"ready to accept connections")
        return port

    def stop(self) -> None:
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()
        assert self._server.stderr is not None
        self._server.stderr.close()
        shutil.rmtree(self._data)

    def close(self) -> None:
        shutil.rmtree(self._root)


def _port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


WAYS: dict[str, Any] = {
    "testing.postgresql": Peer,
    "testing.postgresql, initdb cached": Cached,
    "floor": Floor,
    "summon_testcase": Ours,
}
