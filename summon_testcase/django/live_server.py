"""A TestCase of Django beside which the site runs in a process of its own."""

from __future__ import annotations

import sys

from django.test import TransactionTestCase
from django.utils.functional import classproperty

from ..executors.coordinated import TCPCoordinatedExecutor
from ..executors.simple import SimpleExecutor
from ..testing.testcase import SummonMixin
from ..unpatched import os
from .project import TEST_DATABASE

#: where modules of the project are found, also if the runner has extended the path
_PATH = os.pathsep.join(filter(None, sys.path))


class SummonLiveServerTestCase(SummonMixin, TransactionTestCase):  # type: ignore[misc]
    """Django's ``LiveServerTestCase`` with a server that is a process, instead of a thread.

    The site uses the test database, caches and brokers of the tests, by the settings of the tests;
    what it writes is in the report of a test that fails. It can be stopped, killed and paused as
    any service: ``with self.site.stopped():``. It serves static files, too.

    A subclass may replace ``site``, with what is used in production for example:
    ``site = WSGI("shop.wsgi", env=["django"])``.
    """

    site: SimpleExecutor = TCPCoordinatedExecutor(
        "{python} -m summon_testcase.django.site {host} {port}",
        env=[TEST_DATABASE, {"PYTHONPATH": _PATH}],
    )

    @classproperty  # type: ignore[untyped-decorator]
    def live_server_url(cls) -> str:
        """The address of the site, such as ``http://127.0.0.1:20124``."""
        return f"http://{cls.site.host}:{cls.site.port}"
