"""One-shot questions about readiness.

A probe is a value.  :meth:`Probe.look` asks once and answers None, "ready", or
the refusal in words; who asks again, and for how long, is not its business.
The pause between looks should be the time waited / 72, within
:attr:`Probe.shortest` and :attr:`Probe.longest`; the latter may change between
looks, as a question gets dearer.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ..errors import InvalidArgument, PortInUse, StartFailed, SummonError
from ..scheduling.steps import Asked, Pause, Steps
from ..system import netlink, procfs
from ..system.addresses import LEAST_TIMEOUT, is_local, known, remember
from ..system.addresses import refusal as told
from ..unpatched import time
from ..wording import at
from .asking import Question, ask

#: seconds that a connection may take
_CONNECTION = 5.0
#: share of the time since the first costly question that the next pause takes, and of what is
#: more than so many seconds of it: who is slow anyhow is asked rarely
_SHARE = 1 / 72
_SOON, _LATER_SHARE = 0.2, 1 / 20
_SHORTEST, _LONGEST = 0.0005, 2.0

V = TypeVar("V")
#: a look that yields a refusal wherever it must wait for an answer
Looking = Generator[str, None, V]


#: listeners that are named where a service has more
_SHOWN = 6


class Target(Protocol):
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
    def fine(self) -> frozenset[int]:
        """Statuses with which the main process may end before the service is ready."""

    @property
    def ended(self) -> bool:
        """Whether nothing of the service is alive."""

    @property
    def gone(self) -> bool:
        """Whether nobody keeps it any more: it was stopped, or its keeper has died."""

    @property
    def notified(self) -> bool:
        """Whether it has sent READY=1."""

    @property
    def heard(self) -> int:
        """How many news there have been."""

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

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What is being asked since the last look, whose answer calls for the next one."""

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Asked once before the service is spawned: does somebody answer already?

        :param name: the executor, for the message.
        :param until: the moment at which nobody is interested any more.
        :returns: the error to raise, not raised yet.
        """

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """Ask once; never blocks, but for ``until=``.

        While a question is :attr:`asked` the answer to the last one stands.

        :param target: the service.
        :param left: seconds until nobody is interested any more.
        :returns: None when ready, else the refusal in words.
        :raises PortInUse: when somebody else took the service's place meanwhile;
            it names no executor, which the caller knows.
        """

    def astray(self, target: Target) -> str:
        """Where the service can be reached, if that is elsewhere.

        :returns: words to follow its name; empty where it is not known.
        """

    def close(self) -> None:
        """Give back what the probe holds; it may be used again."""


class Held(Protocol):
    """Where a probe keeps the look that is under way."""

    looking: Looking[str | None] | None


def go_on(
    held: Held,
    begin: Callable[[Target, float], Looking[str | None]],
    target: Target,
    left: float,
) -> str | None:
    """Go on with the look that is under way, or begin one."""
    looking, held.looking = held.looking, None
    if looking is None:
        looking = begin(target, left)
    try:
        refusal = next(looking)
    except StopIteration as end:
        answer: str | None = end.value
        return answer
    held.looking = looking
    return refusal


def _waiting(probe: TCPProbe, looking: Looking[V], until: float) -> Steps[V | None]:
    """Go through with a look; None if it takes too long."""
    try:
        while time.monotonic() < until:
            try:
                next(looking)
            except StopIteration as end:
                value: V = end.value
                return value
            yield Pause((), min(until, time.monotonic() + 0.25), probe.asked)
    finally:
        looking.close()
    return None


def wider(since: float) -> float:
    """Seconds of the pause after a question that is not cheap.

    A request costs three processes a millisecond and more, and the service a line of its log.

    :param since: when the first one was put.
    """
    asked = time.monotonic() - since
    return min(max(asked * _SHARE, (asked - _SOON) * _LATER_SHARE, _SHORTEST), _LONGEST)


class _Held:
    """What a TCP probe knows between looks; no part of its value."""

    def __init__(self) -> None:
        self.looking: Looking[str | None] | None = None
        self.question: Question | None = None
        #: the last answer that was not yes
        self.refusal = ""
        #: when the first question was put that costs more than microseconds; 0 if none was
        self.since = 0.0


@dataclass(frozen=True)
class TCPProbe:
    """Ready when the service, and nobody else, listens on a TCP address.

    On Linux the kernel is asked, which neither disturbs the service nor costs
    more than 10 microseconds, and names the socket, hence its owner.  Where it
    does not tell, or for an address of another machine, a connection is made
    and closed at once, by the asker, as what may block is asked there.

    :param host: an address or a name; a wildcard stands for its loopback
        address.  Of several addresses (``localhost``) one is enough.
    :param port: the TCP port.
    :param ask_kernel: False to connect and accept whoever answers: for a
        service that lets another process listen (``docker run -p``, systemd).
    """

    host: str
    port: int
    ask_kernel: bool = True
    _held: _Held = field(default_factory=_Held, init=False, repr=False, compare=False)

    @property
    def shortest(self) -> float:
        """Seconds: who listens is the cheapest of questions, a connection is not."""
        return wider(self._held.since) if self._held.since else _SHORTEST

    @property
    def longest(self) -> float:
        """Seconds: connecting is dearer than asking the kernel."""
        return wider(self._held.since) if self._held.since else 0.008

    @property
    def asked(self) -> tuple[Question, ...]:
        """See :attr:`Probe.asked`."""
        return () if self._held.question is None else (self._held.question,)

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

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Whether somebody listens on any of the addresses already."""
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

    def look(self, target: Target, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`.

        :raises PortInUse: when another process listens there.
        """
        return go_on(self._held, self.looking, target, left)

    def looking(self, target: Target, left: float) -> Looking[str | None]:
        """One look, with a stop wherever it must wait."""
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
        self._held.refusal = ", ".join(refusals)
        return self._held.refusal

    def resolving(self, left: float) -> Looking[tuple[tuple[str, ...], str]]:
        """The addresses of the host, and why there are none."""
        addresses = known(self.host)
        if addresses is not None:
            return addresses, ""
        question = self._ask(left, "look up", self.host)
        yield from self._answer(question, f"the address of {self.host!r} is not known yet")
        if question.kind == "known":
            remember(self.host, question.facts[0])
            return question.facts[0], ""
        said = question.facts[0] if question.kind == "unknown" else "its resolver does not answer"
        self._held.refusal = f"cannot resolve {self.host!r}: {said}"
        return (), self._held.refusal

    def tells(self, addresses: tuple[str, ...]) -> bool:
        """Whether the kernel knows who listens on one of the addresses."""
        return any(self._listener(address) is not None for address in addresses)

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

    def close(self) -> None:
        """Give up the question that is under way."""
        looking, self._held.looking = self._held.looking, None
        if looking is not None:
            looking.close()
        self._held.since = 0.0

    def _listener(self, address: str, naming: bool = False) -> int | None:
        # A wildcard listener of ours would answer for any address of the world.
        if not (self.ask_kernel or naming) or not is_local(address):
            return None
        inode = netlink.listener(address, self.port)
        # where others may answer it may be by the rules of a firewall
        return inode if self.ask_kernel else inode or None

    def _who_listens(
        self, left: float, naming: bool = False
    ) -> Looking[tuple[list[tuple[str, int]], list[str]]]:
        """Each address where somebody listens and the inode, 0 if not known; refusals.

        :param naming: ask the kernel too where it matters only for the message.
        """
        addresses, refusal = yield from self.resolving(left)
        if not addresses:
            return [], [refusal]
        listeners: list[tuple[str, int]] = []
        refusals: list[str] = []
        others: list[str] = []
        for address in addresses:
            inode = self._listener(address, naming)
            if inode is None:
                others.append(address)
            elif inode:
                listeners.append((address, inode))
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
        self._held.since = self._held.since or time.monotonic()
        self._held.question = ask(max(LEAST_TIMEOUT, left), kind, *facts)
        return self._held.question

    def _answer(self, question: Question, meanwhile: str) -> Looking[None]:
        try:
            while not question.pump() and not question.late():
                # one that has just been put says less than the one before it
                new = time.monotonic() - question.began < 0.5
                yield self._held.refusal if new and self._held.refusal else meanwhile
            question.alive()
        finally:
            question.drop()
            self._held.question = None


def never(argument: str, error: Exception) -> None:
    """Pass by an exception of the user's code that may be gone next time.

    :param argument: what the code was given as.
    :raises StartFailed: for one that says the same each time: a name that does not exist, a
        mistake in the callable itself, an assertion that the user has worded.
    """
    if isinstance(error, InvalidArgument):
        raise StartFailed(error.message)
    if not _permanent(error):
        return
    raise StartFailed(
        f"{argument} raised {type(error).__name__}: {error}; that is a mistake in it, and no "
        '"not yet"'
    ) from error


def _permanent(error: Exception) -> bool:
    if isinstance(error, (NameError, SyntaxError, ImportError)):
        return True
    frames = [frame.f_globals for frame, _ in traceback.walk_tb(error.__traceback__)]
    package = __name__.partition(".")[0]
    ours = [str(names.get("__name__")).partition(".")[0] == package for names in frames]
    if isinstance(error, AssertionError):
        # assertEqual() and pytest word what is just not equal yet
        said = str(error)
        return bool(said) and not said.startswith("assert ") and "__unittest" not in frames[-1]
    if not isinstance(error, (TypeError, AttributeError)) or isinstance(error, SummonError):
        return False
    # of the callable itself, whose frame is the only one that is not ours; but None is what
    # many things are before they are there
    return ours.count(False) <= 1 and "NoneType" not in str(error)


def _stranger(inode: int, target: Target) -> int | None:
    """Who has a socket that the service has not; None if nobody is known to."""
    if procfs.socket_holder(inode, (target.pid,)) is not None:
        return None
    if procfs.socket_holder(inode, procfs.descendants(target.keeper_pid)) is not None:
        return None
    pid = procfs.any_socket_holder(inode)
    # None: the service changed its user, and we may not see its files.
    # A descendant: forked after the list was made.
    if pid is None or pid == target.pid or procfs.descends_from(pid, target.keeper_pid):
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
