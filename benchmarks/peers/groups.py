"""One adapter for each way to start many services that may need each other."""

from __future__ import annotations

import os
import signal
import threading
import time
from importlib.util import find_spec
from typing import Any, ClassVar

from ..services import Service
from . import contenders, kernel

#: for each service the services that must be ready before it may start, by index
Needs = dict[int, list[int]]


class Group:
    """Starts many services; returns when all are ready."""

    name: ClassVar[str]
    #: how many services it is tried with at most
    limit: ClassVar[int] = 10**6
    #: the limit of open files that it runs with
    files: ClassVar[int] = 1024
    #: whether it knows that services need each other
    knows_needs: ClassVar[bool] = True

    def start(self, services: list[Service], needs: Needs) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Stop all services, in its own way."""


class FloorGroup(Group):
    """The floor: posix_spawn all that may run, then ask the kernel each 0.5 ms for all of them."""

    name = "floor"

    def start(self, services: list[Service], needs: Needs) -> None:
        diag = kernel.SockDiag()
        waiting = {i: set(needs.get(i, ())) for i in range(len(services))}
        pending: dict[int, int] = {}
        self._pids: list[int] = []
        while waiting or pending:
            for i in [i for i, need in waiting.items() if not need]:
                del waiting[i]
                argv = services[i].argv
                self._pids.append(os.posix_spawn(argv[0], argv, os.environ))
                pending[services[i].port] = i
            for port in diag.listeners() & pending.keys():
                ready = pending.pop(port)
                for need in waiting.values():
                    need.discard(ready)
            if pending and all(waiting.values()):
                time.sleep(0.0005)
        diag.close()

    def stop(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGTERM)
        for pid in self._pids:
            os.waitpid(pid, 0)


class MirakuruInTurn(Group):
    """mirakuru, one after the other, in an order that the needs allow."""

    name = "mirakuru in turn"
    limit = 10

    def start(self, services: list[Service], needs: Needs) -> None:
        self._members = [contenders.Mirakuru(service) for service in services]
        for i in _order(len(services), needs):
            self._members[i].start()

    def stop(self) -> None:
        for member in reversed(self._members):
            member.stop()


class MirakuruThreads(MirakuruInTurn):
    """mirakuru in a thread for each service, as people do."""

    name = "mirakuru in threads"
    limit = 500
    files = 8192
    knows_needs = False

    def start(self, services: list[Service], needs: Needs) -> None:
        self._members = [contenders.Mirakuru(service) for service in services]
        self._all(lambda member: member.start())

    def stop(self) -> None:
        self._all(lambda member: member.stop())

    def _all(self, call: Any) -> None:
        errors: list[Exception] = []

        def one(member: contenders.Mirakuru) -> None:
            try:
                call(member)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=one, args=(member,)) for member in self._members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


class SummonGroup(Group):
    """Our orchestrator."""

    name = "summon_testcase"

    def start(self, services: list[Service], needs: Needs) -> None:
        from summon_testcase import Orchestrator

        self._orchestrator = Orchestrator(
            {
                f"s{i}": contenders.summon_executor(
                    service, after=[f"s{n}" for n in needs.get(i, ())]
                )
                for i, service in enumerate(services)
            }
        )
        self._orchestrator.start()

    def stop(self) -> None:
        self._orchestrator.stop()


def _order(count: int, needs: Needs) -> list[int]:
    order: list[int] = []
    while len(order) < count:
        order += [i for i in range(count) if i not in order and set(needs.get(i, ())) <= {*order}]
    return order


ALL: list[type[Group]] = [FloorGroup, SummonGroup]
if find_spec("mirakuru"):
    ALL += [MirakuruInTurn, MirakuruThreads]


def named(name: str) -> type[Group]:
    """The group of that name."""
    return next(group for group in ALL if group.name == name)
