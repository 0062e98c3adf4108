"""Checks ``env=``, and merges the variables that it is made of."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidArgument
from ..tracebacks import hidden
from ..unpatched import os
from . import arguments, shell_syntax
from .concealed import Text, Variables, kind_of

__tracebackhide__ = hidden

#: what an ``env=`` is made of: mappings, and executors or their names; later ones win
Layers = tuple[object, ...]


def layers(label: str, env: object) -> Layers:
    """Check an ``env=``: a mapping, or a list of mappings, executors, and names of services.

    :param label: how errors name the executor.
    :raises InvalidArgument: naming the variable, or the kind of the item; never showing a value.
    """
    if isinstance(env, (list, tuple)):
        return tuple(_layer(label, item) for item in env)
    return (environment(label, env),)


def _layer(label: str, item: object) -> object:
    if isinstance(item, Mapping):
        return environment(label, item)
    # text with a "=" may be a variable with its value, hence a secret
    if isinstance(item, str) and item and "=" not in item:
        return arguments.encodable(label, "env= has a name of a service that", item)
    if arguments.is_startable(item):
        if callable(getattr(item, "env", None)):
            return item
        said = f"{type(item).__name__}, which has no method env(),"
    else:
        said = kind_of(item)
    raise InvalidArgument(
        f"{label}: env= has {said} for an item: write executors, names of services, and mappings, "
        'such as env=[db, {"NAME": "value"}]',
        executor=label,
    )


def services(layers: Layers) -> Layers:
    """The executors, and the names of services, whose variables are wanted."""
    return tuple(layer for layer in layers if not isinstance(layer, Variables))


def merged(
    layers: Layers,
    fill: Callable[[str], str] | None = None,
    ask: Callable[[object], Mapping[str, str]] = lambda service: {},
) -> dict[str, str | None]:
    """All variables of an ``env=``; of those with the same name the last one.

    :param fill: fills in the templates of a value that was written in a mapping.
    :param ask: gives the variables of an executor, or of the service with some name; by default
        only what was written in mappings is merged.
    """
    found: dict[str, str | None] = Variables()
    for layer in layers:
        if not isinstance(layer, Variables):
            found |= ask(layer)
        elif fill is None:
            found |= layer
        else:
            found |= {key: None if text is None else fill(text) for key, text in layer.items()}
    return found


def of_service(label: str, name: str, service: Any) -> dict[str, str]:
    """The variables that clients of a service read, as its ``env()`` says.

    :param label: how errors name the executor that gets them.
    :raises InvalidArgument: if they are no mapping of text.
    """
    found = arguments.perform(f"{name}: env()", service.env)
    if not isinstance(found, Mapping):
        raise InvalidArgument(
            f"{name}: env() has returned {kind_of(found)}: have it return a dict of text",
            executor=label,
        )
    told: dict[str, str] = Variables(found)
    for key, value in told.items():
        _refuse_name(f"{name}: env()", key)
        if not isinstance(value, str):
            raise InvalidArgument(
                f"{name}: env() has no text for {key!r} but {kind_of(value)}: have it return str",
                executor=label,
            )
        told[key] = arguments.encodable(name, f"env() has a value for {key!r} that", value)
    return told


def environment(label: str, env: object) -> dict[str, str | None]:
    """Refuse names that cannot be in an environment; numbers and paths become text.

    Values are never shown: they may be secrets.

    :param env: None for an empty one.
    :raises InvalidArgument: naming the variable; also for one that only a shell would fill in.
    """
    found: dict[str, str | None] = Variables()
    if env is None:
        return found
    if not isinstance(env, Mapping):
        instead = "env=[it]" if arguments.is_startable(env) else '{"NAME": "value"}'
        raise InvalidArgument(f"{label}: env= is no mapping: write {instead}", executor=label)
    for key in env:
        _refuse_name(f"{label}: env=", key)
        key = arguments.encodable(label, "env= has a name that", key)
        found[key] = None if env[key] is None else _value(label, key, env)
    known: ChainMap[str, Any] = ChainMap(found, os.environ)
    for key, value in found.items():
        if value is not None:
            shell_syntax.refuse_in_variable(label, key, value, known)
    return found


def _refuse_name(whose: str, key: object) -> None:
    if isinstance(key, str) and key and "=" not in key and "\0" not in key:
        return
    # a text behind the "=" may be the value of the variable, hence a secret
    shown = repr(re.sub("(?s)=.*", "=…", key)) if isinstance(key, str) else type(key).__name__
    raise InvalidArgument(
        f"{whose} has {shown} for a name: write a name without '='",
        executor=whose.partition(":")[0],
    )


def _value(label: str, key: str, env: Mapping[str, object]) -> str:
    kind = kind_of(env[key])
    plain = arguments.plain(env[key], int, float, os.PathLike)
    plain = Text(str.__str__(plain)) if isinstance(plain, str) else None
    if plain is None:
        raise InvalidArgument(
            f"{label}: env= has no text for {key!r} but {kind}: write a str, or None to remove the "
            "variable",
            executor=label,
        )
    return Text(arguments.encodable(label, f"env= has a value for {key!r} that", plain))
