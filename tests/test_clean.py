"""Removing terminal control sequences from text that is cut anywhere."""

from __future__ import annotations

import doctest
import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from summon_testcase import clean as module
from summon_testcase.clean import clean, finished, line_of, origin, search, shortened, visible
from summon_testcase.declaration.arguments import compile_patterns

#: whole sequences, pieces of some, and what stands between them
pieces = st.sampled_from(
    [
        *("\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;http://x/\x1b\\", "\x1b(B", "\x1bc", "\x1b7"),
        *("\x1bP1$r0m\x1b\\", "\x1b_Ga=T;AAAA\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\"),
        *("\x9b1m", "\x9d0;x\x9c", "\x1b", "[", "]", "P", "(", ";", "0", "\\", "\x07", "\x9c"),
        *("\r", "\n", "\r\n", "\r\x1b[K\n", "\r\r\n"),
        *("a", "é", "😀", " ", "\x18", "\0", "x" * 4096),
    ]
)
texts = st.lists(pieces, max_size=25).map("".join)
unhurried = settings(deadline=None)


def in_pieces(text: str, places: list[int]) -> str:
    """Cleaned as it arrives."""
    cuts = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    held, said = "", ""
    for begin, end in itertools.pairwise(cuts):
        held += text[begin:end]
        cut = finished(held)
        said, held = said + clean(held[:cut]), held[cut:]
    return said + clean(held)


@pytest.mark.parametrize(
    "sequence",
    [
        *("\x1b[0m", "\x1b[1;31m", "\x1b[38;2;1;2;3m", "\x1b[?25l", "\x1b[2J", "\x1b[K", "\x1b[ q"),
        *("\x1b]0;a title\x07", "\x1b]0;a title\x1b\\", "\x1b]8;;http://h/é\x07", "\x9d0;x\x9c"),
        *("\x1bPq#0\x1b\\", "\x1b_app\x1b\\", "\x1b^private\x1b\\", "\x1bXany\x1b\\"),
        *("\x1bc", "\x1b7", "\x1b8", "\x1b=", "\x1bM", "\x1b(B", "\x1b)0", "\x1b%G", "\x1b#8"),
        *("\x9b31m", "\x1b\x1b[0m", "\x1bPtmux;\x1b\x1b]0;x\x07\x1b\\"),
    ],
)
def test_each_sequence(sequence: str) -> None:
    """A sequence is removed, whole or cut anywhere; the text around it stays."""
    text = f"before{sequence}after\r\n"
    assert clean(text) == "beforeafter\n"
    for place in range(len(text)):
        assert in_pieces(text, [place]) == "beforeafter\n", place
    assert in_pieces(text, list(range(len(text)))) == "beforeafter\n"


@given(texts, st.lists(st.integers(0, 300), max_size=8))
@unhurried
@example("\r\x1b[K\n", [1, 3])
@example("\x1b]0;t\x1b\\x", [5])
@example("\r" * 9 + "\r\x1b[K\r\n", [2, 6, 8, 9, 11, 13])
def test_cuts_make_no_difference(text: str, places: list[int]) -> None:
    """Text that arrives in pieces becomes the same as the whole text."""
    assert in_pieces(text, places) == clean(text)
    assert "\x1b" not in clean(text)


@given(texts)
@unhurried
def test_where_characters_come_from(text: str) -> None:
    """The place after a clean character is the end of it, and of nothing that follows."""
    cleaned = clean(text)
    for number in range(1, min(len(cleaned), 50) + 1):
        end = origin(text, number)
        assert clean(text[:end]) == cleaned[:number]
        assert end == 1 or clean(text[: end - 1]) != cleaned[:number]


def test_ends_of_lines() -> None:
    """Each terminal that output passes through adds a return to line ends; one alone stays."""
    assert clean("one\r\r\ntwo\r\n\rthree\r\r\x1b[K\r\r\n") == "one\ntwo\n\rthree\n"
    assert clean("50%\r\r60%\r") == "50%\r\r60%\r"
    assert origin("one\r\x1b[K\r\ntwo", 4) == 9


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^done", "10%\r50%\rdone\n", "done"),
        (r"(?i)^(DONE) (\d)", "10%\rdone 7\n", "done 7"),
        ("x|^done", "10%\rdone", "done"),
        # here "^" is no beginning of a line
        (r"\^done|[^ d]one|[]^]done|done[\]^]", "one\rdone \rgone\n^done", "gone"),
        ("(?x) ^done  # [", "10%\rdone\n", None),
        # a \r is no end of a line
        ("^10%$|10%\n", "10%\r50%\n", None),
        ("10%.50%", "10%\r50%\n", "10%\r50%"),
        # a pattern without MULTILINE stays as it is
        (re.compile("^done"), "10%\rdone\n", None),
        (re.compile("^done", re.MULTILINE), "10%\rdone\n", "done"),
        ("(?<=^)done(?!^)", "10%\rdone\n", "done"),
    ],
)
def test_lines_that_were_written_over(
    pattern: str | re.Pattern[str], text: str, found: str | None
) -> None:
    """A line begins after a return too, which is what a terminal shows."""
    match = search(compile_patterns(pattern, "web", "banner")[0], text)
    assert (match and match.group()) == found


def test_many_sequences_that_break_off() -> None:
    """Many broken sequences take no time, since each can be read in one way only."""
    for begun in ("\x1b[", "\x1b]", "\x1bP", "\x1b", "\x1b(", "\x9b"):
        text = "\r" + begun * 2000 + "\x0c"
        assert clean(text) == "\r\x0c"
        assert finished(text) == len(text)
        assert origin(text, 2) == len(text)


def test_what_has_no_end() -> None:
    """An unfinished sequence takes its line at most, and no more than 4 KiB of that."""
    assert clean("\x1b]0;title\nREADY\n") == "\nREADY\n"
    assert clean("\x1b]0;" + "x" * 2_000_000).endswith("x" * 1_990_000)
    assert clean("\x1b[31\nREADY\n") == "\nREADY\n"
    assert clean("\x1b[" + "1" * 1000 + "READY").endswith("1READY")
    for begun in ("\x1b", "\x1b[3", "\x1b]0;x", "\x1b(", "\r", "\r\x1b[", "\x9b1"):
        assert finished("text" + begun) == 4
    assert finished("\x1b]0;" + "x" * 5000) == 5004


def test_for_people() -> None:
    """No control character is left; a line shows its last state."""
    everything = "".join(map(chr, range(0x110)))
    assert {*visible(everything)}.isdisjoint([*map(chr, range(9)), *"\x1b\x9b\x85\x7f"])
    assert visible("\u202ereversed\u2028") == "\\u202ereversed\\u2028"
    assert visible("tab\té😀") == "tab\té😀"
    assert line_of("10%\r20%\r\x1b[K100% done\r\r\n") == "100% done"
    assert line_of("1\0\r\0") == "1\\x00"  # UTF-16, as Windows' programs write it
    assert line_of("\x1bc\x1b[1mbold\x08\r\n") == "bold\\x08"
    assert shortened("x" * 10_000, 500) == "x" * 334 + " [9500 characters left out] " + "x" * 166


def test_examples() -> None:
    """The examples of the module."""
    assert doctest.testmod(module).failed == 0
