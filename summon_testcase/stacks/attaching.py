"""Tests use the services of a stack that runs already, instead of starting their own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import AttachFailed, InvalidArgument, SummonError
from ..executors import sharing
from ..executors.fingerprint import differences, fingerprint
from ..executors.simple import SimpleExecutor
from ..foreign import let_through
from ..supervision import shutdown
from ..unpatched import os, variable
from . import registry
from .client import Client, NoAnswer
from .registry import ATTACH_VARIABLE, Stack

#: seconds until the owner has told of a service
_PATIENCE = 10.0


class _Owner:
    """The owner of a stack, as attached executors speak to it.

    One connection lasts as long as this process: when it ends, the owner undoes the faults that
    tests of this process have not undone.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.called = str(stack)
        self._lock = threading.RLock()
        self._client: Client | None = None

    def ask(self, do: str, service: str, patience: float, **more: object) -> Mapping[str, Any]:
        """See :meth:`~summon_testcase.supervision.attached.Owner.ask`."""
        with self._lock:
            try:
                if self._client is None:
                    self._client = Client(self._stack)
                answer = self._client.ask(do, patience=patience, service=service, **more)
            except NoAnswer as error:
                let_through(error)
                self.close()
                raise AttachFailed(f"{service}: {error.message}", executor=service) from None
            except SummonError:
                raise
            except BaseException:
                # an answer that comes later would be taken for that of another request
                self.close()
                raise
        found: Mapping[str, Any] = answer.get("service", {})
        return found

    def close(self) -> None:
        """End the connection; the next request makes another one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


#: by the path of its file, the owner of each stack that is used
_owners: dict[str, _Owner] = {}


def _forget() -> None:
    for owner in _owners.values():
        owner.close()
    _owners.clear()


shutdown.in_forked_child(_forget)
shutdown.at_reset(_forget)


def attach(shared: Iterable[SimpleExecutor]) -> None:
    """Have executors use what runs already, if ``SUMMON_ATTACH`` says so.

    :param shared: those with ``shared=True`` that are about to start.
    :raises AttachFailed: if a stack has another declaration of one, or has ended; with
        ``SUMMON_ATTACH=1`` also if no stack has it.
    :raises InvalidArgument: if the variable says something else.
    """
    said = variable(ATTACH_VARIABLE)
    if said in ("", "0"):
        return
    stacks = _stacks(said)
    usable = [each for each in stacks if each.has_our_pids() and each.state != "starting"]
    for executor in shared:
        found = _find(executor, usable)
        if found is not None:
            stack, service = found
            owner = _owners.setdefault(stack.path, _Owner(stack))
            told = owner.ask("describe", service, _PATIENCE)
            sharing.attach(executor, owner, service, told)
        elif said == "1":
            raise _no_stack(executor, stacks)


def _stacks(said: str) -> list[Stack]:
    if said in ("1", "auto"):
        return registry.running()
    if os.sep not in said:
        raise InvalidArgument(
            f"{ATTACH_VARIABLE}={said!r}: write 1, so that tests use the stack that runs, or auto, "
            "so that they start themselves what no stack has"
        )
    stack = registry.read(said)
    if stack is None or not stack.lives():
        raise AttachFailed(
            f"the stack that {ATTACH_VARIABLE}={said} names has ended: run the tests within "
            f"`summon run`, or unset {ATTACH_VARIABLE}"
        )
    if not stack.has_our_pids():
        raise AttachFailed(
            f"the stack that {ATTACH_VARIABLE}={said} names runs in another PID namespace, such as "
            f"that of a container: run the tests where the stack runs, or unset {ATTACH_VARIABLE}"
        )
    return [stack]


def _find(executor: SimpleExecutor, stacks: Iterable[Stack]) -> tuple[Stack, str] | None:
    """A stack that has the service, and what it calls it; None if no stack has it.

    :raises AttachFailed: if those that have it have another declaration, of the same place.
    """
    place, outdated = sharing.place(executor), None
    for stack in stacks:
        for service, told in stack.services.items():
            other = told["declaration"]
            if other is None or any(other[key] != place[key] for key in place):
                continue
            mine = fingerprint(executor, bytes.fromhex(stack.key))
            differs = differences(mine, other["arguments"])
            if not differs:
                return stack, service
            outdated = outdated or AttachFailed(
                f"{executor._called}: the stack of {stack} was brought up when it was declared "
                f"otherwise, with another {_listed(differs)}: run `summon down` and "
                f"`summon up -d {stack.target}` there",
                executor=executor._called,
                differs=tuple(differs),
            )
    if outdated is not None:
        raise outdated
    return None


def _listed(names: list[str]) -> str:
    said = [name if name == "class" else f"{name}=" for name in names]
    return " and ".join(filter(None, [", ".join(said[:-1]), said[-1]]))


def _no_stack(executor: SimpleExecutor, stacks: Iterable[Stack]) -> AttachFailed:
    """The error for an executor that none of some stacks has, or only one that cannot be used."""
    found = _find(executor, stacks)
    if found is not None:
        stack, _ = found
        if stack.has_our_pids():
            why = f"is still starting: run `summon wait {stack.target}` there first"
        else:
            why = (
                "runs in another PID namespace, such as that of a container: run the tests where "
                "the stack runs"
            )
        return AttachFailed(
            f"{executor._called}: the stack of {stack} {why}, or write {ATTACH_VARIABLE}=auto to "
            "have it started",
            executor=executor._called,
        )
    file, case = executor._place or ("", "")
    target = f"{os.path.relpath(file)}:{case}" if case.isidentifier() else "TARGET"
    return AttachFailed(
        f"{executor._called}: no running stack has it, and {ATTACH_VARIABLE}=1: run "
        f"`summon up -d {target}`, or write {ATTACH_VARIABLE}=auto to have it started",
        executor=executor._called,
    )
