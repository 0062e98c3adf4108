"""Refuses arguments that cannot work, before anything is spawned."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ..declaration import command as commands
from ..declaration import file_arguments, templates
from ..errors import CommandNotFound, InvalidArgument, RequirementMissing
from ..foreign import let_through
from ..tracebacks import hidden
from ..unpatched import os
from . import references
from .executor import overridden

if TYPE_CHECKING:
    from .simple import SimpleExecutor

__tracebackhide__ = hidden


def check(executor: SimpleExecutor, may_appear: bool) -> None:
    """Refuse arguments that cannot work.

    :param may_appear: whether files that are missing now may be made by another service.
    :raises SummonError: naming the argument and what to write instead.
    """
    called = executor._called
    refuse_a_reset_for_all(executor)
    executor._found.clear()
    for name, field in sorted(executor._names()):
        if name:
            references.check(executor, name, field)
    for layer in executor._env:
        if isinstance(layer, str) and layer not in executor._services:
            raise templates.unknown_name(called, "env", layer, executor._services)
    prepares = overridden(executor, "prepare")
    if not prepares:  # which may write the port into a file
        _refuse_a_port_untold(executor)
    locate = functools.partial(references.located, executor)
    file_arguments.check(called, executor._files, locate, may_appear)
    unknown = may_appear or prepares
    place = None if unknown else references.in_advance(executor, executor._cwd or "")
    cwd = None if place is None else commands.directory(place, called)
    path = references.search_path(executor)
    if path is not None and (path := references.in_advance(executor, path)) is None:
        return
    find_required(executor, path, cwd)
    if cwd is not None:
        for text in executor._program_words():
            word = references.in_advance(executor, text)
            if word is not None:
                executor._find(word, path, cwd)


def refuse_a_reset_for_all(executor: SimpleExecutor) -> None:
    """:raises InvalidArgument: if a reset would be one for all processes that share it."""
    if executor._shared and executor._can_reset() and not executor._divides:
        called = executor.name or executor._declared
        raise InvalidArgument(
            f"{called}: shared=True and reset= contradict each other: when one process of tests "
            "resets it, the tests of all others lose what they have put there: leave one of them "
            "out",
            executor=called,
        )


def _refuse_a_port_untold(executor: SimpleExecutor) -> None:
    """Refuse a start that would wait at a free port of which nothing tells the service."""
    awaited = executor._awaited_ports() - ({"port"} if executor._port is not None else set())
    if not awaited:
        return
    told = references.own_fields(executor, executor._told())
    untold = sorted(awaited - told)
    if not untold or "url" in told:
        return
    port = untold[0]
    written = {field.lower(): field for field in sorted(told)}
    meant = templates.nearest(port, written)
    hint = f"did you mean {{{port}}} by {{{written[meant]}}}? " if meant else ""
    fixed = ", or give port= if it always is the same" if port == "port" else ""
    raise InvalidArgument(
        f"{executor._called}: nothing tells it at which port to listen: {hint}write {{{port}}} "
        f"into command= or env={fixed}",
        executor=executor._called,
    )


def find_required(executor: SimpleExecutor, path: str | None, cwd: str | None) -> None:
    """Look for the programs of ``requires=``.

    :param cwd: the directory of the service; None if it is not known yet.
    :raises RequirementMissing: for one that there is not.
    """
    for text in executor._requires:
        word = references.placed(executor, text)
        if cwd is None and os.sep in word and not os.path.isabs(word):
            continue
        try:
            executor._find(word, path, cwd or os.sep)
        except CommandNotFound as error:
            let_through(error)
            raise RequirementMissing(error.message, **vars(error)) from None
