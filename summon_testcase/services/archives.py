"""Data directories that are made once, and kept as archives for all processes of this user.

Each server begins with a copy. It is written from an archive, since that takes half of the time
that it takes to copy 1,500 small files.  An archive is a directory with two halves, which two
processes write at the same time.
"""

from __future__ import annotations

import contextlib
import functools
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ..errors import ProcessExited, SpawnFailed, TimeoutExpired
from ..executors.simple import SimpleExecutor
from ..foreign import let_through, suppress
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps, run
from ..supervision.lease import Lease
from ..unpatched import open, os, time, variable
from .server_user import barrier, make_room, out_of_reach, reachable_directory

if TYPE_CHECKING:
    import pwd

    #: fills an empty directory, which belongs to the server's user
    Make = Callable[[str], Steps[None]]

#: the halves of an archive, and a file that each ends with: without it the half is cut off
_HALVES = {"1.tar": "summon-complete-1", "2.tar": "summon-complete-2"}
#: all that is in the directory in which an archive is made
MAKING = {"data", "archive", *_HALVES.values()}
_CUT_OFF = "the archive is cut off"
#: what a shell does first to write the archive ``$1`` into the directory ``$2``; the service's own
#: process does that, so that others start meanwhile
UNPACK = (
    # in pieces of 256 KiB: with its usual 10 KiB tar takes an eighth longer
    '{ { tar -b 512 -xmf "$1/2.tar" -C "$2" & tar -b 512 -xmf "$1/1.tar" -C "$2" && wait $!; } && {'
    + " && ".join(f' [ -e "$2/{end}" ]' for end in _HALVES.values())
    + f' || {{ echo "{_CUT_OFF}"; exit 1; }}; }}; }}'
)
#: what a shell says of an archive that cannot be unpacked
_DAMAGE = rf"^tar: |^{_CUT_OFF}"
#: seconds after which an archive that nobody has used is removed
_UNUSED = 14 * 86400
#: changes when archives are made in another way
_FORMAT = b"3"
#: as many bytes are written in the time that it takes to make one more file
_BYTES_A_FILE = 20_000


class Archives:
    """The archives of this user, in ``SUMMON_CACHE_DIR`` or the directory for temporary files.

    :param label: how errors name the executor.
    :param owner: the user that the server runs as, if that is another one.
    :param patience: seconds to wait for another process that makes an archive; None: no limit.
    """

    def __init__(self, label: str, owner: pwd.struct_passwd | None, patience: float | None) -> None:
        self._label, self._owner, self._patience = label, owner, patience

    def find(self, identity: Iterable[bytes], make: Make, what: str) -> Steps[str]:
        """The archive for an identity; one process makes it first, if there is none.

        :param identity: all that the result of ``make`` depends on.
        :param what: what makes it, in words.
        :raises TimeoutExpired: if another process makes it for too long.
        """
        from ..unpatched import glob, shutil

        base, ready = self._paths(identity)
        if _is_there(ready):
            return ready
        deadline = Deadline(self._patience)
        with open(f"{base}.lock", "a") as lock:
            while not _locked(lock.fileno()):
                if deadline.expired():
                    raise TimeoutExpired(
                        f"{self._label}: another process has held {lock.name} for "
                        f"{deadline.seconds:g} s while it runs {what}",
                        executor=self._label,
                        timeout=deadline.seconds,
                    )
                yield Pause((), time.monotonic() + 0.02)
            if _is_there(ready):
                return ready
            for left in glob.glob(f"{glob.escape(base)}.new-*"):
                # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with _directory_for(base) as new:
                os.rename((yield from self._made(new, make)), ready)
        _forget_unused(os.path.dirname(base))
        return ready

    def taken(self, identity: Iterable[bytes], take: bool) -> str | None:
        """The archive for an identity, if there is one.

        :param take: whether it is wanted; otherwise it is removed.
        """
        from ..unpatched import shutil

        _, ready = self._paths(identity)
        if take and _is_there(ready):
            return ready
        shutil.rmtree(ready, ignore_errors=True)
        return None

    def keep(self, identity: Iterable[bytes], data: str) -> Steps[None]:
        """Pack the data that a server has left, instead of what was kept before.

        :param data: their directory.
        """
        base, ready = self._paths(identity)
        with _directory_for(base) as new:
            archive = yield from self._pack(new, data)
            with suppress(FileNotFoundError):
                # a server that unpacks it now has opened its files
                os.rename(ready, f"{new}/former")
            os.rename(archive, ready)

    def _paths(self, identity: Iterable[bytes]) -> tuple[str, str]:
        """The common beginning of all paths for an identity, and the path of the archive."""
        import hashlib

        # with their sizes, so that no other parts make the same text
        parts = (b"%d:%b" % (len(part), part) for part in (_FORMAT, *identity))
        base = os.path.join(self._directory(), hashlib.sha256(b"".join(parts)).hexdigest()[:16])
        return base, f"{base}.archive"

    def for_this_process(self, lease: Lease | None, make: Make) -> Steps[tuple[str, Lease]]:
        """An archive that no other process uses.

        :param lease: the one that the call before has returned.
        :returns: the archive, and the lease with which it is removed.
        """
        if lease is not None and lease.lasts():
            return _packed(lease.elsewhere), lease
        lease = Lease(f"{self._label} template")
        try:
            make_room(self._label, lease, self._owner)
            return (yield from self._made(lease.elsewhere, make)), lease
        except BaseException:
            lease.end()
            raise

    def _made(self, place: str, make: Make) -> Steps[str]:
        """Have a directory filled, and pack it."""
        from ..unpatched import shutil

        data = f"{place}/data"
        os.mkdir(data)
        os.chmod(data, 0o700)
        if self._owner is not None:
            os.chown(data, self._owner.pw_uid, self._owner.pw_gid)
        yield from make(data)
        archive = yield from self._pack(place, data)
        shutil.rmtree(data)
        return archive

    def _pack(self, place: str, data: str) -> Steps[str]:
        """Pack a directory into an archive that the server's user can read."""
        archive = _packed(place)
        os.mkdir(archive)
        os.chmod(archive, 0o750)
        if self._owner is not None:
            os.chown(archive, os.getuid(), self._owner.pw_gid)
        second = _half(data)
        # a server that has made the schema began with an archive itself
        elsewhere = *second, *_HALVES.values()
        first = [*(f"--exclude=./{path}" for path in elsewhere), "."]
        # also with the directories around, since tar gives up if the other one makes them just when
        # it misses them
        around = sorted({parent for path in second for parent in _parents(path)})
        second = ["--no-recursion", *around, "--recursion", *second]
        for (half, end), words in zip(_HALVES.items(), (first, second), strict=True):
            with open(f"{place}/{end}", "w"):
                pass
            words = ["tar", "-cf", f"{archive}/{half}", "-C", data, *words, "-C", place, end]
            yield from ended(
                SimpleExecutor(words, name=f"{self._label} archive", one_shot=True, cwd=os.sep)
            )
            os.chmod(f"{archive}/{half}", 0o640)
            if self._owner is not None:
                os.chown(f"{archive}/{half}", os.getuid(), self._owner.pw_gid)
        return archive

    def _directory(self) -> str:
        """A directory of this user alone, which the server's user may pass through."""
        given = variable("SUMMON_CACHE_DIR")
        base = _absolute(given) if given else reachable_directory(self._label, self._owner)
        path = os.path.join(base, f"summon-cache-{os.getuid()}")
        with suppress(FileExistsError):
            os.makedirs(path, 0o700)
        facts = os.lstat(path)
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            raise SpawnFailed(
                f"{path} must be a directory (not a link) of user {os.getuid()}: remove it, or set "
                "SUMMON_CACHE_DIR to a directory of your own"
            )
        os.chmod(path, 0o700 if self._owner is None else 0o711)
        if self._owner is not None and barrier(path, self._owner) is not None:
            raise out_of_reach(self._label, path, self._owner, "SUMMON_CACHE_DIR")
        return path


@functools.cache
def _absolute(path: str) -> str:
    """The full path, as it is at the first use: later tests may have changed the directory."""
    return os.path.abspath(os.path.expanduser(path))


@contextlib.contextmanager
def _directory_for(base: str) -> Iterator[str]:
    """A new directory beside an archive, for the time in which that is made."""
    from ..unpatched import shutil, tempfile

    new = tempfile.mkdtemp(prefix=f"{os.path.basename(base)}.new-", dir=os.path.dirname(base))
    try:
        os.chmod(new, 0o711)
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def forget_damaged(archives: Iterable[str], error: ProcessExited, said: str) -> bool:
    """Remove archives if a server could not start since one of them is damaged.

    :param said: a pattern for what the server says of data that are damaged, or of another version.
    :returns: whether this was the reason.
    """
    from ..unpatched import shutil

    output = "\n".join(error.report.output if error.report else ())
    if not re.search(f"{_DAMAGE}|{said}", output, re.MULTILINE):
        return False
    for archive in archives:
        shutil.rmtree(archive, ignore_errors=True)
    return True


def ended(one_shot: SimpleExecutor) -> Steps[None]:
    """Run a command to its end."""
    yield from one_shot._starting()
    run(one_shot._stopping())


def _half(data: str) -> list[str]:
    """Directories that take about as long to write as all others, relative to the data."""
    costs: dict[str, int] = {}
    whole = 0
    for path, directories, names in os.walk(data):
        sizes = [os.lstat(os.path.join(path, name)).st_size for name in names]
        whole += (cost := sum(sizes) + _BYTES_A_FILE * len(sizes))
        if not directories and path != data:
            costs[os.path.relpath(path, data)] = cost
    half: list[str] = []
    taken = 0
    for directory in sorted(costs, key=costs.__getitem__, reverse=True):
        if taken + costs[directory] <= whole / 2:
            half.append(directory)
            taken += costs[directory]
    return half


def _parents(path: str) -> Iterator[str]:
    """The directories in which a relative path is."""
    while path := os.path.dirname(path):
        yield path


def _packed(place: str) -> str:
    return f"{place}/archive"


def _is_there(archive: str) -> bool:
    """Whether an archive exists; it counts as used now."""
    try:
        os.utime(archive)
    except OSError as error:
        let_through(error)
        return False
    return True


def _locked(fd: int) -> bool:
    from ..unpatched import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _forget_unused(cache: str) -> None:
    """Remove what nobody has used for two weeks: old schemas and old versions."""
    from ..unpatched import shutil

    # by the clock of the file system
    limit = os.stat(cache).st_mtime - _UNUSED
    for entry in list(os.scandir(cache)):
        with suppress(OSError):
            if entry.name.endswith("lock") or entry.stat().st_mtime > limit:
                continue
            if entry.is_dir():
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
