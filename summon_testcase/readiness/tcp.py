"""Asks whether the service listens on a TCP address."""

from __future__ import annotations

import math

from ..errors import InvalidArgument, PortInUse
from ..scheduling.steps import Pause, Steps
from ..system import netlink, procfs
from ..system.addresses import LEAST_TIMEOUT, is_local, known, remember
from ..system.addresses import refusal as told
from ..unpatched import time
from ..wording import at
from .asking import Question, ask
from .probe import AskingProbe, Looking, Target, V, in_use

#: seconds that one attempt to connect may take
_CONNECTION = 5.0
#: how many addresses of a service a message names at most
_SHOWN = 6


def _waiting(probe: TCPProbe, looking: Looking[V], until: float) -> Steps[V | None]:
    """Run a look to its end; None if it takes too long."""
    try:
        while True:
            # an answer that has come in time is also taken if this process looks late
            last = time.monotonic() >= until
            try:
                next(looking)
            except StopIteration as end:
                value: V = end.value
                return value
            if last:
                return None
            yield Pause((), min(until, time.monotonic() + 0.25), probe.asked)
    finally:
        looking.close()


class TCPProbe(AskingProbe):
    """Ready when the service, and no other process, listens on a TCP address.

    On Linux the probe asks the kernel.  That does not disturb the service, takes less than 10
    microseconds, and names the socket, hence its owner.  Where the kernel does not tell, and for
    an address of another machine, the asker makes a connection and closes it at once.

    :param host: an address or a name; a wildcard stands for its loopback
        address.  Of several addresses (``localhost``) one is enough.
    :param port: the TCP port.
    :param ask_kernel: False to connect, and to be content with any listener: for a service that
        has another process listen (``docker run -p``, systemd).
    """

    # while the kernel is asked
    shortest = 0.0005
    longest = 0.008
    #: see :attr:`Probe.asked`
    asked: tuple[Question, ...] = ()

    def __init__(self, host: str, port: int, ask_kernel: bool = True) -> None:
        self.host, self.port, self.ask_kernel = host, port, ask_kernel
        #: the addresses of the host, once they are known
        self._addresses: tuple[str, ...] = ()
        #: those at which nobody has listened at the last look, if the kernel has said so of all
        self._refused: tuple[str, ...] = ()
        #: the last refusal
        self._refusal = ""

    def check(self) -> None:
        """:raises InvalidArgument: for a number that is no port."""
        if not 0 < self.port < 65536:
            raise InvalidArgument(
                f"port {self.port} cannot be connected to: give one between 1 and 65535, "
                f"or None for a free one"
            )

    def describe(self) -> str:
        """In words: a connection to 127.0.0.1:5432."""
        return f"a connection to {at(self.host, self.port)}"

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Whether another process listens on one of the addresses already."""
        asking = self._who_listens(until - time.monotonic(), naming=True)
        found = yield from _waiting(self, asking, until)
        for address, inode in found[0] if found else ():
            return in_use(
                f"{name} cannot start: {at(address, self.port)} is in use already",
                port=self.port,
                pid=procfs.any_socket_holder(inode) if inode else None,
                executor=name,
            )
        return None

    def still_refused(self) -> bool:
        """Whether the kernel alone can say that still nobody listens."""
        for address in self._refused:
            if netlink.listener(address, self.port) != 0:
                return False
        return bool(self._refused)

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """Ask once; see :meth:`Probe.look`."""
        return self._refusal if self.still_refused() else super().look(target, left)

    def looking(self, target: Target, left: float) -> Looking[str | None]:
        """One look, as a generator that yields wherever it has to wait.

        :raises PortInUse: when another process listens there.
        """
        listeners, refusals = yield from self._who_listens(left)
        stranger: PortInUse | None = None
        for address, inode in listeners:
            pid = _stranger(inode, target) if inode else None
            if pid is None:
                return None
            stranger = in_use(
                f"{at(address, self.port)} was taken by another process before the "
                f"service could listen there",
                port=self.port,
                pid=pid,
            )
        if stranger is not None:
            raise stranger
        self._refusal = ", ".join(refusals)
        self._refused = () if self.since else self._addresses
        return self._refusal

    def resolving(self, left: float) -> Looking[tuple[tuple[str, ...], str]]:
        """The addresses of the host; if there are none, the reason in words."""
        self._addresses = self._addresses or known(self.host) or ()
        if self._addresses:
            return self._addresses, ""
        question = self._ask(left, "look up", self.host)
        yield from self._answer(question, f"the address of {self.host!r} is not known yet")
        if question.kind == "known":
            remember(self.host, question.facts[0])
            return known(self.host) or question.facts[0], ""
        said = question.facts[0] if question.kind == "unknown" else "its resolver does not answer"
        self._refusal = f"cannot resolve {self.host!r}: {said}"
        return (), self._refusal

    def tells(self, addresses: tuple[str, ...]) -> bool:
        """Whether the kernel knows who listens on one of the addresses."""
        local = filter(is_local, addresses)
        return any(netlink.listener(address, self.port) is not None for address in local)

    def astray(self, target: Target) -> str:
        """In words: listens on [::1]:8000, not on 127.0.0.1:26462."""
        addresses = known(self.host) or ()
        if any(is_local(address) and netlink.listener(address, self.port) for address in addresses):
            return ""
        found = procfs.listeners([target.pid, *procfs.descendants(target.keeper_pid)])
        wanted = {self.host, *addresses, "0.0.0.0", "::"}
        if not found or any(
            host in wanted and port == self.port and not apart for host, port, apart in found
        ):
            return ""
        shown = [
            at(host, port) + (" in a network namespace of its own" if apart else "")
            for host, port, apart in found[:_SHOWN]
        ]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return f"listens on {', '.join(shown)}{more}, not on {at(self.host, self.port)}"

    def _who_listens(
        self, left: float, naming: bool = False
    ) -> Looking[tuple[list[tuple[str, int]], list[str]]]:
        """The addresses at which a process listens with the inode (0: not known); the refusals.

        :param naming: whether to ask the kernel even with ``ask_kernel=False``, for a message.
        """
        addresses, refusal = self._addresses, ""
        if not addresses:
            addresses, refusal = yield from self.resolving(left)
        if not addresses:
            return [], [refusal]
        listeners: list[tuple[str, int]] = []
        refusals: list[str] = []
        others: list[str] = []
        ask_kernel = self.ask_kernel or naming
        for address in addresses:
            # asked for an address of another machine, it would name a wildcard listener here
            asked = ask_kernel and is_local(address)
            inode = netlink.listener(address, self.port) if asked else None
            if inode:
                listeners.append((address, inode))
            elif inode is None or not self.ask_kernel:
                # with ask_kernel=False "nobody" is "not known": firewall rules may lead elsewhere
                others.append(address)
            else:
                refusals.append(f"connection refused by {at(address, self.port)}")
        if not listeners and others:
            question = self._ask(min(left, _CONNECTION), "connect", tuple(others), self.port)
            shown = ", ".join(at(address, self.port) for address in others)
            yield from self._answer(question, f"no connection to {shown} yet")
            if question.kind == "connected":
                for (kind, detail), address in zip(question.facts[0], others, strict=False):
                    if kind == "accepted":
                        listeners.append((address, 0))
                    else:
                        refusals.append(told(kind, detail, at(address, self.port)))
            else:
                refusals.append(f"no connection to {shown}")
        return listeners, refusals

    def _ask(self, left: float, kind: str, *facts: object) -> Question:
        self.since = self.since or time.monotonic()
        question = ask(max(LEAST_TIMEOUT, left), kind, *facts)
        self.asked = (question,)
        return question

    def _answer(self, question: Question, meanwhile: str) -> Looking[None]:
        try:
            while not question.pump() and not question.late():
                # the refusal of the last question says more than the silence of a new one
                new = time.monotonic() - question.began < 0.5
                yield self._refusal if new and self._refusal else meanwhile
            question.alive()
        finally:
            question.drop()
            self.asked = ()


def _stranger(inode: int, target: Target) -> int | None:
    """The pid of a process outside the service that has a socket open; None if none is known."""
    if procfs.socket_holder(inode, (target.pid,)) is not None:
        return None
    if procfs.socket_holder(inode, procfs.descendants(target.keeper_pid)) is not None:
        return None
    pid = procfs.any_socket_holder(inode)
    # None: the service has changed its user, and we may not see its files.
    # A descendant: it was forked after the list was made.
    if pid is None or pid == target.pid or procfs.descends_from(pid, target.keeper_pid):
        return None
    return pid
