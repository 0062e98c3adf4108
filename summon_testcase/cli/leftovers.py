"""Finds what earlier runs have left behind, and nothing that is in use."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from ..foreign import let_through
from ..services.archives import MAKING
from ..services.server_user import MEMORY
from ..stacks import registry
from ..system import procfs
from ..unpatched import fcntl, os, shutil, temporary_directory, time, variable
from ..wording import counted

#: directories of test processes, and of the data of their servers
_NAME = re.compile(r"summon-[a-z0-9_]{8}")
#: all that is in the directory of a test process: files, of which there are some, and directories
_OF_RUN = re.compile(r"[\w.-]+-\d+(\.\d+)?(\.log|\.notify|\.elsewhere)?")
_FILES_OF_RUN = (".log", ".notify", ".elsewhere")
#: what is in the data of a server, one of these at least
_OF_DATA = {"PG_VERSION", "ibdata1"}
#: where data of servers may be, beside the directory for temporary files
PLACES = ("/tmp", "/var/tmp", MEMORY)
#: seconds for which nothing must have happened: what is being made is not in use yet
_QUIET = 60.0


class Leftover(NamedTuple):
    """Something that is not needed any more.

    :param path: where it is.
    :param size: bytes on disk.
    :param what: in words.
    :param remove: removes it, unless it is in use by now.
    """

    path: str
    size: int
    what: str
    remove: Callable[[], object]


def leftovers() -> Iterator[Leftover]:
    """All that is left behind in the places where this package writes."""
    used = _names_in_use()
    for place in _places():
        for path in _entries(place):
            what = _NAME.fullmatch(os.path.basename(path)) and _what(path)
            if what and used is not None and _is_idle(path, used):
                yield Leftover(path, size_of(path), what, partial(_remove_run, path))
    named = variable("SUMMON_CACHE_DIR")
    for place in _existing([named]) if named else _places():
        cache = os.path.join(place, f"summon-cache-{os.getuid()}")
        if _is_ours(cache) and (archives := _unused(cache)):
            count = sum(map(size_of, archives))
            what = f"{counted(len(archives), 'database')} for copies, made again when needed"
            yield Leftover(cache, count, what, partial(_remove_archives, cache))
    for path in registry.dead():
        yield Leftover(path, size_of(path), "a stack whose owner is dead", registry.running)


def _places() -> list[str]:
    """The directories in which those of test processes and servers may be."""
    return _existing([temporary_directory(), *PLACES])


def _changed(path: str) -> float:
    """When a file, or what is in a directory, has changed; now, if another process removes it."""
    try:
        return os.lstat(path).st_mtime
    except OSError as error:
        let_through(error)
        return time.time()


def date(path: str) -> str:
    """When something has changed, in words."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(_changed(path)))


def _existing(places: list[str]) -> list[str]:
    """Those of some directories that exist, each once, also behind links."""
    return list({os.path.realpath(place): place for place in places[::-1] if os.path.isdir(place)})


def _entries(place: str) -> list[str]:
    try:
        return [os.path.join(place, name) for name in sorted(os.listdir(place))]
    except OSError as error:
        let_through(error)
        return []


def _is_ours(path: str) -> bool:
    """Whether a path is a directory, and no link, that belongs to this user."""
    try:
        facts = os.lstat(path)
    except OSError as error:
        let_through(error)
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()


# -- directories of test processes, and of their servers' data --


def _what(path: str) -> str:
    """In words, what a directory of ours is; empty for one that is not ours.

    A user's own directory may have such a name: what is not surely ours is left alone.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:  # its process removes it just now
        let_through(error)
        return ""
    if not stat.S_ISDIR(mode) or mode & 0o077:
        return ""
    names = set(map(os.path.basename, _entries(path)))
    if _is_ours(path) and all(map(_OF_RUN.fullmatch, names)):
        if all(name.endswith(".log") for name in names):
            return counted(len(names), "log") if names else "empty"
        if any(name.endswith(_FILES_OF_RUN) for name in names):
            return "files of a run that was killed"
    # if the tests run as root, a server's data belong to its user
    made = names & _OF_DATA or (names and names <= MAKING)
    if made and (_is_ours(path) or os.geteuid() == 0):
        return "data of a database whose run was killed"
    return ""


def _names_in_use() -> set[str] | None:
    """The names of directories that running processes know of; None if the system does not tell."""
    said = procfs.commands()
    if said is None:
        said = _commands_of_ps()
    if said is None:
        return None
    names = set(map(bytes.decode, re.findall(_NAME.pattern.encode(), said)))
    # A warden has the directory of its run as an argument; one of another container is not among
    # the processes that we see, but its keepers lock their logs.
    runs = re.findall(rb"(?:^|\0|\s)(/[^\0\n]*/" + _NAME.pattern.encode() + rb")(?=\0|\s|$)", said)
    beside = [path for place in _places() for path in _entries(place) if _has_locked_log(path)]
    # Links in there lead to data of servers, also of those that a test has stopped for a while.
    for run in [*map(os.fsdecode, runs), *beside]:
        for path in _entries(run):
            if path.endswith(".elsewhere") and os.path.islink(path):
                names.add(os.path.basename(os.readlink(path)))
    return names


def _has_locked_log(path: str) -> bool:
    """Whether a path is the directory of a run that goes on, perhaps in another container."""
    if not (_NAME.fullmatch(os.path.basename(path)) and os.path.isdir(path)):
        return False
    return any(registry.is_locked(log) for log in _entries(path) if log.endswith(".log"))


def _commands_of_ps() -> bytes | None:
    from ..unpatched import subprocess

    try:
        asked = ["ps", "-axww", "-o", "args="]
        return subprocess.run(asked, capture_output=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        let_through(error)
        return None


def _is_idle(path: str, used: set[str]) -> bool:
    """Whether nothing uses a directory."""
    if os.path.basename(path) in used or time.time() - _changed(path) < _QUIET:
        return False
    return not _has_locked_log(path)


def _remove_run(path: str) -> None:
    used = _names_in_use()  # the user may have thought for long
    if used is not None and os.path.isdir(path) and _is_idle(path, used):
        shutil.rmtree(path)


# -- archives of databases --


def _unused(cache: str) -> list[str]:
    """The archives that no process has used a moment ago, and what killed processes have left."""
    return [
        path
        for path in _entries(cache)
        if not path.endswith(".lock") and time.time() - _changed(path) >= _QUIET
    ]


def _remove_archives(cache: str) -> None:
    for path in _unused(cache):
        # whoever makes an archive holds its lock, a file that stays: others may wait for it
        lock = os.open(f"{path.rpartition('.')[0]}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def size_of(path: str) -> int:
    """Bytes that a file, or all files of a directory, take on disk."""
    try:
        facts = os.lstat(path)
    except OSError as error:
        let_through(error)
        return 0
    if not stat.S_ISDIR(facts.st_mode):
        return facts.st_blocks * 512
    return facts.st_blocks * 512 + sum(map(size_of, _entries(path)))
