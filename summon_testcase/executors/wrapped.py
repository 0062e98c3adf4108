"""Makes executors of other objects with ``start()`` and ``stop()``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ..declaration import lifetime
from ..declaration.arguments import perform
from ..declaration.lifetime import Scope
from .executor import Executor, tells

Thing = TypeVar("Thing")


class _Unsaid(str):
    """The default of an argument, to be told from the same text that was given."""


_CLASS: Any = _Unsaid("class")


def summoned(
    thing: Thing, *, scope: Scope = _CLASS, reset: Callable[[Thing], object] | None = None
) -> Thing:
    """Declare an object that is no executor, but has ``start()`` and ``stop()``.

    ``broker = summoned(Broker())`` is started and stopped like an executor, and ``self.broker``
    is the Broker. Without the wrapper it would not be started, as a mock's patcher must not be.
    The library does not notice its death.

    :param thing: an object with ``start()`` and ``stop()``.
    :param scope: how long it lives: ``"test"``, ``"class"``, ``"module"`` or ``"run"``.
    :param reset: called with the thing before each test but the first that uses it; default:
        its method ``reset()``, if its class has one.
    :raises TypeError: if the thing has no ``start()`` or ``stop()``.
    :raises InvalidArgument: for an unknown scope, or a reset that cannot be called.
    """
    for method in ("start", "stop"):
        if not callable(getattr(thing, method, None)):
            raise TypeError(f"summoned({thing!r}): it has no {method}() method")
    if isinstance(thing, type):
        name = thing.__name__
        raise TypeError(f"summoned({name}): it is a class, not an instance: write {name}(…)")
    label = f"summoned({type(thing).__name__})"
    lifetime.callback(label, "reset", reset)
    return cast(Thing, Summoned(thing, lifetime.scope(label, scope), reset))


class Summoned(Executor):
    """An executor made of an object with ``start()`` and ``stop()``."""

    def __init__(
        self, thing: Any, scope: Scope = _CLASS, reset: Callable[[Any], object] | None = None
    ) -> None:
        self._thing = thing
        fields = getattr(thing, "template_fields", ())
        if isinstance(fields, (tuple, list)):  # a mock has all attributes
            self.template_fields = tuple(fields)
        self._started = False
        self._tells = tells(thing)
        #: the names of the arguments that it was given
        self._given = frozenset(() if isinstance(scope, _Unsaid) else ("scope",))
        self.scope = "class" if isinstance(scope, _Unsaid) else scope
        able = not isinstance(thing, Executor) or thing._can_reset()
        if reset is None and able and callable(getattr(type(thing), "reset", None)):
            reset = type(thing).reset
        self._reset = None if reset is None else lambda _: reset(thing)

    def _take_defaults(self, values: Mapping[str, Any], owner: str) -> None:
        super()._take_defaults(values, owner)
        if isinstance(self._thing, Executor):
            self._thing._take_defaults(values, owner)

    def start(self) -> Summoned:
        perform(f"start() of {type(self._thing).__name__}", self._thing.start)
        self._started = True
        return self

    def stop(self) -> None:
        if self._started:
            self._started = False
            perform(f"stop() of {type(self._thing).__name__}", self._thing.stop)

    def env(self) -> dict[str, str]:
        own = getattr(type(self._thing), "env", None)
        return own(self._thing) if callable(own) else {}

    def __get__(self, obj: object, owner: type | None = None) -> Any:
        return self._thing

    def __getattr__(self, name: str) -> Any:
        # attributes of the wrapped object, such as a port, are there for references of others
        if name == "_thing":  # copy asks for it before it is set
            raise AttributeError(name)
        return getattr(self._thing, name)
