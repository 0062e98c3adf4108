"""Checks arguments where the user writes them, and refuses those that cannot work.

In all these functions ``label`` is how errors name the executor, and ``argument`` the name of the
argument.
"""

from __future__ import annotations

import functools
import re
import signal
import sys
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any, TypeVar

from ..errors import InvalidArgument
from ..tracebacks import hidden
from ..unpatched import os
from . import shell_syntax

__tracebackhide__ = hidden

Pattern = str | re.Pattern[str]
T = TypeVar("T")


class Limits:
    """How a run is stopped, and how long a start may take."""

    def __init__(
        self,
        timeout: float | None,
        stop_signal: int,
        stop_timeout: float,
        expected_exit: frozenset[int],
    ) -> None:
        self.timeout, self.stop_signal = timeout, stop_signal
        self.stop_timeout, self.expected_exit = stop_timeout, expected_exit


def seconds(
    label: str, argument: str, value: float | None, unlimited: bool = False
) -> float | None:
    """Refuse what is no duration.

    :raises InvalidArgument: naming the argument.
    """
    if value is None and unlimited:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (value is not None and 0 <= value <= sys.float_info.max):
        also = ", or None for no limit" if unlimited else ""
        raise InvalidArgument(
            f"{label}: {argument}={value!r} is no duration: write seconds, 0 or more{also}",
            executor=label,
        )
    return value


def perform(whose: str, code: Callable[..., T], *arguments: object) -> T:
    """Call a function of the user's.

    :param whose: how an error names the function.
    :raises InvalidArgument: if the function is ``async`` or has a ``yield``: a mere call does not
        run it.
    """
    result = code(*arguments)
    if not isinstance(result, (Coroutine, Generator, AsyncGenerator)):
        return result
    kind = type(result).__name__.replace("_", " ")
    if isinstance(result, (Coroutine, Generator)):
        result.close()  # otherwise Python warns that it was never awaited
    raise InvalidArgument(
        f"{whose} returned a {kind}, so that nothing of it has run: write a function without "
        "async and yield; asyncio.run() is a way to call one from there"
    )


def port(label: str, value: int | None) -> None:
    """Refuse what is no TCP port.

    :raises InvalidArgument: naming the argument.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise InvalidArgument(
            f"{label}: port={value!r} is no TCP port: write a number from 1 to 65535, or "
            "leave it out for a free one",
            executor=label,
        )


def host(label: str, value: object) -> str:
    """Refuse what is no address or name of a machine, such as "host:port" or a URL.

    :raises InvalidArgument: naming the argument.
    """
    instead = 'an address such as "127.0.0.1" or "::1", or a name'
    found = text(label, "host", value, instead)
    # a single colon stands before a port; braces would be a template, which is not filled in here
    if found.count(":") == 1 or any(c in found for c in "[]{}@") or found.split() != [found]:
        raise InvalidArgument(f"{label}: host={value!r}: write {instead}", executor=label)
    return found


def encodable(label: str, argument: str, value: str) -> str:
    """Refuse text that no process can receive, without showing it; the text as a plain str.

    :raises InvalidArgument: naming the argument.
    """
    said = ""
    if "\0" in value:
        said = "contains a NUL byte, which ends it: leave it out"
    try:
        os.fsencode(value)
    except UnicodeEncodeError as error:
        if any("\ud800" <= char <= "\udfff" for char in value[error.start : error.end]):
            said = "has a lone surrogate, which is no character: write text, or os.fsdecode(…)"
        else:
            said = (
                f"has a character that {error.encoding} has not, the encoding of this locale: "
                "run the tests with PYTHONUTF8=1, or LC_ALL=C.UTF-8"
            )
    if said:
        raise InvalidArgument(f"{label}: {argument} {said}", executor=label)
    # a plain str: a member of an enumeration would be formatted by its name
    return str.__str__(value)


def text(label: str, argument: str, value: object, instead: str) -> str:
    """Refuse what is no text, or empty.

    :param instead: what the error asks the user to write.
    :raises InvalidArgument: naming the argument.
    """
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"{label}: {argument}={value!r}: write {instead}", executor=label)
    return encodable(label, f"{argument}=", value)


def path(label: str, argument: str, value: object, instead: str) -> str:
    """Refuse what is no path; the path, which may be given as an object, as text.

    :raises InvalidArgument: naming the argument.
    """
    found = text(label, argument, plain(value, os.PathLike), instead)
    asked = re.match("~[^/]*", found)
    shell = asked[0] if asked else shell_syntax.variable(found, os.environ)
    if shell is not None:
        write = "os.path.expanduser(…)" if asked else f'os.environ["{shell.strip("${}")}"]'
        raise InvalidArgument(
            f"{label}: {argument}={value!r}: no shell fills in the {shell}: write {write}",
            executor=label,
        )
    return found


def plain(value: Any, *kinds: type) -> object:
    """A path or a number as text, if its type is one of ``kinds``; other values unchanged."""
    if isinstance(value, bool) or not isinstance(value, kinds):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    # not str(): a number of an enumeration would give its name
    return f"{int(value):d}" if isinstance(value, int) else repr(float(value))  # type: ignore[arg-type]


def word(label: str, argument: str, value: object) -> str:
    """A word of a command: text, a path, or a number.

    :raises InvalidArgument: naming the argument.
    """
    found = plain(value, int, float, os.PathLike)
    if not isinstance(found, str):
        raise InvalidArgument(
            f"{label}: {argument}= has {found!r} for a word: write text, a path, or a number",
            executor=label,
        )
    return encodable(label, f"{argument}=", found)


_COMMAND = 'a command as text, such as "redis-server --port {port}", or a list of words'


def words(label: str, argument: str, value: object, instead: str = _COMMAND) -> tuple[str, ...]:
    """The words of a command that is given as a sequence, or as the path of a program.

    :raises InvalidArgument: naming the argument.
    """
    if isinstance(value, os.PathLike):
        value = [value]
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray, memoryview)):
        raise InvalidArgument(f"{label}: {argument}={value!r}: write {instead}", executor=label)
    return tuple(word(label, argument, each) for each in value)


def count(label: str, argument: str, value: object) -> int:
    """Refuse what is no number of things.

    :raises InvalidArgument: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgument(
            f"{label}: {argument}={value!r}: write a number, 0 or more", executor=label
        )
    return value


def call(label: str, name: object) -> str:
    """A name for an executor; empty for None.

    :raises InvalidArgument: naming the argument.
    """
    if name is None or name == "":
        return ""
    return text(label, "name", name, "text, or leave it out")


def is_startable(thing: object) -> bool:
    """Whether something is an executor: an object, and no class, with ``start`` and ``stop``."""
    return not isinstance(thing, type) and all(
        callable(getattr(thing, method, None)) for method in ("start", "stop")
    )


def after(label: str, value: object) -> tuple[object, ...]:
    """The executors, or names, of an ``after=``, which may be one or several.

    :raises InvalidArgument: naming the argument.
    """
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    given: tuple[object, ...] = tuple(value) if several else (value,)  # type: ignore[arg-type]
    for thing in given:
        if not is_startable(thing):
            text(label, "after", thing, "an executor, its name, or a list of them")
    return given


def mapping(label: str, argument: str, value: object, instead: str) -> dict[str, Any]:
    """A mapping with names; empty for None.

    :raises InvalidArgument: naming the argument.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{label}: {argument}={value!r}: write {instead}", executor=label)
    for key in value:
        if not isinstance(key, str) or not key:
            raise InvalidArgument(
                f"{label}: {argument}= has {key!r} for a name: write {instead}", executor=label
            )
    return dict(value)


def flag(label: str, argument: str, value: object) -> bool:
    """Refuse what is neither True nor False.

    :raises InvalidArgument: naming the argument.
    """
    if not isinstance(value, bool):
        raise InvalidArgument(f"{label}: {argument}={value!r}: write True or False", executor=label)
    return value


def silent(label: str, stdin: object) -> bool:
    """Whether ``stdin=`` is None, for none.

    :raises InvalidArgument: for anything but that and the default.
    """
    if stdin not in (None, "send"):
        raise InvalidArgument(
            f"{label}: stdin={stdin!r}: write None for /dev/null, or leave it out and use send()",
            executor=label,
        )
    return stdin is None


def names(label: str, argument: str, value: object) -> tuple[str, ...]:
    """One name or several; none for None.

    :raises InvalidArgument: naming the argument.
    """
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    given = () if value is None else tuple(value) if several else (value,)  # type: ignore[arg-type]
    return tuple(path(label, argument, name, "a name, or a list of names") for name in given)


@functools.cache
def _signals() -> frozenset[int]:
    return frozenset(signal.valid_signals())


def signal_number(label: str, argument: str, value: int) -> int:
    """Refuse what is no signal; real-time signals, which have no name, are allowed.

    :raises InvalidArgument: naming the argument.
    """
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or value not in _signals():
        raise InvalidArgument(
            f"{label}: {argument}={value!r} is no signal: write one of signal.SIGTERM, "
            "signal.SIGINT, signal.SIGQUIT, …",
            executor=label,
        )
    return int(value)


def statuses(label: str, value: int | Collection[int]) -> frozenset[int]:
    """One exit status or several, as a set.

    :raises InvalidArgument: naming the argument.
    """
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    given: list[object] = list(value) if several else [value]  # type: ignore[arg-type]
    numbers = all(isinstance(s, int) and not isinstance(s, bool) for s in given)
    if not numbers or not all(-65 < status < 256 for status in given):  # type: ignore[operator]
        raise InvalidArgument(
            f"{label}: expected_exit={value!r}: write an exit status such as 143, or several",
            executor=label,
        )
    return frozenset(given)  # type: ignore[arg-type]


def compile_patterns(
    patterns: Pattern | Iterable[Pattern], label: str, argument: str
) -> list[re.Pattern[str]]:
    """Compile a pattern, or a list of patterns.

    A string is a regular expression, in which ``^`` and ``$`` match at the ends of each line.

    :raises InvalidArgument: naming the argument, if one is no pattern.
    """
    several = isinstance(patterns, Iterable) and not isinstance(patterns, (str, bytes))
    given: list[object] = list(patterns) if several else [patterns]  # type: ignore[arg-type]
    compiled: list[re.Pattern[str]] = []
    for pattern in given:
        if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
            compiled.append(pattern)
            continue
        if not isinstance(pattern, str):
            raise InvalidArgument(
                f"{label}: {argument}= must be a str or a pattern compiled from one, not "
                f"{pattern!r}",
                executor=label,
            )
        try:
            compiled.append(re.compile(pattern, re.MULTILINE))
        except re.error as error:
            raise InvalidArgument(
                f"{label}: {argument}={pattern!r} is not a regular expression: {error}; to "
                f"match it literally write re.escape({pattern!r})",
                executor=label,
            ) from None
    if not compiled or any(p.match("") and not p.pattern for p in compiled):
        raise InvalidArgument(
            f"{label}: {argument}= is empty: write what the output will contain", executor=label
        )
    return compiled
