"""Which stacks of this user run: a file for each of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import AlreadyRunning, SummonError
from ..foreign import let_through, suppress
from ..system import procfs
from ..system.descriptors import moved
from ..unpatched import fcntl, open, os, temporary_directory, time, variable

#: The variable by which tests, and commands of ``summon run``, find a stack: the path of its file.
#: For tests also ``1``, so that services which no stack has are errors, or ``auto``, so that they
#: are started.
ATTACH_VARIABLE = "SUMMON_ATTACH"
#: the form of the files; an owner of another version may write another one
FORMAT = 1


class NoStack(SummonError):
    """No stack is meant by a command, or several are."""


class Stack:
    """A stack as its file tells it.

    :param path: the file.
    :param facts: its content: ``format``, ``id``, ``pid`` and ``began`` (of the owner),
        ``pid_namespace`` (in which all pids here are meant), ``since``
        (seconds since the epoch), ``how`` (``up`` or ``run``), ``target`` (as it was written),
        ``file`` and ``name`` (what that means), ``directory`` (where it was written), ``state``
        (``starting``, ``running``, ``stopping``) and ``services``: for each name ``kind``,
        ``state`` (``starting``, ``running``, ``paused``, ``stopped``, ``dead``, ``done``), ``pid``,
        ``command``, ``cwd``, ``host``, ``port``, ``ports``, ``url``, ``took`` (seconds until it was
        ready), ``tmpdir``, ``log``, ``groups`` (of its banner), ``after`` (names), ``scope``,
        ``declaration`` (by which tests see whether it is the one that they declare:
        :func:`~summon_testcase.executors.sharing.declaration`), and facts for attaching it.
        ``key`` is that of the declarations' digests.
    """

    def __init__(self, path: str, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        if name not in vars(self).get("facts", ()):
            raise AttributeError(name)
        return self.facts[name]

    @property
    def socket(self) -> str:
        """The path of the socket at which the owner listens."""
        return _beside(self.path, "socket")

    @property
    def output(self) -> str:
        """The path of the file that an owner in the background writes to."""
        return _beside(self.path, "log")

    def is_meant_by(self, target: str) -> bool:
        """Whether TARGET of the command line means this stack; nothing is imported for that.

        :param target: or the pid of the owner, as messages name it.
        """
        if target in (self.target, str(self.pid)):
            return True
        place, _, name = target.rpartition(":") if ":" in target else (target, "", "")
        module = os.sep + place.replace(".", os.sep)
        same = os.path.realpath(place) == self.file or self.file.endswith(
            (f"{module}.py", f"{module}{os.sep}__init__.py")
        )
        return same and name in ("", self.name)

    def lives(self) -> bool:
        """Whether its owner is alive, and no other process has got its pid."""
        return _owner_lives(self.path, self.facts)

    def has_our_pids(self) -> bool:
        """Whether its pids mean the same processes here; not so in another container."""
        return self.facts.get("pid_namespace") == procfs.pid_namespace()

    def __str__(self) -> str:
        return f"{self.target} in {self.directory} (pid {self.pid})"


def _beside(path: str, kind: str) -> str:
    return f"{path.removesuffix('.json')}.{kind}"


def directory() -> str:
    """The directory of the files, made at the first call: mode 0700, one for each user.

    :raises SummonError: if another user could write there.
    """
    runtime = variable("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        place = os.path.join(runtime, "summon_testcase")
    else:
        place = os.path.join(temporary_directory(), f"summon_testcase-{os.geteuid()}")
    _make(place)
    return place


def _make(place: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(place, 0o700)
    facts = os.lstat(place)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise SummonError(
            f"{place} must be a directory (not a link) that belongs to user {os.geteuid()} and "
            "that nobody else may enter: remove it, or set XDG_RUNTIME_DIR to a directory of yours"
        )


@contextlib.contextmanager
def _locked(place: str) -> Iterator[None]:
    """A block in which no other process claims a stack, or removes the files of a dead one."""
    with open(os.path.join(place, "lock"), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def running(where: str | None = None) -> list[Stack]:
    """The stacks whose owners are alive, the oldest first; what dead ones have left is removed.

    :param where: only those that were brought up in this directory.
    """
    place = directory()
    with _locked(place):
        found = _living(place)
    return [stack for stack in found if where is None or stack.directory == where]


def dead() -> list[str]:
    """The files of stacks whose owners are dead; :func:`running` removes them."""
    place = directory()
    with _locked(place):
        paths = [os.path.join(place, name) for name in os.listdir(place) if name.endswith(".json")]
        return [path for path in paths if not _owner_lives(path, _facts(path))]


def _living(place: str) -> list[Stack]:
    found = []
    for name in os.listdir(place):
        if not name.endswith(".json"):
            continue
        path = os.path.join(place, name)
        facts = _facts(path)
        if not _owner_lives(path, facts):
            _remove(path)
        elif facts.get("format") == FORMAT:
            found.append(Stack(path, facts))
    return sorted(found, key=lambda stack: float(stack.since))


def read(path: str) -> Stack | None:
    """What a file tells; None if it is not there, or is none of this version."""
    facts = _facts(path)
    return Stack(path, facts) if facts.get("format") == FORMAT else None


def _facts(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError) as error:
        let_through(error)
        return {}
    return facts if isinstance(facts, dict) else {}


def _owner_lives(path: str, facts: Mapping[str, Any]) -> bool:
    """Whether the process is alive that has written a file, of whichever version."""
    if facts.get("pid_namespace") != procfs.pid_namespace():
        # of another container, where the pid is that of another process, or of none
        return is_locked(_beside(path, "alive"))
    pid = facts.get("pid")
    return isinstance(pid, int) and procfs.is_alive(pid) and procfs.began(pid) == facts.get("began")


def is_locked(path: str) -> bool:
    """Whether a process has locked a file, also one of another container."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        let_through(error)
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        let_through(error)
        return True
    finally:
        os.close(fd)
    return False


def meant(target: str = "") -> list[Stack]:
    """The stacks that a command may mean.

    That is the one in which ``summon run`` has started this process, or else those that were
    brought up in the current directory; one that is named by its pid may be in any.

    :param target: TARGET or a pid, where a command names it.
    """
    within = read(variable(ATTACH_VARIABLE))
    if within is not None and within.lives() and (not target or within.is_meant_by(target)):
        return [within]
    here = running(None if target.isdigit() else os.getcwd())
    return [stack for stack in here if not target or stack.is_meant_by(target)]


def find(target: str = "") -> Stack:
    """The stack that a command means, see :func:`meant`.

    Of several that is the only one that ``summon up`` has brought up: those of ``summon run`` are
    of their commands.

    :param target: TARGET or a pid, where a command names it.
    :raises NoStack: if there is none, or there are several.
    """
    found = meant(target)
    for stacks in (found, [stack for stack in found if stack.how == "up"]):
        if len(stacks) == 1:
            return stacks[0]
    if found:
        said = ", ".join(str(stack) for stack in found)
        raise NoStack(f"several stacks run here: say which, by its TARGET or its pid: {said}")
    others = ", ".join(str(stack) for stack in (running(os.getcwd()) or running()))
    named = f" of {target}" if target else ""
    raise NoStack(
        f"no stack{named} runs in {os.getcwd()}: "
        + (f"what runs is {others}" if others else "bring one up with summon up TARGET")
    )


class Registration:
    """The file of a stack that this process owns, and the one beside it that it keeps locked.

    :param facts: what the owner says of itself: ``how``, ``target``, ``file`` and ``name``.
    :raises AlreadyRunning: if the same target is up in the same directory, by ``summon up``.
    """

    def __init__(self, **facts: Any) -> None:
        self._place, me = directory(), os.getpid()
        #: the descriptor of the file that is locked while this process lives
        self._alive = -1
        self.facts: dict[str, Any] = {
            "format": FORMAT,
            "pid": me,
            "began": procfs.began(me),
            "pid_namespace": procfs.pid_namespace(),
            "since": time.time(),
            "directory": os.getcwd(),
            "state": "starting",
            "services": {},
            **facts,
        }
        same = ("how", "directory", "file", "name")
        with _locked(self._place):
            for stack in _living(self._place):
                if facts["how"] == "up" and all(stack.facts.get(k) == self.facts[k] for k in same):
                    raise AlreadyRunning(
                        f"{facts['target']} is up already in {stack.directory} (pid {stack.pid}): "
                        "use that, or stop it with summon down"
                    )
            key = json.dumps([self.facts[k] for k in (*same, "pid", "pid_namespace")])
            self.facts["id"] = hashlib.sha256(key.encode()).hexdigest()[:12]
            self.stack = Stack(os.path.join(self._place, f"{self.facts['id']}.json"), self.facts)
            try:
                self._enter()
            except OSError as error:
                let_through(error)
                self.remove()
                raise SummonError(f"{self.stack.path} cannot be written: {error}") from None

    def _enter(self) -> None:
        """Lock a file, by which other containers see that this process lives, and write ours."""
        path = _beside(self.stack.path, "alive")
        with suppress(FileNotFoundError):
            os.unlink(path)
        fd = moved(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        fcntl.flock(fd, fcntl.LOCK_EX)
        self._unlock()
        self._alive = fd
        self.write()

    def _unlock(self) -> None:
        if self._alive >= 0:
            os.close(self._alive)
        self._alive = -1

    def is_there(self) -> bool:
        """Whether other processes find all of this stack: its files, and its socket."""
        path = self.stack.path
        return all(map(os.path.exists, (path, self.stack.socket, _beside(path, "alive"))))

    def restore(self) -> None:
        """Make the files anew, and their directory, all of which something has removed.

        :raises OSError: if they cannot be made.
        :raises SummonError: if another user could write there now.
        """
        _make(self._place)
        with _locked(self._place):
            self._enter()

    def write(self) -> None:
        """Write the file anew, in one step for those who read it."""
        path = f"{self.stack.path}.new"
        with open(path, "w", encoding="utf-8", opener=_private) as file:
            json.dump(self.facts, file)
        os.replace(path, self.stack.path)

    def remove(self) -> None:
        """Remove the file, and what is beside it."""
        _remove(self.stack.path)
        self._unlock()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _remove(path: str) -> None:
    # the file last: what it tells of is gone then
    beside = [_beside(path, kind) for kind in ("socket", "log", "alive")]
    for each in (*beside, f"{path}.new", path):
        with suppress(FileNotFoundError):
            os.unlink(each)
