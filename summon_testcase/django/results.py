"""Results of tests that tell of services, also in a TestCase of Django that declares none."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import is_ours
from ..executors.declared import declared
from ..executors.executor import Executor
from ..foreign import let_through
from ..testing import result_hooks, unstarted
from ..testing.watch import Watch
from ..tracebacks import trimmed
from .project import project

__unittest = True


class Preparation:
    """Has the services of the project as they were at first, for one test.

    :param test: the test; None at the end of the last class.
    """

    def __init__(self, test: Any) -> None:
        self.test = test
        self.names = project.up()
        #: sentences about services that were started again
        self.remarks: list[str] = []
        #: why the services are not up
        self.reason: BaseException | None = project.failure
        if self.names and self.reason is None:
            label = "the end of the last class" if test is None else test.id()
            with self._noting():
                self.remarks = project.stack.bring_up(self.names, label)

    @property
    def parts(self) -> list[Executor]:
        """All executors of the services."""
        return project.stack.parts(self.names) if self.names else []

    def reset(self) -> None:
        """Reset services that a test has used; from now on this one does."""
        if self.names and self.reason is None:
            with self._noting():
                project.stack.pool.reset(self.parts)
                project.stack.pool.mark_used(self.parts)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            let_through(error)
            self.reason = trimmed(error) if is_ours(error) else error


class ServiceResult:
    """A base, to the left of a class of results, which looks after the services of the project."""

    #: what the suite has done for the next test
    preparation: Preparation | None = None
    #: why its class has not been set up; each of its tests then raises that
    class_failure: BaseException | None = None

    @property
    def service_names(self) -> tuple[str, ...]:
        """The names of the services of the project, for a test whose class has some, too."""
        return tuple(part.name for part in self.preparation.parts) if self.preparation else ()

    def startTest(self, test: Any) -> None:
        """Begin to look after the services."""
        super().startTest(test)  # type: ignore[misc]
        ready = self.preparation
        if ready is None or ready.test is not test:  # a suite that is none of ours runs it
            ready = Preparation(test)
            ready.reset()
        self._services = _during(test, self, ready)
        self._services.__enter__()

    def stopTest(self, test: Any) -> None:
        """Note that the test is over."""
        self._services.__exit__(None, None, None)
        super().stopTest(test)  # type: ignore[misc]

    def __reduce__(self) -> tuple[Any, ...]:
        # a failed subtest takes the result of its worker to the parent, where nobody asks for it
        return object, ()


@functools.cache
def with_services(result_class: type) -> type:
    """A class of results that is a :class:`ServiceResult`, too."""
    return type(result_class.__name__, (ServiceResult, result_class), {})


@contextmanager
def _during(test: Any, result: Any, ready: Preparation) -> Iterator[None]:
    """While a test runs, look after the services, and add to its report what they do."""
    reason = ready.reason
    if not ready.names and reason is None:
        yield
        return
    watch = Watch(ready.parts, test.id(), project.stack.pool.may_revive)
    watch.remarks = ready.remarks
    if reason is None:
        watch.begin()
    else:
        watch.reason = reason
        test.setUp = functools.partial(unstarted.services_not_up, reason, reason.__traceback__)
    try:
        with result_hooks.reported(test, result, watch, tell=not declared(type(test))):
            yield
    finally:
        vars(test).pop("setUp", None)
        watch.look()
        watch.end()
