"""TCP addresses: their names, and whether they are this machine's."""

from __future__ import annotations

import functools

from ..foreign import let_through
from ..unpatched import open

#: no question is asked with less time than this, in seconds
LEAST_TIMEOUT = 0.05

_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
#: what a resolver has answered: it is not asked twice, for it may be slow
_looked_up: dict[str, tuple[str, ...]] = {}


def known(host: str) -> tuple[str, ...] | None:
    """The numeric addresses of a host; None if a resolver must be asked, which may block."""
    host = _WILDCARDS.get(host, host)
    return _numeric(host) or _looked_up.get(host) or _from_hosts(host)


def remember(host: str, addresses: tuple[str, ...]) -> None:
    """Keep what a resolver has answered."""
    # where all addresses are meant, one of them is asked
    _looked_up[host] = tuple(_WILDCARDS.get(address, address) for address in addresses)


@functools.lru_cache(maxsize=256)
def _numeric(host: str) -> tuple[str, ...]:
    # takes long, and what is declared needs no more than the brackets
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
    """Whether an address is one of this machine's own."""
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
    """Why there is no connection, in words, from what the asker says."""
    if kind == "refused":
        return f"connection refused by {shown}"
    if kind == "late":
        return f"no connection to {shown} within {detail} s"
    if kind == "itself":
        return f"nobody but the probe itself answered at {shown}"
    return f"cannot connect to {shown}: {detail}"
