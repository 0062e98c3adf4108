"""Arguments that all services of a class get, unless they are declared with their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from ..tracebacks import hidden
from . import arguments, lifetime, templates, variables
from .concealed import concealing

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import ClassOptions

__tracebackhide__ = hidden

_LABEL = "Defaults()"


def _environment(label: str, value: object) -> variables.Layers:
    if isinstance(value, (list, tuple)):
        raise InvalidArgument(
            f'{label}: env= is no mapping: write {{"NAME": "value"}} here, and env=[it] for each '
            "service that waits for another"
        )
    return variables.layers(label, value)


#: the arguments that a class may give, and what each of their values becomes
_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "scope": lifetime.scope,
    "cwd": lambda label, value: (
        None if value is None else arguments.path(label, "cwd", value, "a directory")
    ),
    "env": _environment,
    "timeout": lambda label, value: arguments.seconds(label, "timeout", value, unlimited=True),
    "stop_timeout": lambda label, value: arguments.seconds(label, "stop_timeout", value),
    "stop_wait": lambda label, value: arguments.flag(label, "stop_wait", value),
    "fails_on": lambda label, value: (
        [] if value is None else arguments.compile_patterns(value, label, "fails_on")
    ),
    "tty": lambda label, value: arguments.flag(label, "tty", value),
    "optional": lambda label, value: arguments.flag(label, "optional", value),
    "restart": lifetime.max_restarts,
    "shared": lambda label, value: arguments.flag(label, "shared", value),
}


class Defaults:
    """Arguments for all services that a class declares: ``summon = Defaults(scope="run")``.

    They count as if they were written in each declaration of the class, and of its subclasses:
    ``{here}`` is the directory of the module that declares the service.  What a declaration says
    itself wins; mappings of ``env`` are merged.  See :class:`SimpleExecutor` for the meanings.

    :param scope: how long the services live.
    :param cwd: the directory that they run in.
    :param env: variables for all of them, as a mapping.
    :param timeout: seconds until each must be ready.
    :param stop_timeout: seconds that a stop waits before it kills.
    :param stop_wait: whether the end of their scope waits until they are stopped.
    :param fails_on: a pattern in the output that means: give up now.
    :param tty: whether they get a pseudo-terminal.
    :param optional: whether tests are skipped if a program is not installed.
    :param restart: whether, or how often, they are started again if they die.
    :param shared: whether services of a stack that runs already are used instead.
    :raises InvalidArgument: for any other argument, since it is for one service.
    """

    def __init__(self, **options: Unpack[ClassOptions]) -> None:
        for name in options:
            if name not in _CHECKS:
                meant = templates.nearest(name, _CHECKS)
                hint = f"did you mean {meant}=? " if meant else ""
                raise InvalidArgument(
                    f"{_LABEL}: {name}= cannot be given for a whole class: {hint}write any of "
                    f"{', '.join(f'{known}=' for known in _CHECKS)}; the rest is for each service"
                )
        given: dict[str, Any] = {**options}
        self._values: dict[str, Any] = {name: _CHECKS[name](_LABEL, given[name]) for name in given}

    def __repr__(self) -> str:
        return f"<Defaults of {', '.join(vars(self).get('_values', ())) or 'nothing'}>"


# tracebacks show the arguments of constructors
Defaults.__init__ = concealing(Defaults.__init__)  # type: ignore[method-assign]


def of_class(owner: type) -> dict[str, Any]:
    """The default arguments that a class gives, or inherits, by name; their values are checked.

    A class adds to those that it inherits.  Where it has something else in place of inherited
    ones (``summon = None``), these are dropped.
    """
    found: dict[str, list[Defaults]] = {}
    for kind in reversed(owner.__mro__):
        for attribute, value in vars(kind).items():
            if isinstance(value, Defaults):
                found.setdefault(attribute, []).append(value)
            else:
                found.pop(attribute, None)
    values: dict[str, Any] = {}
    for defaults in (each for several in found.values() for each in several):
        env = (*values.get("env", ()), *defaults._values.get("env", ()))
        values |= defaults._values
        if env:
            values["env"] = env
    return values
