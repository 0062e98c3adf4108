"""``summon clean``: removes what earlier runs have left behind, and nothing that is in use."""

from __future__ import annotations

import argparse
import sys

from ..foreign import let_through
from ..wording import size
from .commands import Parsers
from .screen import put, say
from .target import UsageError

EXAMPLES = """examples:
  summon clean          lists what there is, and asks
  summon clean --yes    in a script
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    parser = parsers.add(
        "clean",
        "remove what earlier runs have left behind",
        "Lists, with sizes, the logs that errors have named, files of runs that were killed, files "
        "of stacks whose owners are dead, and cached data of databases, which are made again when "
        "they are needed. Then asks, and removes them. What a running process uses stays.",
        EXAMPLES,
        call,
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def call(options: argparse.Namespace) -> int:
    """List, ask, remove."""
    from .leftovers import date, leftovers, size_of

    left = [*leftovers()]
    if not left:
        say("Nothing is left behind.")
        return 0
    for each in left:
        say(f"{size(each.size):>10}  {each.path}  {each.what}, of {date(each.path)}")
    total = sum(each.size for each in left)
    if not options.yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError("nothing was removed, since nobody can be asked here: write --yes")
        put(f"Remove these {size(total)}? [y/N] ", sys.stdout, flush=True)
        try:
            answer = input()
        except (EOFError, OSError) as error:  # the terminal is gone perhaps, which say() tells
            let_through(error)
            answer = ""
            say()
        if answer.strip().lower() not in ("y", "yes"):
            say("Nothing was removed.")
            return 0
    failed = False
    for each in left:
        try:
            each.remove()
        except FileNotFoundError:  # another process has removed some of it by now
            pass
        except OSError as error:
            let_through(error)
            failed = True
            say(f"{error.filename or each.path} cannot be removed: {error.strerror}")
    say(f"Removed {size(max(0, total - sum(size_of(each.path) for each in left)))}.")
    return int(failed)
