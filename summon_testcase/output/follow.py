"""Reads a log on, line by line, while its service writes it, and also after it was removed."""

from __future__ import annotations

from typing import Any

from ..clean import line_of
from ..foreign import let_through
from ..unpatched import open, os
from .log import _without_hole

#: bytes of a look at most, and of a line
_CHUNK, _LONGEST = 1 << 20, 1 << 16


class Followed:
    """A log, from its beginning on.

    :param path: the file; it may not be there yet.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: Any = None
        self._position = 0
        self._line = b""

    def lines(self, finished: bool = False) -> list[str]:
        """The next lines, as a terminal would show them: a megabyte at most, unless finished.

        :param finished: whether nothing more will be written, so that the last line is whole.
        """
        if self._file is None:
            # kept open, so that the last lines of a service can be read when its log is removed
            try:
                self._file = open(self.path, "rb", buffering=0)
            except OSError as error:
                let_through(error)
                return []
        found: list[bytes] = []
        fd = self._file.fileno()
        while data := os.pread(fd, _CHUNK, self._position):
            if b"\0" in data:
                data, self._position = _without_hole(fd, data, self._position)
            self._position += len(data)
            *lines, self._line = (self._line + data).split(b"\n")
            found += lines
            if len(self._line) > _LONGEST:
                found, self._line = [*found, self._line], b""
            if not finished:
                break
        if finished and self._line:
            found, self._line = [*found, self._line], b""
        return [line_of(line.decode("utf-8", "replace")) for line in found]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
