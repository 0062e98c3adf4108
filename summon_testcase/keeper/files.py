"""The files of a service: some belong to one run, some to all runs of its life."""

from __future__ import annotations

import os
from contextlib import suppress


def forgive(function: object, path: object, info: object) -> None:
    """Handle an error of rmtree() by leaving alone what cannot be removed."""


def remove_run(base: str, keep_log: bool = False) -> None:
    """Remove the log and the notify socket of a run, if they exist.

    :param base: the common beginning of their paths.
    :param keep_log: leave the log.
    """
    for end in (".notify", *(() if keep_log else (".log",))):
        with suppress(OSError):
            os.unlink(base + end)


def remove_life(base: str, elsewhere: str = "") -> None:
    """Remove the directory of a life, if it exists.

    If the directory is in another place, a link ``.elsewhere`` leads there; both are removed.

    :param base: the path of the directory, or that of the link without ``.elsewhere``.
    :param elsewhere: the directory in another place, from whoever knows it: the user's own clean-up
        may have removed the link.
    """
    link = base + ".elsewhere"
    directories = {base, elsewhere}
    with suppress(OSError):
        directories.add(os.readlink(link))
    for directory in filter(os.path.isdir, directories):
        # imported here, since that takes long and most services have no directory
        import shutil

        shutil.rmtree(directory, onerror=forgive)
    # The link goes last: after an interrupt the next clean-up still finds the directory.
    with suppress(OSError):
        os.unlink(link)


def remove_leftovers(directory: str) -> None:
    """Remove all files of all services but logs, and the directory if it is empty then.

    Logs stay because errors have named them to the user.  The other files belong to services
    that were running, or between two runs, when the test process died.
    """
    with suppress(OSError):
        for name in os.listdir(directory):
            if not name.endswith(".log"):
                base = os.path.join(directory, name)
                remove_run(base.removesuffix(".notify"), keep_log=True)
                remove_life(base.removesuffix(".elsewhere"))
        os.rmdir(directory)
