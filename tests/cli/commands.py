"""Runs commands of ``summon`` in this process."""

from __future__ import annotations

import argparse
from importlib import import_module

from summon_testcase.cli.commands import Parsers


def summon(command: str, *words: str) -> int:
    """The exit status of a command."""
    parser = argparse.ArgumentParser(prog="summon")
    import_module(f"summon_testcase.cli.{command}").add(Parsers(parser.add_subparsers()))
    options = parser.parse_args([command, *words])
    status = options.call(options)
    assert isinstance(status, int)
    return status
