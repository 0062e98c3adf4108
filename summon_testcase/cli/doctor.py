"""``summon doctor``: what this machine has and allows, and what that means for tests."""

from __future__ import annotations

import argparse
import json

from .commands import Parsers
from .screen import say

EXAMPLES = """examples:
  summon doctor
  summon doctor --json | jq '.findings[] | select(.good | not)'
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    parser = parsers.add(
        "doctor",
        "tell what is installed, and what the system allows",
        "Tells which servers and container engines are found, and what the system allows. Starts "
        "no service, changes nothing, and exits with 0 whatever it finds.",
        EXAMPLES,
        call,
    )
    parser.add_argument("--json", action="store_true", help="for a program")


def call(options: argparse.Namespace) -> int:
    """Print what is found."""
    from .examination import examine  # it knows all services, which other commands do not need

    findings = examine()
    if options.json:
        say(json.dumps({"format": 1, "findings": [each._asdict() for each in findings]}, indent=2))
        return 0
    group = ""
    for each in findings:
        if each.group != group:
            say(f"\n{each.group}" if group else each.group)
            group = each.group
        rest = ": ".join(filter(None, (each.where, each.means)))
        say(f"  {'ok' if each.good else 'no'}  {each.name:<14}{each.found:<17} {rest}".rstrip())
    return 0
