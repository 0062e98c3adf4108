"""Services that several processes use: what their owner tells of them, and how others attach them.

An executor that is attached leads a life that its owner has begun.  Its faults, ``stopped()`` and
the like, are asked of the owner; its end is only that this process uses it no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..declaration.command import Launch
from ..errors import AlreadyRunning, AttachFailed
from ..events import ServiceSpawned, ServiceStarting
from ..foreign import let_through, suppress
from ..scheduling.steps import Steps
from ..supervision import run
from ..supervision.attached import AttachedInstance, Facts, Owner, runs
from ..unpatched import os
from .address import told_url
from .elsewhere import told_match
from .fingerprint import fingerprint
from .running import handover, hold
from .start import fine, refuse_twice

if TYPE_CHECKING:
    from ..supervision.instance import Instance
    from .simple import SimpleExecutor


def place(executor: SimpleExecutor) -> dict[str, str]:
    """Where a service is declared: the file, the class, and its name there."""
    file, case = executor._place or ("", "")
    return {"file": os.path.realpath(file), "class": case, "name": executor.name}


def declaration(executor: SimpleExecutor, key: bytes) -> dict[str, Any]:
    """What tells a declaration from others, for JSON; to be asked before the executor starts.

    :param key: see :func:`fingerprint`.
    """
    return {**place(executor), "arguments": fingerprint(executor, key)}


def inner_facts(instance: Instance) -> dict[str, Any]:
    """What only those must know of a service who attach it, for JSON."""
    process, match = instance.process, instance.match
    return {
        "keeper": process.keeper_pid,
        "exit_code": process.exit_code,
        "ended_at": process.ended_at,
        "elsewhere": instance.lease.elsewhere,
        "match": match and [match.group(), match.groups(), match.groupdict(), match.string],
        "waits": instance.waits,
    }


def attach(executor: SimpleExecutor, owner: Owner, service: str, told: Facts) -> None:
    """Have an executor lead the life of a service that another process has started.

    :param service: what the owner calls it.
    :param told: what the owner tells of it.
    :raises SummonError: as the owner says, if it does not run and cannot be started.
    """
    refuse_twice(executor)
    if not runs(told) and not executor._one_shot:
        told = _started(executor, owner, service)
    instance = _lead(executor, owner, service, told)
    if not any(executor._is_shared_by(other) for other in executor._services.values()):
        executor._attach()
    instance.tell_ready(told_url(executor))


def starting(executor: SimpleExecutor) -> Steps[None]:
    """The start, as steps, of an attached executor that a test has stopped."""
    former = refuse_twice(executor)
    assert isinstance(former, AttachedInstance)
    owner, service = former.lease.owner, former.lease.service
    told = _started(executor, owner, service)
    former.lease.interrupted = False
    _lead(executor, owner, service, told, former).tell_ready(told_url(executor))
    return
    yield


def undo_stop(executor: SimpleExecutor) -> Steps[None]:
    """Have a service run again that a test has stopped, before this process uses it no more.

    The others need it, and only then can what this process had of it be given up.
    """
    instance = executor._instance
    assert isinstance(instance, AttachedInstance)
    if instance.lease.interrupted:
        instance.lease.interrupted = False
        with suppress(AttachFailed):  # the stack has ended
            yield from starting(executor)


def _match_of(told: Facts) -> Any:
    """The match of the banner; None if there is none."""
    return told["match"] and told_match(*told["match"])


def _started(executor: SimpleExecutor, owner: Owner, service: str) -> Facts:
    patience = executor._limits.timeout
    try:
        return owner.ask("start", service, 86400.0 if patience is None else patience)
    except AlreadyRunning as error:
        let_through(error)
        # another process has started it again
        return owner.ask("describe", service, 10.0)


def _lead(
    executor: SimpleExecutor,
    owner: Owner,
    service: str,
    told: Facts,
    former: AttachedInstance | None = None,
) -> AttachedInstance:
    """Have the executor lead the life of which the owner has told; the instance."""
    whose = executor._called, executor._owner_name, executor._limits
    instance = AttachedInstance(*whose, owner, service, told, _match_of, former)
    argv, cwd = tuple(told.get("command", ("",))), told.get("cwd", "")
    instance.launch = instance.process.launch = Launch(argv, argv[0], {}, cwd, fine=fine(executor))
    instance.one_shot, instance.serves = executor._one_shot, executor._serves
    with handover:
        try:
            # another thread may have begun a life while the owner was asked
            refuse_twice(executor)
        except AlreadyRunning:
            instance.process.forget()
            raise
        executor._instance = instance
    hold(executor, instance)
    run.begin()
    kind, after = type(executor).__name__, executor._referred_to()
    instance.tell(ServiceStarting, kind=kind, scope=executor.scope, after=after)
    pid, log = instance.process.pid, instance.log.path
    instance.tell(ServiceSpawned, pid=pid, command=argv, cwd=cwd, log=log, attached=True)
    return instance
