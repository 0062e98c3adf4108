"""The cluster that initdb has made, and the directories and the user of a server."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..declaration import templates
from ..errors import SpawnFailed, TimeoutExpired
from ..executors.simple import SimpleExecutor
from ..foreign import let_through, suppress
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps, run
from ..unpatched import open, os, time, variable

if TYPE_CHECKING:
    import pwd

    from .postgresql import PostgreSQL

#: bytes that must be free in a tmpfs for the data of a server
_ENOUGH = 512 << 20
#: seconds that one initdb may take
_INITDB_TIMEOUT = 120


def template(server: PostgreSQL) -> Steps[str]:
    """The directory of a cluster made by ``initdb``, which no server ever runs on.

    It is cached for all processes of this user, by version and options.
    """
    import hashlib

    from ..unpatched import shutil, tempfile

    initdb = server._binary("initdb")
    facts = os.stat(os.path.realpath(initdb))
    owner = server_user()
    if owner is not None and barrier(os.path.dirname(initdb), owner) is not None:
        raise out_of_reach(server._called, initdb, owner, "bindir=")
    options = [
        *("-U", server._user, "--auth=trust", "--encoding=UTF8", "--locale=C"),
        *("--no-sync", "--wal-segsize=1", *map(server._placed, server._initdb)),
    ]
    identity = repr((os.path.realpath(initdb), facts.st_mtime_ns, options, owner, server._database))
    cache = cache_directory(server._called, owner)
    ready = os.path.join(cache, hashlib.sha256(identity.encode()).hexdigest()[:16])
    if os.path.isdir(ready):
        return ready
    deadline = Deadline(server._limits.timeout)
    with open(os.path.join(cache, "lock"), "a") as lock:
        while not locked(lock.fileno()):
            if deadline.expired():
                raise TimeoutExpired(
                    f"{server._called}: another process has held {lock.name} for "
                    f"{deadline.seconds:g} s while it runs initdb",
                    executor=server._called,
                    timeout=deadline.seconds,
                )
            yield Pause((), time.monotonic() + 0.02)
        if os.path.isdir(ready):
            return ready
        new = tempfile.mkdtemp(prefix="new-", dir=cache)
        try:
            if owner is not None:
                os.chown(new, owner.pw_uid, owner.pw_gid)
            yield from _made_by(server, [*become(owner), initdb, "-D", new, *options])
            if server._database != "postgres":
                # without a server, and as no client
                quoted = server._database.replace('"', '""')
                words = [f'create database "{quoted}"', server._binary("postgres"), "--single"]
                script = """printf '%s\n' "$0" | "$@" """
                make = [*become(owner), "/bin/sh", "-c", script, *words, "-D", new]
                yield from _made_by(server, [*make, "-c", "fsync=off", "postgres"])
            os.rename(new, ready)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return ready


def _made_by(server: PostgreSQL, command: list[str]) -> Steps[None]:
    """Run a command that makes a part of the template."""
    place = server._placed(server._cwd or "")
    make = SimpleExecutor(
        command,
        name=f"{server._called} initdb",
        one_shot=True,
        timeout=_INITDB_TIMEOUT,
        cwd=os.sep if templates.there_are([place]) else place or None,
    )
    yield from make._starting()
    run(make._stopping())


def bindirs() -> Iterator[str]:
    """Debian's directories of PostgreSQL, the newest version first."""

    from ..unpatched import glob

    def version(path: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path)]

    yield from sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version, reverse=True)


def server_user() -> pwd.struct_passwd | None:
    """The user that runs the server if the tests run as root, since it refuses to run as root."""
    import pwd

    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SpawnFailed(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as"
    )


def barrier(path: str, user: pwd.struct_passwd) -> str | None:
    """The first directory of a path that a user may not enter; None if there is none."""
    place = os.path.realpath(path)
    steps = [place]
    while steps[-1] != os.path.dirname(steps[-1]):
        steps.append(os.path.dirname(steps[-1]))
    for step in reversed(steps):
        facts = os.stat(step)
        bit = stat.S_IXOTH
        if facts.st_uid == user.pw_uid:
            bit = stat.S_IXUSR
        elif facts.st_gid == user.pw_gid:
            bit = stat.S_IXGRP
        if not facts.st_mode & bit:
            return step
    return None


def reachable_directory(label: str, owner: pwd.struct_passwd | None, *preferred: str) -> str:
    """A directory that the server's user can reach; pytest's are for the user of the tests alone.

    :raises SpawnFailed: naming the directory that is in the way.
    """
    from ..unpatched import temporary_directory

    usual = [*preferred, temporary_directory()]
    if owner is None:
        return usual[0]
    for place in [*usual, "/tmp", "/var/tmp"]:
        if os.path.isdir(place) and barrier(place, owner) is None:
            return place
    raise out_of_reach(label, usual[-1], owner, "TMPDIR")


def out_of_reach(label: str, place: str, owner: pwd.struct_passwd, variable: str) -> SpawnFailed:
    return SpawnFailed(
        f"{label}: the server runs as the user {owner.pw_name}, since the tests run as root, and "
        f"may not pass through {barrier(place, owner)} to {place}: set {variable} to a directory "
        "that all may enter",
        executor=label,
    )


def become(owner: pwd.struct_passwd | None) -> list[str]:
    """The beginning of a command that runs as another user."""
    if owner is None:
        return []
    ids = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--"]


def cache_directory(label: str, owner: pwd.struct_passwd | None) -> str:
    """A directory of this user alone, which the server's user may pass through."""
    base = variable("SUMMON_CACHE_DIR") or reachable_directory(label, owner)
    path = os.path.join(base, f"summon-cache-{os.getuid()}")
    with suppress(FileExistsError):
        os.makedirs(path, 0o700)
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise SpawnFailed(
            f"{path} must be a directory (not a link) of user {os.getuid()}: remove it, or set "
            "SUMMON_CACHE_DIR to a directory of your own"
        )
    os.chmod(path, 0o700 if owner is None else 0o711)
    if owner is not None and barrier(path, owner) is not None:
        raise out_of_reach(label, path, owner, "SUMMON_CACHE_DIR")
    return path


def locked(fd: int) -> bool:
    from ..unpatched import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def has_room(path: str) -> bool:
    try:
        facts = os.statvfs(path)
    except OSError as error:
        let_through(error)
        return False
    return os.access(path, os.W_OK | os.X_OK) and facts.f_bavail * facts.f_frsize > _ENOUGH
