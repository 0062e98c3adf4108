"""One-shot questions about readiness.

A probe is a value.  :meth:`Probe.look` asks once and answers None, "ready", or
the refusal in words; who asks again, and for how long, is not its business.
The pause between looks should be the time waited / 72, within
:attr:`Probe.shortest` and :attr:`Probe.longest`; the latter may change between
looks, as a question gets dearer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from . import netlink, procfs
from .addresses import at, connect, is_local, resolve
from .errors import InvalidArgument, PortInUse
from .unpatched import LINUX


class View(Protocol):
    """What a probe may know of the service."""

    @property
    def pid(self) -> int:
        """The main process."""

    @property
    def keeper_pid(self) -> int:
        """The ancestor of everything that the service spawned, daemons too."""

    @property
    def exit_code(self) -> int | None:
        """Status of the main process once it has ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing of the service is alive."""

    @property
    def notified(self) -> bool:
        """Whether it has sent READY=1."""

    @property
    def log_errno(self) -> int:
        """Why output could not be stored; 0 if all was."""

    @property
    def probed(self) -> tuple[int, str] | None:
        """Status and last line of the probe command that ended last."""

    def probe(self, timeout: float, argv: tuple[str, ...]) -> None:
        """Have a probe command run beside the service."""

    def watch(self, position: int) -> None:
        """Ask for news of output beyond a position in the log."""

    def fileno(self) -> int:
        """Readable when there is news; -1 once there never will be."""

    def pump(self) -> None:
        """Take in the news; never blocks."""


class Probe(Protocol):
    """A question with the answers "ready" and "not yet, because"."""

    @property
    def shortest(self) -> float:
        """Seconds of the shortest pause between looks."""

    @property
    def longest(self) -> float:
        """Seconds of the longest pause between looks, as of now."""

    def check(self) -> None:
        """:raises InvalidArgument: if the question can never be answered."""

    def describe(self) -> str:
        """What is waited for, to follow "waited for"."""

    def occupied(self, name: str) -> PortInUse | None:
        """Asked once before the service is spawned: does somebody answer already?

        :param name: the executor, for the message.
        :returns: the error to raise, not raised yet.
        """

    def look(self, view: View, left: float = math.inf) -> str | None:
        """Ask once.

        :param view: the service.
        :param left: seconds until nobody is interested any more.
        :returns: None when ready, else the refusal in words.
        :raises PortInUse: when somebody else took the service's place meanwhile;
            it names no executor, which the caller knows.
        """

    def close(self) -> None:
        """Give back what the probe holds; it may be used again."""


@dataclass(frozen=True)
class TCPProbe:
    """Ready when the service, and nobody else, listens on a TCP address.

    On Linux the kernel is asked, which neither disturbs the service nor costs
    more than 10 microseconds, and names the socket, hence its owner.  Where it
    does not tell, or for an address of another machine, a connection is made
    and closed at once.

    :param host: an address or a name; a wildcard stands for its loopback
        address.  Of several addresses (``localhost``) one is enough.
    :param port: the TCP port.
    :param ask_kernel: False to connect and accept whoever answers: for a
        service that lets another process listen (``docker run -p``, systemd).
    """

    host: str
    port: int
    ask_kernel: bool = True

    shortest: ClassVar[float] = 0.0005

    @property
    def longest(self) -> float:
        """Seconds: connecting is dearer than asking the kernel."""
        return 0.008 if self.ask_kernel and LINUX else 0.010

    def check(self) -> None:
        """:raises InvalidArgument: for a port that nobody can listen on."""
        if not 0 < self.port < 65536:
            raise InvalidArgument(
                f"port {self.port} cannot be connected to: give one between 1 and 65535, "
                f"or None for a free one"
            )

    def describe(self) -> str:
        """In words: a connection to 127.0.0.1:5432."""
        return f"a connection to {at(self.host, self.port)}"

    def occupied(self, name: str) -> PortInUse | None:
        """Whether somebody listens on any of the addresses already."""
        try:
            addresses = resolve(self.host)
        except OSError:
            return None
        for address in addresses:
            inode, refusal = self._ask(address)
            if refusal is None:
                return in_use(
                    f"{name} cannot start: {at(address, self.port)} is in use already",
                    port=self.port,
                    pid=procfs.any_socket_holder(inode) if inode else None,
                    executor=name,
                )
        return None

    def look(self, view: View, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`.

        :raises PortInUse: when another process listens there.
        """
        try:
            addresses = resolve(self.host)
        except OSError as error:
            return f"cannot resolve {self.host!r}: {error.strerror or error}"
        refusals = []
        stranger: PortInUse | None = None
        for address in addresses:
            inode, refusal = self._ask(address, left)
            if refusal is not None:
                refusals.append(refusal)
                continue
            pid = _stranger(inode, view) if inode else None
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
        return ", ".join(refusals)

    def asks_kernel(self) -> bool:
        """Whether to look costs nobody a connection; True for a name without address."""
        try:
            return any(self._listener(address) is not None for address in resolve(self.host))
        except OSError:
            return True

    def close(self) -> None:
        """Nothing is held."""

    def _listener(self, address: str) -> int | None:
        # A wildcard listener of ours would answer for any address of the world.
        if not self.ask_kernel or not is_local(address):
            return None
        return netlink.listener(address, self.port)

    def _ask(self, address: str, left: float = math.inf) -> tuple[int, str | None]:
        """Who listens on one address (an inode, 0 if not known), and the refusal if nobody does."""
        inode = self._listener(address)
        if inode is None:
            return 0, connect(address, self.port, left)
        if inode == 0:
            return 0, f"connection refused by {at(address, self.port)}"
        return inode, None


def _stranger(inode: int, view: View) -> int | None:
    """Who has a socket that the service has not; None if nobody is known to."""
    if procfs.socket_holder(inode, (view.pid,)) is not None:
        return None
    if procfs.socket_holder(inode, procfs.descendants(view.keeper_pid)) is not None:
        return None
    pid = procfs.any_socket_holder(inode)
    # None: the service changed its user, and we may not see its files.
    # A descendant: forked after the list was made.
    if pid is None or pid == view.pid or procfs.descends_from(pid, view.keeper_pid):
        return None
    return pid


def in_use(sentence: str, port: int | None, pid: int | None, executor: str = "") -> PortInUse:
    """The error that says who has what the service needs, as far as that is known."""
    command = None if pid is None else procfs.command_line(pid)
    if pid is None:
        whose = "the system does not tell by whom"
    else:
        whose = f"by process {pid}" + (f" ({command})" if command else "")
    return PortInUse(
        f"{sentence}: {whose}",
        executor=executor or None,
        port=port,
        owner_pid=pid,
        owner_command=command,
    )
