"""A Celery worker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..declaration import arguments
from ..errors import InvalidArgument
from ..executors.loading import warm_up
from .ready_made import ReadyMade

if TYPE_CHECKING:
    from ..readiness.probe import Probe

_READY = re.compile(r" ready\.$", re.MULTILINE)
#: options by which it would not say so in its output
_SILENT = re.compile(
    r"(?<!\S)(?:(?:-l ?|--loglevel[ =])(?!(?i:debug|info)(?!\S))|-f ?|--logfile[ =])\S+"
)


class Celery(ReadyMade):
    """A Celery worker that works on one task at a time.

    Ready once it says so, when it has reached its broker: declare that with ``env=[broker]``, or
    name it in ``env``.  It leaves out what several workers do to know of each other, which takes a
    second, and the heartbeats of AMQP, with which its stop takes up to ten;
    ``options=["broker_heartbeat=120"]`` has them again.

    :param app: the module of the Celery application, ``"shop.tasks"``; it is looked for in ``cwd``
        first.
    :param options: further arguments of ``celery worker``, ``["-Q", "mail"]``; neither
        ``--logfile`` nor a ``--loglevel`` above INFO, with which it does not say that it is ready.
    :raises InvalidArgument: for these options.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class ShopTest(SummonMixin, TestCase):
            cache = Redis()
            worker = Celery("shop.tasks", env=[cache, {"CELERY_BROKER_URL": "{cache.url}"}])
    """

    _asks_again = False
    _programs = ("celery",)
    _pypi = "celery"

    def __init__(self, app: str, **options: Any) -> None:
        found = arguments.text("Celery()", "app", app, 'text such as "shop.tasks"')
        words = ["-A", found, "worker", "-l", "INFO", "-P", "solo", "-c", "1"]
        words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        # with heartbeats of AMQP it would look up to ten seconds later whether it has to stop
        words += ["broker_heartbeat=0"]
        super().__init__(words, **options)
        silent = _SILENT.search(" ".join(self._options))
        if silent:
            raise InvalidArgument(
                f"{self._declared}: options= has {silent[0]!r}: its output must say that it is "
                "ready, which it does at the level INFO: write INFO or DEBUG, and no --logfile",
                executor=self._declared,
            )

    def _warm_up(self) -> None:
        warm_up()

    def _readiness(self) -> list[Probe]:
        from ..readiness.output import Observer, OutputProbe

        patterns = [_READY]
        return [OutputProbe(Observer(self._present("log").log, patterns), patterns)]
