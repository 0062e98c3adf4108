"""The address of a service, for tests and for templates of other services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import InvalidArgument, NotRunning
from ..foreign import let_through
from ..tracebacks import boundary, hidden
from ..wording import at
from .executor import Executor

if TYPE_CHECKING:
    from ..supervision.instance import Instance
    from ..supervision.lease import Lease

__tracebackhide__ = hidden


def told_url(thing: object) -> str:
    """The URL of an object, as events tell it: without user and password; empty if it has none."""
    try:
        url = getattr(thing, "url", "")
    except Exception as error:  # of a property of the user's
        let_through(error)
        return ""
    scheme, separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    where, slash, path = rest.partition("/")
    return f"{scheme}{separator}{where.rpartition('@')[2]}{slash}{path}"


class _Ports(dict[str, int]):
    """Ports by name.

    :param called: how messages call the service.
    """

    def __init__(self, ports: Mapping[str, int], called: str) -> None:
        super().__init__(ports)
        self._called = called

    def __missing__(self, name: object) -> int:
        known = f"it has {', '.join(self)}" if self else "it has none with a name"
        raise NotRunning(
            f"{self._called}: has no port named {name!r}, {known}: write {{port:{name}}} in its "
            "command for a free one",
            executor=self._called,
        )


class Addressed(Executor):
    """An executor that has an address once it runs.

    :param name: its name in messages.
    :param label: stands for the name while there is none.
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
        """Its name, or the label that stands for it."""
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
        """The instance of the last start, also while that is under way, if it was not stopped."""
        instance = self._instance
        if instance is None or instance.over:
            raise self._not_running(wanted)
        return instance

    def _leased(self, wanted: str) -> Lease:
        """The lease of its port and directory, also while it is stopped and will be started."""
        instance = self._instance
        if instance is None or instance.lease.over:
            raise self._not_running(wanted)
        return instance.lease

    @property
    def match(self) -> re.Match[str] | None:
        """The match of the banner; None if there is no banner, or it has not matched yet."""
        instance = self._instance
        return None if instance is None else instance.match

    @property
    def host(self) -> str:
        """The address that the service should listen on, as it was declared."""
        return self._host

    @property
    def port(self) -> int:
        """The TCP port: from the group ``port`` of its banner, as declared, or a free one.

        :raises NotRunning: if the service has no port at the moment.
        """
        instance = self._instance
        match = None if instance is None else instance.match
        told = match.groupdict().get("port") if match else None
        if told:
            return int(told)
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
    def ports(self) -> Mapping[str, int]:
        """The free ports that were found for ``{port:admin}`` and the like, ``ports["admin"]``.

        They stay as long as ``port`` does; the mapping cannot be changed.

        :raises NotRunning: if it was not started; from the mapping, for a name that no text of
            the service has.
        """
        return MappingProxyType(_Ports(self._leased("ports").ports, self._called))

    @property
    def url(self) -> str:
        """The address as ``tcp://host:port``; of an HTTP executor the URL that it requests.

        :raises NotRunning: if the service has no port at the moment. NotRunning is also an
            AttributeError, so ``getattr(service, "url", None)`` is None then.
        """
        return f"tcp://{at(self.host, self.port)}"

    @boundary
    def url_for(self, path: str) -> str:
        """The URL of a path on this service: ``http://host:port/path``.

        If the service has a URL of its own, scheme, host and port are from there.

        :param path: joined to the URL as a browser follows a link.
        :raises NotRunning: if the service has no port at the moment.
        :raises InvalidArgument: if the path is no text.
        """
        from urllib.parse import urljoin, urlsplit

        if not isinstance(path, str):
            raise InvalidArgument(
                f'{self._called}: path={path!r}: write text, such as "/health"',
                executor=self._called,
            )

        base = urlsplit(self.url)
        # urljoin() joins no paths to URLs with other schemes
        schemes = {"tcp": "http", "http+unix": "http"}
        joined = urlsplit(
            urljoin(base._replace(scheme=schemes.get(base.scheme, base.scheme)).geturl(), path)
        )
        if base.scheme == "http+unix" and joined.netloc == base.netloc:
            joined = joined._replace(scheme=base.scheme)
        return joined.geturl()

    @property
    def log_path(self) -> str:
        """The file that the output is written to; it is removed when the service is stopped.

        :raises NotRunning: if the service was not started.
        """
        return self._current("log").log.path

    @property
    def tmpdir(self) -> str:
        """A directory for this service only, with mode 0700.

        Its files stay in ``restart()`` and ``stopped()``, and after ``kill()``. The directory is
        removed by ``stop()``, or in a TestCase at the end of the scope.

        :raises NotRunning: if the service was not started.
        """
        return self._leased("directory").tmpdir

    if not TYPE_CHECKING:

        def __getattr__(self, field: str) -> str:
            """A named group of the banner."""
            found = getattr(type(self), field, None)
            if isinstance(found, property) and found.fget is not None:
                # the property raised NotRunning, which is also an AttributeError: raise it again
                return found.fget(self)  # type: ignore[no-any-return]
            groups = self.__dict__.get("_groups", ())
            if field not in groups:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {field!r}")
            if self.match is None:
                self._current(field)
            # None if the banner has several patterns, and the one that matched has no such group
            return self.match.groupdict().get(field)
