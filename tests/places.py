"""What tests need of the place where they run, other than servers: skip where it is not so."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import unittest

import pytest

#: for what asks /proc, netlink, abstract sockets
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")


def require(met: object, reason: str) -> None:
    """Skip the test that asks if the place, where no server is missing, is not as it needs it."""
    if not met:
        raise unittest.SkipTest(reason)


def can_bind(host: str) -> bool:
    """Whether an address, of IPv4 or IPv6, is there to be listened at."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True


def unshare(*options: str) -> list[str]:
    """The command that runs another in namespaces of its own; without the right to, skip."""
    flags = [option for option in options if option.startswith("--")]
    done = subprocess.run(["unshare", *flags, "true"], capture_output=True)
    require(done.returncode == 0, f"unshare {' '.join(flags)} is not permitted here")
    return ["unshare", *options]
