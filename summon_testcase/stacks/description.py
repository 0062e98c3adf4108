"""What a stack tells of each of its services."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..executors.executor import Executor
from ..executors.sharing import inner_facts
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..orchestration.orchestrator import Orchestrator


def services_of(orchestrator: Orchestrator) -> dict[str, Executor]:
    """All executors by name; those of a group have the names ``group.member``."""
    found: dict[str, Executor] = {}
    for name, member in orchestrator._members.items():
        if isinstance(member, Orchestrator):
            inner = services_of(member)
            found |= {f"{name}.{key}": executor for key, executor in inner.items()}
        elif isinstance(member, Executor):
            found[name] = member
    return found


def references(orchestrator: Orchestrator, around: str = "") -> dict[str, list[str]]:
    """Each service, and those that must be ready before it; members of groups as ``group.member``.

    :param around: the names of the groups around this one, each with a dot behind it.
    :raises SummonError: for references that do not fit.
    """
    graph: dict[str, list[str]] = {}
    for key, before in orchestrator._make_graph().items():
        member, name = orchestrator._members[key], f"{around}{key}"
        needed = [f"{around}{other}" for other in orchestrator._members if other in before]
        if isinstance(member, Orchestrator):
            inner = references(member, f"{name}.")
            # a group is ready when all its members are, and none begins before what it needs
            graph[name] = [f"{name}.{each}" for each in member._members]
            graph |= {each: needs or needed for each, needs in inner.items()}
        else:
            graph[name] = needed
    return graph


def state_of(executor: Executor) -> str:
    """The phase that a service is in, in a word; that of an object that cannot tell is running."""
    instance = executor._instance
    if instance is None:
        runs = getattr(executor, "running", None)
        idle = isinstance(executor, SimpleExecutor)
        try:
            idle = idle or (callable(runs) and not runs())
        except Exception as error:  # it is the user's own, and may raise anything
            let_through(error)
        return "stopped" if idle else "running"
    if instance.starting or (instance.in_use and not instance.ready and instance.running()):
        return "starting"
    if instance.running():
        return "paused" if instance.pauses else "running"
    if not instance.in_use or instance.process.ending:
        return "stopped"
    return "done" if instance.death("while the stack was up") is None else "dead"


def describe(
    executor: Executor, after: Iterable[str], declaration: dict[str, Any] | None
) -> dict[str, Any]:
    """The facts about a service; those that it does not have are left out.

    :param after: the names of the services that it refers to.
    :param declaration: tells it from others; None if tests cannot attach it.
    """
    instance = executor._instance
    facts: dict[str, Any] = {
        "kind": type(executor).__name__,
        "state": state_of(executor),
        "scope": executor.scope,
        "after": sorted(after),
        "declaration": declaration,
    }
    if instance is not None:
        facts |= inner_facts(instance)
        facts |= {"took": instance.took} if instance.took else {}
    if instance is not None and instance.in_use:
        facts |= {"pid": instance.process.pid, "log": instance.log.path}
        facts["command"] = list(map(str, instance.launch.argv))
        facts["cwd"] = instance.launch.cwd
    if instance is not None and not instance.lease.over:
        facts |= {"ports": dict(instance.lease.ports)}
        if instance.lease._directory:
            facts["tmpdir"] = instance.lease.tmpdir
    if instance is not None and instance.match is not None:
        facts["groups"] = instance.match.groupdict()
    for name in ("port", "url", "host"):
        try:
            value = getattr(executor, name, None)
        except Exception as error:  # a property of the user's may raise anything
            let_through(error)
            continue
        if isinstance(value, (str, int)) and (name != "host" or "port" in facts):
            facts[name] = value
    return facts
