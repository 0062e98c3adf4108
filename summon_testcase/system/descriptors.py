"""Descriptors that are kept for long, out of the way of the standard streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..unpatched import os

if TYPE_CHECKING:
    from ..unpatched import socket


def moved(fd: int) -> int:
    """The same open file under a number beyond those of the standard streams.

    A process that was started without them (``python ... >&-``) gets their numbers for what it
    opens first, and whoever redirects or captures a stream later would close that.
    """
    if fd > 2:
        return fd
    from ..unpatched import fcntl

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def moved_socket(sock: socket.socket) -> socket.socket:
    """A socket, or the same under another number: see :func:`moved`."""
    if sock.fileno() > 2:
        return sock
    return type(sock)(sock.family, sock.type, sock.proto, moved(sock.detach()))
