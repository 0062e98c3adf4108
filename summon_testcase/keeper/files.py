"""The files of one run of a service."""

from __future__ import annotations

import contextlib
import os


def remove_files(base: str, keep_log: bool = False) -> None:
    """Remove the directory of a run, its log and its socket, as far as they exist.

    :param base: what their paths begin with.
    :param keep_log: leave the log.
    """
    for end in (".notify", *(() if keep_log else (".log",))):
        with contextlib.suppress(OSError):
            os.unlink(base + end)
    if os.path.isdir(base):
        # costly to import, and most services have no directory
        import shutil

        shutil.rmtree(base, ignore_errors=True)
