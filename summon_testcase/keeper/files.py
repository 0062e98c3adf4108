"""The files of one run of a service."""

from __future__ import annotations

import contextlib
import os


def remove_files(base: str, keep_log: bool = False) -> None:
    """Remove the directory of a run, its log and its socket, as far as they exist.

    A link ``.elsewhere`` names a directory in another place that goes with them.

    :param base: what their paths begin with.
    :param keep_log: leave the log.
    """
    elsewhere = base + ".elsewhere"
    directories = [base]
    with contextlib.suppress(OSError):
        directories.append(os.readlink(elsewhere))
        os.unlink(elsewhere)
    for end in (".notify", *(() if keep_log else (".log",))):
        with contextlib.suppress(OSError):
            os.unlink(base + end)
    for directory in filter(os.path.isdir, directories):
        # costly to import, and most services have no directory
        import shutil

        shutil.rmtree(directory, ignore_errors=True)


def remove_leftovers(directory: str) -> None:
    """Remove what is left of all runs but their logs, and the directory if it is empty then.

    A log that is left has been named by an error.  The rest belongs to services that were
    being started, or stopped, when the test process died.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            if not name.endswith(".log"):
                base = name.removesuffix(".notify").removesuffix(".elsewhere")
                remove_files(os.path.join(directory, base), keep_log=True)
        os.rmdir(directory)
