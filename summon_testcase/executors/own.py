"""Tells of starts and stops of objects whose methods are the user's own, and tell nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import sentence
from ..events import (
    ServiceFailed,
    ServiceReady,
    ServiceRestarted,
    ServiceStarting,
    ServiceStopped,
    ServiceStopping,
    emit,
    numbers,
)
from ..supervision import run
from ..unpatched import time
from .address import told_url
from .executor import Executor


def _who(thing: Any, name: str) -> dict[str, Any]:
    """The fields that all events about an object have."""
    kind = type(thing).__name__
    if not isinstance(thing, Executor):
        return {"service": name or kind, "number": 0}
    if "_number" not in vars(thing):
        vars(thing)["_number"] = next(numbers)
    number: int = vars(thing)["_number"]
    return {"service": thing.name or name or kind, "owner": thing._owner_name, "number": number}


def restarted(thing: Any, reason: str, name: str) -> None:
    """Tell that an object is about to be started again; see ``tell_restart`` of its module."""
    emit(ServiceRestarted(**_who(thing, name), reason=reason))


@contextmanager
def starting(thing: Any, name: str = "") -> Iterator[None]:
    """A block that calls the ``start()`` of an object.

    :param name: what it is called if it has no name.
    """
    who, kind = _who(thing, name), type(thing).__name__
    scope = thing.scope if isinstance(thing, Executor) else "class"
    after = thing._referred_to() if isinstance(thing, Executor) else ()
    run.begin()
    began = time.monotonic()
    emit(ServiceStarting(**who, kind=kind, scope=scope, after=after))
    try:
        yield
    except BaseException as error:
        emit(ServiceFailed(**who, after=time.monotonic() - began, error=sentence(error)))
        raise
    emit(ServiceReady(**who, after=time.monotonic() - began, url=told_url(thing)))


@contextmanager
def stopping(thing: Any, name: str = "") -> Iterator[None]:
    """A block that calls the ``stop()`` of an object.

    :param name: what it is called if it has no name.
    """
    who, failure = _who(thing, name), ""
    began = time.monotonic()
    emit(ServiceStopping(**who))
    try:
        yield
    except BaseException as error:
        failure = sentence(error)
        raise
    finally:
        emit(ServiceStopped(**who, after=time.monotonic() - began, error=failure))
