"""``summon up``: brings a stack up, shows what it writes, and stops it at Ctrl-C."""

from __future__ import annotations

import argparse
import sys

from ..supervision.warden import ECHO
from ..unpatched import os
from . import background, own_stack, screen
from .commands import Parsers
from .signals import HUNG_UP, status_of
from .target import UsageError

EXAMPLES = """examples:
  summon up test_shop.py              the services of its only class with services
  summon up test_shop.py:ShopTest db  only db, and what db needs
  summon up -d test_shop.py           in the background; summon down stops it
  summon up test_shop.py --restart --watch 'shop/**/*.py'
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    parser = parsers.add(
        "up",
        "bring services up, and show what they write, until Ctrl-C",
        "Starts the services of TARGET, each when those that it refers to are ready; prints where "
        "they are, then what they write. Ctrl-C stops all of them, in the reverse order; a second "
        "one kills them.",
        EXAMPLES,
        call,
    )
    own_stack.add_arguments(parser)
    parser.add_argument(
        "-d", "--detach", action="store_true", help="leave the stack running in the background"
    )
    parser.add_argument(
        "--watch",
        metavar="[NAME=]GLOB",
        action="append",
        default=[],
        help="restart the services that a file concerns when it changes (needs watchfiles)",
    )
    parser.add_argument(
        "--cascade",
        action="store_true",
        help="with --watch: restart also those that refer to them",
    )
    # how the foreground tells the process in the background where to say that all is ready
    parser.add_argument("--ready-to", type=int, help=argparse.SUPPRESS)


def call(options: argparse.Namespace) -> int:
    """Bring a stack up; the exit status."""
    if options.cascade and not options.watch:
        raise UsageError("--cascade says what --watch restarts: give --watch GLOB, too")
    target = own_stack.load(options)
    if options.watch:
        from . import watching

        watching.check(options.watch)
    if options.detach and options.ready_to is None:
        return background.start(options.words)
    os.environ.pop(ECHO, None)  # what services write is shown once
    out = screen.Screen(target.orchestrator._members, sys.stdout)
    in_background = options.ready_to is not None
    stack = own_stack.OwnStack(
        target,
        "up",
        out,
        progress=True,
        follow=not in_background,
        restart=options.restart,
        lasting=bool(options.watch),  # the next change starts again what has died
    )
    owner = stack.owner

    def when_up() -> None:
        out.write(screen.services(stack.registration.facts["services"]))
        if options.watch:
            owner.add(watching.restarts(owner, options.watch, options.cascade, out))
        if in_background:
            background.detach(options.ready_to, stack.registration.stack.output)
            out.may_lose = True

    try:
        stack.until_down(when_up)
    except KeyboardInterrupt as interrupt:
        if not owner.up or stack.killed or status_of(interrupt) == HUNG_UP:
            return status_of(interrupt)
    return os.EX_OK if owner.up and not owner.dead else 1
