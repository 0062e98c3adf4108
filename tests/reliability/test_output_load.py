"""Much output, of any kind, is complete; memory and disk stay bounded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from summon_testcase import (
    InvalidArgument,
    OutputCoordinatedExecutor,
    ProcessExited,
    SimpleExecutor,
)
from summon_testcase.declaration.arguments import compile_patterns
from summon_testcase.keeper.capture import Storage
from summon_testcase.output.excerpt import excerpt
from summon_testcase.output.log import LIMIT_VARIABLE, Log
from summon_testcase.readiness.output import Observer

from ..doubles import DROPPED_LINE, LEAST_STORED, punch, without_holes
from ..places import linux, require, root
from ..samples import HERE, marked
from .scene import LONG, nothing_left, run_program, sh

MEGA = 1 << 20
#: bytes by which a process may grow while any amount of output passes through it
FLAT = 40 * MEGA

pytestmark = linux


def python(source: str, mark: str, *arguments: object) -> list[str]:
    """A service that writes, as ``samples/writes.py`` does."""
    preamble = f"import os, signal, sys; sys.path.append({str(HERE)!r}); from writes import *\n"
    return [sys.executable, "-S", "-c", preamble + source, *map(str, arguments), mark]


#: the beginning of programs that print how much memory they and the keeper of ``it`` have needed
MEASURED = """
import os, re, sys, time
from summon_testcase import *
from tests.reliability.test_output_load import python
mark = sys.argv[1]
def peak(pid="self"):
    with open(f"/proc/{pid}/status") as stream:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", stream.read())[1]) * 1024
def say(*words):
    print(*words, flush=True)
# whatever is imported at the first use is there before the first measurement
with OutputCoordinatedExecutor("echo up", "up") as it:
    it.wait_for_output("$")
    before, keeper_before = peak(), peak(it._instance.process.keeper_pid)
def grown():
    return peak() - before, peak(it._instance.process.keeper_pid) - keeper_before
"""


def measured(source: str, mark: str, place: Path) -> list[int]:
    """The numbers that such a program prints."""
    done = run_program(MEASURED + source, place, mark, timeout=300)
    assert (done.stderr, done.returncode) == ("", 0)
    nothing_left(mark)
    return [int(float(word)) for word in done.stdout.split()]


class TestMuch:
    def test_before_the_banner(self, mark: str, tmp_path: Path) -> None:
        """200 MB before the banner: found, all of it on disk, memory flat."""
        source = """
source = "for _ in range(200): write((b'x' * 79 + b'\\\\n') * 12500)\\n"
source += "write(b'ready\\\\n'); signal.pause()"
began = time.monotonic()
it = OutputCoordinatedExecutor(python(source, mark), "^ready$", timeout=250).start()
took = time.monotonic() - began
say(*grown(), os.path.getsize(it.log_path), took * 1000)
assert it.match.group() == "ready" and it.tail(1) == ["ready"]
it.stop()
"""
        runner, keeper, size, took = measured(source, mark, tmp_path)
        print(f"200 MB: {took / 1000:.1f} s, test process +{runner}, keeper +{keeper}")
        assert size == 200 * 1000 * 1000 + 6
        assert runner < FLAT and keeper < FLAT

    def test_nobody_reads(self, mark: str, tmp_path: Path) -> None:
        """10 MB/s while the test does nothing: the service never waits, all is on disk."""
        seconds = 30 if LONG else 3
        source = """
source = "write(b'ready\\\\n'); pour(int(sys.argv[1])); signal.pause()"
it = OutputCoordinatedExecutor(python(source, mark, SECONDS), "^ready$").start()
time.sleep(SECONDS)
found = it.wait_for_output("took ([0-9.]+) blocked ([0-9.]+) end", timeout=120)
say(*grown(), os.path.getsize(it.log_path), float(found[1]) * 1000, float(found[2]) * 1000)
it.stop()
""".replace("SECONDS", str(seconds))
        runner, keeper, size, took, blocked = measured(source, mark, tmp_path)
        print(f"{seconds} s: took {took} ms, {blocked} ms of it in write, +{runner}, +{keeper}")
        assert seconds * 10_000_000 < size < seconds * 10_000_000 + 100
        assert runner < FLAT and keeper < FLAT
        assert took < seconds * 1000 * 3, "it was held up"

    def test_a_line_without_end(self, mark: str, tmp_path: Path) -> None:
        """100 MB without a newline, the banner at its end: found, memory flat."""
        source = """
source = "for _ in range(100): write(b'x' * 1000000)\\nwrite(b'ready'); signal.pause()"
it = OutputCoordinatedExecutor(python(source, mark), "ready", timeout=250).start()
say(*grown(), os.path.getsize(it.log_path), len(it.tail(3)[-1]))
it.stop()
"""
        runner, keeper, size, shown = measured(source, mark, tmp_path)
        assert size == 100 * 1000 * 1000 + 5
        assert runner < FLAT and keeper < FLAT
        assert shown <= 4 << 20


class TestOfAnyKind:
    @pytest.mark.parametrize("tty", [True, False])
    def test_bytes_arrive_as_they_are(self, tty: bool, mark: str) -> None:
        """NUL, invalid UTF-8, escape sequences, lone carriage returns: stored and passed over."""
        kinds = {
            "NUL": b"\0\0one\0two\0",
            "UTF-8": b"\xff\xfe\x80 half \xe2\x82",
            "ANSI": b"\x1b[31mred\x1b[0m \x1b]0;title\x07",
            "CR": b"10%\r20%\r\r\n30%\r",
            "all": bytes(range(256)),
        }
        for name, data in kinds.items():
            write = f"write({data!r}); write(b'ready \\xe2\\x82\\xac (1)\\n'); signal.pause()"
            it = OutputCoordinatedExecutor(python(write, mark), r"ready € \((\d)\)\n", tty=tty)
            with it:
                assert it.match is not None and it.match.group(1) == "1", name
                stored = Path(it.log_path).read_bytes()
                assert stored == data + "ready € (1)\n".encode(), name
                assert it.tail(1)[0].endswith("ready € (1)"), name

    def test_in_an_error(self, mark: str) -> None:
        """An error with such output can be printed, pickled and encoded."""
        it = OutputCoordinatedExecutor(
            python("write(b'\\0\\xff\\x1b[31m\\rend\\n'); sys.exit(3)", mark), "never"
        )
        with pytest.raises(ProcessExited) as caught:
            it.start()
        assert "end" in str(caught.value)
        str(caught.value).encode("utf-8")

    @pytest.mark.parametrize("before", [65536 + n for n in range(-6, 2)])
    def test_banner_across_a_chunk(self, before: int, mark: str) -> None:
        """A banner that begins just before, at, or after the end of a chunk, split anywhere."""
        write = f"write(b'x' * {before - 1} + b'\\n')\n"
        write += "dribble(b'READY\\n'); signal.pause()"
        with OutputCoordinatedExecutor(python(write, mark), r"^READY$") as it:
            assert it.match is not None and it.match.group() == "READY"
            it.send("")
            assert it.output().readable()

    @pytest.mark.parametrize("length", [65536, 65537, 100_000, 2 * 65536 - 20])
    def test_banner_longer_than_a_chunk(self, length: int, mark: str) -> None:
        """Up to the window, 128 KiB, wherever it begins."""
        for before in (0, 1, 40_000, 65535):
            write = f"write(b'x' * {before} + b'\\nBEGIN'); write(b'-' * {length - 8})\n"
            write += "write(b'END\\n'); signal.pause()"
            with OutputCoordinatedExecutor(python(write, mark), "BEGIN-*END") as it:
                assert it.match is not None and len(it.match.group()) == length

    def test_dies_at_once(self, mark: str) -> None:
        """The last output of a service that dies at once is in its error, and on disk."""
        script = 'echo "first $1"; seq 1 300; echo "last $1"; exit 7'
        for number in range(2000 if LONG else 200):
            it = OutputCoordinatedExecutor(
                sh(script, mark, str(number)), "never", tty=number % 2 == 0
            )
            with pytest.raises(ProcessExited) as caught:
                it.start()
            report = caught.value.report
            assert report is not None and caught.value.exit_code == 7
            assert report.output[-1] == f"last {number}", number
            lines = Path(report.log_path).read_text().splitlines()
            assert lines == [f"first {number}", *map(str, range(1, 301)), f"last {number}"]
            os.remove(report.log_path)
        assert not marked(mark)


@contextmanager
def limited(limit: int | str) -> Iterator[None]:
    """A block in which logs have a limit."""
    before = os.environ.get(LIMIT_VARIABLE)
    os.environ[LIMIT_VARIABLE] = str(limit)
    try:
        yield
    finally:
        if before is None:
            del os.environ[LIMIT_VARIABLE]
        else:
            os.environ[LIMIT_VARIABLE] = before


def on_disk(path: object) -> int:
    """Bytes that a file takes of its disk."""
    return os.stat(str(path)).st_blocks * 512


def punches(place: object) -> bool:
    """Whether holes can be punched into files of a directory."""
    with tempfile.TemporaryFile(dir=str(place)) as file:
        file.write(bytes(65536))
        file.flush()
        return punch(file.fileno(), 4096, 4096)


#: bytes that a file system may need to tell where the parts of a file are
SLACK = 65536
DROPPED = re.compile(rb"\n\[summon_testcase: (\d+) bytes of output dropped here\] *\n")


class TestLimit:
    def test_beginning_and_end_are_kept(self, mark: str, tmp_path: Path) -> None:
        """The middle goes, and a line says how much; positions, banner and tail are right."""
        limit, lines = MEGA, 400_000
        write = f"for n in range({lines // 1000}):\n"
        write += (
            "  write(b''.join(b'line %06d\\n' % i for i in range(n * 1000, n * 1000 + 1000)))\n"
        )
        write += "write(b'ready\\n')\nfor n in range(3): write(b'after %d\\n' % n)\nsignal.pause()"
        sizes = []

        def watch(it: Any) -> bool:
            sizes.append(on_disk(it.log_path))
            return True

        it = OutputCoordinatedExecutor(python(write, mark), "^ready$", until=watch)
        with limited(limit), it:
            assert it.wait_for_output("after 2\n")
            total = lines * 12 + 6 + 3 * 8
            assert os.stat(it.log_path).st_size == total
            require(punches(Path(it.log_path).parent), "no holes here")
            assert max(*sizes, on_disk(it.log_path)) <= limit + SLACK
            assert it.tail(2) == ["after 1", "after 2"]
            assert it.output().readline() == "after 0\n"
            log = Log(it.log_path)
            kept = log.read(0, total)
            assert len(kept) < limit
            found = DROPPED.search(kept)
            assert found is not None and len(DROPPED.findall(kept)) == 1
            assert int(found[1]) == total - len(kept) + len(found[0])
            assert limit // 4 - 8192 < found.start() <= limit // 4
            first, last = kept[: found.start()], kept[found.end() :]
            assert len(last) >= limit // 2 - 4096
            assert first.startswith(b"line 000000\n") and b"\0" not in kept
            numbers = [int(line[5:]) for line in last.splitlines()[1:-4]]
            assert numbers == list(range(numbers[0], lines))
            shown = excerpt(log, 0)
            assert shown[0].text == "line 000000" and shown[-1].text == "after 2"

    def test_a_flood_costs_neither_disk_nor_memory(self, mark: str, tmp_path: Path) -> None:
        """100 MB through a limit of 4: read from the beginning in no time, and flat."""
        source = """
os.environ["SUMMON_LOG_LIMIT"] = str(4 << 20)
source = "for _ in range(100): write((b'x' * 79 + b'\\\\n') * 12500)\\n"
source += "write(b'ready\\\\n'); signal.pause()"
it = OutputCoordinatedExecutor(python(source, mark), "^ready$", timeout=250).start()
began = time.monotonic()
it._instance.output_from = it._instance.mark = 0
assert it.wait_for_output("^ready$")
took = time.monotonic() - began
say(*grown(), os.stat(it.log_path).st_blocks * 512, took * 1000)
it.stop()
"""
        require(punches(tmp_path), "no holes here")
        runner, keeper, disk, took = measured(source, mark, tmp_path)
        assert disk <= 4 * MEGA + SLACK
        assert runner < FLAT and keeper < FLAT
        assert took < 5000

    def test_no_limit(self, mark: str) -> None:
        """0 means none, as does a log that stays below it."""
        for limit in (0, 8 * MEGA):
            write = "write(b'x' * 5000000 + b'\\nready\\n'); signal.pause()"
            it = OutputCoordinatedExecutor(python(write, mark), "ready\n")
            with limited(limit), it:
                stored = Path(it.log_path).read_bytes()
                assert stored == b"x" * 5000000 + b"\nready\n"

    @pytest.mark.parametrize("said", ["1G", "-1", "many", "1.5", "²"])
    def test_no_number(self, said: str, mark: str) -> None:
        """A limit that is no number of bytes is refused; the error names the variable."""
        with limited(said), pytest.raises(InvalidArgument, match=LIMIT_VARIABLE):
            SimpleExecutor(sh("echo up", mark)).start()
        assert not marked(mark)

    def test_where_nothing_can_be_punched(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The end is dropped instead, after one line that counts it."""
        without_holes(monkeypatch)
        path = tmp_path / "log"
        storage = Storage(os.fsencode(path), LEAST_STORED)
        data = b"".join(b"line %06d\n" % number for number in range(100_000))
        for at in range(0, len(data), 5000):
            storage.write(data[at : at + 5000])
        stored = path.read_bytes()
        assert storage.size == len(stored) <= LEAST_STORED
        found = DROPPED.search(stored)
        assert found is not None and found.end() == len(stored)
        assert stored[: found.start()] == data[: found.start()]
        assert int(found[1]) == len(data) - found.start()
        assert storage.errno == 0

    @given(
        st.lists(st.tuples(st.integers(1, 65536), st.integers(0, 3)), min_size=1, max_size=80),
        st.sampled_from([1, LEAST_STORED, 600_001, 1 << 20]),
    )
    @settings(deadline=None, max_examples=30)
    def test_whatever_is_written(self, writes: list[tuple[int, int]], limit: int) -> None:
        """The log never takes more than the limit; kept bytes are at their old positions."""
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "log")
            storage = Storage(os.fsencode(path), limit)
            limit = max(limit, LEAST_STORED)
            whole = b""
            for number, (length, repeated) in enumerate(writes):
                data = (b"%06d " % number * (length // 7 + 1))[:length]
                for _ in range(repeated + 1):
                    storage.write(data)
                    whole += data
                    assert on_disk(path) <= limit + SLACK
            if not punches(place):
                return
            log, position = Log(path), 0
            assert log.size() == storage.size == len(whole)
            kept = []
            while True:
                data, after = log.take(position, 50_000)
                if not data:
                    break
                kept.append((after - len(data), data))
                position = after
            assert position == len(whole)
            marks = DROPPED.findall(b"".join(data for _, data in kept))
            assert bool(marks) == (len(whole) > limit) or len(whole) > limit - 65536 - 80
            for start, data in kept:
                there = whole[start : start + len(data)]
                different = sum(a != b for a, b in zip(data, there, strict=True))
                assert different <= DROPPED_LINE

    def test_observers_pass_over_a_hole(self, tmp_path: Path) -> None:
        """A search whose position is in a new hole goes on behind the hole."""
        path = tmp_path / "log"
        storage = Storage(os.fsencode(path), LEAST_STORED)
        require(punches(tmp_path), "no holes here")
        view: Any = type("View", (), {"ended": False, "watch": lambda self, position: None})()
        observer = Observer(Log(str(path)), compile_patterns("ready", "it", "banner"))
        for _ in range(50):
            storage.write(b"x" * 9999 + b"\n")
        assert observer.search(view) is None
        slow = Observer(Log(str(path)), compile_patterns("ready", "it", "banner"), 70_000)
        for _ in range(500):
            storage.write(b"x" * 9999 + b"\n")
        storage.write(b"ready\n")
        for each in (observer, slow):
            assert each.search(view) is not None
            assert each.after_match() == storage.size - 1


@root
def test_room_again(tmp_path: Path) -> None:
    """A disk that was full for a while: the log says how much is missing, at the place."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    done = subprocess.run(mount, stderr=subprocess.DEVNULL)
    require(done.returncode == 0, "nothing can be mounted here")
    try:
        filler = disk / "filler"
        filler.write_bytes(bytes(128 * 1024))
        storage = Storage(os.fsencode(disk / "log"), 0)
        line = b"x" * 1023 + b"\n"
        for _ in range(200):
            storage.write(line)
        full = storage.size
        assert storage.errno and full <= 128 * 1024
        filler.unlink()
        storage.write(b"room again\n")
        stored = (disk / "log").read_bytes()
        found = DROPPED.search(stored)
        assert found is not None and stored.endswith(found[0] + b"room again\n")
        assert int(found[1]) == 200 * 1024 - full
        assert storage.size == len(stored)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
