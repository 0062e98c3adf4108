"""Arguments that cannot work are refused where they are written."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from . import shell_syntax
from .errors import InvalidArgument
from .unpatched import os

Pattern = str | re.Pattern[str]


class Limits(NamedTuple):
    """How a run is to end, and when it is given up."""

    timeout: float | None
    stop_signal: int
    stop_timeout: float
    expected_exit: frozenset[int]


def seconds(label: str, argument: str, value: float | None, unlimited: bool = False) -> None:
    """Refuse what is no duration.

    :raises InvalidArgument: naming the argument.
    """
    if value is None and unlimited:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (value is not None and 0 <= value < math.inf):
        also = ", or None for no limit" if unlimited else ""
        raise InvalidArgument(
            f"{label}: {argument}={value!r} is no duration: write seconds, 0 or more{also}",
            executor=label,
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


def text(label: str, argument: str, value: object, instead: str) -> str:
    """Refuse what is no text, or empty.

    :raises InvalidArgument: naming the argument.
    """
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"{label}: {argument}={value!r}: write {instead}", executor=label)
    return value


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
    for name in given:
        text(label, argument, name, "a name, or a list of names")
    return given  # type: ignore[return-value]


def environment(label: str, env: Mapping[str, object]) -> dict[str, str | None]:
    """Refuse names that cannot be in an environment; numbers become text.

    Values are never shown: they may be secrets.

    :raises InvalidArgument: naming the variable; also for one that only a shell would fill in.
    """
    found: dict[str, str | None] = {}
    for key, value in env.items():
        if not isinstance(key, str) or not key or "=" in key or "\0" in key:
            raise InvalidArgument(
                f"{label}: env= has {key!r} for a name: write a name without '='", executor=label
            )
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if value is not None and (not isinstance(value, str) or "\0" in value):
            raise InvalidArgument(
                f"{label}: env= has no text for {key!r} but {type(value).__name__}: write a "
                "str, or None to remove the variable",
                executor=label,
            )
        found[key] = value
    known = {*os.environ, *found}
    for key, value in found.items():
        if isinstance(value, str):
            shell_syntax.refuse_in_variable(label, key, value, known)
    return found


def signal_number(label: str, argument: str, value: int) -> int:
    """Refuse what is no signal; real-time signals have no name, but are some.

    :raises InvalidArgument: naming the argument.
    """
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or value not in signal.valid_signals():
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
    given = [value] if isinstance(value, int) else list(value)
    if not all(isinstance(status, int) and -65 < status < 256 for status in given):
        raise InvalidArgument(
            f"{label}: expected_exit={value!r}: write an exit status such as 143, or several",
            executor=label,
        )
    return frozenset(given)


def compile_patterns(
    patterns: Pattern | Iterable[Pattern], label: str, argument: str
) -> list[re.Pattern[str]]:
    """Compile what a user gave as a pattern or a list of them.

    A string is a regular expression; ``^`` and ``$`` match at lines.

    :raises InvalidArgument: naming the argument, if one is no pattern.
    """
    given = [patterns] if isinstance(patterns, (str, re.Pattern)) else list(patterns)
    compiled = []
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
