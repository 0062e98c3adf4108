"""How each command adds itself to the command line."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from typing import Any


class Parsers:
    """The parsers of all commands.

    :param subparsers: of argparse.
    """

    def __init__(self, subparsers: Any) -> None:
        self._subparsers = subparsers

    def add(
        self,
        name: str,
        summary: str,
        description: str,
        examples: str,
        call: Callable[[argparse.Namespace], int],
    ) -> argparse.ArgumentParser:
        """Add a command.

        :param summary: a line for the list of commands.
        :param description: what its help says first.
        :param examples: what its help says last, as it is.
        :param call: carries it out, and returns the exit status.
        """
        parser: argparse.ArgumentParser = self._subparsers.add_parser(
            name,
            help=summary,
            description=textwrap.fill(description, 80),
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parser.set_defaults(call=call)
        return parser
