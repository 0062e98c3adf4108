"""One HTTP request without TLS, over a socket, for its status alone.

A waiting probe that finds a service listening is late by what its request costs.  requests
and http.client take 0.6 ms and more for it in a process that has slept; this takes 0.3 ms.
It knows the common answer only; where there is another, requests is to ask again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from .unpatched import socket

_STATUS = re.compile(rb"HTTP/1\.[01] ([2-9]\d\d)(?: ([^\r\n]*))?\r\n")
_END = b"\r\n\r\n"
#: bytes of headers after which requests is to judge
_LONGEST = 65536


def message(method: str, url: str, headers: Mapping[str, str | bytes]) -> bytes:
    """A request as it is sent; empty if it cannot be written so.

    :param url: quoted, and with a path.
    :param headers: as requests has prepared them, without regard to case; ``Host`` is added if
        it is not there.
    """
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1"]
    if "Host" not in headers:
        lines.append("Host: " + parts.netloc.rpartition("@")[2])
    for name, value in headers.items():
        lines.append(f"{name}: {value if isinstance(value, str) else value.decode('latin-1')}")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeError:
        return b""


def ask(
    address: str, port: int, request: bytes, connection: float, answer: float
) -> tuple[int, str] | None:
    """Status and reason of the answer; None where it takes requests to tell.

    Like requests with ``stream=True`` it reads the headers and not the body.

    :param address: a numeric one: to look up even that costs as much as to connect.
    :param connection: seconds for the connection.
    :param answer: seconds for each piece of the answer.
    :raises TimeoutError: if there is a connection but no answer in time.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(connection)
        try:
            sock.connect((address, port))
        except OSError:
            return None
        sock.settimeout(answer)
        try:
            sock.sendall(request)
            said = b""
            while _END not in said:
                more = sock.recv(_LONGEST)
                if not more or len(said) > _LONGEST:
                    return None
                said += more
        except TimeoutError:
            raise
        except OSError:
            return None
    status = _STATUS.match(said)
    if status is None:
        return None
    return int(status[1]), (status[2] or b"").decode("latin-1").strip()
