"""The user that a server runs as when the tests run as root, and where it may have its data."""

from __future__ import annotations

import contextlib
import stat
from typing import TYPE_CHECKING

from ..errors import SpawnFailed
from ..foreign import let_through
from ..unpatched import open, os

if TYPE_CHECKING:
    import pwd

    from ..supervision.lease import Lease

#: a tmpfs, in which the files of a server are written several times faster than on a disk
MEMORY = "/dev/shm"
#: bytes that must be free in it for the data of a server
_ENOUGH = 512 << 20


def server_user(kind: str, *names: str) -> pwd.struct_passwd | None:
    """The user that runs a server if the tests run as root, since it refuses to run as root.

    :param kind: the server as errors name it.
    :param names: the users that may run it; the first one that exists does.
    """
    import pwd

    if os.geteuid() != 0:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SpawnFailed(
        f"{kind} refuses to run as root, and there is no user {' or '.join(names)} to run it as"
    )


def become(owner: pwd.struct_passwd | None) -> list[str]:
    """The beginning of a command that runs as another user."""
    if owner is None:
        return []
    ids = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--"]


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


def identity_of(
    label: str, program: str, options: list[str], owner: pwd.struct_passwd | None
) -> list[bytes]:
    """What the data depend on that a program makes: which program it is, and what it is told.

    :raises SpawnFailed: if the server's user cannot reach it.
    """
    facts = os.stat(os.path.realpath(program))
    if owner is not None and barrier(os.path.dirname(program), owner) is not None:
        raise out_of_reach(label, program, owner, "bindir=")
    made = os.path.realpath(program), facts.st_mtime_ns, options, owner, _time_zone()
    return [repr(made).encode()]


def _time_zone() -> object:
    """What the time zone follows from: initdb notes it, and a template writes times in it."""
    told, usual = "TZ" in os.environ and os.environ["TZ"], "/etc/localtime"
    try:
        with open(usual, "rb") as file:
            return told, os.path.realpath(usual), file.read()
    except OSError as error:
        let_through(error)
        return told


def out_of_reach(label: str, place: str, owner: pwd.struct_passwd, variable: str) -> SpawnFailed:
    """The error for a directory that the server's user may not enter.

    :param variable: what names another one.
    """
    return SpawnFailed(
        f"{label}: the server runs as the user {owner.pw_name}, since the tests run as root, and "
        f"may not pass through {barrier(place, owner)} to {place}: set {variable} to a directory "
        "that all may enter",
        executor=label,
    )


def make_room(label: str, lease: Lease, owner: pwd.struct_passwd | None) -> None:
    """Make a directory for data, in memory if there is room, that is removed with a lease."""
    from ..unpatched import tempfile

    place = reachable_directory(label, owner, *([MEMORY] if has_room(MEMORY) else []))
    data = tempfile.mkdtemp(prefix="summon-", dir=place)
    lease.also_remove(data)
    if owner is not None:
        os.chown(data, owner.pw_uid, owner.pw_gid)


def has_room(path: str) -> bool:
    """Whether the data of a server should be written to a directory in memory."""
    try:
        facts = os.statvfs(path)
    except OSError as error:
        let_through(error)
        return False
    return os.access(path, os.W_OK | os.X_OK) and facts.f_bavail * facts.f_frsize > _ENOUGH
