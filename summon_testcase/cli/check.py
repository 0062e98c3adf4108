"""``summon check TARGET``: what is wrong with services, found before anything is started."""

from __future__ import annotations

import argparse
import shlex

from ..errors import CommandNotFound
from ..wording import counted
from .commands import Parsers
from .screen import say
from .target import FORMS, load

EXAMPLES = """examples:
  summon check test_shop.py           the services of its only class with services
  summon check test_shop.py && make   nothing is started if something is missing
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    parser = parsers.add(
        "check",
        "find what is wrong with services, without starting any",
        "Checks the references, the arguments and the programs of all services, and tells all that "
        "is wrong. Nothing is started. Exits with 1 if a start would fail.",
        EXAMPLES,
        call,
    )
    parser.add_argument("target", metavar="TARGET", help=FORMS)


def call(options: argparse.Namespace) -> int:
    """Print what is wrong, service by service, and what to install."""
    orchestrator = load(options.target).orchestrator
    faults = list(orchestrator._faults())
    packages: set[str] = set()
    skips = 0
    for fault in faults:
        said = fault.message
        if isinstance(fault, CommandNotFound):
            packages |= {fault.package} if fault.package else set()
            if fault.optional:
                skips += 1
                said += " (optional=True: its tests are skipped)"
        say(said)
    blamed = {name for fault in faults for name in (fault.executor, *getattr(fault, "cycle", ()))}
    fine = [each.name for each in orchestrator._everyone() if each.name not in blamed]
    told = f"nothing is wrong with {', '.join(fine)}" if fine else ""
    say("; ".join(filter(None, (counted(len(faults), "error") if faults else "", told))))
    if packages:
        say(f"To install what is missing: apt-get install {shlex.join(sorted(packages))}")
    return int(len(faults) > skips)
