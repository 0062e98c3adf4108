"""Ports: no two processes get the same."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from summon_testcase.errors import StartFailed
from summon_testcase.system import ports

from ..places import can_bind, linux, require
from ..samples import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT}

# Two blocks above the usual ephemeral range, where lease() does not look; others
# for each process, since workers may run these tests at the same time.
_FIRST = 61056 + 2 * ports.BLOCK * (os.getpid() % 35)
APART = range(_FIRST, _FIRST + 2 * ports.BLOCK)


def run(script: str) -> str:
    """The output of a Python process that can import the package."""
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def test_lease_is_free_and_ordinary() -> None:
    """A leased port is unprivileged and can be bound."""
    port = ports.lease()
    try:
        assert 1024 <= port < 65536
        assert ports.is_free(port)
        with socket.socket() as sock:
            sock.bind(("0.0.0.0", port))
    finally:
        ports.release(port)


@linux
def test_lease_is_outside_the_ephemeral_range() -> None:
    """Leased ports are outside the range from which the kernel chooses, if there is room."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low, high = map(int, file.read().split())
    room = low >= ports.LOWEST + ports.ENOUGH or high <= 65535 - ports.ENOUGH
    require(room, "the ephemeral range leaves no room")
    port = ports.lease()
    ports.release(port)
    assert not low <= port <= high


def test_no_port_twice_until_released() -> None:
    """Leases of one process differ; a released port may come again."""
    leases = ports.Leases(APART)
    seen = set()
    try:
        while True:
            port = leases.lease()
            assert port not in seen
            seen.add(port)
    except StartFailed:
        pass
    assert seen <= set(APART)
    one = seen.pop()
    leases.release(one)
    assert leases.lease() == one
    leases.forget()


LEASING = """
import sys
from summon_testcase.system import ports
print(*(ports.lease() for _ in range(200)), flush=True)
sys.stdin.read()
"""


def test_no_port_twice_among_processes() -> None:
    """Four processes with 200 leases each have 800 ports."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LEASING],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    leased: list[str] = []
    try:
        for process in processes:
            assert process.stdout is not None
            leased += process.stdout.readline().split()
    finally:
        for process in processes:
            process.communicate()
    assert len(leased) == 800
    assert len(set(leased)) == 800
    # a server may take the port after its own
    assert {int(port) + 1 for port in leased}.isdisjoint(map(int, leased))


def test_few_descriptors_for_many_ports() -> None:
    """500 leases need one descriptor for 32 of them, or a few more."""
    output = run(
        "from summon_testcase.system import ports\n"
        "for _ in range(500): ports.lease()\n"
        "print(ports._leases.locked())"
    )
    assert int(output) <= 24


def test_blocks_are_given_back() -> None:
    """When all ports are released, one block stays locked."""
    leases = ports.Leases()
    leased = [leases.lease() for _ in range(100)]
    assert leases.locked() >= 4
    for port in leased:
        leases.release(port)
        leases.release(port)
    assert leases.locked() == 1
    leases.forget()


def test_exhaustion_says_who_has_the_ports() -> None:
    """Without a free port the error counts the blocks and says what to do."""
    first, second = ports.Leases(APART), ports.Leases(APART)
    leased = []
    try:
        while first.locked() < 2:
            leased.append(first.lease())
        with pytest.raises(StartFailed) as caught:
            second.lease()
    finally:
        first.forget()
    text = str(caught.value)
    assert f"{APART.start}-{APART.stop - 1}" in text
    assert "of 2 blocks of 64 ports 2 are locked by other processes" in text
    assert "fewer test processes" in text
    assert second.lease() in APART
    second.forget()


def test_too_many_open_files_is_no_missing_port() -> None:
    """A full descriptor table is named as such."""
    output = run(
        "import resource\n"
        "from summon_testcase import errors; from summon_testcase.system import ports\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))\n"
        "try: ports.lease()\n"
        "except errors.StartFailed as error: print(error)"
    )
    assert "no port can be leased" in output
    assert "Too many open files" in output


def bound(family: int, host: str, port: int, v6only: bool) -> socket.socket:
    """A socket that is bound, not listening."""
    require(can_bind(host), f"{host} does not exist here")
    sock = socket.socket(family)
    if v6only:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((host, port))
    return sock


@pytest.mark.parametrize(
    ("family", "host", "v6only"),
    [
        (socket.AF_INET, "127.0.0.1", False),
        (socket.AF_INET, "0.0.0.0", False),
        (socket.AF_INET6, "::1", False),
        (socket.AF_INET6, "::", False),
        (socket.AF_INET6, "::", True),
    ],
)
def test_bound_port_is_not_free(family: int, host: str, v6only: bool) -> None:
    """A port bound on any address of either family is in use, listening or not."""
    leases = ports.Leases(APART)
    port = leases.lease()
    with bound(family, host, port, v6only):
        assert not ports.is_free(port)
    assert ports.is_free(port)
    leases.forget()


def test_reusable_listener_is_not_free() -> None:
    """SO_REUSEADDR of the one who listens does not make the port free."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        assert not ports.is_free(sock.getsockname()[1])


@linux
def test_ports_with_connections_that_linger_are_the_last_ones() -> None:
    """Where connections linger at all ports, one of them is leased, for a minute is too long."""
    leases, block = ports.Leases(range(APART.start, APART.start + ports.BLOCK)), []
    for port in range(APART.start, APART.start + ports.BLOCK, 2):
        with socket.create_server(("127.0.0.1", port)) as server:
            with socket.create_connection(("127.0.0.1", port)) as client:
                server.accept()[0].close()
                client.recv(1)
        block.append(port)
    assert not any(map(ports.is_free, block))
    port = leases.lease()
    assert port in block
    socket.create_server(("127.0.0.1", port)).close()
    with socket.create_server(("127.0.0.1", leases.lease())) as server:
        assert not ports.is_free(server.getsockname()[1], may_linger=True)
    leases.forget()


def test_impossible_ports_are_not_free() -> None:
    """Numbers that are no ports are not free."""
    for port in (0, -1, 65536):
        assert not ports.is_free(port)


@pytest.mark.parametrize("further", [0, 1])
def test_lease_passes_over_a_port_in_use(further: int) -> None:
    """A port that another program has bound, without our lock, is never handed out.

    Nor is the one before it: a server may take the port after its own.
    """
    leases = ports.Leases(APART)
    taken = leases.lease()
    leases.release(taken)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", taken + further))
        with pytest.raises(StartFailed):
            while True:
                assert leases.lease() != taken
    leases.forget()


def test_room_below_above_or_anywhere() -> None:
    """Ports come from below the ephemeral range, else from above, else from anywhere."""
    assert ports.room((32768, 60999)) == range(20000, 32768)
    assert ports.room((10000, 60999)) == range(61000, 65536)
    assert ports.room((20100, 50000)) == range(50001, 65536)
    assert ports.room((1024, 65535)) == range(1024, 65536)
    assert ports.room((32768, 60999), privileged=25000) == range(25000, 32768)


def test_seed_of_the_user_is_not_touched() -> None:
    """A lease neither follows random.seed() nor disturbs what comes after it."""
    random.seed(5)
    expected = random.random()
    random.seed(5)
    port = ports.lease()
    assert random.random() == expected
    ports.release(port)


FORKING = """
import os
from summon_testcase.system import ports
port = ports.lease()
block = port // ports.BLOCK
before = len(os.listdir("/proc/self/fd"))
child = os.fork()
if child == 0:
    owns_nothing = ports._leases.locked() == 0 and len(os.listdir("/proc/self/fd")) == before - 1
    ports.release(port)
    other = ports.lease()
    os._exit(0 if owns_nothing and other // ports.BLOCK != block else 1)
status = os.waitpid(child, 0)[1]
print(status == 0 and ports.lock_by_socket(block) is None and ports._leases.locked() == 1)
"""


@linux
def test_forked_child_owns_nothing() -> None:
    """A forked child leases from blocks of its own and leaves the parent's locked."""
    assert run(FORKING) == "True"


@linux
def test_lock_ends_with_the_process() -> None:
    """A process that dies without releasing leaves no lock behind."""
    block = int(
        run(
            "import os; from summon_testcase.system import ports\n"
            f"print(ports.Leases(range({APART.start}, {APART.stop})).lease() // ports.BLOCK,"
            " flush=True); os._exit(1)"
        )
    )
    lock = ports.lock_by_socket(block)
    assert lock is not None
    lock.close()


def test_files_lock_where_sockets_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With files instead of sockets a block is locked once, and free when closed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = ports.Leases(APART, ports.lock_by_file)
    port = first.lease()
    assert ports.lock_by_file(port // ports.BLOCK) is None
    (directory,) = tmp_path.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    first.forget()
    again = ports.lock_by_file(port // ports.BLOCK)
    assert again is not None
    again.close()


@pytest.mark.parametrize("trap", ["link", "mode", "file"])
def test_directory_of_others_is_refused(
    trap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link, an open directory or a file in the place of the lock directory is refused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"summon_testcase-ports-{os.getuid()}"
    if trap == "link":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(0o700)
        place.symlink_to(elsewhere)
    elif trap == "mode":
        place.mkdir()
        place.chmod(0o755)
    else:
        place.touch(0o600)
    with pytest.raises(StartFailed, match="must be a directory"):
        ports.Leases(APART, ports.lock_by_file).lease()
