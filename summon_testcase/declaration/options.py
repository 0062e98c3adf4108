"""The arguments that all executors share, for type checkers alone: no code imports it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from ..unpatched import os
from .arguments import Pattern
from .command import Command
from .lifetime import Reset, Scope

#: what ``alive=`` may be
Alive = bool | Command | Callable[[Any], object] | None
#: what ``env=`` may be: in a list executors, names of services, and mappings
Env = Mapping[str, object] | Sequence[object] | None


class _Both(TypedDict, total=False):
    timeout: float | None
    cwd: str | os.PathLike[str] | None
    stop_timeout: float
    stop_wait: bool
    fails_on: Pattern | Iterable[Pattern] | None
    tty: bool
    optional: bool
    scope: Scope
    restart: bool | int
    shared: bool


class ClassOptions(_Both, total=False):
    """The arguments that a class may give for all of its services; see :class:`Defaults`."""

    env: Mapping[str, object] | None


class Options(_Both, total=False):
    """The arguments that all executors share; see :class:`SimpleExecutor`."""

    shell: bool
    env: Env
    files: Mapping[str, str | os.PathLike[str]] | None
    name: str | None
    after: object
    stop_signal: int
    stop_command: Command | None
    expected_exit: int | Collection[int]
    stdin: Literal["send"] | None
    one_shot: bool
    launcher: bool
    requires: str | Iterable[str] | None
    until: Callable[[Any], object] | None
    reset: Reset
    alive: Alive


class AddressOptions(Options, total=False):
    """The shared arguments, and the address of executors whose readiness has none."""

    host: str
    port: int | None
