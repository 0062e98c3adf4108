"""The flavours of executors, which differ in the question whether a service is ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..declaration import arguments, templates
from ..declaration import command as commands
from ..declaration.arguments import Pattern, compile_patterns
from ..declaration.command import Command
from ..errors import InvalidArgument
from ..tracebacks import hidden
from ..unpatched import os
from . import references
from .loading import warm_up
from .simple import SimpleExecutor

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..declaration.options import AddressOptions, Options
    from ..readiness.http import Statuses
    from ..readiness.probe import Probe
    from ..supervision.instance import Instance

__tracebackhide__ = hidden


class OutputCoordinatedExecutor(SimpleExecutor):
    r"""Ready when its output matches.

    Named groups of the banner become attributes, and fields of templates. So a server may choose
    its port itself: ``port (?P<port>\d+)\n``. The pattern of a number must include what follows
    the number, such as ``\n`` here, because output arrives in pieces.

    :param command: see :class:`SimpleExecutor`, also for the other arguments.
    :param banner: a regular expression as text or compiled, or a list, of which one must match. It
        is searched anywhere in the output, as clean text without escape sequences; ``^`` and ``$``
        match at the beginning and end of each line.
    :raises InvalidArgument: if the banner is no regular expression.

    >>> with OutputCoordinatedExecutor(
    ...     "bash -c 'echo serving on port 4711; sleep 100'",
    ...     banner=r"port (?P<port>\d+)\n",
    ... ) as server:
    ...     server.port
    4711
    """

    def __init__(
        self,
        command: Command,
        banner: Pattern | Iterable[Pattern],
        **options: Unpack[AddressOptions],
    ) -> None:
        super().__init__(command, **options)
        self._banner = compile_patterns(banner, self._declared, "banner")
        self._groups = {group for pattern in self._banner for group in pattern.groupindex}
        self._refuse_groups_in_the_way(self._declared)
        self.template_fields = tuple(sorted(self._groups - {"port"}))

    def _refuse_groups_in_the_way(self, label: str) -> None:
        attributes = set(vars(self)).union(*map(vars, type(self).__mro__))
        for group in sorted(self._groups & attributes - {"port"}):
            raise InvalidArgument(
                f"{label}: banner= has a group {group!r}, which the executor has as an attribute: "
                "name it otherwise",
                executor=label,
            )

    def _refuse_no_port(self) -> None:
        told = self.match.groupdict().get("port") if self.match else None
        if told and not (told.isdecimal() and 0 < int(told) < 65536):
            raise InvalidArgument(
                f"{self._called}: the group 'port' of banner= has matched {told!r}, which is no "
                r"TCP port: write (?P<port>\d+), and what follows it",
                executor=self._called,
            )

    def _check(self, may_appear: bool = False) -> None:
        # the constructor of a subclass may have added attributes since
        self._refuse_groups_in_the_way(self._called)
        super()._check(may_appear)

    def _readiness(self) -> list[Probe]:
        from ..readiness.output import Observer, OutputProbe

        instance = self._present("log")
        instance.banner = OutputProbe(Observer(instance.log, self._banner), self._banner)
        return [instance.banner]

    def _ready(self, instance: Instance) -> None:
        seen = instance.banner
        if seen is not None:
            instance.match = seen.match
            self._refuse_no_port()
            instance.mark = seen.observer.after_match()
            instance.output_from = seen.observer.after_line()


class TCPCoordinatedExecutor(SimpleExecutor):
    """Ready when the service itself listens on a TCP port.

    :param command: see :class:`SimpleExecutor`, also for the other arguments.
    :param host: the address; if a name has several addresses (``localhost``), the service must
        listen on one of them.
    :param port: the port; default: a free one, which ``{port}`` tells the command.
    :param foreign_listener: whether another process may open the port for the service
        (``docker run -p``, systemd). Nobody may listen there before the service is spawned.
    :raises InvalidArgument: if the port is out of range; at start, if a free port was found and
        nothing tells the service which it is: neither ``command`` nor ``env`` has ``{port}`` or
        ``{url}``, and there is no subclass with a ``prepare()``.
    """

    _serves = True
    _asks_again = True

    def __init__(
        self,
        command: Command,
        host: str = "127.0.0.1",
        port: int | None = None,
        *,
        foreign_listener: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(command, host=host, port=port, **options)
        self._foreign_listener = arguments.flag(
            self._declared, "foreign_listener", foreign_listener
        )

    def _awaited_ports(self) -> set[str]:
        return {"port"}

    def _readiness(self) -> list[Probe]:
        from ..readiness.tcp import TCPProbe

        # the server that a launcher leaves is no process of ours
        foreign = self._foreign_listener or self._launcher
        return [TCPProbe(self._host, self._port_now(), not foreign)]


class HTTPCoordinatedExecutor(SimpleExecutor):
    r"""Ready when it answers a request with an accepted status and body.

    The library requests is used in a process of its own, so a test may replace requests, sockets or
    the clock. Redirects are not followed; proxies and netrc of the environment are not used.

    :param command: see :class:`SimpleExecutor`, also for the other arguments.
    :param url: the URL to request. Its scheme is ``http``, ``https``, or ``http+unix``, whose host
        is the quoted path of a unix socket: ``http+unix://{tmpdir}%2Fapp.sock/health``. Templates
        are filled in, an IPv6 address with brackets. If the host is that of another service,
        ``http://{front.host}:{front.port}/``, then that service has to answer.
    :param method: the method of the request.
    :param status: the accepted statuses: an int, a range, a set, or a callable that is given the
        status and returns something true; default: 200 to 399.
    :param headers: headers that are added to the request.
    :param verify: as for requests: False, or the path of a bundle of certificates. Templates in the
        path are filled in: ``{here}/ca.pem``. A relative path starts from the directory of the
        service.
    :param request_timeout: seconds that one request may take; default: the rest of ``timeout``, but
        at most 30.
    :param auth: user and password, for HTTP's basic authentication.
    :param body: the body of the request, as text or bytes.
    :param answer: the accepted bodies: a pattern that is searched in the body, or a callable that
        is given status, headers (a mapping that ignores the case of names) and body, and returns
        something true. Both see the first 64 KiB of a body at most. A pattern is searched while the
        body arrives; a callable is called when the body has ended, or, if its length is not known,
        when the time of the request is over. Exceptions count as with ``until``.
    :param foreign_listener: whether another process may open the port for the service, and answer
        (``docker run -p``, systemd). Nobody may answer before the service is spawned.
    :raises InvalidArgument: if the URL has another scheme or no host, or contradicts ``host`` or
        ``port``; if another argument cannot be sent.

    >>> with HTTPCoordinatedExecutor(
    ...     "python3 -m http.server --bind {host} {port}",
    ...     url="http://{host}:{port}/",
    ...     answer="Directory listing",
    ... ) as server:
    ...     server.url_for("/a") == f"http://127.0.0.1:{server.port}/a"
    True
    """

    _serves = True
    _asks_again = True

    def __init__(
        self,
        command: Command,
        url: str,
        *,
        method: str = "GET",
        status: Statuses = range(200, 400),
        headers: Mapping[str, str] | None = None,
        verify: bool | str | os.PathLike[str] = True,
        request_timeout: float | None = None,
        auth: tuple[str, str] | None = None,
        body: str | bytes | None = None,
        answer: Pattern | Callable[[int, Mapping[str, str], str], object] | None = None,
        foreign_listener: bool = False,
        **options: Unpack[AddressOptions],
    ) -> None:
        from ..declaration import http_arguments

        super().__init__(command, **options)
        self._url = self._checked_url(url, options.get("host"))
        label = self._declared
        arguments.seconds(label, "request_timeout", request_timeout, unlimited=True)
        self._ask: dict[str, Any] = {
            "method": http_arguments.method(label, method),
            "status": http_arguments.statuses(label, status),
            "headers": http_arguments.headers(label, {} if headers is None else headers),
            "verify": verify
            if isinstance(verify, bool)
            else arguments.path(label, "verify", verify, "True, False, or the path of a bundle"),
            "request_timeout": request_timeout,
            "auth": http_arguments.auth(label, auth),
            "body": http_arguments.body(label, body),
            "answer": http_arguments.answer(label, answer),
            "ask_kernel": not arguments.flag(label, "foreign_listener", foreign_listener),
        }

    def _checked_url(self, url: str, host: str | None) -> str:
        """The URL as given; its host and port become the executor's where they are no templates.

        :param host: the argument ``host``; None if it was not given.
        """
        from ..declaration import http_arguments

        instead = 'a URL such as "http://{host}:{port}/health"'
        if isinstance(url, str) and url.startswith("http+unix:"):
            instead = 'the path of the socket, quoted: "http+unix://{tmpdir}%2Fapp.sock/health"'
        arguments.text(self._declared, "url", url, instead)
        # two samples of the filled-in URL: a part in which both agree has no templates
        parts, others = http_arguments.sample(url, 1), http_arguments.sample(url, 2)
        if parts is None or others is None or url != url.strip():
            raise InvalidArgument(
                f"{self._declared}: url={url!r} has no scheme, no host or no valid port: write "
                f"{instead}",
                executor=self._declared,
            )
        if parts.scheme == "http+unix" or http_arguments.elsewhere(url):
            return url
        if parts.hostname == others.hostname:
            if host is None:
                self._host = parts.hostname or self._host
            elif http_arguments.contradict(host, parts.hostname or ""):
                raise InvalidArgument(
                    f"{self._declared}: host={host!r} and url={url!r} contradict each other: write "
                    "{host} in the URL, or leave host= out",
                    executor=self._declared,
                )
        if parts.port == others.port:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            if self._port not in (None, port):
                raise InvalidArgument(
                    f"{self._declared}: port={self._port} and url={url!r} contradict each other, "
                    f"as that is port {port}: write {{port}} in the URL, or leave port= out",
                    executor=self._declared,
                )
            self._port = port
        return url

    def _warm_up(self) -> None:
        warm_up(asker=True)

    def _texts(self) -> list[str]:
        verify = self._ask["verify"]
        return [*super()._texts(), self._url, *([verify] if isinstance(verify, str) else [])]

    def _awaited_ports(self) -> set[str]:
        return set(filter(templates.is_port, references.own_fields(self, [self._url])))

    def _url_now(self) -> str:
        from ..declaration import http_arguments

        if templates.there_are(self._url) and "{url}" in self._url:
            raise InvalidArgument(
                f"{self._called}: url= contains {{url}} itself: write {{host}} and {{port}}",
                executor=self._called,
            )
        return self._fill(self._url, http_arguments.fill)

    def _readiness(self) -> list[Probe]:
        from ..declaration import http_arguments
        from ..readiness.http import HTTPProbe

        url = self._present("url").url = self._url_now()
        named = (self._services.get(name) for name in http_arguments.elsewhere(self._url))
        other = any(service is not None and service is not self for service in named)
        ask_kernel = self._ask["ask_kernel"] and not (other or self._launcher)
        ask = {**self._ask, "ask_kernel": ask_kernel, "awaits_other": other}
        if isinstance(ask["verify"], str):
            ask["verify"] = os.path.join(references.directory(self), self._fill(ask["verify"]))
        return [HTTPProbe(url, **ask)]

    @property
    def url(self) -> str:
        """The URL that the start has requested.

        :raises NotRunning: if the URL has templates, and the service is not running.
        """
        if not templates.there_are(self._url):
            return self._url
        instance = self._instance
        if instance is None or instance.lease.over:
            raise self._not_running("url")
        return instance.url


class _PathExecutor(SimpleExecutor):
    """A service that is ready when there is a socket, or a file, at a path."""

    _serves = True

    _example = ""

    def __init__(
        self,
        command: Command,
        path: str | os.PathLike[str],
        **options: Unpack[AddressOptions],
    ) -> None:
        super().__init__(command, **options)
        instead = f'a path such as "{self._example}"'
        self._path = arguments.path(self._declared, "path", path, instead)

    def _texts(self) -> list[str]:
        return [*super()._texts(), self._path]

    @property
    def path(self) -> str:
        """The path with its templates filled in, joined to the service's directory if relative.

        :raises NotRunning: if a template has no value because the service is not running.
        """
        instance, path = self._instance, self._fill(self._path)
        if instance is not None and instance.in_use:
            return os.path.join(instance.launch.cwd, path)
        return path if os.path.isabs(path) else os.path.join(references.directory(self), path)


class UnixSocketCoordinatedExecutor(_PathExecutor):
    """Ready when a unix socket accepts connections.

    :param command: see :class:`SimpleExecutor`, also for the other arguments.
    :param path: the path of the socket. Templates are filled in: ``{tmpdir}/app.sock``. A relative
        path starts from the directory of the service.
    :raises InvalidArgument: if the path is empty; at start, if it is longer than the path of a
        socket may be.
    """

    _asks_again = True

    _example = "{tmpdir}/app.sock"

    def _readiness(self) -> list[Probe]:
        from ..readiness.paths import UnixSocketProbe

        path = self.path
        probe = UnixSocketProbe(path)
        if self._leased("socket").begun:
            # a server that only binds would fail at the socket that its last run has left
            probe.remove_if_dead()
        return [probe]

    def _again(self) -> list[Probe]:
        from ..readiness.paths import UnixSocketProbe

        return [UnixSocketProbe(self.path)]


class FileCoordinatedExecutor(_PathExecutor):
    """Ready when a file appears that was not there before.

    A file named ``*.pid`` must also contain the number of a live process. If it does so before the
    start, another process owns it, and the start raises :class:`PortInUse`.

    :param command: see :class:`SimpleExecutor`, also for the other arguments.
    :param path: the path of the file. Templates are filled in: ``{tmpdir}/app.pid``. A relative
        path starts from the directory of the service.
    :raises InvalidArgument: if the path is empty.
    """

    _example = "{tmpdir}/app.pid"

    def _readiness(self) -> list[Probe]:
        from ..readiness.paths import FileProbe

        path = self.path
        return [FileProbe(path, FileProbe.snapshot(path))]


class NotifyCoordinatedExecutor(SimpleExecutor):
    """Ready when one of its processes sends ``READY=1`` (the sd_notify protocol).

    The environment variable ``NOTIFY_SOCKET`` tells the service where the socket is.

    :param command: see :class:`SimpleExecutor`, also for the other arguments.
    """

    _serves = True

    def _notify_address(self) -> str:
        return self._present("socket").files.notify_address

    def _readiness(self) -> list[Probe]:
        from ..readiness.conditions import Notified

        return [Notified()]


class CommandCoordinatedExecutor(SimpleExecutor):
    """Ready when a probe command exits with status 0.

    The probe command is run again and again, with the environment and directory of the service.

    :param command: see :class:`SimpleExecutor`, also for the other arguments.
    :param probe: the probe command, as text or as a sequence. Templates are filled in:
        ``"pg_isready -h {host} -p {port}"``.
    :param probe_timeout: seconds that each run of the probe command has; then it is killed.
    :raises InvalidArgument: if there is no probe command.
    """

    _serves = True
    _asks_again = True

    def __init__(
        self,
        command: Command,
        probe: Command,
        *,
        probe_timeout: float = 5,
        **options: Unpack[AddressOptions],
    ) -> None:
        super().__init__(command, **options)
        self._probe = commands.split(probe, False, self._declared, "probe")
        arguments.seconds(self._declared, "probe_timeout", probe_timeout)
        self._probe_timeout = probe_timeout

    def _texts(self) -> list[str]:
        return [*super()._texts(), *self._probe]

    def _awaited_ports(self) -> set[str]:
        named = references.own_fields(self, list(self._probe))
        ports = set(filter(templates.is_port, named))
        return ports | {"port"} if "url" in named else ports

    def _program_words(self) -> list[str]:
        return [*super()._program_words(), self._probe[0]]

    def _readiness(self) -> list[Probe]:
        return [self._command_probe(self._probe, self._probe_timeout)]
