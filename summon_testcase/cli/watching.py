"""``--watch``: restarts services when files change that concern them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..declaration.file_arguments import Origin
from ..executors.executor import Executor
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..scheduling.steps import Pause, Steps
from ..stacks.owner import Owner
from ..unpatched import os, time
from .screen import Screen
from .target import UsageError

#: seconds between looks at what the system tells about files
_OFTEN = 0.1
_WORD_ENDS = re.compile(r"[\s=:,;'\"]+")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")


def check(watched: Sequence[str]) -> None:
    """:raises UsageError: if files cannot be watched, or a GLOB names no directory."""
    try:
        import watchfiles  # noqa: F401
    except ImportError as error:
        let_through(error)
        raise UsageError(
            "--watch needs the package watchfiles: pip install 'summon_testcase[watch]'"
        ) from None
    for each in watched:
        directory = _directory(_split(each)[1])
        if not os.path.isdir(directory):
            raise UsageError(f"--watch {each}: there is no directory {directory}")


def _split(each: str) -> tuple[str, str]:
    """The name of the service, which may be empty, and the full path that may have wildcards."""
    name, equals, glob = each.partition("=")
    if not (equals and name.replace(".", "_").isidentifier()):
        name, glob = "", each
    return name, os.path.abspath(glob)


def _directory(glob: str) -> str:
    """The directory above the first wildcard."""
    parts = glob.split(os.sep)
    wild = [n for n, part in enumerate(parts) if set(part) & set("*?[")]
    return os.sep.join(parts[: wild[0] if wild else -1]) or os.sep


def _pattern(glob: str) -> re.Pattern[str]:
    """A regular expression for paths: ``*`` and ``?`` stop at a slash, ``**/`` does not."""
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    found = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^/][^]/]*\])", glob)
    return re.compile(
        "".join(
            special.get(part) or (_set(part) if part.startswith("[") else re.escape(part))
            for part in found
        )
    )


def _set(part: str) -> str:
    """What ``[a-z]`` or ``[!a-z]`` means to :mod:`fnmatch`, and no slash."""
    return "(?!/)" + fnmatch.translate(part).removeprefix("(?s:")[: -len(r")\Z")]


def restarts(owner: Owner, watched: Sequence[str], cascade: bool, screen: Screen) -> Steps[None]:
    """Restart services whenever files change.

    :param watched: the arguments of ``--watch``.
    :raises UsageError: if one of them names no service.
    """
    wanted = []
    for name, glob in map(_split, watched):
        if name and name not in owner.services:
            known = ", ".join(owner.services)
            raise UsageError(f"--watch {name}=: there is no such service: there are {known}")
        wanted.append((name, glob, _pattern(glob)))
    changes = _changes({_directory(glob) for _, glob, _ in wanted})
    next(changes)
    screen.tell(f"watching {', '.join(watched)}")
    while True:
        yield Pause((), time.monotonic() + _OFTEN)
        concerned: dict[str, str] = {}
        for path in next(changes):
            matching = [name for name, _, pattern in wanted if pattern.fullmatch(path)]
            names = {name for name in matching if name}
            if "" in matching:
                names |= set(_concerned(owner.services, path))
            concerned |= dict.fromkeys(names, os.path.relpath(path))
            if matching and not names:
                screen.tell(
                    f"{os.path.relpath(path)} has changed, which concerns no service: to say "
                    f"which, write --watch NAME={os.path.relpath(path)}"
                )
        if not concerned:
            continue
        names_in_order = [name for name in owner.services if name in concerned]
        paths = ", ".join(dict.fromkeys(concerned.values()))
        screen.tell(f"{paths} has changed: restarting {', '.join(names_in_order)}")
        try:
            yield from owner.restart(names_in_order, cascade, f"--watch: {paths} has changed")
        except Exception as error:
            let_through(error)  # the owner has told it
        else:
            screen.tell(f"{', '.join(names_in_order)} restarted")


def _changes(directories: set[str]) -> Iterator[list[str]]:
    """The paths that have changed since the last time."""
    import watchfiles

    # the least that it waits, since other steps wait meanwhile
    told: Any = watchfiles.watch(
        *directories, debounce=10, step=5, rust_timeout=5, yield_on_timeout=True
    )
    for changes in told:
        yield sorted({path for _, path in changes})


def _concerned(services: dict[str, Executor], path: str) -> list[str]:
    """The services that a file concerns.

    Those whose command names it, a directory that it is in, or the module or package that it
    belongs to, and those that have it in ``files=``.  If there are none, those whose ``cwd=`` it
    is in.
    """
    running = {n: e for n, e in services.items() if isinstance(e, SimpleExecutor) and e._instance}
    named = [n for n, e in running.items() if any(_is_in(path, place) for place in _named(e))]
    return named or [
        name
        for name, executor in running.items()
        if executor._cwd and _is_in(path, executor._instance.launch.cwd)  # type: ignore[union-attr]
    ]


def _is_in(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip(os.sep) + os.sep)


def _named(executor: SimpleExecutor) -> Iterator[str]:
    """The files and directories that the command and ``files=`` of a service name."""
    assert executor._instance is not None
    launch = executor._instance.launch
    sources = [str(text) for text in executor._files.values() if isinstance(text, Origin)]
    words = [part for word in launch.argv for part in _WORD_ENDS.split(word)]
    for word in [*words, *sources]:
        if not word:
            continue
        places = [word]
        if _DOTTED.fullmatch(word):
            package = word.partition(".")[0]
            places += [package, f"{package}.py"]
        for place in places:
            full = os.path.normpath(os.path.join(launch.cwd, place))
            # a directory above would concern the service with everything
            above = launch.cwd != full and _is_in(launch.cwd, full)
            if os.path.exists(full) and not above:
                yield full
