"""Suites that have the services of the project ready before each test, and what Django does for it.

A test has begun long before its result object is told: by then Django has called ``setUpClass`` and
``setUpTestData``, and loaded fixtures, which use the services as the test itself does.
"""

from __future__ import annotations

import functools
from typing import Any

from ..executors.declared import declared
from ..testing.class_services import services_of
from .results import Preparation, ServiceResult, with_services

__unittest = True


class ServiceSuite:
    """A base, to the left of a class of suites, which runs tests with the services of the project.

    These methods are those that unittest itself calls before each test of a suite.
    """

    def run(self, result: Any, *arguments: Any, **options: Any) -> Any:
        """Run the tests; the result object looks after the services from now on."""
        if not isinstance(result, ServiceResult):
            # only here is it known which class the runner has chosen for it
            kind: Any = type(result)
            result.__class__ = with_services(kind)
        return super().run(result, *arguments, **options)  # type: ignore[misc]

    def _tearDownPreviousClass(self, test: Any, result: Any) -> None:
        # the class that ends here may speak to a database that has to be started again
        result.preparation = Preparation(test)
        if result.class_failure is None:
            super()._tearDownPreviousClass(test, result)  # type: ignore[misc]

    def _handleClassSetUp(self, test: Any, result: Any) -> None:
        ready, case = result.preparation, type(test)
        ready.reset()
        if case is not getattr(result, "_previousTestClass", None):
            result.class_failure = ready.reason
            if declared(case):
                services_of(case).failure = ready.reason
        ready.reason = ready.reason or result.class_failure
        if ready.reason is None:
            super()._handleClassSetUp(test, result)  # type: ignore[misc]
        else:
            # without what Django does before run(), which would fail first, and say less
            test._setup_and_call = test.run

    def __reduce__(self) -> tuple[Any, ...]:
        # a spawned worker cannot import a class that was made at runtime: it makes one, too
        return _empty_suite, (type(self).__bases__[1],), vars(self)


@functools.cache
def suite_with_services(suite_class: type) -> type:
    """A class of suites that is a :class:`ServiceSuite`, too."""
    return type(suite_class.__name__, (ServiceSuite, suite_class), {})


def _empty_suite(suite_class: type) -> Any:
    kind: Any = suite_with_services(suite_class)
    return kind.__new__(kind)
