"""Results of tests that tell of services, also in a TestCase of Django that declares none."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import is_ours
from ..executors.declared import declared
from ..foreign import let_through
from ..testing import result_hooks, unstarted
from ..testing.watch import Watch
from ..tracebacks import trimmed
from .project import project

__unittest = True


class ServiceResult:
    """A base, to the left of a class of results, which looks after the services of the project."""

    def startTest(self, test: Any) -> None:
        """Have the services as they were at first."""
        super().startTest(test)  # type: ignore[misc]
        self._services = _during(test, self)
        self._services.__enter__()

    def stopTest(self, test: Any) -> None:
        """Note that the test is over."""
        self._services.__exit__(None, None, None)
        super().stopTest(test)  # type: ignore[misc]


@functools.cache
def with_services(result_class: type) -> type:
    """A class of results that is a :class:`ServiceResult`, too."""
    return type(result_class.__name__, (ServiceResult, result_class), {})


@contextmanager
def _during(test: Any, result: Any) -> Iterator[None]:
    """While a test runs, look after the services, and add to its report what they do."""
    names, reason = project.up(), project.failure
    if not names and reason is None:
        yield
        return
    stack, label = project.stack, test.id()
    everything = stack.parts(names)
    watch = Watch(everything, label, stack.pool.may_revive)
    try:
        if reason is None:
            watch.remarks = stack.bring_up(names, label)
            watch.begin()
            stack.pool.reset(everything)
            stack.pool.mark_used(everything)
    except Exception as error:
        let_through(error)
        reason = error
    if reason is not None:
        watch.reason = trimmed(reason) if is_ours(reason) else reason
        test.setUp = functools.partial(unstarted.services_not_up, reason, reason.__traceback__)
    try:
        with result_hooks.reported(test, result, watch, tell=not declared(type(test))):
            yield
    finally:
        vars(test).pop("setUp", None)
        watch.look()
        watch.end()
