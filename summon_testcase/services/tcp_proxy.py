"""A proxy between the code under test and a service, for faults on the way."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from .. import proxy
from ..declaration import arguments, templates
from ..declaration.command import Launch
from ..errors import InvalidArgument, SummonError, TimeoutExpired
from ..executors.coordinated import TCPCoordinatedExecutor
from ..foreign import let_through, suppress
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, wait
from ..supervision import interpreter
from ..tracebacks import hidden
from ..unpatched import os
from ..wording import at
from .client import Client

if TYPE_CHECKING:
    from ..readiness.probe import Probe
    from ..supervision.instance import Instance

__tracebackhide__ = hidden

_PROGRAM = os.path.join(os.path.dirname(proxy.__file__), "program.py")
_CONTROL = "{tmpdir}/control"
_INSTEAD = 'an address such as "{db.host}:{db.port}", or the path of a unix socket'

#: seconds within which the end of a process is known
_MOMENT = 2.0

_numbers = itertools.count(1)


class TCPProxy(TCPCoordinatedExecutor):
    """A TCP proxy in front of a service, for faults on the way to it.

    Ready once it listens, whether or not there is anybody at the target.  If the target refuses a
    connection, the client's is reset.

    :param to: the target, ``"{db.host}:{db.port}"``, or the path of a unix socket; templates are
        filled in.
    :param reset: True, the default, to end all faults before each test but the first; None for
        faults that outlast a test.

    The other arguments are those of :class:`~summon_testcase.TCPCoordinatedExecutor`.

    .. code-block:: python

        class OutageTest(SummonMixin, TestCase):
            cache = Redis()
            proxy = TCPProxy(to="{cache.host}:{cache.port}")

            def test_survives_an_outage(self):
                shop = Shop(redis.Redis(self.proxy.host, self.proxy.port))
                with self.proxy.refuse():
                    self.assertEqual(shop.price("tea"), "unknown")

    :meth:`delay`, :meth:`limit`, :meth:`cut` and :meth:`refuse` are context managers.  The fault
    is in effect when the block begins, and over when the block is left, also by an exception.
    Faults may be nested, and combined.

    All four raise :class:`~summon_testcase.NotRunning` if the proxy is not running, and
    :class:`~summon_testcase.ProcessExited` if it has ended inside of the block by itself.
    """

    def __init__(self, to: str, **options: Any) -> None:
        label = arguments.call(self._kind((), False), options.get("name")) or "TCPProxy()"
        found = arguments.text(label, "to", to, _INSTEAD)
        if not templates.there_are(found):
            _refuse_no_address(label, found)
        words = [*interpreter.command(), _PROGRAM, _CONTROL, "{host}", "{port}", found]
        super().__init__(words, **{"reset": True, **options})
        self._label = self._kind((), False)

    @classmethod
    def _kind(cls, command: object, shell: bool) -> str:
        return f"{cls.__name__}()"

    def _readiness(self) -> list[Probe]:
        from ..readiness.paths import UnixSocketProbe

        return [UnixSocketProbe(self._fill(_CONTROL)), *super()._readiness()]

    def _launch(self) -> Launch:
        launch = super()._launch()
        to = launch.argv[-1]
        _refuse_no_address(self._called, to)
        if to == at(self._host, self._port_now()):
            raise InvalidArgument(
                f"{self._called}: to={to!r} is its own address: write {_INSTEAD}",
                executor=self._called,
            )
        return launch

    def delay(self, seconds: float) -> AbstractContextManager[TCPProxy]:
        """A block in which all that the target sends arrives so much later.

        That holds for each connection, those that exist and new ones, and for its end, too.
        Connecting itself takes no longer.  What is on the way at the end of the block arrives at
        once.  Delays add up.

        :param seconds: how much later.
        :raises InvalidArgument: if this is no duration.
        """
        arguments.seconds(self._called, "seconds", seconds)
        return self._fault("delay", seconds)

    def limit(self, bytes_per_second: float) -> AbstractContextManager[TCPProxy]:
        """A block in which each direction of a connection passes only so many bytes per second.

        That holds for each connection, those that exist and new ones.  Of several limits the
        lowest counts.

        :param bytes_per_second: 0 for a line on which nothing arrives any more, and of which
            nobody is told, nor of the end of the other side; what was sent arrives after the block.
        :raises InvalidArgument: if this is no number, or negative.
        """
        number = isinstance(bytes_per_second, (int, float)) and bytes_per_second >= 0
        if not number or isinstance(bytes_per_second, bool):
            raise InvalidArgument(
                f"{self._called}: bytes_per_second={bytes_per_second!r}: write a number, 0 or more",
                executor=self._called,
            )
        return self._fault("limit", bytes_per_second)

    def cut(self) -> AbstractContextManager[TCPProxy]:
        """A block in which every connection is reset.

        Those that exist are reset at once; new ones are accepted and then reset.
        """
        return self._fault("cut")

    def refuse(self) -> AbstractContextManager[TCPProxy]:
        """A block in which nobody listens, as if the target were down.

        Connections that exist are reset at once; new ones are refused.
        """
        return self._fault("refuse")

    @contextlib.contextmanager
    def _fault(self, kind: str, value: float = 0.0) -> Iterator[TCPProxy]:
        instance = self._current("connections")
        number = next(_numbers)
        try:
            self._order(instance, f"begin {number} {kind} {float(value)!r}")
            yield self
        except BaseException:
            # the error of the block is the one to see
            with suppress(SummonError):
                self._order(instance, f"end {number}")
            raise
        self._order(instance, f"end {number}")

    def _forget(self) -> None:
        self._order(self._current("faults"), "forget")

    _own_resets = {True: _forget}

    def _order(self, instance: Instance, order: str) -> None:
        """Tell the proxy something, and wait until it has taken effect."""
        if instance.over or instance is not self._instance:
            return  # the test has stopped it, or started it again, so that it has no faults
        try:
            with Client(self, self._fill(_CONTROL), "obey") as client:
                client.say(f"{order}\n".encode())
                answer = client.take_until(b"\n")
        except SummonError as error:
            let_through(error)
            if isinstance(error, TimeoutExpired) or not _ended(instance):
                raise
            raise instance.exited(f"before it had obeyed: {order}") from None
        if answer != b"ok":
            raise client.refused(answer)


def _ended(instance: Instance) -> bool:
    """Whether it has ended, of which its keeper may tell a moment later than its sockets do."""
    deadline = Deadline(_MOMENT)
    while instance.running() and not deadline.expired():
        wait(Pause((instance.process.fileno(),), deadline.at))
    return not instance.running()


def _refuse_no_address(label: str, to: str) -> None:
    """:raises InvalidArgument: for what is neither host and port, nor the path of a socket."""
    host_and_port = re.fullmatch(r"(\[[^][/\s]+\]|[^][/\s]+):([0-9]{1,5})", to)
    if not (to.startswith("/") or (host_and_port and 0 < int(host_and_port[2]) < 65536)):
        raise InvalidArgument(f"{label}: to={to!r}: write {_INSTEAD}", executor=label)
