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
