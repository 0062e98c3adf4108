"""What happens to services and tests, told as it happens.

Whoever tells the user something subscribes: the log, the line about a slow start, the report.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from .foreign import let_through
from .unpatched import time

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda kind: kind


_REQUIRED: Any = object()


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Event:
    """Something that has happened.  No event has the value of an environment variable.

    :param at: when: a moment of :func:`time.monotonic`, a clock that all processes of a machine
        share; default: now.
    """

    # like a frozen dataclass with nothing but named fields; twenty real ones take 12 ms to define

    at: float = 0.0

    #: some have names with which runners would take them for tests
    __test__ = False

    #: the fields, and their defaults
    _fields: ClassVar[dict[str, Any]] = {"at": 0.0}

    def __init_subclass__(cls) -> None:
        own = {name: vars(cls).get(name, _REQUIRED) for name in cls.__annotations__}
        cls._fields = {**cls._fields, **own}

    def __init__(self, **facts: Any) -> None:
        fields = {**self._fields, "at": time.monotonic(), **facts}
        if len(fields) > len(self._fields) or _REQUIRED in fields.values():
            names = ", ".join(self._fields)
            raise TypeError(f"{type(self).__name__} has {names}, not {', '.join(facts)}")
        vars(self).update(fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))


class ServiceEvent(Event):
    """Something that has happened to a service.

    :param service: its name.
    :param owner: the name of the class that declares it; empty if no class does.
    :param number: tells services of one name in one process apart. A service keeps it as long as
        its port and its directory: also when it is started again. 0 for what an orchestrator
        starts that is no executor.
    """

    service: str
    owner: str = ""
    number: int


class ServiceStarting(ServiceEvent):
    """A start has begun; a :class:`ServiceReady` or a :class:`ServiceFailed` follows.

    :param kind: the name of the executor's class.
    :param scope: how long it lives in a TestCase: ``"test"``, ``"class"``, ``"module"``, ``"run"``.
    :param after: names of the services that had to be ready before: it refers to them, or one is
        in front of it in a sequence.
    """

    kind: str
    scope: str
    after: tuple[str, ...] = ()


class ServiceSpawned(ServiceEvent):
    """Its process runs.

    :param pid: of its main process.
    :param command: the words of the command, templates filled in.
    :param cwd: the directory that it runs in.
    :param log: the path of the file with its output.
    :param attached: whether it is that of a stack, which another process has started.
    """

    pid: int
    command: tuple[str, ...]
    cwd: str
    log: str
    attached: bool = False


class ServiceWaiting(ServiceEvent):
    """Its start takes long; told after 1, 5, 10 and 30 seconds, then every minute.

    :param after: seconds since the start began.
    :param refusal: what it waits for, in words.
    :param hint: what looks wrong; empty if nothing does.
    """

    after: float
    refusal: str
    hint: str = ""


class ServiceReady(ServiceEvent):
    """It can be used; a :class:`ServiceStopped` follows, unless this process dies before.

    :param after: seconds since the start began.
    :param looks: how often it was asked.
    :param refusal: why it was not ready when it was asked the last time but one, in words; empty
        if it was ready at once.
    :param url: its URL, without user and password; empty if it has none.
    """

    after: float
    looks: int = 0
    refusal: str = ""
    url: str = ""


class ServiceFailed(ServiceEvent):
    """A start has failed; nothing of it runs any more.

    :param after: seconds since the start began.
    :param error: the message of the exception; ``"cancelled"`` if another start has failed.
    :param looks: how often it was asked whether it is ready.
    :param refusal: why it was not ready when it was asked last, in words; empty if nobody asked.
    :param how: in words, how its main process ended; empty if there was none.
    """

    after: float
    error: str
    looks: int = 0
    refusal: str = ""
    how: str = ""


class ServicePaused(ServiceEvent):
    """All its processes are frozen."""


class ServiceResumed(ServiceEvent):
    """Its processes go on after a pause."""


class ServiceReset(ServiceEvent):
    """It has forgotten what tests have left in it.

    :param after: seconds that this took.
    """

    after: float


class ServiceDied(ServiceEvent):
    """It has ended, or does not answer any more, though nobody asked for that.

    It is told when that is noticed, with the moment of the end as ``at``, where that is known.

    :param how: in words, such as ``was killed by SIGKILL``.
    :param when: the moment at which it was noticed, in words.
    """

    how: str
    when: str


class ServiceRestarted(ServiceEvent):
    """It is started again in the same place; a :class:`ServiceReady` or a failure follows.

    :param reason: why, in words.
    """

    reason: str


class ServiceStopping(ServiceEvent):
    """A stop has begun."""


class ServiceStopped(ServiceEvent):
    """Nothing of it runs any more: it was stopped, was killed, or had died.  Its log still exists.

    :param after: seconds since the stop began; 0 if none has begun.
    :param how: in words, how its main process ended; empty if it has none.
    :param error: the message of the exception, if it did not stop as it should.
    """

    after: float = 0.0
    how: str = ""
    error: str = ""


class ServiceKilled(ServiceEvent):
    """A test has killed it, by ``kill()``; a :class:`ServiceStopped` follows.

    :param signal: the name of the signal.
    """

    signal: str


class TestBegan(Event):
    """A test begins.

    :param test: its id, such as ``test_shop.ShopTest.test_buys``.
    :param services: the names of the services that it can use.
    """

    test: str
    services: tuple[str, ...] = ()


class TestEnded(Event):
    """A test is over.

    :param test: its id.
    :param outcome: ``"passed"``, ``"failed"``, ``"error"``, ``"skipped"``, ``"expected failure"``
        or ``"unexpected success"``; empty if the test ran without a runner.
    :param message: what the exceptions say, or the reason of a skip; empty if there was none.
    """

    test: str
    outcome: str
    message: str = ""


class RunBegan(Event):
    """The first service of this process is about to start."""


class RunEnded(Event):
    """This process is about to end."""


class Warned(Event):
    """Something that the user should know.

    :param text: in words.
    :param service: the name of the service that this is about; empty for none.
    :param level: ``"warning"`` or ``"error"``.
    """

    text: str
    service: str = ""
    level: str = "warning"


class Note(Event):
    """Something that tests or executors of your own add to the report.

    :param text: what to write.
    :param service: the name of the service that this is about; empty for none.
    :param attachment: the path of a file, such as a screenshot, of which the report keeps a copy;
        empty for none.
    """

    text: str
    service: str = ""
    attachment: str = ""


#: gives each service of this process its number
numbers = itertools.count(1)

Subscriber = Callable[[Event], object]

_subscribers: list[Subscriber] = []


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Have a function called with each event of this process from now on.

    It is called in the thread in which the event happens, and should return at once. What it raises
    is a warning, and does not disturb tests or services.

    :param subscriber: a function, which is given the event.
    :returns: a function that ends this.

    >>> from summon_testcase import SimpleExecutor, subscribe
    >>> from summon_testcase.events import ServiceReady
    >>> def told(event):
    ...     if isinstance(event, ServiceReady):
    ...         print(event.service, "is ready")
    >>> end = subscribe(told)
    >>> with SimpleExecutor("sleep 60", name="nap"):
    ...     end()
    nap is ready
    """

    def end() -> None:
        if subscriber in _subscribers:
            _subscribers.remove(subscriber)

    _subscribers.append(subscriber)
    return end


def emit(event: Event) -> None:
    """Tell all subscribers of an event.

    :param event: such as a :class:`Note`.
    """
    for subscriber in list(_subscribers):
        try:
            subscriber(event)
        except Exception as error:
            let_through(error)
            warnings.warn(
                f"a subscriber of events has failed: {error!r}", RuntimeWarning, stacklevel=2
            )
