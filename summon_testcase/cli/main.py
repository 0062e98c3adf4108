"""The command line: which commands there are, and with which exit statuses they end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import SummonError
from ..foreign import let_through, suppress
from . import check, clean, control, doctor, env, graph, run, screen, signals, up
from .commands import Parsers
from .target import UsageError

#: the commands, in the order of the help
COMMANDS = (up, run, control, env, graph, check, doctor, clean)

EXAMPLES = """examples:
  summon up test_shop.py               the services of your tests, in the terminal
  summon run test_shop.py -- make      a command with their addresses in its environment
  summon COMMAND --help                more about a command

exit status: 0 all is well; 1 a start failed, a service has died, or there is nothing to do;
2 the command line cannot be understood; run: that of its command
"""
#: the exit status after a broken pipe, as if SIGPIPE had ended the command
BROKEN_PIPE = 141


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    made = argparse.ArgumentParser(
        prog="summon",
        description="Brings up by hand the services that tests declare.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parsers = Parsers(made.add_subparsers(metavar="COMMAND", required=True))
    for command in COMMANDS:
        command.add(parsers)
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line.

    :param words: without the program; default: those of this process.
    :returns: the exit status.
    """
    screen.open_missing()
    try:
        status = _carried_out(list(sys.argv[1:] if words is None else words))
        screen.finish_output()
    except screen.CannotWrite as error:
        return _fail(f"standard output cannot be written: {error.strerror}", 1)
    finally:
        screen.give_up_output()
    return status


def _carried_out(words: list[str]) -> int:
    """The exit status of a command line that has been carried out, or that could not be."""
    end = words.index("--") if "--" in words else len(words)
    try:
        options = parser().parse_args(words[:end])
    except SystemExit as done:  # the help, or a mistake, was told
        return int(done.code or 0)
    options.words, options.command = words[:end], words[end + 1 :]
    signals.hear()
    try:
        return int(options.call(options))
    except UsageError as error:
        return _fail(error, 2)
    except SummonError as error:
        let_through(error)
        return _fail(error, 1)
    except KeyboardInterrupt as interrupt:
        return signals.status_of(interrupt)
    except screen.NobodyReads:
        return BROKEN_PIPE
    except screen.TerminalGone:
        return signals.HUNG_UP


def _fail(error: object, status: int) -> int:
    with suppress(OSError):  # also if nobody reads that, the status says it
        screen.put(f"summon: {error}\n", sys.stderr)
    return status
