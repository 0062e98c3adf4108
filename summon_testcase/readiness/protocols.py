"""Asks a server whether it is ready, in its own protocol."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from ..asker.protocols import PROTOCOLS
from ..errors import InvalidArgument
from ..wording import at
from .asking import Question, ask
from .paths import UnixSocketProbe
from .server import ServerProbe
from .tcp import TCPProbe


@dataclass(eq=False)
class ProtocolProbe(ServerProbe):
    """Ready when the service says so in its own protocol.

    Many servers open their port before they can be used.  ``asker/protocols.py`` says which
    answers count.  The other arguments are those of :class:`ServerProbe`.

    :param protocol: ``redis``, ``memcached``, ``nats``, ``smtp``, ``ssh``, ``postgresql``,
        ``mysql`` (MariaDB too), ``amqp`` (0-9-1) or ``mqtt`` (3.1.1).
    :param host: as for :class:`TCPProbe`.
    :param port: as for :class:`TCPProbe`.
    :param path: of a unix socket instead of host and port.
    :param user: the user that asks redis, postgresql (default: postgres) or mysql (default: root);
        the last two refuse one that needs a password, and are ready all the same.
    :param password: for redis, which tells nobody without it whether it has loaded its data; never
        shown in messages.

    A ready-made service returns it from ``_readiness``::

        def _readiness(self) -> list[Probe]:
            from ..readiness.protocols import ProtocolProbe

            return [ProtocolProbe("redis", self._host, self._port_now())]
    """

    protocol: str
    host: str = ""
    port: int = 0
    path: str | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    def check(self) -> None:
        """:raises InvalidArgument: for an unknown protocol, an impossible port or path."""
        if self.protocol not in PROTOCOLS:
            known = ", ".join(sorted(PROTOCOLS))
            raise InvalidArgument(f"protocol {self.protocol!r} is not known: give one of {known}")
        self.where().check()

    def describe(self) -> str:
        """In words: an answer in the redis protocol from 127.0.0.1:6379."""
        return f"an answer in the {self.protocol} protocol from {self.shown}"

    @functools.cached_property
    def shown(self) -> str:
        """The address or path."""
        return self.path or at(self.host, self.port)

    def where(self) -> TCPProbe | UnixSocketProbe:
        """See :meth:`ServerProbe.where`."""
        if self.path:
            return UnixSocketProbe(self.path)
        return TCPProbe(self.host, self.port, self.ask_kernel)

    def ask(self, seconds: float, addresses: tuple[str, ...]) -> Question:
        """See :meth:`ServerProbe.ask`."""
        place = addresses, self.port, self.path or ""
        return ask(seconds, "converse", self.protocol, *place, self.user, self.password)

    def judge(self, question: Question) -> str | None:
        """See :meth:`ServerProbe.judge`."""
        if question.kind == "ready":
            return None
        return f"{self.shown} says {question.facts[0]}"
