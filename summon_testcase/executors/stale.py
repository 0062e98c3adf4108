"""Finds what a service was told of others when it was started, and what is not so any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..declaration import templates, variables
from ..errors import NotRunning
from ..foreign import let_through

if TYPE_CHECKING:
    from .simple import SimpleExecutor


def told(executor: SimpleExecutor) -> list[str]:
    """In words, values of other services that it was started with, and that have changed."""
    said: list[str] = []
    instance = executor._instance
    if instance is None or not instance.in_use:
        return said
    for (name, field), value in instance.told.items():
        try:
            now = str(templates.value_of(executor._services.get(name), field))
        except (NotRunning, AttributeError) as error:
            let_through(error)
            continue
        if now != value:
            said.append(
                f"{executor._called} was started with {{{name}.{field}}} = {value}, which is {now} "
                f"since {name} was started again: restart() {executor._called} too"
                + (f", or have {name} listen at {{port}}" if field in ("port", "url") else "")
            )
    for name, (service, told) in instance.told_env.items():
        try:
            given = variables.of_service(executor._called, name, service)
        except Exception as error:  # the user's, which its own tests will meet
            let_through(error)
            continue
        if changed := sorted({key for key, _ in given.items() ^ told.items()}):
            said.append(
                f"{executor._called} was started with the env() of {name}, where "
                f"{', '.join(changed)} changed when {name} was started again: restart() "
                f"{executor._called} too"
            )
    return said
