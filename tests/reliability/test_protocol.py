"""Garbage to the warden and to keepers: they end or go on, and leave no service behind.

Who writes it does not matter: a test that got hold of a descriptor, or a bug of ours.  Each
seed is one sequence of messages; ``make soak`` tries more of them.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from summon_testcase.keeper.messages import pack, take
from summon_testcase.supervision.warden import Warden

from ..doubles import control_of
from ..samples import PATIENCE, alive, eventually, marked, parent, text
from .scene import LONG

SEEDS = range(1000 if LONG else 16)
NUMBERS = (
    *(b"0", b"1", b"-1", b"15", b"64", b"65", b"99999999999999999999", b"", b"x", b"1e9"),
    *(b"nan", b"inf", b"-inf", b"1_0", b"\xff", b" 3 ", b"0x9", b"1" * 5000),
)


class Kept:
    """A service that is started by messages to its keeper, without the rest of the library."""

    def __init__(self, warden: Warden, place: Path, mark: str) -> None:
        self.place, self.name = place, f"{mark}-{os.urandom(4).hex()}"
        self.base = str(place / self.name)
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(PATIENCE)
        self.inbox = bytearray()
        with theirs:
            warden.keep(self.base, theirs)
        self.message = self.launch(mark)
        self.channel.sendall(self.message)
        verb, *numbers = self.told()
        assert verb == b"up"
        self.pid, self.keeper = map(int, numbers[:2])

    def launch(self, mark: str) -> bytes:
        """The message to launch a service that says "up", and has a child in another session."""
        script = 'setsid sh -c "sleep 1000; :" "$0" & echo up; read never; wait'
        argv = ["/bin/sh", "-c", script, mark]
        files = [self.base, self.base, self.base + ".log"]
        fields = ["0", "/", "1", "0", "", argv[0], str(len(argv))]
        return pack("launch", *files, *fields, *argv, f"PATH={os.environ['PATH']}")

    def told(self) -> list[bytes]:
        """The fields of the next message of the keeper."""
        while (message := take(self.inbox)) is None:
            data = self.channel.recv(65536)
            assert data, "the keeper has ended"
            self.inbox += data
        return message.split(b"\0")

    def said(self) -> set[bytes]:
        """The verbs of all messages of a keeper that has ended."""
        verbs = set()
        with suppress(ConnectionResetError):
            while data := self.channel.recv(65536):
                self.inbox += data
        while (message := take(self.inbox)) is not None:
            verbs.add(message.partition(b"\0")[0])
        self.channel.close()
        return verbs

    def files(self) -> list[str]:
        """Those of its files that exist."""
        return [name for name in os.listdir(self.place) if name.startswith(self.name)]

    def send(self, data: bytes) -> None:
        """Write as much as the socket takes: the keeper may have ended, or read no more."""
        send(self.channel, data)


def send(sock: socket.socket, data: bytes) -> None:
    """Write to a socket whose other end may close."""
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    with suppress(BrokenPipeError, ConnectionResetError):
        while data and poller.poll(2000):
            data = data[sock.send(data, socket.MSG_DONTWAIT) :]


@pytest.fixture
def warden() -> Iterator[Warden]:
    """A warden of this test's own."""
    found = Warden()
    yield found
    found.close()


def wakeups(pid: int) -> int:
    """How often a process has waited for something; and clock ticks of CPU time it has used."""
    said = text(f"/proc/{pid}/status").rpartition("\nvoluntary_ctxt_switches:")[2]
    fields = text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(said.split()[0]) + int(fields[11]) + int(fields[12]) if said and fields else 0


def assert_rests(pid: int) -> None:
    """Assert that a process, once it has done its work, sleeps while it gets no messages."""

    def rests() -> bool:
        before = wakeups(pid)
        time.sleep(0.1)
        return wakeups(pid) - before <= 1

    eventually(rests, f"{pid} rests")


def sequence(chance: random.Random, kept: Kept) -> list[bytes]:
    """Messages that no keeper should ever get."""
    return [one(chance, kept) for _ in range(chance.randint(1, 6))]


def one(chance: random.Random, kept: Kept) -> bytes:
    """A message, or something like it."""
    number, other = chance.choice(NUMBERS), chance.choice(NUMBERS)
    valid = chance.choice(
        [
            pack("watch", number),
            pack("send", number, chance.randbytes(chance.randint(0, 5000))),
            pack("send", number, chance.randbytes(50) * 40000),
            pack("eof", number),
            pack("farewell", "0", "/bin/sleep", other),
            pack("farewell", "0.2", "/bin/sleep", "1000"),
            pack("farewell", number),
            pack("forget", number),
            pack("probe", number, "/bin/true"),
            pack("probe", number, "/bin/sleep", "1000"),
            pack("probe", number),
            pack("probe", number, "/nowhere", *["x"] * 100),
            pack("signal", number, other),
            pack("signal", number),
            pack("stop", number, other),
            pack("stop", number, other, number),
            pack("stop", "15", number, "0"),
            pack("stop", "15", "1", number, "/bin/sleep", "1000"),
            pack("stop", "15", "0.1", "1", "/bin/true"),
            pack("stop", "15", "0.1", "1", other),
            pack("kill", number),
            pack("sync", number),
            pack("keep", kept.base),
            pack("keep", kept.base, number),
            kept.message,
            pack(number, other),
            pack(),
        ]
    )
    how = chance.randrange(6)
    if how == 0:
        return valid[: chance.randrange(len(valid) + 1)]
    if how == 1:
        # the verb stays: with a mutilated path the message would still be a valid one
        at = chance.randrange(min(len(valid), 8))
        return valid[:at] + bytes([valid[at] ^ (1 << chance.randrange(8))]) + valid[at + 1 :]
    if how == 2:
        return chance.randbytes(chance.randint(1, 3000))
    if how == 3:
        return struct.pack("=I", chance.choice([0, 1, 5, 64 << 20, (64 << 20) + 1, 2**32 - 1]))
    return valid


@pytest.mark.parametrize("seed", SEEDS)
def test_garbage_for_a_keeper(seed: int, warden: Warden, mark: str, tmp_path: Path) -> None:
    """A keeper kills its service and ends, or goes on quietly until the channel is closed."""
    chance = random.Random(seed)
    kept, other = Kept(warden, tmp_path, mark), Kept(warden, tmp_path, mark)
    for message in sequence(chance, kept):
        kept.send(message)
    assert_rests(kept.keeper)
    if not alive(kept.keeper):
        eventually(lambda: not alive(kept.pid), "the service ended with its keeper")
    if chance.random() < 0.5:
        kept.channel.shutdown(socket.SHUT_WR)
        assert_rests(kept.keeper)
    # not closed, since its messages are still to be read
    kept.channel.shutdown(socket.SHUT_WR)
    eventually(lambda: not alive(kept.keeper), "the keeper has ended")
    assert not alive(kept.pid)
    # nobody else has noticed
    assert alive(other.pid) and alive(other.keeper)
    other.channel.sendall(pack("sync", 7))
    while other.told() != [b"synced", b"7"]:
        pass
    other.channel.close()
    eventually(lambda: not alive(other.keeper), "the other keeper has ended")
    if b"gone" not in kept.said():
        # otherwise the files belong to the test process again
        eventually(lambda: not kept.files(), "its files are gone")
    eventually(lambda: not other.files(), "the files of the other are gone")
    assert marked(mark) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_garbage_for_the_warden(seed: int, warden: Warden, mark: str, tmp_path: Path) -> None:
    """A warden ends and sweeps everything, or goes on quietly until its socket is closed."""
    chance = random.Random(seed)
    kept = Kept(warden, tmp_path, mark)
    pid = parent(kept.keeper)
    control = control_of(warden)
    for message in sequence(chance, kept):
        # unexpected descriptors, or none where one is needed
        with suppress(BrokenPipeError, ConnectionResetError):
            if chance.random() < 0.3:
                spare = [os.open(os.devnull, os.O_RDONLY)] * chance.choice([1, 2, 16, 17, 40])
                socket.send_fds(control, [message or b"x"], spare)
                os.close(spare[0])
            else:
                send(control, message)
        # its answers are not read
        with suppress(OSError):
            control.recv(65536, socket.MSG_DONTWAIT)
    assert_rests(pid)
    if not alive(kept.pid):
        eventually(lambda: not alive(pid), "the warden ends by itself")
    control_of(warden).close()
    eventually(lambda: not alive(pid), "the warden has ended")
    eventually(lambda: not alive(kept.keeper), "the keeper has ended")
    eventually(lambda: not alive(kept.pid), "the service has ended")
    eventually(lambda: marked(mark) == [], "all is gone")
    if b"gone" not in kept.said():
        eventually(lambda: not kept.files(), "its files are gone")


def test_a_warden_is_not_kept_waiting(warden: Warden, mark: str, tmp_path: Path) -> None:
    """A client that asks about keepers that live, and reads no answers, blocks no one else."""
    kept = Kept(warden, tmp_path, mark)
    send(control_of(warden), pack("sync", kept.keeper))
    send(control_of(warden), pack("sync", 1) * 100_000)
    another = Kept(warden, tmp_path, mark)
    assert alive(another.pid)
    assert_rests(parent(another.keeper))
    kept.channel.close()
    wanted, inbox = pack("synced", kept.keeper)[4:], bytearray()
    control_of(warden).settimeout(PATIENCE)
    while (message := take(inbox)) != wanted:
        if message is None:
            inbox += control_of(warden).recv(65536)
    # blocking again, since its end reads all messages that have come
    control_of(warden).setblocking(False)
    assert not alive(kept.pid)
    another.channel.close()
    eventually(lambda: marked(mark) == [], "all is gone")


@pytest.mark.parametrize("duration", ["nan", "inf", "-1", "x"])
@pytest.mark.parametrize(
    "before, after", [(("stop", int(signal.SIGCONT)), ("0",)), (("probe",), ("/bin/true",))]
)
def test_no_duration(
    before: tuple[str | int, ...],
    after: tuple[str, ...],
    duration: str,
    warden: Warden,
    mark: str,
    tmp_path: Path,
) -> None:
    """An impossible duration in a message ends the keeper and its service at once."""
    kept = Kept(warden, tmp_path, mark)
    kept.send(pack(*before, duration, *after))
    eventually(lambda: not alive(kept.keeper), "the keeper has ended")
    eventually(lambda: marked(mark) == [], "all is gone")
    kept.channel.close()


def test_a_keeper_nobody_listens_to(warden: Warden, mark: str, tmp_path: Path) -> None:
    """A keeper whose answers are not read still notices the end of the test process."""
    kept = Kept(warden, tmp_path, mark)
    for _ in range(50):
        kept.send(pack("sync", 1) * 2000)
    assert alive(kept.pid)
    assert_rests(kept.keeper)
    kept.channel.close()
    eventually(lambda: not alive(kept.keeper), "the keeper has ended")
    assert marked(mark) == []


def test_a_keeper_whose_service_reads_nothing(warden: Warden, mark: str, tmp_path: Path) -> None:
    """The keeper holds input that the service does not take, up to a limit, and sleeps."""
    kept = Kept(warden, tmp_path, mark)
    os.kill(kept.pid, signal.SIGSTOP)
    for text_ in (b"x" * 300_000, b"line\n" * 100_000):
        kept.send(pack("send", 1_000_000, text_))
        assert_rests(kept.keeper)
        assert alive(kept.keeper)
    kept.send(pack("send", 1, b"x" * (1 << 21)))
    eventually(lambda: marked(mark) == [], "one that sends more than anybody would is ended")
    kept.channel.close()
