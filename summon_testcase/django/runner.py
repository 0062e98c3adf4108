"""Test runners of Django with the services that settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import CommandError
from django.test.runner import DiscoverRunner

from ..errors import SummonError
from ..foreign import let_through
from .parallel import Workers
from .project import project
from .results import with_services


@contextmanager
def _without_traceback() -> Iterator[None]:
    """A block whose errors ``manage.py`` prints as they are."""
    try:
        yield
    except SummonError as error:
        let_through(error)
        raise CommandError(str(error)) from error


class RunnerMixin:
    """Adds to a test runner of Django what :class:`Runner` has.

    Write it to the left of the runner: ``class OurRunner(RunnerMixin, XMLTestRunner)``.
    """

    parallel: int
    keepdb: bool
    test_runner: Any

    @property
    def parallel_test_suite(self) -> Any:
        """The suite that ``--parallel`` runs."""
        usual = super().parallel_test_suite  # type: ignore[misc]
        return type(usual.__name__, (Workers, usual), {})

    def setup_databases(self, **kwargs: Any) -> Any:
        """Start the services, then make the test databases.

        Databases that no test uses are not started.
        """
        with _without_traceback():
            project.begin(kwargs.get("aliases"), self.keepdb)
        try:
            return super().setup_databases(**kwargs)  # type: ignore[misc]
        except BaseException:
            project.end()
            raise

    def teardown_databases(self, old_config: Any, **kwargs: Any) -> None:
        """Remove the test databases, then stop the services."""
        try:
            super().teardown_databases(old_config, **kwargs)  # type: ignore[misc]
        finally:
            with _without_traceback():
                project.end()

    def get_resultclass(self) -> Any:
        """The class of results, which adds to a report what services wrote."""
        usual = super().get_resultclass()  # type: ignore[misc]
        found = usual or self.test_runner.resultclass
        # workers have done so already
        return found if self.parallel > 1 else with_services(found)


class Runner(RunnerMixin, DiscoverRunner):  # type: ignore[misc]
    """Django's usual test runner, with the services that settings name by ``database()`` and so on.

    ``TEST_RUNNER = "summon_testcase.django.Runner"`` in the settings makes ``manage.py test`` use
    it.
    """
