"""Searches captured output for patterns, by pexpect's matching."""

from __future__ import annotations

import codecs
import math
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO, cast

from pexpect.expect import Expecter, searcher_re
from pexpect.spawnbase import SpawnBase

from ..clean import clean, finished, origin, search
from ..output.log import Log
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, wait
from ..unpatched import io, time
from .probe import Probe, Target

_CHUNK = 65536
#: characters that a match may span: twice a chunk, since pexpect skips data if it is less
_WINDOW = 2 * _CHUNK
#: seconds for which a match in an unfinished line waits for the rest of the line
_HOLD = 0.02
#: seconds between looks into a log of which nobody tells when it grows: at least, and at most
_SOON, _LATER = 0.001, 0.02


class _AsShown:
    """A pattern for pexpect's searcher that takes lines as a terminal shows them."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern

    def search(self, buffer: str, start: int) -> re.Match[str] | None:
        return search(self.pattern, buffer, start)


class _Searcher(searcher_re):  # type: ignore[misc]
    """A searcher for pexpect that holds back a match which may still grow."""

    def __init__(self, patterns: Sequence[re.Pattern[str] | _AsShown]) -> None:
        super().__init__(patterns)
        self.hold = True
        self.held = False

    def search(self, buffer: str, freshlen: int, searchwindowsize: int | None = None) -> int:
        # A window that does not begin with the output keeps one character before it: "^" must
        # not match where the window happens to begin.
        cut = searchwindowsize is not None and len(buffer) >= searchwindowsize
        index: int = super().search(buffer, freshlen, len(buffer) - 1 if cut else None)
        self.held = (
            index >= 0 and self.hold and self.end == len(buffer) and not buffer.endswith("\n")
        )
        return -1 if self.held else index


class Observer(SpawnBase):  # type: ignore[misc, unused-ignore]
    """Searches a log for patterns; any number of observers may search one log.

    :param position: the byte offset at which to begin.
    :param raw: whether to search the output as it is, instead of clean text.
    """

    _buffer: io.StringIO
    _before: io.StringIO

    def __init__(
        self,
        log: Log,
        patterns: Sequence[re.Pattern[str]],
        position: int = 0,
        raw: bool = False,
    ) -> None:
        # in bytes mode: for text pexpect uses an attribute of sys.stdout, which may not exist
        super().__init__(timeout=None, maxread=_CHUNK, searchwindowsize=_WINDOW)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.string_type, self.buffer_type = str, io.StringIO
        self._buffer, self._before = io.StringIO(), io.StringIO()
        self.delayafterread = None
        self.position = position
        self._log_file = log
        self._ended = False
        self._searcher = _Searcher(patterns if raw else [_AsShown(each) for each in patterns])
        self._expecter = Expecter(self, self._searcher, _WINDOW)
        self._held_since = math.inf
        self._raw = raw
        #: how many characters the searcher has got
        self._given = 0
        #: an escape sequence that is not complete yet; a position may be in the middle of one
        self._rest = "" if raw or not position else log.begun(position)
        #: the last texts that the searcher got: the count of characters before each, the position
        #: in the log after it, and the text
        self._pieces: deque[tuple[int, int, str]] = deque()

    def _more(self) -> str | None:
        """The next text to search; None if there is no more at the moment."""
        data, self.position = self._log_file.take(self.position, _CHUNK)
        over = not data and self._ended
        if not data and not (over and self._rest):
            return None
        text: str = self._rest + self._decoder.decode(data, final=False)
        cut = len(text) if over or self._raw else finished(text)
        text, self._rest = text[:cut], text[cut:]
        undecoded = len(self._decoder.getstate()[0])
        end = self.position - undecoded - (len(_encoded(self._rest)) if self._rest else 0)
        self._pieces.append((self._given, end, text))
        given = text if self._raw else clean(text)
        self._given += len(given)
        # pieces that the searcher has dropped can have no part in a match
        while len(self._pieces) > 1 and self._pieces[1][0] < self._given - 2 * _WINDOW:
            self._pieces.popleft()
        return given

    @property
    def holding(self) -> bool:
        """Whether there is a match that may still grow."""
        return self._held_since < math.inf

    def search(self, target: Target, left: float = math.inf) -> re.Match[str] | None:
        """Read the log up to its end; the first match.

        :param left: seconds to read for, at most; one piece is read in any case.
        """
        deadline = Deadline(None if left == math.inf else left)
        self._ended = target.ended
        index = None
        while index is None:
            text = self._more()
            if text is None:
                break
            if text:
                index = self._expecter.new_data(text)
                if index is None:
                    self._trim()
            if deadline.expired():
                break
        if index is None and self._searcher.held:
            now = time.monotonic()
            self._held_since = min(self._held_since, now)
            if self._ended or now - self._held_since >= _HOLD or deadline.expired():
                self._searcher.hold = False
                index = self._expecter.existing_data()
        elif index is None:
            # the match that was held back has turned out to be none: the next one waits anew
            self._held_since = math.inf
        if index is None:
            target.watch(self.position)
            return None
        found: re.Match[str] = self.match
        return found

    def _trim(self) -> None:
        # pexpect keeps all text since the last match for its attribute `before`
        if self._before.tell() > 2 * _WINDOW:
            kept = self._before.getvalue()[-_WINDOW:]
            self._before = self.buffer_type()
            self._before.write(kept)

    def after_match(self) -> int:
        """Byte offset of the end of the match."""
        given: int = self._given - self._buffer.tell()
        return self._offset(given)

    def after_line(self) -> int:
        """Byte offset after the line in which the match ends; its own end if that is open."""
        end = self.after_match()
        if self.match.group().endswith("\n"):
            return end
        # mostly the rest of the line came together with the match
        beyond = self._buffer.getvalue()
        newline = beyond.find("\n") + 1
        if newline:
            return self._offset(self._given - len(beyond) + newline)
        newline = self._log_file.read(end, _CHUNK).find(b"\n") + 1
        return end + newline

    def _offset(self, given: int) -> int:
        """The byte offset in the log after so many characters that the searcher got."""
        for before, position, text in reversed(self._pieces):
            if before < given:
                at = given - before if self._raw else origin(text, given - before)
                return position - len(_encoded(text[at:]))
        return self._pieces[0][1] - len(_encoded(self._pieces[0][2]))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class OutputProbe(Probe):
    """Ready when the output matches one of some patterns."""

    def __init__(self, observer: Observer, patterns: Sequence[re.Pattern[str]]) -> None:
        self.observer = observer
        self.match: re.Match[str] | None = None
        self._said = " or ".join(repr(pattern.pattern) for pattern in patterns)
        self._told = True

    @property
    def shortest(self) -> float:
        """Infinite, since only output ends a pause; short while a match is held back."""
        if self.observer.holding:
            return _HOLD / 4
        return math.inf if self._told else _SOON

    @property
    def longest(self) -> float:
        """As :attr:`shortest`, if there are messages of new output."""
        return self.shortest if self._told else _LATER

    def describe(self) -> str:
        """See :meth:`Probe.describe`."""
        return f"output matching {self._said}"

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """None once the output has matched."""
        self._told = target.tells
        if self.match is None:
            self.match = self.observer.search(target, left)
        if self.match is not None:
            return None
        return f"{self.observer.position} bytes of output, none of them matching {self._said}"


class _Output(io.TextIOBase):
    """The output from a position on, up to the end of the service.

    This is no TextIOWrapper, which loses the beginning of a line whose end does not come in time.
    """

    def __init__(
        self,
        log: Log,
        source: Target,
        position: int,
        timeout: float | None,
        late: Callable[[float], Exception],
    ) -> None:
        self._log, self._source, self._position = log, source, position
        self._timeout, self._late = timeout, late
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        #: text from the log that nobody has got yet
        self._held = io.StringIO(newline="\n")

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> str:
        return self._read(size, line=False)

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
        return self._read(size, line=True)

    def _read(self, size: int | None, line: bool) -> str:
        if self.closed:
            raise ValueError("output() was read after it was closed")
        left = sys.maxsize if size is None or size < 0 else size
        parts: list[str] = []
        try:
            while True:
                parts.append(self._held.readline(left) if line else self._held.read(left))
                left -= len(parts[-1])
                if left <= 0 or (line and parts[-1].endswith("\n")):
                    break
                more = self._more()
                if more is None:
                    break
                self._held = io.StringIO(more, newline="\n")
        except BaseException:
            # the next read begins where this one has
            self._held = io.StringIO("".join(parts) + self._held.read(), newline="\n")
            raise
        return "".join(parts)

    def _more(self) -> str | None:
        """Wait for more text; None at the end."""
        deadline = Deadline(self._timeout)
        while True:
            self._source.pump()
            over = self._source.ended
            data, self._position = self._log.take(self._position, _CHUNK)
            if data:
                return self._decoder.decode(data)
            if over:
                return self._decoder.decode(b"", final=True) or None
            if deadline.expired():
                raise self._late(deadline.elapsed())
            self._source.watch(self._position)
            wait(Pause((self._source.fileno(),), deadline.at))


def open_output(
    log: Log,
    source: Target,
    position: int,
    timeout: float | None,
    late: Callable[[float], Exception],
) -> TextIO:
    """The output as a text stream, which ends when the service has ended.

    :param timeout: seconds that one read may wait; None for no limit.
    :param late: makes the error for a read that has waited longer.
    """
    return cast("TextIO", _Output(log, source, position, timeout, late))
