"""Text without what steers a terminal: for patterns to match, and for people to read."""

from __future__ import annotations

import functools
import re
import sys

#: characters of a line that are shown
LONGEST = 500
#: how many characters a string for the terminal (a title, a link) may have: one that is longer,
#: or whose line ends, has lost its own end, and must not take the rest of the output with it
_STRING = 4096
#: and how much may stand between the two characters that end a line
_FAR = 16 * _STRING
_CSI = r"[0-?]{0,64}[ -/]{0,8}"
_TOLD = rf"[^\x00-\x08\x0a-\x1f\x80-\x9f]{{0,{_STRING}}}"
#: choices of a character set (ESC ( B), and what has one character (ESC c); none of the others,
#: since two ways to read each of many sequences are too many ways in all
_SHORT = r"(?![]PX^_[])[ -/]{0,8}"
#: OSC, DCS, APC, PM and SOS; an escape sequence in one ends it, ESC \ above all
_BEGUN = rf"\x1b(?:\[{_CSI}|[\]PX^_]{_TOLD}|{_SHORT})"
#: the same with C1 controls: as characters, since the bytes of these numbers are parts of others
_BEGUN_C1 = rf"\x9b{_CSI}|[\x90\x98\x9d-\x9f]{_TOLD}"
#: one that breaks off is removed as far as it goes, as a terminal does
_ESCAPE = rf"\x1b(?:\[{_CSI}[@-~]?|[\]PX^_]{_TOLD}[\x07\x9c]?|{_SHORT}[0-~]?)"
_SEQUENCE = rf"(?:{_ESCAPE}|\x9b{_CSI}[@-~]?|[\x90\x98\x9d-\x9f]{_TOLD}[\x07\x9c]?)"

_C1 = r"[\x80-\x9f]"
#: how many \r the end of a line may have: one that passes through two terminals has more than one
_RETURNS = 4
_RETURN = rf"\r{_SEQUENCE}*"
_REPLACED = rf"(?:{_RETURN}){{1,{_RETURNS}}}(\n)|{_SEQUENCE}"
_UNFINISHED = rf"(?:{_BEGUN}|{_BEGUN_C1})\Z"
#: of a pattern: what is escaped, a set of characters, or the beginning of a line
_OF_PATTERN = r"(?s:\\.)|\[\^?\]?(?:(?s:\\.)|[^]\\])*\]|\^"
#: they take a millisecond together, and most runs need none of them
_compiled = functools.cache(re.compile)

#: beside other controls: ends of lines to some, and what turns the direction of text about
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
    r"""Text without escape sequences, and with ``\r\n`` as ``\n``, and so ``\r\r\n``.

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
    r"""How much of a text can be cleaned before it is known what follows.

    All but a sequence, or a ``\r``, that may go on; texts that are cut there are cleaned to
    the same as in one.
    """
    if _is_clean(text):
        return len(text)
    # a sequence, but no end of it, has its beginning there
    begun = _compiled(_UNFINISHED).search(text, max(0, len(text) - _STRING - 2))
    cut = len(text)
    for _ in range(_RETURNS):
        start = text.rfind("\r", max(0, len(text) - _FAR), cut)
        if start < 0 or not _compiled(_RETURN).fullmatch(text, start, cut):
            break
        cut = start
    return cut if cut < len(text) or not begun else begun.start()


def origin(text: str, number: int) -> int:
    """Where the first so many characters that are left of a text, once cleaned, end in it."""
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
    r"""The first match in clean text, where a line begins after a ``\r`` alone too.

    There a terminal shows one, over what was written before; ``\n`` does not match it.

    >>> search(re.compile("^done", re.MULTILINE), "10%\r50%\rdone\n")
    <re.Match object; span=(8, 12), match='done'>
    """
    return (_after_returns(pattern) if "\r" in text else pattern).search(text, start)


def visible(text: str) -> str:
    r"""Clean text, in which what is left of controls is spelt out but for tabs.

    >>> visible("\x1bc\x1b[1mbold\b\tand\x9b2J\n")
    'bold\\x08\tand\\n'
    """
    return text if text.isprintable() else clean(text).translate(_SPELT_OUT)


def shortened(text: str, longest: int) -> str:
    """A text of at most about so many characters, the middle left out.

    >>> shortened("one two three four five six", 9)
    'one tw [18 characters left out] six'
    """
    left_out = len(text) - longest
    if left_out <= 0:
        return text
    last = longest // 3
    return f"{text[: longest - last]} [{left_out} characters left out] {text[-last:]}"


def encodable(text: str, stream: object = None) -> str:
    r"""A text in which is spelt out what a stream, or else standard output, cannot take.

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
    r"""A line as a terminal shows it in the end: what stands after its last ``\r``."""
    if text.isprintable():
        return text.rstrip()
    # a NUL after it is its other half, in UTF-16, and nothing that was written over the line
    text = clean(text).replace("\r\0", "\r").rstrip("\r\n")
    return text.rpartition("\r")[2].translate(_SPELT_OUT).rstrip()
