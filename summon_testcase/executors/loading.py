"""Imports what only a running service needs, and starts the programs that boot meanwhile."""

from __future__ import annotations

import functools
import sys

from ..errors import SpawnFailed
from ..foreign import let_through, undisturbed


def load(*modules: str) -> None:
    """Import modules, such as ``supervision.warden``, that a declaration does not need."""
    package = __name__.partition(".")[0]
    for module in modules:
        if f"{package}.{module}" not in sys.modules:
            room, _, name = module.partition(".")
            # as "from room import module" does: a module that a test has removed from sys.modules
            # is not imported twice
            undisturbed(functools.partial(__import__, f"{package}.{room}", fromlist=(name,)))


def warm_up(asker: bool = False, http: bool = True) -> None:
    """Start the warden, which boots while this process imports what the first start needs.

    :param asker: whether to start the asker, too.
    :param http: whether it will send HTTP requests, for which it imports requests.
    """
    load("supervision.warden")
    from ..supervision import recording, warden

    if recording.wanted():
        # the warden is told what to run if this process is killed; what that takes to import is
        # otherwise imported while it boots
        load("supervision.run")
        from ..supervision import run

        run.begin()
    try:
        warden.warm_up()
        if asker:
            from ..readiness import asking

            asking.warm_up(http)
    except (OSError, SpawnFailed) as error:
        # the spawn of the service will fail, too, and raise this
        let_through(error)
