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
from .suites import suite_with_services


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

    Write it to the left of the runner: ``class OurRunner(RunnerMixin, XMLTestRunner)``. What that
    has of its own stays: its suites, its results, the workers of ``--parallel``.
    """

    keepdb: bool

    @property
    def test_suite(self) -> Any:
        """The suite that runs tests in one process."""
        return suite_with_services(super().test_suite)  # type: ignore[misc]

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
            living = list(_of_servers_that_run(old_config))
            super().teardown_databases(living, **kwargs)  # type: ignore[misc]
        finally:
            with _without_traceback():
                project.end()


def _of_servers_that_run(old_config: Any) -> Iterator[Any]:
    """The test databases that can be removed: those of a server that is dead go with its data."""
    names, up = project.aliases(), project.up()
    for entry in old_config:
        connection, former_name, _ = entry
        name = names.get(connection.alias, "")
        if name not in up or project.services[name].running():
            yield entry
        else:
            connection.close()
            connection.settings_dict["NAME"] = former_name


class Runner(RunnerMixin, DiscoverRunner):  # type: ignore[misc]
    """Django's usual test runner, with the services that settings name by ``database()`` and so on.

    ``TEST_RUNNER = "summon_testcase.django.Runner"`` in the settings makes ``manage.py test`` use
    it.
    """
