"""Copies of running executors in other processes, which can read its address, log and pid.

Workers that are spawned get their arguments by pickle, and these may contain executors. An executor
that does not run arrives as a declaration, which the worker can start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ..errors import NotRunning
from ..output.log import Log
from ..system import procfs

#: replaced before the executor travels: the copy starts nothing, and ``env`` may contain secrets
_AT_HOME: dict[str, Any] = {
    "after": (),
    "_env": (),
    "_files": {},
    "_until": None,
    "_alive": None,
    "_reset": None,
}


def refuse(called: str, owner: int) -> NoReturn:
    """:raises NotRunning: always, since only the process that has started it can do that."""
    raise NotRunning(
        f"{called}: belongs to process {owner}, which has started it: what has come here is a copy "
        "that tells its address, log and pid; start it, stop it and talk to it there",
        executor=called,
    )


class _Match:
    """The groups of a banner's match; a match itself cannot be pickled."""

    def __init__(
        self, whole: str, groups: Iterable[str | None], named: Mapping[str, str | None], string: str
    ) -> None:
        self._groups = {0: whole, **dict(enumerate(groups, 1))}
        self._named = dict(named)
        self.string = string

    def group(self, *groups: int | str) -> Any:
        found = tuple(self[group] for group in groups or (0,))
        return found if len(found) > 1 else found[0]

    def __getitem__(self, group: int | str) -> str | None:
        known: dict[Any, str | None] = {**self._groups, **self._named}
        if group not in known:
            raise IndexError("no such group")
        return known[group]

    def groups(self) -> tuple[str | None, ...]:
        return tuple(self._groups.values())[1:]

    def groupdict(self) -> dict[str, str | None]:
        return dict(self._named)


def told_match(
    whole: str, groups: Iterable[str | None], named: Mapping[str, str | None], string: str
) -> Any:
    """A match that another process has told of, with the groups of the real one."""
    return _Match(whole, groups, named, string)


class _Facts:
    """Attributes of an object of another process; all other attributes are refused."""

    def __init__(self, called: str, owner: int, **facts: object) -> None:
        vars(self).update(facts, _called=called, owner=owner)

    def __getattr__(self, wanted: str) -> Any:
        if wanted.startswith("__") or "_called" not in vars(self):
            raise AttributeError(wanted)
        refuse(self._called, self.owner)


class _Instance(_Facts):
    """Stands for the instance, which is in the process that has started the service."""

    launched = in_use = True
    starting = over = False
    starter = None

    @property
    def process(self) -> _Instance:
        return self

    def pump(self) -> None:
        """Do nothing: messages of the keeper do not come here."""

    def catch_up(self) -> None:
        """Do nothing: the keeper does not listen to this process."""

    def running(self) -> bool:
        if self.lives == "elsewhere":
            return procfs.is_alive(self.keeper_pid)  # it stays until the service is stopped
        if self.lives == "daemon":
            return bool(procfs.descendants(self.keeper_pid))
        return procfs.is_alive(self.pid)


def _lives(instance: Any) -> str:
    """What is alive of a service whose main process has ended well; empty if that has not."""
    if isinstance(instance, _Instance):
        return str(instance.lives)
    if not instance.running() or instance.process.exit_code is None:
        return ""
    return "elsewhere" if instance.process.ended else "daemon"


def state_of(executor: Any) -> dict[str, Any]:
    """The state of a running executor for its copy in another process."""
    instance = executor._instance
    lease, match = instance.lease, instance.match
    owner = instance.owner if isinstance(instance, _Instance) else instance.process._owner
    state = {**vars(executor), **_AT_HOME, "_elsewhere": owner}
    whose = executor._called, owner
    launch = _Facts(*whose, argv=tuple(map(str, instance.launch.argv)), cwd=instance.launch.cwd)
    state["_instance"] = _Instance(
        *whose,
        lives=_lives(instance),
        pid=instance.process.pid,
        keeper_pid=instance.process.keeper_pid,
        exit_code=instance.process.exit_code,
        log=Log(instance.log.path, executor._called),
        launch=launch,
        lease=_Facts(*whose, port=lease.port, ports=lease.ports, tmpdir=lease.tmpdir, over=False),
        match=match and told_match(match.group(), match.groups(), match.groupdict(), match.string),
        url=instance.url,
        told={},
        told_env={},
    )
    state["_services"] = {n: executor._services[n] for n in executor._needs()}
    if "_ask" in state:
        state["_ask"] = {"verify": state["_ask"]["verify"]}
    state.pop("_in_testcase", None)
    return state
