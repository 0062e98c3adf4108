"""Keeps long-lived descriptors out of the numbers 0 to 2 of the standard streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..unpatched import os

if TYPE_CHECKING:
    from ..unpatched import socket


def moved(fd: int) -> int:
    """The same open file under a number above 2.

    A process that was started without standard streams (``python ... >&-``) gets their numbers
    for the first files that it opens.  Whoever redirects or captures a stream later would close
    such a file.
    """
    if fd > 2:
        return fd
    from ..unpatched import fcntl

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def moved_socket(sock: socket.socket) -> socket.socket:
    """The same socket under a number above 2: see :func:`moved`."""
    if sock.fileno() > 2:
        return sock
    return type(sock)(sock.family, sock.type, sock.proto, moved(sock.detach()))
