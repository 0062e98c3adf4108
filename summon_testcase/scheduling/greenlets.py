"""Ways to wait; under gevent and eventlet other greenlets go on meanwhile."""

from __future__ import annotations

import sys
from typing import Any

from ..unpatched import select, time


class Blocking:
    """The system's own functions, which block the whole thread."""

    sleep = staticmethod(time.sleep)
    poll = staticmethod(select.poll)
    select = staticmethod(select.select)


class _Gevent:
    """The functions of gevent."""

    def __init__(self, gevent: Any, its_select: Any) -> None:
        self.select = its_select.select
        self.poll = its_select.poll
        self.sleep = gevent.sleep


class _Eventlet:
    """The functions of eventlet; select() polls, since two must not wait for one descriptor."""

    poll = staticmethod(select.poll)

    def __init__(self, eventlet: Any) -> None:
        self.sleep = eventlet.sleep

    def select(self, fds: list[int], _: list[int], __: list[int], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not select.select(fds, [], [], 0)[0]:
            left = end - time.monotonic()
            if left <= 0:
                return
            self.sleep(min(left, 0.002))


def waiting() -> Any:
    """An object with the ``select()``, ``poll()`` and ``sleep()`` to use here and now."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("select"):
        gevent = sys.modules["gevent"]
        # a signal handler that interrupts gevent's own loop cannot let other greenlets go on
        if gevent.getcurrent() is not gevent.get_hub():
            return _Gevent(gevent, sys.modules["gevent.select"])
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("select"):
        eventlet = sys.modules["eventlet"]
        hub = sys.modules["eventlet.hubs"].get_hub()
        if hub.greenlet is not sys.modules["greenlet"].getcurrent():
            return _Eventlet(eventlet)
    return Blocking
