"""The files of a service: those of one run, and those of its whole life."""

from __future__ import annotations

import os
from contextlib import suppress


def forgive(function: object, path: object, info: object) -> None:
    """What cannot be removed stays."""


def remove_run(base: str, keep_log: bool = False) -> None:
    """Remove the log of a run and its socket, as far as they exist.

    :param base: what their paths begin with.
    :param keep_log: leave the log.
    """
    for end in (".notify", *(() if keep_log else (".log",))):
        with suppress(OSError):
            os.unlink(base + end)


def remove_life(base: str) -> None:
    """Remove the directory of a life, as far as it exists.

    A link ``.elsewhere`` names a directory in another place that goes with it.

    :param base: what their paths begin with.
    """
    elsewhere = base + ".elsewhere"
    directories = [base]
    with suppress(OSError):
        directories.append(os.readlink(elsewhere))
    for directory in filter(os.path.isdir, directories):
        # costly to import, and most services have no directory
        import shutil

        shutil.rmtree(directory, onerror=forgive)
    # last: what an interrupt leaves can still be found
    with suppress(OSError):
        os.unlink(elsewhere)


def remove_leftovers(directory: str) -> None:
    """Remove what is left of all services but their logs, and the directory if it is empty then.

    A log that is left has been named by an error.  The rest belongs to services that were
    running, or between two runs, when the test process died.
    """
    with suppress(OSError):
        for name in os.listdir(directory):
            if not name.endswith(".log"):
                base = os.path.join(directory, name)
                remove_run(base.removesuffix(".notify"), keep_log=True)
                remove_life(base.removesuffix(".elsewhere"))
        os.rmdir(directory)
