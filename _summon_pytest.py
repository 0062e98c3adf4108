"""The plugin that pytest loads in every run: options, and when to load the rest.

It stands outside of the package, since ``import summon_testcase`` takes a hundred times as long as
a run may lose that uses nothing of it.  ``-p no:summon`` leaves it out.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each sets the variable of the same name."""
    group = parser.getgroup("summon", "services of tests (summon_testcase)")
    group.addoption(
        "--summon-report",
        metavar="DIR",
        help="write what happened to services and tests into DIR: report.html, report.json, "
        "trace.json, logs/ (SUMMON_REPORT)",
    )
    group.addoption(
        "--summon-echo",
        action="store_true",
        help="show the output of services on standard error as it comes (SUMMON_ECHO)",
    )
    group.addoption(
        "--summon-attach",
        action="store_true",
        help="use the services of a stack that 'summon up' has started, where they are declared "
        "with shared=True (SUMMON_ATTACH)",
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Leave the package as it is, before tests import it.

    pytest compiles all modules of a plugin's distribution anew, for the assertions in them.  There
    are none, and it takes 180 ms where bytecode is not kept.
    """
    hook = early_config.pluginmanager.rewrite_hook
    getattr(hook, "_must_rewrite", set()).discard("summon_testcase")


def pytest_configure(config: pytest.Config) -> None:
    """Set the variables, which workers of pytest-xdist inherit, until the end of the run."""
    report = config.option.summon_report
    if report:  # tests, and workers of pytest-xdist, may run in another directory
        report = config.option.summon_report = os.path.join(config.invocation_params.dir, report)
    wanted = {
        "SUMMON_REPORT": report,
        "SUMMON_ECHO": "1" if config.option.summon_echo else "",
        "SUMMON_ATTACH": "1" if config.option.summon_attach else "",
    }
    if any(wanted.values()):
        import pytest

        patch = pytest.MonkeyPatch()
        config.add_cleanup(patch.undo)
        for name, value in wanted.items():
            if value:
                patch.setenv(name, value)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Load the rest if tests use the package, and so may have fixtures or classes with services."""
    plugins = session.config.pluginmanager
    if "summon_testcase" in sys.modules and not plugins.hasplugin("summon-hooks"):
        from summon_testcase.testing import pytest_hooks

        plugins.register(pytest_hooks, "summon-hooks")
    if "summon_testcase.django" in sys.modules and not plugins.hasplugin("summon-django"):
        from summon_testcase.django import pytest_hooks as django_hooks

        plugins.register(django_hooks, "summon-django")
