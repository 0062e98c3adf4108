"""Removes terminal control sequences from output, for patterns to match and people to read."""

from __future__ import annotations

import functools
import re
import sys

#: characters of a line that are shown at most at most at most
LONGEST = 500
#: How many characters a string for the terminal (a title, a link) may have.  If one is longer, or
#: has a line end in it, its end is missing, and only so much is removed of the output.
_STRING = 4096
#: how many characters of escape sequences may stand between the ``\r`` and ``\n`` of a line end
_FAR = 16 * _STRING
_CSI = r"[0-?]{0,64}[ -/]{0,8}"
_TOLD = rf"[^\x00-\x08\x0a-\x1f\x80-\x9f]{{0,{_STRING}}}"
#: Sequences that choose a character set (ESC ( B) or have one character (ESC c).  They exclude the
#: other kinds: with two ways to read each sequence a regular expression would take forever.
_SHORT = r"(?![]PX^_[])[ -/]{0,8}"
#: OSC, DCS, APC, PM and SOS; an escape sequence in one ends it, ESC \ above all
_BEGUN = rf"\x1b(?:\[{_CSI}|[\]PX^_]{_TOLD}|{_SHORT})"
#: the same with C1 controls, searched in text: in UTF-8 their bytes are parts of other characters
_BEGUN_C1 = rf"\x9b{_CSI}|[\x90\x98\x9d-\x9f]{_TOLD}"
#: a sequence that breaks off is removed as far as it goes, as a terminal does
_ESCAPE = rf"\x1b(?:\[{_CSI}[@-~]?|[\]PX^_]{_TOLD}[\x07\x9c]?|{_SHORT}[0-~]?)"
_SEQUENCE = rf"(?:{_ESCAPE}|\x9b{_CSI}[@-~]?|[\x90\x98\x9d-\x9f]{_TOLD}[\x07\x9c]?)"

_C1 = r"[\x80-\x9f]"
#: how many ``\r`` a line end may have: each terminal that output passes through adds one
_RETURNS = 4
_RETURN = rf"\r{_SEQUENCE}*"
_REPLACED = rf"(?:{_RETURN}){{1,{_RETURNS}}}(\n)|{_SEQUENCE}"
_UNFINISHED = rf"(?:{_BEGUN}|{_BEGUN_C1})\Z"
#: parts of a regular expression: an escaped character, a set of characters, or ``^``
_OF_PATTERN = r"(?s:\\.)|\[\^?\]?(?:(?s:\\.)|[^]\\])*\]|\^"
#: compiled when first used: together they take a millisecond, and most runs need none
_compiled = functools.cache(re.compile)

#: spelt out beside control characters: further line ends, and changes of the text's direction
_MISLEADING = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SPELT_OUT = {
    code: repr(chr(code))[1:-1]
    for code in (*range(32), *range(0x7F, 0xA0), *map(ord, _MISLEADING), 0xFFFE, 0xFFFF)
    if code != ord("\t")
}


def _is_clean(text: str) -> bool:
    if "\x1b" in text or "\r" in text:
        return False
    return text.isascii() or not _compiled(_C1).search(text)


def clean(text: str) -> str:
    r"""Text without escape sequences, in which ``\r\n`` and ``\r\r\n`` have become ``\n``.

    >>> clean("\x1b[32mINFO\x1b[0m: \x1b]8;;http://x/\x1b\\port 80\x1b]8;;\x07\r\n")
    'INFO: port 80\n'
    """
    if _is_clean(text):
        return text
    text = _compiled(_ESCAPE if text.isascii() else _SEQUENCE).sub("", text)
    for _ in range(_RETURNS):
        if "\r\n" not in text:
            break
        text = text.replace("\r\n", "\n")
    return text


def finished(text: str) -> int:
    r"""How many characters of a text can be cleaned before the rest of it has arrived.

    All except a sequence, or a ``\r``, at its end that may go on.  Cleaning the two parts apart
    gives the same as cleaning the whole.
    """
    if _is_clean(text):
        return len(text)
    # where a sequence begins that has not ended yet
    begun = _compiled(_UNFINISHED).search(text, max(0, len(text) - _STRING - 2))
    cut = len(text)
    for _ in range(_RETURNS):
        start = text.rfind("\r", max(0, len(text) - _FAR), cut)
        if start < 0 or not _compiled(_RETURN).fullmatch(text, start, cut):
            break
        cut = start
    return cut if cut < len(text) or not begun else begun.start()


def origin(text: str, number: int) -> int:
    """The position in a text that corresponds to position ``number`` in the cleaned text."""
    if _is_clean(text):
        return number
    end = 0
    for removed in _compiled(_REPLACED).finditer(text):
        plain = removed.start() - end
        if plain >= number:
            break
        number -= plain
        end = removed.end()
        if removed[1]:
            number -= 1
            if not number:
                return end
    return end + number


@functools.lru_cache
def _after_returns(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if "^" not in pattern.pattern or pattern.flags & (re.MULTILINE | re.VERBOSE) != re.MULTILINE:
        return pattern
    text = re.sub(_OF_PATTERN, lambda t: r"(?:^|(?<=\r))" if t[0] == "^" else t[0], pattern.pattern)
    return re.compile(text, pattern.flags)


def search(pattern: re.Pattern[str], text: str, start: int = 0) -> re.Match[str] | None:
    r"""The first match in clean text; ``^`` also matches after a ``\r`` without ``\n``.

    A terminal writes the text after it over the line before.  ``\n`` does not match it.

    >>> search(re.compile("^done", re.MULTILINE), "10%\r50%\rdone\n")
    <re.Match object; span=(8, 12), match='done'>
    """
    return (_after_returns(pattern) if "\r" in text else pattern).search(text, start)


def visible(text: str) -> str:
    r"""Clean text in which the other control characters, except tabs, are spelt out.

    >>> visible("\x1bc\x1b[1mbold\b\tand\x9b2J\n")
    'bold\\x08\tand\\n'
    """
    return text if text.isprintable() else clean(text).translate(_SPELT_OUT)


def shortened(text: str, longest: int) -> str:
    """A text without its middle, if it has more than ``longest`` characters.

    >>> shortened("one two three four five six", 9)
    'one tw [18 characters left out] six'
    """
    left_out = len(text) - longest
    if left_out <= 0:
        return text
    last = longest // 3
    return f"{text[: longest - last]} [{left_out} characters left out] {text[-last:]}"


def encodable(text: str, stream: object = None) -> str:
    r"""A text in which characters are spelt out that a stream cannot encode.

    :param stream: where the text will be written; None for standard output.

    >>> import io
    >>> encodable("\N{CHECK MARK} ok", io.TextIOWrapper(io.BytesIO(), "ascii"))
    '\\u2713 ok'
    """
    if text.isascii():
        return text
    knows = isinstance(getattr(stream, "encoding", None), str)
    for each in (stream,) if knows else (sys.stdout, sys.__stdout__):
        encoding = getattr(each, "encoding", None)
        if not isinstance(encoding, str):
            continue
        try:
            text.encode(encoding, getattr(each, "errors", None) or "strict")
        except UnicodeError:
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        except LookupError:
            pass
    return text


def line_of(text: str) -> str:
    r"""A line as a terminal shows it in the end: the part after its last ``\r``."""
    if text.isprintable():
        return text.rstrip()
    # in UTF-16 a NUL follows the "\r" as its second byte, and was not written over the line
    text = clean(text).replace("\r\0", "\r").rstrip("\r\n")
    return text.rpartition("\r")[2].translate(_SPELT_OUT).rstrip()
