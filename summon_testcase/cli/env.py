"""``summon env TARGET``: the variables of a stack that runs, for a shell or as JSON."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys

from ..clean import encodable
from ..errors import SummonError
from ..foreign import let_through
from ..stacks import registry
from ..stacks.client import Client
from .commands import Parsers
from .screen import put, say
from .target import FORMS
from .variables import variables

EXAMPLES = """examples:
  eval "$(summon env)"      into this shell, from the stack that was brought up in this directory
  summon env --json         for a program
  summon run test_shop.py -- env   what a stack would have that does not run yet
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    parser = parsers.add(
        "env",
        "print the variables of a stack that runs",
        "Prints export lines for a shell: the variables that clients of each service read, such as "
        "DATABASE_URL, and SUMMON_<NAME>_URL, _HOST and _PORT. Services have values only while "
        "they run, so without a stack that is up it exits with 1.",
        EXAMPLES,
        call,
    )
    parser.add_argument(
        "target", metavar="TARGET", nargs="?", default="", help=f"which stack: {FORMS}, or its pid"
    )
    parser.add_argument("--json", action="store_true", help="one object instead of export lines")


def call(options: argparse.Namespace) -> int:
    """Print them."""
    try:
        stack = registry.find(options.target)
    except registry.NoStack as error:
        let_through(error)
        named = options.target or "TARGET"
        raise SummonError(
            f"{error.message}. Services have values only while they run: write summon run {named} "
            "-- env to see them once"
        ) from None
    with Client(stack) as client:
        facts = client.ask("describe")["stack"]
        if facts["state"] != "running":
            raise SummonError(f"{stack} is {facts['state']}: write summon wait first")
        found = variables(facts["services"], client.ask("env")["env"])
    if options.json:
        say(json.dumps(found, indent=2))
        return 0
    for name, value in found.items():
        line = f"export {name}={shlex.quote(value)}"
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            put(f"{name!r} is no name for a shell: take --json\n", sys.stderr)
        elif encodable(line, sys.stdout) != line:
            # spelt out it would be another value
            encoding = sys.stdout.encoding
            put(f"the value of {name} cannot be written in {encoding}: take --json\n", sys.stderr)
        else:
            say(line)
    return 0
