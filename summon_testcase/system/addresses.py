"""TCP addresses: the numeric addresses of a host name, and which ones this machine has."""

from __future__ import annotations

import functools

from ..foreign import let_through
from ..unpatched import open

#: the least timeout of a question to a server or resolver, in seconds
LEAST_TIMEOUT = 0.05

_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
#: the answers of resolvers, which may be slow: none is asked twice
_looked_up: dict[str, tuple[str, ...]] = {}
forget = _looked_up.clear


def known(host: str) -> tuple[str, ...] | None:
    """The numeric addresses of a host; None if a resolver must be asked, which may block."""
    host = _WILDCARDS.get(host, host)
    return _numeric(host) or _looked_up.get(host) or _from_hosts(host)


def remember(host: str, addresses: tuple[str, ...]) -> None:
    """Keep what a resolver has answered."""
    # a wildcard stands for all addresses, of which the loopback one is asked
    _looked_up[host] = tuple(_WILDCARDS.get(address, address) for address in addresses)


@functools.lru_cache(maxsize=256)
def _numeric(host: str) -> tuple[str, ...]:
    # imported here, since it takes long, and a declaration needs no sockets
    from ..unpatched import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError) as error:
            let_through(error)
            continue
        return (host,)
    return ()


def _from_hosts(host: str) -> tuple[str, ...] | None:
    found: list[str] = []
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                address, *names = line.partition("#")[0].split() or [""]
                if host.lower() in [name.lower() for name in names] and _numeric(address):
                    found.append(address)
    except OSError as error:
        let_through(error)
        pass
    if not found and host.lower() == "localhost":
        found = ["127.0.0.1", "::1"]
    if found:
        remember(host, tuple(dict.fromkeys(found)))
    return _looked_up.get(host)


def is_local(address: str) -> bool:
    """Whether this machine has an address."""
    if address.startswith("127.") or address == "::1":
        return True
    from ..unpatched import socket

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError as error:
        let_through(error)
        return False
    return True


def refusal(kind: str, detail: str, shown: str) -> str:
    """Why there is no connection, in words, for an answer of the asker.

    :param kind: the word of the answer.
    :param detail: what it adds: a number of seconds or the system's message.
    :param shown: the address as the message is to show it.
    """
    if kind == "refused":
        return f"connection refused by {shown}"
    if kind == "late":
        return f"no connection to {shown} within {detail} s"
    if kind == "itself":
        return f"nobody but the probe itself answered at {shown}"
    return f"cannot connect to {shown}: {detail}"
