"""Logs of services that are kept, under names that a person understands."""

from __future__ import annotations

import re

from ..unpatched import os
from .directory import Directory

#: characters of a name at most: file systems allow 255 bytes
_LONGEST = 80


def safe(name: str) -> str:
    """A name of a service or a class as the name of a file."""
    found = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:_LONGEST]
    return found.lstrip(".-") or "unnamed"


class Logs:
    """A folder with the logs of all services: ``ShopTest/web-1.log``.

    :param directory: whose files they are.
    :param folder: where they go.
    """

    def __init__(self, directory: Directory, folder: str) -> None:
        self._directory = directory
        self.folder = folder

    def place(self, owner: str, name: str) -> str:
        """The path of a new, empty file for the log of a service.

        Its number tells several lives, and several processes, apart.

        :param owner: the name of the class that declares the service; empty if no class does.
        :raises OSError: if it cannot be made.
        """
        # a class in a function is called "function.<locals>.Class"
        owner = owner.rpartition("<locals>.")[2]
        folder = os.path.join(self.folder, safe(owner)) if owner else self.folder
        return self._directory.claim_next(folder, safe(name), ".log")
