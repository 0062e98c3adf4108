"""pexpect's matching over a log that grows."""

from __future__ import annotations

import itertools
import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from summon_testcase.clean import clean
from summon_testcase.declaration.arguments import compile_patterns
from summon_testcase.errors import InvalidArgument
from summon_testcase.output.log import Log
from summon_testcase.readiness.output import Observer, OutputProbe, open_output

from ..samples import eventually

#: a machine that is busy with other tests is no failure
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Growing:
    """A log that a test writes to, and the view of its service."""

    def __init__(self, directory: str | Path) -> None:
        self.path = Path(directory, "log")
        self.path.write_bytes(b"")
        self.log = Log(str(self.path))
        self.ended = False
        self.tells = True
        self.watched: list[int] = []

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as stream:
            stream.write(data)

    def watch(self, position: int) -> None:
        self.watched.append(position)

    def pump(self) -> None: ...

    def fileno(self) -> int:
        return -1


@contextmanager
def growing() -> Iterator[Growing]:
    with tempfile.TemporaryDirectory() as directory:
        yield Growing(directory)


@pytest.fixture
def view() -> Iterator[Growing]:
    with growing() as it:
        yield it


def observer(view: Growing, *patterns: Any, position: int = 0) -> Observer:
    return Observer(view.log, compile_patterns(patterns, "x", "banner"), position)


def look(watcher: Observer, view: Any) -> re.Match[str] | None:
    return watcher.search(view)


def at_last(watcher: Observer, view: Any) -> re.Match[str] | None:
    """Search until a match that is held back is returned."""
    found = [look(watcher, view)]

    def given() -> bool:
        found.append(look(watcher, view))
        return bool(found[-1]) or not watcher.holding

    if found[0] is None and watcher.holding:
        eventually(given, "it is given")
    return found[-1]


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


#: text around a banner: multi-byte characters, and bytes that are no UTF-8
noise = st.one_of(
    st.binary(max_size=40),
    st.text("aé€😀\n", max_size=20).map(str.encode),
    st.sampled_from([b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\r\n", b"\x80\x80"]),
).filter(lambda data: b"READY" not in data)
#: a line of it, since the beginning of an escape sequence would swallow what follows in its line
noisy_line = noise.map(lambda data: data + b"\n")
cuts = st.lists(st.integers(0, 200), max_size=12)


class TestChunking:
    @given(noisy_line, noise, cuts)
    @unhurried
    @example(b"\xe2\x82", b"\xe2\x82\xac", [1, 2])
    def test_a_banner_is_found_however_it_arrives(
        self, before: bytes, after: bytes, places: list[int]
    ) -> None:
        """Found as soon as it is complete, never before, with exact offsets after it."""
        banner = b"READY<\xc3\xa9>\n"
        data = before + banner + after
        end = len(before + banner)
        with growing() as view:
            watcher = observer(view, "READY<(?P<what>.)>\n")
            written, found = 0, None
            for piece in in_pieces(data, places):
                assert found is None or written >= end
                view.write(piece)
                written += len(piece)
                if found is None:
                    found = look(watcher, view)
                    assert (found is not None) == (written >= end)
            assert found is not None and found["what"] == "é"
            assert watcher.after_match() == end
            assert watcher.after_line() == end

    @given(noisy_line, noise, cuts)
    @unhurried
    def test_the_rest_of_the_line(self, before: bytes, after: bytes, places: list[int]) -> None:
        """after_line() is behind the newline of the line that the match ends in, or its end."""
        data = before + b"READY" + after
        end = len(before) + 5
        newline = after.find(b"\n")
        with growing() as view:
            view.ended = True
            watcher = observer(view, "READY")
            found = None
            for piece in in_pieces(data, places):
                view.write(piece)
                found = found or look(watcher, view)
            assert found is not None
            assert watcher.after_match() == end
            assert watcher.after_line() == (end if newline < 0 else end + newline + 1)

    @given(st.text("ab\n", max_size=60), cuts)
    @unhurried
    def test_anchors_do_not_depend_on_pieces(self, said: str, places: list[int]) -> None:
        """``^`` and ``$`` match at lines only, wherever the pieces are cut."""
        pattern = re.compile("^ab$", re.MULTILINE)
        expected = pattern.search(said)
        with growing() as view:
            watcher = observer(view, "^ab$")
            found = None
            for piece in in_pieces(said.encode(), places):
                view.write(piece)
                found = found or look(watcher, view)
            view.ended = True
            found = found or look(watcher, view)
            assert (found is None) == (expected is None)
            if expected is not None:
                assert watcher.after_match() == expected.end()

    @given(st.lists(st.sampled_from(["one", "two", "é", "\n", "€"]), max_size=30), cuts)
    @unhurried
    def test_one_after_the_other(self, words: list[str], places: list[int]) -> None:
        """Observers that each begin where the last match ended see every match once."""
        data = "".join(words).encode()
        with growing() as view:
            view.ended = True
            for piece in in_pieces(data, places):
                view.write(piece)
            seen, position = [], 0
            while True:
                watcher = observer(view, "one|two", position=position)
                found = look(watcher, view)
                if found is None:
                    break
                seen.append(found.group())
                assert watcher.after_match() > position
                position = watcher.after_match()
            assert seen == [word for word in words if word in ("one", "two")]


class TestLongOutput:
    @pytest.mark.parametrize("before", [65530, 65536, 131066, 131072, 131073, 400_000])
    @pytest.mark.parametrize("lines", [b"x", b"x" * 79 + b"\n"], ids=["one line", "lines"])
    def test_a_banner_at_the_border_of_chunks(
        self, before: int, lines: bytes, view: Growing
    ) -> None:
        """A banner across the borders of chunks and windows is found, at the right offset."""
        flood = (lines * (before // len(lines) + 1))[:before]
        view.write(flood + b"READY\nafter\n")
        watcher = observer(view, "READY\n")
        assert look(watcher, view)
        assert watcher.after_match() == before + 6

    def test_characters_at_the_border_of_chunks(self, view: Growing) -> None:
        """A character of several bytes that is cut in two by a chunk is one character."""
        view.write(b"x" * 65535 + "€😀 READY\n".encode())
        found = look(watcher := observer(view, "x€😀 READY\n"), view)
        assert found is not None
        assert watcher.after_match() == view.path.stat().st_size

    def test_no_line_begins_where_the_window_does(self, view: Growing) -> None:
        """``^`` does not match where old output was cut off."""
        view.write(b"x" * 131071)
        watcher = observer(view, "^x+READY")
        for _ in range(5):
            assert look(watcher, view) is None
            view.write(b"x" * 65536)
        view.write(b"xREADY\n")
        assert look(watcher, view) is None

    def test_memory_does_not_grow(self, view: Growing) -> None:
        """An observer drops text that it has searched: of 20 MB it keeps less than 2 MB."""
        import tracemalloc

        watcher = observer(view, "READY")
        view.write((b"x" * 79 + b"\n") * 250_000)
        tracemalloc.start()
        try:
            assert look(watcher, view) is None
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert watcher.position == 20_000_000
        assert kept < 2_000_000

    def test_a_flood_does_not_outlast_the_time(self, view: Growing) -> None:
        """A search ends when the time for it is over, and goes on with the next."""
        view.write(b"x" * 3_000_000 + b"READY\n")
        watcher = observer(view, "READY\n")
        assert watcher.search(view, 0.0) is None  # type: ignore[arg-type]
        assert watcher.position < 3_000_000
        assert look(watcher, view)


class TestUnfinishedLines:
    def test_a_match_that_may_grow_is_held_back(self, view: Growing) -> None:
        """A number at the end of what has arrived may be half a number."""
        watcher = observer(view, r"port (\d+)")
        view.write(b"port 80")
        assert look(watcher, view) is None
        assert watcher.holding
        view.write(b"80\n")
        found = look(watcher, view)
        assert found is not None and found[1] == "8080"

    def test_but_not_for_long(self, view: Growing) -> None:
        """A prompt without a newline is given after a moment."""
        watcher = observer(view, "Password: ")
        view.write(b"Password: ")
        assert look(watcher, view) is None
        found = at_last(watcher, view)
        assert found is not None
        assert watcher.after_match() == watcher.after_line() == 10

    def test_and_not_beyond_the_end(self, view: Growing) -> None:
        """After the end of the service nothing can grow."""
        view.write(b"port 80")
        view.ended = True
        found = look(observer(view, r"port (\d+)"), view)
        assert found is not None and found[1] == "80"

    def test_dollar_waits_for_the_line(self, view: Growing) -> None:
        """``$`` does not match in the middle of a line that is still being written."""
        watcher = observer(view, "READY$")
        view.write(b"READY")
        assert look(watcher, view) is None
        view.write(b"-or-not\n")
        assert look(watcher, view) is None
        assert not watcher.holding
        view.write(b"READY\n")
        assert look(watcher, view)

    def test_each_is_held_back(self, view: Growing) -> None:
        """The second match that might grow gets as much time as the first."""
        watcher = observer(view, "READY$")
        for _ in range(3):
            view.write(b"READY")
            assert look(watcher, view) is None
            # another one that begins to hold it now gives it: the time is over for this one, too
            assert at_last(observer(view, "READY$"), view)
            view.write(b"-or-not\n")
            assert look(watcher, view) is None


class TestOffsets:
    def test_it_begins_at_a_position(self, view: Growing) -> None:
        """Output before the position is not searched."""
        view.write(b"READY\nREADY\n")
        watcher = observer(view, "READY\n", position=6)
        assert look(watcher, view)
        assert watcher.after_match() == 12
        assert look(observer(view, "READY", position=12), view) is None

    def test_the_first_of_several_patterns(self, view: Growing) -> None:
        """Of several patterns the one that matches first in the output counts."""
        view.write(b"two one\n")
        found = look(observer(view, "one", "two"), view)
        assert found is not None and found.group() == "two"

    def test_it_asks_to_be_woken(self, view: Growing) -> None:
        """After a search without a match it asks for news beyond what it has read."""
        view.write(b"abc")
        assert look(observer(view, "READY"), view) is None
        assert view.watched == [3]

    def test_the_refusal_counts_bytes(self, view: Growing) -> None:
        """A probe says how much output there was, and what it looks for."""
        patterns = compile_patterns(["a", "b"], "x", "banner")
        probe = OutputProbe(Observer(view.log, patterns), patterns)
        view.write("é€".encode())
        assert probe.describe() == "output matching 'a' or 'b'"
        assert probe.look(view) == "5 bytes of output, none of them matching 'a' or 'b'"  # type: ignore[arg-type]
        view.write(b"b\n")
        assert probe.look(view) is None  # type: ignore[arg-type]
        assert probe.look(view) is None  # type: ignore[arg-type]
        assert probe.match is not None and probe.match.group() == "b"

    def test_a_log_of_which_nobody_tells_is_looked_into(self, view: Growing) -> None:
        """The service of a stack has a keeper that speaks to its owner alone."""
        patterns = compile_patterns("READY", "x", "banner")
        probe = OutputProbe(Observer(view.log, patterns), patterns)
        probe.look(view)  # type: ignore[arg-type]
        assert probe.shortest == probe.longest == math.inf
        view.tells = False
        probe.look(view)  # type: ignore[arg-type]
        assert 0 < probe.shortest < probe.longest < 0.1


#: parts of escape sequences for colours, titles and links, and line ends
coloured = st.lists(
    st.sampled_from(
        [
            *(b"\x1b[31m", b"\x1b[0m", b"\x1b]0;title\x07", b"\x1b]8;;http://h/\x1b\\"),
            *(b"\x1b(B", b"\x1b", b"\x1b["),
            *(b"\r", b"\r\n", b"\r\r\n", b"\n", b"word", "é€".encode()),
            *(b"\xff", b"\xc2\x9b1m"),
        ]
    ),
    max_size=12,
).map(b"".join)


class TestCleanText:
    """Patterns match text without escape sequences; offsets count the bytes of the log."""

    @given(coloured, coloured, cuts)
    @unhurried
    def test_a_coloured_banner(self, before: bytes, after: bytes, places: list[int]) -> None:
        """Found however it arrives; the offset is the end of its last character."""
        banner = b"\x1b[32mINFO\x1b[0m: on \x1b]8;;http://h/\x1b\\port 80\xc3\xa9"
        start = before + b"\n" + banner
        line = start + b"\x1b]8;;\x07\x1b[0m\x1b(B\r\n"
        with growing() as view:
            watcher = observer(view, r"^INFO: on port (\d+é)$")
            found = None
            for piece in in_pieces(line + after, places):
                view.write(piece)
                found = found or look(watcher, view)
            view.ended = True
            found = found or look(watcher, view)
            assert found is not None and found[1] == "80é"
            assert watcher.after_match() == len(start)
            assert watcher.after_line() == len(line)

    @given(coloured, cuts)
    @unhurried
    def test_one_after_the_other(self, data: bytes, places: list[int]) -> None:
        """Observers that begin where the last match ended see every word once."""
        with growing() as view:
            view.ended = True
            for piece in in_pieces(data, places):
                view.write(piece)
            text = clean(data.decode("utf-8", "surrogateescape"))
            seen, position = 0, 0
            while True:
                watcher = observer(view, "word", position=position)
                if look(watcher, view) is None:
                    break
                seen, position = seen + 1, watcher.after_match()
                assert data[:position].endswith(b"word")
            assert seen == text.count("word")

    @pytest.mark.parametrize("before", [65530 + n for n in range(14)])
    def test_at_the_border_of_chunks(self, before: int, view: Growing) -> None:
        """A sequence, and the end of a line, across the border of two chunks."""
        line = b"\x1b[1;32mREADY\x1b[0m\r\n"
        view.write(b"x" * (before - 1) + b"\n" + line + b"after\n")
        watcher = observer(view, "^READY$\n")
        assert look(watcher, view)
        assert watcher.after_match() == before + len(line)

    def test_a_number_before_the_end_of_its_colour(self, view: Growing) -> None:
        """A match is held back also where an escape sequence, finished or not, follows it."""
        for following in (b"\x1b[0m", b"\x1b[", b"\x1b"):
            begin = view.path.stat().st_size
            watcher = observer(view, r"port (\d+)", position=begin)
            view.write(b"port \x1b[1m80" + following)
            assert look(watcher, view) is None
            assert watcher.holding
            found = at_last(watcher, view)
            assert found is not None and found[1] == "80"
            assert watcher.after_match() == begin + len(b"port \x1b[1m80")
            view.write(b"m\n")

    def test_what_has_no_end(self, view: Growing) -> None:
        """A sequence that never ends holds nothing back for long."""
        watcher = observer(view, "READY")
        view.write(b"\x1b]0;title\nREADY\x1b]0;")
        assert at_last(watcher, view)
        view.write(b"x" * 2_000_000 + b"READY")
        assert at_last(observer(view, "READY", position=watcher.after_match()), view)

    def test_the_end_of_output(self, view: Growing) -> None:
        """When the service has ended, the rest of a line or sequence is not waited for."""
        view.write(b"100%\r")
        watcher = observer(view, "100%\r")
        assert look(watcher, view) is None
        view.ended = True
        assert look(watcher, view)
        assert watcher.after_match() == 5

    def test_lines_that_were_written_over(self, view: Growing) -> None:
        """Text over a progress bar is at the beginning of a line, but not with raw=True."""
        watcher = observer(view, r"^READY (\d+)\n")
        raw = Observer(view.log, compile_patterns("^READY", "x", "pattern"), 0, raw=True)
        for piece in (b"10%\r", b"\x1b[2K50%\r\x1b[", b"KREA", b"DY 7\n"):
            assert look(watcher, view) is None
            view.write(piece)
        found = look(watcher, view)
        assert found is not None and found[1] == "7"
        assert watcher.after_match() == view.log.size()
        assert look(raw, view) is None

    def test_from_the_middle_of_a_sequence(self, view: Growing) -> None:
        """If the position cuts a sequence, the rest of the sequence is no text."""
        view.write(b"before\x1b[1;31mREADY\n")
        assert look(observer(view, "^READY", position=9), view)

    def test_raw(self, view: Growing) -> None:
        """With raw=True patterns match the output as the service wrote it."""
        view.write(b"x\x1b[31mREADY\r\n\x1b[")
        watcher = Observer(view.log, compile_patterns("m(READY\r)\n", "x", "pattern"), 1, raw=True)
        assert look(watcher, view)
        assert watcher.after_match() == 13


class TestPatterns:
    def test_compiled_ones_stay_as_they_are(self) -> None:
        """A compiled pattern keeps its flags; a string gets MULTILINE."""
        mine = re.compile("^x$", re.IGNORECASE)
        assert compile_patterns([mine, "^y$"], "x", "banner") == [
            mine,
            re.compile("^y$", re.MULTILINE),
        ]

    @pytest.mark.parametrize("bad", ["", [], [""], b"x", re.compile(b"x"), ["x", 3], "(", "[a"])
    def test_what_is_no_pattern(self, bad: Any) -> None:
        """Refused, and the argument is named."""
        with pytest.raises(InvalidArgument, match=r"^web: fails_on="):
            compile_patterns(bad, "web", "fails_on")

    @given(st.text(min_size=1))
    @unhurried
    def test_the_hint_works(self, said: str) -> None:
        """A pattern that is escaped as the error recommends is accepted, and matches literally."""
        (pattern,) = compile_patterns(re.escape(said), "x", "banner")
        found = pattern.search(said)
        assert found is not None and found.group() == said


class TestStream:
    def stream(self, view: Growing, position: int = 0, timeout: float | None = 0.05) -> Any:
        late = lambda waited: LookupError(f"{waited:.2f}")  # noqa: E731
        return open_output(view.log, view, position, timeout, late)  # type: ignore[arg-type]

    @given(st.text(), st.integers(1, 7))
    @unhurried
    def test_it_reads_what_was_written(self, said: str, size: int) -> None:
        """Read in pieces of any size, text comes out as it was written."""
        said = said.encode("utf-8", "replace").decode()
        with growing() as view:
            view.write(said.encode())
            view.ended = True
            with self.stream(view) as stream:
                assert "".join(iter(lambda: stream.read(size), "")) == said

    def test_carriage_returns_stay(self, view: Growing) -> None:
        """Only a newline ends a line, and nothing is translated."""
        view.write(b"a\r\nb\rc\n")
        view.ended = True
        assert list(self.stream(view)) == ["a\r\n", "b\rc\n"]

    def test_a_line_as_soon_as_it_is_there(self, view: Growing) -> None:
        """A line is read while the service lives; if none comes in time, that is an error."""
        view.write(b"one\ntw")
        stream = self.stream(view)
        assert stream.readline() == "one\n"
        with pytest.raises(LookupError):
            stream.readline()

    def test_nothing_is_lost_when_time_is_over(self, view: Growing) -> None:
        """A read that comes after one in vain has what that one has read, and half a character."""
        view.write("one\ntw\N{EURO SIGN}".encode()[:-1])
        stream = self.stream(view)
        for read in (lambda: stream.read(7), lambda: stream.read(), lambda: stream.read(None)):
            with pytest.raises(LookupError):
                read()
        assert stream.readline() == "one\n"
        for read in (stream.readline, lambda: next(stream)):
            with pytest.raises(LookupError):
                read()
        view.write("\N{EURO SIGN}".encode()[-1:] + b"\nthree")
        assert stream.readline() == "tw\N{EURO SIGN}\n"
        assert (stream.readline(2), stream.read(0)) == ("th", "")
        view.ended = True
        assert (list(stream), stream.read()) == (["ree"], "")

    def test_it_ends_within_a_character(self, view: Growing) -> None:
        """What is no character is replaced, also at the end."""
        view.write("end\N{EURO SIGN}".encode()[:-1])
        view.ended = True
        stream = self.stream(view)
        assert (stream.read(), stream.read()) == ("end\ufffd", "")
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.readline()

    def test_the_end(self, view: Growing) -> None:
        """The end of the service is the end of the stream, for good."""
        view.write(b"one")
        view.ended = True
        stream = self.stream(view, position=1, timeout=None)
        assert (stream.read(), stream.read(), stream.readline()) == ("ne", "", "")
