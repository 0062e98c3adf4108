"""Has threads that start or stop the same services take turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from ..supervision import shutdown


class Somebody(Protocol):
    """A thread."""

    def is_alive(self) -> bool: ...


#: guards the state below, and the users of pools
lock = threading.RLock()
_changed = threading.Condition(lock)
#: for each block under way: its thread, and the objects that it starts or stops
_claims: dict[object, tuple[Somebody, Sequence[object]]] = {}
#: seconds after which a waiting thread looks again, since the other thread may have died
_LOOK = 0.5


def others(users: Iterable[Somebody]) -> bool:
    """Whether one of some threads is alive and is not this one."""
    me = threading.current_thread()
    return any(user is not me and user.is_alive() for user in list(users))


def _taken(things: Sequence[object]) -> bool:
    """Whether another thread is in a block that has claimed one of some things."""
    me = threading.current_thread()
    return any(
        other is not me and other.is_alive() and any(thing is t for thing in things for t in theirs)
        for other, theirs in list(_claims.values())
    )


@contextmanager
def claimed(things: Sequence[object], free: Callable[[], bool] | None = None) -> Iterator[None]:
    """A block in which no other thread starts or stops some things.

    All are claimed at once, so that no two threads wait for each other.  The wait has no limit
    of its own, since the starts and stops of the other thread have theirs.

    :param free: a further condition that must be true before the block begins.
    """
    block = object()
    try:
        with _changed:
            while (_claims and _taken(things)) or not (free is None or free()):
                _changed.wait(_LOOK)
            _claims[block] = threading.current_thread(), tuple(things)
        yield
    finally:
        with _changed:
            _claims.pop(block, None)
            _changed.notify_all()


def _forget() -> None:
    global lock, _changed
    lock = threading.RLock()
    _changed = threading.Condition(lock)
    _claims.clear()


shutdown.in_forked_child(_forget)
