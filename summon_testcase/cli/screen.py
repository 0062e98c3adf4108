"""What a person sees: a table of services, and lines with the name of their service in front."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from ..clean import encodable, visible
from ..foreign import let_through
from ..output.follow import Followed
from ..unpatched import open, os, variable

#: our own name in front of lines that no service has written
OURS = "summon"
#: codes of colours that can be told apart on dark and on light ground
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_RED = 31


def wants_colour(stream: TextIO) -> bool:
    """Whether colours may be written: to terminals, unless the user says NO_COLOR."""
    return stream.isatty() and not variable("NO_COLOR") and variable("TERM") != "dumb"


class CannotWrite(OSError):
    """Standard output takes nothing, such as a file on a disk that is full."""


class NobodyReads(OSError):
    """The other end of the pipe is closed.

    Not BrokenPipeError, which executors of the user's raise, too.
    """


class TerminalGone(OSError):
    """The terminal is closed, and SIGHUP was ignored."""


def put(text: str, stream: TextIO, *, flush: bool = False) -> None:
    """Write text as it is; characters that the stream cannot encode are spelt out.

    What standard error does not take is lost: nobody could be told.

    :param flush: whether to write at once, and not when there is more.
    :raises CannotWrite: if standard output does not take it.
    :raises NobodyReads: if the other end of the pipe is gone.
    :raises TerminalGone: if the terminal is gone.
    """
    try:
        stream.write(encodable(text, stream))
        if flush:
            stream.flush()
    except OSError as error:
        let_through(error)
        gone = {errno.EPIPE: NobodyReads, errno.EIO: TerminalGone}.get(error.errno or 0)
        if gone is not None:
            raise gone(error.errno, error.strerror) from None
        if stream is not sys.stderr:
            raise CannotWrite(error.errno, error.strerror) from None


def say(line: str = "") -> None:
    """Write a line on standard output; :func:`put` tells the errors."""
    put(f"{line}\n", sys.stdout)


class Screen:
    """Writes lines, each with the name of its service in front.

    :param names: the services.
    :param stream: standard output, or standard error.
    """

    def __init__(self, names: Iterable[str], stream: TextIO) -> None:
        names = list(names)
        #: whether what the stream does not take is lost, since nobody reads it who could be told
        self.may_lose = False
        self._stream = stream
        self._width = max(map(len, [*names, OURS]))
        self._colours = {n: _COLOURS[i % len(_COLOURS)] for i, n in enumerate(names)}

    def write(self, text: str) -> None:
        """Write text as it is, at once; :func:`put` tells the errors."""
        try:
            put(text, self._stream, flush=True)
        except OSError as error:
            let_through(error)
            if not self.may_lose:
                raise

    def lines(self, name: str, texts: Iterable[str]) -> None:
        """Write lines of a service."""
        head = f"{name:{self._width}} |"
        if wants_colour(self._stream):
            head = f"\x1b[{self._colours.get(name, _RED)}m{head}\x1b[0m"
        said = "".join(f"{head} {text}".rstrip() + "\n" for text in texts)
        if said:
            self.write(said)

    def tell(self, text: object) -> None:
        """Write a message of our own."""
        self.lines(OURS, map(visible, str(text).split("\n")))


class Following:
    """Shows what services have written since their starts, and what they write from now on."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._logs: dict[str, Followed] = {}

    def look(self, paths: Mapping[str, str]) -> None:
        """Write the lines that have come since the last look.

        :param paths: the log of each service that has one now.
        """
        for name, path in paths.items():
            log = self._logs.get(name)
            if log is None or log.path != path:
                self._finish(name)
                log = self._logs[name] = Followed(path)
            self._screen.lines(name, log.lines())

    def finish(self) -> None:
        """Write what is left, also of logs that have been removed."""
        for name in list(self._logs):
            self._finish(name)

    def close(self) -> None:
        """Write nothing more, also if not all could be written."""
        while self._logs:
            self._logs.popitem()[1].close()

    def _finish(self, name: str) -> None:
        if name in self._logs:
            self._screen.lines(name, self._logs[name].lines(finished=True))
            self._logs.pop(name).close()


def address(facts: Mapping[str, Any]) -> str:
    """Host and port of a service; empty if it has none."""
    if "port" not in facts:
        return ""
    host = str(facts.get("host", ""))
    return f"[{host}]:{facts['port']}" if ":" in host else f"{host}:{facts['port']}"


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Rows below each other; columns in which no row has anything are left out."""
    rows = list(rows)
    columns = [key for key in (rows[0] if rows else ()) if any(row[key] for row in rows)]
    width = {key: max(len(key), *(len(row[key]) for row in rows)) for key in columns}
    every = [{key: key.upper() for key in columns}, *rows]
    lines = ("  ".join(f"{row[key]:{width[key]}}" for key in columns).rstrip() for row in every)
    return "".join(f"{visible(line)}\n" for line in lines)


def services(facts: Mapping[str, Mapping[str, Any]], *, states: bool = False) -> str:
    """The table of services.

    :param facts: for each service what its stack tells of it.
    :param states: whether to show state and pid, too.
    """
    rows = []
    for name, each in facts.items():
        row = {"name": name}
        if states:
            row |= {"state": str(each["state"]), "pid": str(each.get("pid", ""))}
        row |= {"address": address(each), "url": str(each.get("url", ""))}
        rows.append(row | {"log": str(each.get("log", ""))})
    return table(rows)


def open_missing() -> None:
    """Let standard streams that are closed (``2>&-``) be /dev/null.

    Otherwise Python has None for them, and the next file that is opened gets their descriptors, to
    which others write then.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # the lowest descriptor that is free, which is that of the stream
            nothing = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nothing, True)  # for the commands and the background
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(nothing, mode, encoding="utf-8", closefd=False))


def finish_output() -> None:
    """Write what standard output still has to write.

    :raises CannotWrite: if it does not take that; whoever has read enough may be gone, though.
    """
    try:
        put("", sys.stdout, flush=True)
    except CannotWrite:
        raise
    except OSError as error:
        let_through(error)


def give_up_output() -> None:
    """Let nothing more be written, since Python would complain at its end of what cannot be."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            let_through(error)
            os.dup2(nothing, stream.fileno())
    os.close(nothing)
