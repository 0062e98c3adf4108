"""One-shot questions about readiness.

A probe is a value.  :meth:`Probe.look` asks once and answers None, "ready", or
the refusal in words; who asks again, and for how long, is not its business.
The pause between looks should be the time waited / 64, within
:attr:`Probe.shortest` and :attr:`Probe.longest`; the latter may change between
looks, as a question gets dearer.
"""

from __future__ import annotations

import errno
import functools
import http
import math
import os
import re
import socket
import stat
import struct
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import SplitResult, urlsplit

from . import kernel
from .errors import InvalidArgument, PortInUse

if TYPE_CHECKING:
    import requests

#: seconds that a loopback connection may take; it is accepted or refused at once
#: unless the queue of the listener is full
CONNECT_TIMEOUT = 0.25
#: no question is asked with less time than this, in seconds
LEAST_TIMEOUT = 0.05
#: bytes of a unix socket's path: the kernel's structure has 108, with the final zero
UNIX_PATH_LIMIT = 107 if sys.platform == "linux" else 103

#: the statuses that an HTTP probe accepts
Statuses = int | Collection[int] | Callable[[int], bool]
#: a file as it was: inode, modification time in ns, size in bytes
Snapshot = tuple[int, int, int]

_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class View(Protocol):
    """What a probe may know of the service."""

    @property
    def pid(self) -> int:
        """The main process."""

    @property
    def keeper_pid(self) -> int:
        """The ancestor of everything that the service spawned, daemons too."""

    @property
    def exit_code(self) -> int | None:
        """Status of the main process once it has ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing of the service is alive."""

    @property
    def notified(self) -> bool:
        """Whether it has sent READY=1."""

    @property
    def probed(self) -> tuple[int, str] | None:
        """Status and last line of the probe command that ended last."""

    def probe(self, timeout: float, argv: tuple[str, ...]) -> None:
        """Have a probe command run beside the service."""

    def watch(self, position: int) -> None:
        """Ask for news of output beyond a position in the log."""

    def fileno(self) -> int:
        """Readable when there is news; -1 once there never will be."""

    def pump(self) -> None:
        """Take in the news; never blocks."""


class Probe(Protocol):
    """A question with the answers "ready" and "not yet, because"."""

    @property
    def shortest(self) -> float:
        """Seconds of the shortest pause between looks."""

    @property
    def longest(self) -> float:
        """Seconds of the longest pause between looks, as of now."""

    def check(self) -> None:
        """:raises InvalidArgument: if the question can never be answered."""

    def describe(self) -> str:
        """What is waited for, to follow "waited for"."""

    def occupied(self, name: str) -> PortInUse | None:
        """Asked once before the service is spawned: does somebody answer already?

        :param name: the executor, for the message.
        :returns: the error to raise, not raised yet.
        """

    def look(self, view: View, left: float = math.inf) -> str | None:
        """Ask once.

        :param view: the service.
        :param left: seconds until nobody is interested any more.
        :returns: None when ready, else the refusal in words.
        :raises PortInUse: when somebody else took the service's place meanwhile;
            it names no executor, which the caller knows.
        """

    def close(self) -> None:
        """Give back what the probe holds; it may be used again."""


@dataclass(frozen=True)
class TCPProbe:
    """Ready when the service, and nobody else, listens on a TCP address.

    On Linux the kernel is asked, which neither disturbs the service nor costs
    more than 10 microseconds, and names the socket, hence its owner.  Where it
    does not tell, or for an address of another machine, a connection is made
    and closed at once.

    :param host: an address or a name; a wildcard stands for its loopback
        address.  Of several addresses (``localhost``) one is enough.
    :param port: the TCP port.
    :param ask_kernel: False to connect and accept whoever answers: for a
        service that lets another process listen (``docker run -p``, systemd).
    """

    host: str
    port: int
    ask_kernel: bool = True

    shortest: ClassVar[float] = 0.0005

    @property
    def longest(self) -> float:
        """Seconds: connecting is dearer than asking the kernel."""
        return 0.004 if self.ask_kernel and sys.platform == "linux" else 0.010

    def check(self) -> None:
        """:raises InvalidArgument: for a port that nobody can listen on."""
        if not 0 < self.port < 65536:
            raise InvalidArgument(
                f"port {self.port} cannot be connected to: give one between 1 and 65535, "
                f"or None for a free one"
            )

    def describe(self) -> str:
        """In words: a connection to 127.0.0.1:5432."""
        return f"a connection to {_address(self.host, self.port)}"

    def occupied(self, name: str) -> PortInUse | None:
        """Whether somebody listens on any of the addresses already."""
        try:
            addresses = _resolve(self.host)
        except OSError:
            return None
        for address in addresses:
            inode = self._listener(address)
            if inode is None:
                if _connect(address, self.port) is not None:
                    continue
            elif inode == 0:
                continue
            return _in_use(
                f"{name} cannot start: {_address(address, self.port)} is in use already",
                port=self.port,
                pid=kernel.any_socket_holder(inode) if inode else None,
                executor=name,
            )
        return None

    def look(self, view: View, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`.

        :raises PortInUse: when another process listens there.
        """
        try:
            addresses = _resolve(self.host)
        except OSError as error:
            return f"cannot resolve {self.host!r}: {error.strerror or error}"
        refusals = []
        stranger: PortInUse | None = None
        for address in addresses:
            inode = self._listener(address)
            if inode is None:
                refusal = _connect(address, self.port, left)
                if refusal is None:
                    return None
                refusals.append(refusal)
            elif inode == 0:
                refusals.append(f"connection refused by {_address(address, self.port)}")
            else:
                pid = _stranger(inode, view)
                if pid is None:
                    return None
                stranger = _in_use(
                    f"{_address(address, self.port)} was taken by another process before the "
                    f"service could listen there",
                    port=self.port,
                    pid=pid,
                )
        if stranger is not None:
            raise stranger
        return ", ".join(refusals)

    def close(self) -> None:
        """Nothing is held."""

    def _listener(self, address: str) -> int | None:
        # A wildcard listener of ours would answer for any address of the world.
        if not self.ask_kernel or not _is_local(address):
            return None
        return kernel.listener(address, self.port)


class _Held:
    """What an HTTP probe keeps between looks; no part of its value."""

    def __init__(self) -> None:
        self.session: requests.Session | None = None
        #: the pid of the service that was seen listening; 0 if none was
        self.listening = 0


@dataclass(frozen=True)
class HTTPProbe:
    """Ready when a request is answered with an accepted status.

    Redirects are not followed, proxies and netrc of the environment not used.

    :param url: http or https; without a port 80 or 443.
    :param method: of the request.
    :param status: an int, a range or collection of them, or a callable.
    :param headers: added to the request; never shown in messages.
    :param verify: as for requests: False, or the path of a CA bundle.
    :param request_timeout: seconds to wait for the headers of the answer.  It
        holds for each piece of them: a service that dribbles them takes longer.
    :param ask_kernel: False to send requests at once, to whoever answers; see
        :class:`TCPProbe`.
    """

    url: str
    method: str = "GET"
    status: Statuses = field(default=range(200, 400), hash=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    verify: bool | str = True
    request_timeout: float = 1.0
    ask_kernel: bool = True
    _held: _Held = field(default_factory=_Held, init=False, repr=False, compare=False)

    shortest: ClassVar[float] = 0.0005

    @property
    def longest(self) -> float:
        """Seconds: requests are dear, and sent only once somebody listens."""
        if not self.ask_kernel or self._held.listening:
            return 0.020
        return self._tcp().longest

    def check(self) -> None:
        """:raises InvalidArgument: for a URL that no request can be sent to."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise InvalidArgument(
                f"url {_shown(self.url)!r} cannot be asked: "
                f"write it like http://127.0.0.1:8000/health"
            )

    def describe(self) -> str:
        """In words: an accepted answer to GET http://127.0.0.1:8000/health."""
        return f"an accepted answer to {self.method} {_shown(self.url)}"

    def occupied(self, name: str) -> PortInUse | None:
        """Whether somebody listens at the URL's host and port already."""
        return self._tcp().occupied(name)

    def look(self, view: View, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`.

        :raises PortInUse: when another process listens there.
        """
        # Before the port is looked at: the first import of requests takes 100 ms,
        # which is best spent while the service itself is still starting.
        session = self._session()
        tcp = self._tcp()
        if self.ask_kernel and self._held.listening != view.pid:
            try:
                asked = any(tcp._listener(address) is not None for address in _resolve(tcp.host))
            except OSError:
                asked = True
            # Where only a connection can tell, the request is that connection.
            if asked:
                refusal = tcp.look(view, left)
                if refusal is not None:
                    return refusal
            self._held.listening = view.pid
        return self._request(session, left)

    def close(self) -> None:
        """Close the session; another look opens a new one."""
        session, self._held.session, self._held.listening = self._held.session, None, 0
        if session is not None:
            session.close()

    def _tcp(self) -> TCPProbe:
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return TCPProbe(parts.hostname or "", port, self.ask_kernel)

    def _session(self) -> requests.Session:
        if self._held.session is None:
            import requests

            self._held.session = requests.Session()
            self._held.session.trust_env = False
        return self._held.session

    def _request(self, session: requests.Session, left: float) -> str | None:
        import requests
        from urllib3.exceptions import InsecureRequestWarning

        tls = self.url.lower().startswith("https:")
        answer = max(LEAST_TIMEOUT, min(self.request_timeout, left))
        # The limit of the connection holds for the TLS handshake too.
        connection = answer if tls else min(CONNECT_TIMEOUT, answer)
        try:
            with warnings.catch_warnings():
                # verify=False was the user's word; once per look is no news.
                warnings.simplefilter("ignore", InsecureRequestWarning)
                response = session.request(
                    self.method,
                    self.url,
                    headers={"Connection": "close", **self.headers},
                    timeout=(connection, answer),
                    allow_redirects=False,
                    stream=True,
                    verify=self.verify,
                )
        except requests.exceptions.SSLError as error:
            return f"TLS failed with {_shown(self.url)}: {_one_line(error)}"
        except requests.exceptions.ConnectTimeout:
            return f"no connection to {_shown(self.url)} within {connection:g} s"
        except requests.exceptions.Timeout:
            return f"no answer within {answer:g} s from {_shown(self.url)}"
        except requests.exceptions.ConnectionError as error:
            cause = _cause(error)
            if isinstance(cause, ConnectionRefusedError):
                tcp = self._tcp()
                return f"connection refused by {_address(tcp.host, tcp.port)}"
            return f"no answer from {_shown(self.url)}: {_one_line(error)}"
        except (requests.exceptions.RequestException, OSError) as error:
            return f"cannot ask {_shown(self.url)}: {_one_line(error)}"
        with response:
            code, reason = response.status_code, response.reason
        if self._accepts(code):
            return None
        return f"HTTP {code} {reason or _phrase(code)}".rstrip() + f" from {_shown(self.url)}"

    def _accepts(self, code: int) -> bool:
        if isinstance(self.status, int):
            return code == self.status
        if isinstance(self.status, Collection):
            return code in self.status
        return bool(self.status(code))


@dataclass(frozen=True)
class UnixSocketProbe:
    """Ready when a unix socket accepts a connection, of whatever type it is.

    :param path: of the socket.
    """

    path: str

    shortest: ClassVar[float] = 0.0005
    longest: ClassVar[float] = 0.004

    def check(self) -> None:
        """:raises InvalidArgument: for a path that the kernel has no room for."""
        size = len(os.fsencode(self.path))
        if size > UNIX_PATH_LIMIT:
            raise InvalidArgument(
                f"the path of a unix socket has at most {UNIX_PATH_LIMIT} bytes, "
                f"this one has {size}: {self.path}; use a shorter directory"
            )

    def describe(self) -> str:
        """In words: a connection to /tmp/app.sock."""
        return f"a connection to {self.path}"

    def occupied(self, name: str) -> PortInUse | None:
        """Whether somebody accepts there already; a file left by the dead is none."""
        refusal, pid = self._ask(math.inf)
        if refusal is not None:
            return None
        return _in_use(
            f"{name} cannot start: {self.path} is in use already",
            port=None,
            pid=pid,
            executor=name,
        )

    def look(self, view: View, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`."""
        return self._ask(left)[0]

    def close(self) -> None:
        """Nothing is held."""

    def _ask(self, left: float) -> tuple[str | None, int | None]:
        """The refusal, and who listens as far as the system tells."""
        try:
            facts = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return f"no socket at {self.path} yet", None
        except OSError as error:
            return f"cannot see {self.path}: {error.strerror}", None
        if not stat.S_ISSOCK(facts.st_mode):
            return f"{self.path} is not a socket", None
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
        for kind in kinds:
            with socket.socket(socket.AF_UNIX, kind) as sock:
                sock.settimeout(max(LEAST_TIMEOUT, min(CONNECT_TIMEOUT, left)))
                try:
                    sock.connect(self.path)
                    return None, _peer(sock)
                except ConnectionRefusedError:
                    # bind() makes the file, listen() comes after it
                    return f"connection refused by {self.path}: nobody listens there", None
                except (TimeoutError, BlockingIOError):
                    return f"{self.path} does not accept: its queue is full", None
                except OSError as error:
                    if error.errno != errno.EPROTOTYPE:
                        return f"cannot connect to {self.path}: {error.strerror or error}", None
        return f"{self.path} is a socket of an unknown type", None


@dataclass(frozen=True)
class FileProbe:
    """Ready when a file exists that was not there before the start.

    The content of a file ``*.pid`` must be the number of a live process too.

    :param path: of the file.
    :param before: :meth:`snapshot` of it, taken before the start.
    """

    path: str
    before: Snapshot | None = None

    shortest: ClassVar[float] = 0.0005
    longest: ClassVar[float] = 0.004

    @staticmethod
    def snapshot(path: str) -> Snapshot | None:
        """The file as it is; None if it does not exist.

        :raises OSError: if that cannot be known (a directory without permission).
        """
        try:
            facts = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def check(self) -> None:
        """:raises InvalidArgument: for an empty path."""
        if not self.path:
            raise InvalidArgument("path is empty: give the file that the service will write")

    def describe(self) -> str:
        """In words: the file /run/app.pid."""
        return f"the file {self.path}"

    def occupied(self, name: str) -> PortInUse | None:
        """None: a file of before the start is told apart by its snapshot."""
        return None

    def look(self, view: View, left: float = math.inf) -> str | None:
        """See :meth:`Probe.look`."""
        try:
            now = self.snapshot(self.path)
            if now is None:
                return f"{self.path} does not exist yet"
            if now == self.before:
                return f"{self.path} is still the file of before the start"
            return self._pid_refusal() if self.path.endswith(".pid") else None
        except OSError as error:
            return f"cannot read {self.path}: {error.strerror}"

    def close(self) -> None:
        """Nothing is held."""

    def _pid_refusal(self) -> str | None:
        with open(self.path, "rb") as file:
            # postgres writes more lines after the first
            line = file.read(64).partition(b"\n")[0].strip()
        if not line:
            return f"{self.path} is still empty"
        if not re.fullmatch(rb"[0-9]{1,10}", line):
            return f"{self.path} holds no process number"
        if not kernel.is_alive(int(line)):
            return f"{self.path} names process {int(line)}, which is not alive"
        return None


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _shown(url: str) -> str:
    """A URL as messages may show it: without user and password."""
    try:
        parts: SplitResult = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/@]*@", "//", url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _resolve(host: str) -> tuple[str, ...]:
    """The numeric addresses of a host.

    :raises OSError: if there is none.
    """
    return _look_up(_WILDCARDS.get(host, host))


@functools.lru_cache(maxsize=256)
def _look_up(host: str) -> tuple[str, ...]:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        # Spared getaddrinfo, which loads codecs and configuration from the disk.
        return (host,)
    # Cached: a resolver that hangs would make each look hang.  Failures are not.
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except ValueError as error:  # a label that is empty or too long, a null byte
        raise OSError(f"not a host name ({error})") from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_local(address: str) -> bool:
    """Whether an address is one of this machine's own."""
    if address.startswith("127.") or address == "::1":
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True


def _stranger(inode: int, view: View) -> int | None:
    """Who has a socket that the service has not; None if nobody is known to."""
    if kernel.socket_holder(inode, (view.pid,)) is not None:
        return None
    if kernel.socket_holder(inode, kernel.descendants(view.keeper_pid)) is not None:
        return None
    pid = kernel.any_socket_holder(inode)
    # None: the service changed its user, and we may not see its files.
    # A descendant: forked after the list was made.
    if pid is None or pid == view.pid or kernel.descends_from(pid, view.keeper_pid):
        return None
    return pid


def _in_use(sentence: str, port: int | None, pid: int | None, executor: str = "") -> PortInUse:
    command = None if pid is None else kernel.command_line(pid)
    if pid is None:
        whose = "the system does not tell by whom"
    else:
        whose = f"by process {pid}" + (f" ({command})" if command else "")
    return PortInUse(
        f"{sentence}: {whose}",
        executor=executor or None,
        port=port,
        owner_pid=pid,
        owner_command=command,
    )


def _connect(address: str, port: int, left: float = math.inf) -> str | None:
    """Connect once; None if somebody else than this very socket answered."""
    shown = _address(address, port)
    timeout = max(LEAST_TIMEOUT, min(CONNECT_TIMEOUT, left))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect((address, port))
            if sock.getsockname()[:2] == sock.getpeername()[:2]:
                # The kernel gave us the very port we called, and TCP allows a
                # simultaneous open with oneself.
                return f"nobody but the probe itself answered at {shown}"
            sock.shutdown(socket.SHUT_RDWR)
    except ConnectionRefusedError:
        return f"connection refused by {shown}"
    except TimeoutError:
        return f"no connection to {shown} within {timeout:g} s"
    except OSError as error:
        if error.errno == errno.ENOTCONN:  # accepted, and closed before we did
            return None
        return f"cannot connect to {shown}: {error.strerror or error}"
    return None


def _peer(sock: socket.socket) -> int | None:
    """The process that called listen() on the other side."""
    if sys.platform != "linux":
        return None
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    pid: int = struct.unpack("3i", raw)[0]
    return pid if pid > 0 else None


def _cause(error: BaseException) -> BaseException:
    """The innermost reason: requests wraps urllib3, which wraps the socket's error."""
    seen = {id(error)}
    while True:
        candidates = [getattr(error, "reason", None), *error.args[::-1], error.__cause__]
        candidates.append(error.__context__)
        inner = next(
            (c for c in candidates if isinstance(c, BaseException) and id(c) not in seen), None
        )
        if inner is None:
            return error
        seen.add(id(inner))
        error = inner


def _one_line(error: BaseException) -> str:
    cause = _cause(error)
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(str(text).split())


def _phrase(code: int) -> str:
    try:
        return http.HTTPStatus(code).phrase
    except ValueError:
        return ""
