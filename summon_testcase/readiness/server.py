"""Has the asker ask a server whether it is ready, once the kernel says that it listens."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

from ..errors import PortInUse
from ..scheduling.steps import Steps
from ..system.addresses import LEAST_TIMEOUT
from ..unpatched import time
from ..wording import at
from .asking import Question
from .paths import UnixSocketProbe
from .probe import AskingProbe, Looking, Target
from .tcp import TCPProbe

#: the pause before the first request takes this share of the time waited already
_SHARE = 1 / 200
#: seconds that one request may take by default
REQUEST_TIMEOUT = 30.0


@dataclass(eq=False, kw_only=True)
class ServerProbe(AskingProbe):
    """Ready when the service listens, and answers a request as it should.

    A subclass says where the service listens, how to ask it, and what an answer means.

    :param request_timeout: seconds that one request may take; None: half a minute.
    :param ask_kernel: False to send requests at once, to whoever answers; see
        :class:`TCPProbe`.
    :param awaits_other: whether another service answers, which may do so already before the
        start.
    """

    request_timeout: float | None = None
    ask_kernel: bool = True
    awaits_other: bool = False

    def __post_init__(self) -> None:
        self._question: Question | None = None
        #: the pid of the service when it was seen listening; 0 before that
        self._seen_at = 0
        #: the time of the first look
        self._began = math.inf
        #: whether the kernel tells who listens; None if it was not asked yet
        self._tells: bool | None = None
        #: whether the answer is judged, so that the rest of it does not matter
        self._settled = False
        #: the refusal of the last request; empty if it was accepted, None before the first
        self._refused: str | None = None

    @property
    def shown(self) -> str:
        """The address or URL, as messages show it."""
        raise NotImplementedError

    def where(self) -> TCPProbe | UnixSocketProbe:
        """Make the probe that tells whether the service listens."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Tell the asker in advance what it will be asked; called once, at the first look."""

    def ask(self, seconds: float, addresses: tuple[str, ...]) -> Question:
        """Send a request, by the asker.

        :param seconds: how long it may take.
        :param addresses: the numeric addresses of the host; empty for a unix socket.
        """
        raise NotImplementedError

    def judge(self, question: Question) -> str | None:
        """Return None if an answer means that the service is ready, else the refusal in words."""
        raise NotImplementedError

    shortest: ClassVar[float] = TCPProbe.shortest

    @property
    def longest(self) -> float:
        """Seconds: shorter than those of a TCP probe, after which a request is still to be sent."""
        waited = time.monotonic() - self._began
        return min(TCPProbe.longest, max(self.shortest, waited * _SHARE))

    @property
    def asked(self) -> tuple[Question, ...]:
        """See :attr:`Probe.asked`."""
        if self._question is not None:
            return (self._question,)
        return self._place.asked if isinstance(self._place, TCPProbe) else ()

    def occupied(self, name: str, until: float = math.inf) -> Steps[PortInUse | None]:
        """Whether a process listens there already."""
        if self.awaits_other:
            return None
        return (yield from self._place.occupied(name, until))

    def astray(self, target: Target) -> str:
        """See :meth:`TCPProbe.astray`."""
        return self._place.astray(target)

    def close(self) -> None:
        """Give up the request that is under way."""
        super().close()
        self._place.close()
        self._seen_at, self._refused = 0, None

    @functools.cached_property
    def _place(self) -> TCPProbe | UnixSocketProbe:
        return self.where()

    def _listening(
        self, target: Target, left: float
    ) -> Looking[tuple[tuple[str, ...], str | None]]:
        """The addresses of the host, and why the service does not listen yet; None if it does."""
        place = self._place
        addresses: tuple[str, ...] = ()
        seen = self._seen_at == target.pid
        if isinstance(place, UnixSocketProbe):
            refusal = None if seen else place.look(target, left)
        else:
            addresses, said = yield from place.resolving(left)
            refusal = said or None
            if not refusal and self.ask_kernel and not seen:
                # where only a connection can tell who listens, the request makes it
                if self._tells is None:
                    self._tells = place.tells(addresses)
                if self._tells:
                    refusal = yield from place.looking(target, left)
        if refusal is None:
            self._seen_at = target.pid
        return addresses, refusal

    def looking(self, target: Target, left: float) -> Looking[str | None]:
        """One look, as a generator that yields wherever it has to wait.

        :raises PortInUse: when another process listens there.
        """
        if self._began == math.inf:
            self._began = time.monotonic()
            self.prepare()
        addresses, refusal = yield from self._listening(target, left)
        if refusal is not None:
            return refusal
        limit = REQUEST_TIMEOUT if self.request_timeout is None else self.request_timeout
        self.since = self.since or time.monotonic()
        self._question = question = self.ask(max(LEAST_TIMEOUT, min(limit, left)), addresses)
        try:
            refusal = self._silence(question)
            while refusal is not None:
                # there is no answer yet, or more of its body may come
                yield refusal
                if question.pump():
                    question.fresh = self._settled = False
                    refusal = self._refusal(question)
                    self._refused = refusal or ""
                    if question.over or self._settled:
                        return refusal
                else:
                    refusal = self._silence(question)
                    if question.late():
                        return refusal
            return None
        finally:
            self._question = None
            question.drop()

    def _silence(self, question: Question) -> str:
        """The refusal while a request has no answer yet."""
        waited = min(time.monotonic(), question.until) - question.began
        # the refusal of the request before says more than the short silence after this one
        short = waited < min(0.5, self.request_timeout or 0.5)
        if self._refused is not None and (short or question.kind == "answer"):
            return self._refused
        if waited < 0.001:
            return f"no answer yet from {self.shown}"
        return f"no answer within {_seconds(waited)} from {self.shown}"

    def _refusal(self, question: Question) -> str | None:
        question.alive()
        kind, facts, shown = question.kind, question.facts, self.shown
        if kind == "late":
            return self._silence(question) + (f", only {facts[0]}" if facts[0] else "")
        if kind == "unconnected":
            return f"no connection to {shown} within {_seconds(question.until - question.began)}"
        if kind == "tls":
            return f"TLS failed with {shown}: {facts[0]}"
        if kind == "refused":
            place = self._place
            if isinstance(place, UnixSocketProbe):
                return f"connection refused by {place.path}"
            return f"connection refused by {at(place.host, place.port)}"
        if kind == "broken":
            return f"no answer from {shown}: {facts[0]}"
        if kind == "cannot":
            return f"cannot ask {shown}: {facts[0]}"
        return self.judge(question)


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if value < 1 else f"{round(value, 1):g} s"
