"""The output that keepers show: whole lines that cannot harm a terminal, and never a wait."""

from __future__ import annotations

import os
import pty
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from summon_testcase.keeper.echo import Echo, without_waiting

from ..places import linux
from ..programs import program
from ..samples import PATIENCE


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, to whose second end a write never waits."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    yield reading, writing
    for fd in (reading, writing):
        try:
            os.close(fd)
        except OSError:
            pass


def read(fd: int) -> bytes:
    """All that is in a pipe now."""
    found = b""
    try:
        while data := os.read(fd, 65536):
            found += data
    except BlockingIOError:
        pass
    return found


@pytest.mark.parametrize(
    ("written", "plain", "coloured"),
    [
        (b"one\ntwo\n", ["one", "two"], ["one", "two"]),
        (b"\ttab\r\n\n", ["\ttab", ""], ["\ttab", ""]),
        (b"10%\r55%\rdone\n", ["done"], ["done"]),
        (b"\x1b[1;31mred\n", ["red"], ["\x1b[1;31mred\x1b[0m"]),
        (b"a\x1b[2Jb\x1b[Hc\x1b]0;title\x07d\x1bce\n", ["abcde"], ["abcde"]),
        (b"a\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\\n", ["alink"], ["alink"]),
        (b"a\x07\x08\x9bb\xc2\x9b2J\x1b\n", ["a\ufffdb2J"], ["a\ufffdb2J"]),
        ("grün ☃\n".encode(), ["grün ☃"], ["grün ☃"]),
    ],
)
def test_what_is_shown_of_a_line(
    pipe: tuple[int, int], written: bytes, plain: list[str], coloured: list[str]
) -> None:
    """Lines are whole, colours stay where there are any, and nothing else moves a terminal."""
    reading, writing = pipe
    for colour, lines in ((0, plain), (36, coloured)):
        echo = Echo(writing, "web", colour)
        for byte in written:
            echo.take(bytes([byte]))
        front = "\x1b[36mweb\x1b[0m | " if colour else "web | "
        assert read(reading).decode() == "".join(f"{front}{line}\n" for line in lines)


def test_an_unfinished_line_comes_at_the_end(pipe: tuple[int, int]) -> None:
    """Half a line would be continued by another service."""
    reading, writing = pipe
    echo = Echo(writing, "web", 0)
    echo.take(b"password: ")
    assert read(reading) == b""
    echo.finish()
    assert read(reading) == b"web | password:\n"


def test_an_endless_line_is_shown_in_parts(pipe: tuple[int, int]) -> None:
    """A service that writes no line ends needs no memory for that."""
    reading, writing = pipe
    echo = Echo(writing, "web", 0)
    for _ in range(8):
        echo.take(b"x" * 5000)
    shown = read(reading)
    assert shown.count(b"web | ") == 2 and shown.endswith(b"x\n")


def test_a_slow_reader_gets_what_fits_and_is_told_of_the_rest(pipe: tuple[int, int]) -> None:
    """Nobody waits for the reader; it sees whole lines, and how many are missing where."""
    reading, writing = pipe
    echo = Echo(writing, "web", 0)
    for number in range(20000):
        echo.take(b"%06d%s\n" % (number, b"x" * 60))
    assert len(echo.pending) < 1 << 20
    shown = b""
    for more in (b"", b"last\n"):
        echo.take(more)
        while data := read(reading):
            shown += data
            echo.write()
    *lines, last = shown.decode().splitlines()
    assert last == "web | last"
    missing = int(lines.pop().removeprefix("web | [").split()[0])
    assert missing + len(lines) == 20000
    assert lines == [f"web | {number:06d}{'x' * 60}" for number in range(len(lines))]


def test_a_reader_that_goes_away_is_forgotten(pipe: tuple[int, int]) -> None:
    """Neither an error nor memory for what nobody will see."""
    reading, writing = pipe
    echo = Echo(writing, "web", 0)
    os.close(reading)
    echo.take(b"one\n")
    assert echo.fd == -1
    echo.take(b"two\n")
    echo.finish()
    assert not echo.pending


@linux
def test_the_flags_of_a_terminal_are_left_alone() -> None:
    """A shell that shares the terminal would meet EAGAIN if O_NONBLOCK were set for all."""
    main, other = pty.openpty()
    again = without_waiting(os.dup(other))
    try:
        assert os.get_blocking(other) and not os.get_blocking(again)
    finally:
        for fd in (main, other, again):
            os.close(fd)


def test_a_file_keeps_its_position(tmp_path: Path) -> None:
    """What is written to a file follows what the runner has written there."""
    with open(tmp_path / "said", "wb", buffering=0) as file:
        file.write(b"runner\n")
        fd = without_waiting(os.dup(file.fileno()))
        Echo(fd, "web", 0).take(b"up\n")
        file.write(b"runner\n")
        os.close(fd)
    assert (tmp_path / "said").read_bytes() == b"runner\nweb | up\nrunner\n"


FLOODS = """
os.environ.pop("PYTEST_XDIST_WORKER", None)
os.environ["SUMMON_ECHO"] = "1"
flood = ["sh", "-c", "yes abcdefghij | head -n 400000; echo over; read never", MARK]
with OutputCoordinatedExecutor(flood, r"over\\n", name="flood", timeout=60) as service:
    say("over", service.pid)
    sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("gone", [False, True], ids=["nobody-reads", "nobody-is-there"])
def test_a_service_never_waits_for_the_terminal(gone: bool, mark: str, place: Path) -> None:
    """It writes four megabytes while nobody reads the runner's standard error."""
    with program(FLOODS, mark, place) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stderr is not None
        if gone:
            process.stderr.close()
        assert select.select([process.stdout], [], [], PATIENCE * 2)[0]
        assert process.stdout.readline().startswith("over")
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        if not gone:
            # at least what the pipe has taken while nobody read it
            assert set(process.stderr.read().splitlines()[:200]) == {"flood | abcdefghij"}
