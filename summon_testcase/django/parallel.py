"""Workers of ``--parallel``: Django gives each a database, and we give it all other services.

A worker that was forked begins with the settings of its parent, so addresses in them are changed.
One that was spawned imports the settings anew, and they have other addresses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import Any

from django.core.signals import setting_changed

from ..executors.simple import SimpleExecutor
from ..wording import at
from .project import lease_port, project


class Workers:
    """A base, to the left of a suite that runs tests in parallel."""

    @property
    def init_worker(self) -> MethodType:
        """What Django has each worker call before its first test."""
        usual = super().init_worker.__func__  # type: ignore[misc]
        # Django takes its __func__, which must be of a kind that spawned workers can receive
        return MethodType(functools.partial(_init_worker, usual), self)


def _init_worker(usual: Callable[..., None], *arguments: Any, **options: Any) -> None:
    usual(*arguments, **options)
    project.begin_in_worker(readdress)


def readdress(services: Iterable[SimpleExecutor]) -> None:
    """Give services other ports, and change their addresses in the settings."""
    from django.conf import settings

    changes: dict[str | int, str | int] = {}
    for service in services:
        host, old = service.host, service.port
        lease_port(service)
        changes |= {at(host, old): at(host, service.port), old: service.port}
    for name in dir(settings):
        if name.isupper() and name != "DATABASES" and settings.is_overridden(name):
            value = getattr(settings, name)
            changed = _changed(value, changes)
            if changed is not value:
                setattr(settings, name, changed)
                # so Django forgets what it has made of the old value, as after override_settings
                sender = type(settings._wrapped)
                setting_changed.send_robust(sender, setting=name, value=changed, enter=True)


def _changed(value: Any, changes: Mapping[str | int, str | int]) -> Any:
    """A value with other addresses; the same object if it has none of them."""
    if isinstance(value, str):
        for old, new in changes.items():
            if value == str(old):  # also a port alone
                return str(new)
            if isinstance(old, str):
                value = re.sub(rf"\b{re.escape(old)}\b", str(new), value)
        return value
    if type(value) is bytes:
        changed = _changed(value.decode("latin-1"), changes).encode("latin-1")
        return value if changed == value else changed
    if type(value) is int:
        return changes.get(value, value)
    if isinstance(value, dict):
        items = list(value.items())
        changed = _changed(items, changes)
        return value if changed is items else dict(changed)
    is_named = isinstance(value, tuple) and hasattr(value, "_make")
    if is_named or type(value) in (list, tuple, set, frozenset):
        each_changed = [_changed(each, changes) for each in value]
        same = all(new is old for new, old in zip(each_changed, value, strict=True))
        make = value._make if is_named else type(value)
        return value if same else make(each_changed)
    return value
