"""Where a service is: what tests, and the templates of other services, ask of one that runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import InvalidArgument, NotRunning
from ..tracebacks import boundary, hidden
from ..wording import at
from .executor import Executor

if TYPE_CHECKING:
    from ..supervision.instance import Instance
    from ..supervision.lease import Lease

__tracebackhide__ = hidden


class Addressed(Executor):
    """An executor that has an address once it runs.

    :param name: how messages call it.
    :param label: how they do while it has no name.
    """

    def __init__(self, name: str, label: str, host: str, port: int | None) -> None:
        self.name = name
        self._label = label
        self._host = host
        self._port = port
        #: the life that it leads, or led last; None before the first start
        self._instance: Instance | None = None

    @property
    def _called(self) -> str:
        """Its name, or what stands for one."""
        return self.name or self._label

    def _not_running(self, wanted: str) -> NotRunning:
        return NotRunning(
            f"{self._called}: has no {wanted}, since it is not running: call start() first",
            executor=self._called,
        )

    def _current(self, wanted: str) -> Instance:
        """The instance that was launched last, if it has not been stopped."""
        # read once: another thread, or a signal handler, may stop it at any moment
        instance = self._instance
        if instance is None or not instance.in_use:
            raise self._not_running(wanted)
        return instance

    def _present(self, wanted: str) -> Instance:
        """The same, also while it is being started."""
        instance = self._instance
        if instance is None or instance.over:
            raise self._not_running(wanted)
        return instance

    def _leased(self, wanted: str) -> Lease:
        """The lease of its port and directory, also while it is stopped for now."""
        instance = self._instance
        if instance is None or instance.lease.over:
            raise self._not_running(wanted)
        return instance.lease

    @property
    def match(self) -> re.Match[str] | None:
        """The match of the banner; None without one."""
        instance = self._instance
        return None if instance is None else instance.match

    @property
    def host(self) -> str:
        """The address that it was told to listen on."""
        return self._host

    @property
    def port(self) -> int:
        """The TCP port: the one that its banner told, the one given, or the free one found.

        :raises NotRunning: if it has none, now.
        """
        told = self.match.groupdict().get("port") if self.match else None
        if told:
            return int(told)
        instance = self._instance
        found = self._port or (None if instance is None else instance.lease.port)
        if found is None:
            self._current("port")
            raise NotRunning(
                f"{self._called}: has no port: give one with port=, or write {{port}} in its "
                "command for a free one",
                executor=self._called,
            )
        return found

    @property
    def url(self) -> str:
        """The address as ``tcp://host:port``; an HTTP executor's own URL.

        :raises NotRunning: if it has no port, now; which is an AttributeError too, so that
            ``getattr(service, "url", None)`` is None then.
        """
        return f"tcp://{at(self.host, self.port)}"

    @boundary
    def url_for(self, path: str) -> str:
        """The URL of a path on this service: ``http://host:port/path``, or as its own URL is.

        :raises NotRunning: if it has no port, now.
        :raises InvalidArgument: if the path is no text.
        """
        from urllib.parse import urljoin, urlsplit

        if not isinstance(path, str):
            raise InvalidArgument(
                f'{self._called}: path={path!r}: write text, such as "/health"',
                executor=self._called,
            )

        base = urlsplit(self.url)
        # of other schemes urljoin() knows no paths
        schemes = {"tcp": "http", "http+unix": "http"}
        joined = urlsplit(
            urljoin(base._replace(scheme=schemes.get(base.scheme, base.scheme)).geturl(), path)
        )
        if base.scheme == "http+unix" and joined.netloc == base.netloc:
            joined = joined._replace(scheme=base.scheme)
        return joined.geturl()

    @property
    def log_path(self) -> str:
        """The file that takes the output of this run; it goes when the service is stopped.

        :raises NotRunning: if it was not started.
        """
        return self._current("log").log.path

    @property
    def tmpdir(self) -> str:
        """A directory of its own, mode 0700.

        What is in it stays in ``restart()``, ``stopped()`` and after ``kill()``; it goes with
        ``stop()``, or in a TestCase at the end of the scope.

        :raises NotRunning: if it was not started.
        """
        return self._leased("directory").tmpdir

    if not TYPE_CHECKING:

        def __getattr__(self, field: str) -> str:
            """A named group of the banner."""
            found = getattr(type(self), field, None)
            if isinstance(found, property) and found.fget is not None:
                # it raised NotRunning, which is also an AttributeError
                return found.fget(self)  # type: ignore[no-any-return]
            groups = self.__dict__.get("_groups", ())
            if field not in groups:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {field!r}")
            if self.match is None:
                self._current(field)
            # of several patterns the one that matched may have no such group
            return self.match.groupdict().get(field)
