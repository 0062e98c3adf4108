"""TCP addresses: their names, whether they are this machine's, one connection."""

from __future__ import annotations

import errno
import functools
import math

from .unpatched import socket

#: seconds that a loopback connection may take; it is accepted or refused at once
#: unless the queue of the listener is full
CONNECT_TIMEOUT = 0.25
#: no question is asked with less time than this, in seconds
LEAST_TIMEOUT = 0.05

_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def at(host: str, port: int) -> str:
    """An address as messages show it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str) -> tuple[str, ...]:
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


def is_local(address: str) -> bool:
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


def patience(left: float, longest: float = CONNECT_TIMEOUT) -> float:
    """Seconds to wait for one answer."""
    return max(LEAST_TIMEOUT, min(longest, left))


def connect(address: str, port: int, left: float = math.inf) -> str | None:
    """Connect once; None if somebody else than this very socket answered."""
    shown = at(address, port)
    timeout = patience(left)
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
