"""Conditions, other than servers, that tests need; without them they are skipped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import unittest

import pytest

#: for tests with /proc, netlink or abstract sockets
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")


def require(met: object, reason: str) -> None:
    """Skip the calling test if a condition is not met; not for missing servers."""
    if not met:
        raise unittest.SkipTest(reason)


def can_bind(host: str) -> bool:
    """Whether a server can listen at an address of IPv4 or IPv6."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True


def unshare(*options: str) -> list[str]:
    """The beginning of a command that runs in namespaces of its own; skip if that is forbidden."""
    flags = [option for option in options if option.startswith("--")]
    done = subprocess.run(["unshare", *flags, "true"], capture_output=True)
    require(done.returncode == 0, f"unshare {' '.join(flags)} is not permitted here")
    return ["unshare", *options]
