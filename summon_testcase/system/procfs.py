"""Asks /proc who descends from whom, and which process has a socket open.

Where there is no /proc, or a sandbox hides the answer, the functions return None or an empty
list and never guess.
"""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Callable, Iterable
from signal import SIGKILL

from ..foreign import let_through
from ..unpatched import open, os, socket

#: characters of a command line that are shown at most
COMMAND_LENGTH = 200
#: bits of the flags of a process: it has begun to exit; a signal has ended it
_EXITING, _SIGNALED = 0x4, 0x400


def is_ours() -> bool:
    """Whether there is a /proc that numbers processes as this process does.

    After ``unshare --pid`` without a new mount, /proc shows the pids of the outer namespace.
    """
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError as error:
        let_through(error)
        return False


def pid_namespace() -> str:
    """What all processes have in common that number processes alike; empty without /proc."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError as error:
        let_through(error)
        return ""


def parent_of(pid: int) -> int | None:
    """The parent of a process; None if there is no such process, or no /proc."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def began(pid: int) -> str:
    """When a process began, in the kernel's words; empty if there is none, or no /proc.

    Together with the pid it tells a process from one that gets the same pid later.
    """
    fields = _stat(pid)
    return fields[19].decode() if len(fields) > 19 else ""


def is_alive(pid: int) -> bool:
    """Whether a process exists and has not ended; a zombie has ended."""
    if pid <= 0:  # for kill() such a number means a group of processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (ProcessLookupError, OverflowError):
        return False
    fields = _stat(pid)
    return not fields or fields[0] not in (b"Z", b"X")


def is_dying(pid: int) -> bool:
    """Whether a process was killed, or has begun to exit, and ends in a moment.

    As ``is_dying`` of ``keeper/processes.py``, for processes of others; a zombie has ended.
    """
    fields = _stat(pid)
    if len(fields) < 29 or not is_alive(pid):
        return False
    return bool(int(fields[6]) & (_EXITING | _SIGNALED) or int(fields[28]) >> (SIGKILL - 1) & 1)


def descends_from(pid: int, ancestor: int) -> bool:
    """Whether one process is a child, a grandchild, ... of another."""
    seen = set()
    parent = parent_of(pid)
    while parent and parent not in seen:  # a pid reused meanwhile could close a circle
        if parent == ancestor:
            return True
        seen.add(parent)
        parent = parent_of(parent)
    return False


def descendants(pid: int) -> list[int]:
    """Children of a process, their children and so on, nearest first.

    Processes that are forked meanwhile may be missing.  Empty without /proc.
    """
    children = _children if _children_are_listed() else _families()
    found: dict[int, None] = {}
    todo = [pid]
    while todo:
        fresh = [child for parent in todo for child in children(parent) if child not in found]
        found.update(dict.fromkeys(fresh))
        todo = fresh
    found.pop(pid, None)
    return list(found)


def socket_holder(inode: int, pids: Iterable[int]) -> int | None:
    """The first of some processes that has a socket open.

    :param inode: the socket, as :func:`netlink.listener` names it.
    :returns: its pid; None if none has it, or this user may not see it.
    """
    if not is_ours():
        return None
    target = f"socket:[{inode}]"
    for pid in pids:
        directory = f"/proc/{pid}/fd"
        try:
            names = os.listdir(directory)
        except OSError as error:
            let_through(error)
            continue
        # the newest descriptor first: the socket has probably just been opened
        for name in reversed(names):
            try:
                if os.readlink(f"{directory}/{name}") == target:
                    return pid
            except OSError as error:
                let_through(error)
                continue
    return None


def listeners(pids: Iterable[int]) -> list[tuple[str, int, bool]]:
    """The TCP addresses at which some processes listen, as far as this user may see them.

    :returns: for each the host, the port, and whether it is in another network namespace.
    """
    if not is_ours():
        return []
    found: set[tuple[str, int, bool]] = set()
    ours = os.stat("/proc/self/ns/net").st_ino
    tables: dict[int, dict[bytes, tuple[str, int]]] = {}
    for pid in pids:
        try:
            namespace = os.stat(f"/proc/{pid}/ns/net").st_ino
            for name in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    if namespace not in tables:
                        tables[namespace] = _listening(pid)
                    address = tables[namespace].get(target[8:-1].encode())
                    if address:
                        found.add((*address, namespace != ours))
        except OSError as error:  # the process has ended, or is another user's
            let_through(error)
            continue
    return sorted(found, key=lambda address: (address[1], address[0]))


def tcp_states(port: int) -> list[int]:
    """The states of all TCP sockets at a local port, as the kernel numbers them."""
    states = []
    for table in ("tcp", "tcp6"):
        for line in (_read(f"/proc/self/net/{table}") or b"").splitlines()[1:]:
            fields = line.split()
            if fields[1:2] and int(fields[1].rpartition(b":")[2], 16) == port:
                states.append(int(fields[3], 16))
    return states


def _listening(pid: int) -> dict[bytes, tuple[str, int]]:
    """Inodes of all TCP listeners that a process can see, with their addresses."""
    found = {}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in (_read(f"/proc/{pid}/net/{table}") or b"").splitlines()[1:]:
            fields = line.split()
            if fields[3:4] != [b"0A"]:
                continue
            host, _, port = fields[1].partition(b":")
            # words of 32 bits in this machine's byte order
            words = (int(host[at : at + 8], 16) for at in range(0, len(host), 8))
            packed = struct.pack(f"={len(host) // 8}I", *words)
            found[fields[9]] = socket.inet_ntop(family, packed), int(port, 16)
    return found


def any_socket_holder(inode: int) -> int | None:
    """The process with the lowest pid, of all that this user may see, that has a socket open."""
    return socket_holder(inode, _processes())


def command_line(pid: int) -> str | None:
    """The command of a process as one would type it, on one line.

    :returns: at most 200 characters; None if there is no such process, or no /proc.
    """
    raw = _read(f"/proc/{pid}/cmdline") if is_ours() else None
    if raw is None:
        return None
    # servers that overwrite their title (nginx, postgres) leave padding behind it
    words = raw.rstrip(b"\0 ").decode(errors="replace").split("\0")
    text = words[0] if len(words) == 1 else shlex.join(words)
    if not text:  # a kernel thread or a zombie
        text = (_read(f"/proc/{pid}/comm") or b"").decode(errors="replace").strip()
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    if len(text) > COMMAND_LENGTH:
        text = text[: COMMAND_LENGTH - 3] + "..."
    return text or None


def commands() -> bytes | None:
    """The commands of all processes, and their working directories, as one text with NULs between.

    :returns: None if there is no /proc.
    """
    if not is_ours():
        return None
    found = []
    for pid in _processes():
        found.append(_read(f"/proc/{pid}/cmdline") or b"")
        try:
            found.append(os.fsencode(os.readlink(f"/proc/{pid}/cwd")))
        except OSError as error:  # of another user, or it has ended
            let_through(error)
    return b"\0".join(found)


def _processes() -> list[int]:
    if not is_ours():
        return []
    try:
        return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
    except OSError as error:
        let_through(error)
        return []


def _children_are_listed() -> bool:
    """Whether the kernel has lists of children (CONFIG_PROC_CHILDREN)."""
    # not /proc/self/children: each list is in the directory of the thread that forked
    me = os.getpid()
    return is_ours() and os.path.exists(f"/proc/{me}/task/{me}/children")


def _children(pid: int) -> list[int]:
    found = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError as error:
        let_through(error)
        return []
    for thread in threads:
        found += (_read(f"/proc/{pid}/task/{thread}/children") or b"").split()
    return [int(child) for child in found]


def _families() -> Callable[[int], list[int]]:
    """A function that does what :func:`_children` does, from a list of all processes.

    To make this list takes longer than to read a few lists of children.
    """
    families: dict[int, list[int]] = {}
    for process in _processes():
        parent = parent_of(process)
        if parent is not None:
            families.setdefault(parent, []).append(process)
    return lambda pid: families.get(pid, [])


def _stat(pid: int) -> list[bytes]:
    """State, parent and what follows in /proc/<pid>/stat; empty if it cannot be read."""
    raw = _read(f"/proc/{pid}/stat") if is_ours() else None
    # the program's name, in brackets, may contain spaces and brackets itself
    return raw[raw.rfind(b")") + 1 :].split() if raw else []


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:  # also ESRCH: the process ended between open and read
        let_through(error)
        return None
