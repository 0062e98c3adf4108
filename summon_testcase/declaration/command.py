"""Turns declared arguments into a :class:`Launch`: words, a directory, an environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from ..errors import InvalidArgument
from ..foreign import let_through
from ..tracebacks import hidden
from ..unpatched import os
from . import arguments, shell_syntax
from .concealed import Variables
from .programs import activate

__tracebackhide__ = hidden

#: a program and its arguments, as one text or as a list
Command = str | os.PathLike[str] | Sequence[str | os.PathLike[str] | int | float]

#: variables that each service gets unless the user sets them: its output is meant for a log
PLAIN = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "250", "LINES": "50"}
#: Variables that make some programs use colours all the same: a service does not inherit them,
#: and gets them only if the user sets them.
COLOURING = (
    *("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "PYTHON_COLORS", "MYPY_FORCE_COLOR"),
    *("ANSIBLE_FORCE_COLOR", "CARGO_TERM_COLOR", "RUST_LOG_STYLE", "FORCE_HYPERLINK"),
    *("npm_config_color", "NPM_CONFIG_COLOR", "TTY_COMPATIBLE"),
)


class Launch:
    """A command, ready to run.

    :param argv: its words; the first is the program as the user wrote it.
    :param program: the program's full path.
    :param env: the whole environment, which no representation shows: it may hold secrets.
    :param cwd: the directory, absolute.
    :param tty: whether the service gets a terminal; otherwise it gets pipes.
    :param notify: the address of the sd_notify socket, or empty.
    :param silent: whether its standard input is empty, so that a test can send it nothing.
    :param stop: the words of the command that stops it, with the program's full path; empty if
        a signal does.
    :param fine: statuses with which the main process may end before the service is ready.
    :param farewell: seconds that the stop command has if the test process dies; 0 where killing
        the processes suffices, so that the command is not needed.
    """

    def __init__(
        self,
        argv: tuple[str, ...],
        program: str,
        env: Mapping[str, str],
        cwd: str,
        tty: bool = True,
        notify: str = "",
        silent: bool = False,
        stop: tuple[str, ...] = (),
        fine: frozenset[int] = frozenset({0}),
        farewell: float = 0.0,
    ) -> None:
        self.argv, self.program, self.env, self.cwd = argv, program, env, cwd
        self.tty, self.notify, self.silent = tty, notify, silent
        self.stop, self.fine, self.farewell = stop, fine, farewell


def split(command: Command, shell: bool, label: str, argument: str = "command") -> tuple[str, ...]:
    """The words of a declared command.

    :param label: how errors name the executor.
    :param argument: the name of the argument.
    :raises InvalidArgument: if there is no command, its quotes are not closed, or it was written
        for a shell.
    """
    if shell:
        if not isinstance(command, str):
            words = arguments.words(label, argument, command)
            raise InvalidArgument(
                f"{label}: {argument}= is a sequence, but shell=True takes one string: write "
                f"command={shlex.join(map(str, words))!r}, or leave shell=True out",
                executor=label,
            )
        words = ("/bin/sh", "-c", command) if command.strip() else ()
    elif isinstance(command, str):
        try:
            command = shell_syntax.in_one_line(command)
            words = tuple(shlex.split(command))
        except ValueError as error:
            let_through(error)
            raise InvalidArgument(
                f"{label}: {argument}= cannot be split into words ({str(error).lower()} in "
                f"{shell_syntax.without_values(command)!r}): close the quote, or pass a list of "
                "words",
                executor=label,
            ) from None
    else:
        words = arguments.words(label, argument, command)
    if not words or not words[0]:
        raise InvalidArgument(
            f"{label}: {argument}= is empty: write the program and its arguments, such as "
            '"redis-server --port {port}"',
            executor=label,
        )
    for word in words:
        arguments.encodable(label, f"{argument}=", word)
    if isinstance(command, str) and not shell:
        shell_syntax.refuse_in_command(command, label, argument)
    else:
        shell_syntax.refuse_first(words[0], label, argument)
    return words


def label_for(kind: str, command: object, shell: bool) -> str:
    """The name by which messages call an executor that was given none."""
    if not isinstance(command, str):
        words = list(map(str, command)) if isinstance(command, (list, tuple)) else []
        said = " ".join(shell_syntax.words_without_values(words))
        return f"{kind}({said[:40]!r})" if said else f"{kind}()"
    return f"{kind}({(command if shell else shell_syntax.without_values(command))[:40]!r})"


def directory(cwd: str | None, label: str) -> str:
    """The full path of the directory to run in.

    :raises InvalidArgument: if there is none.
    """
    try:
        path = os.path.abspath(cwd or os.getcwd())
    except FileNotFoundError:
        raise InvalidArgument(
            f"{label}: the current directory does not exist any more: change to another, or write "
            "an absolute cwd=",
            executor=label,
        ) from None
    if not os.path.isdir(path):
        raise InvalidArgument(
            f"{label}: cwd={cwd!r} is no directory: create {path} first, or write another",
            executor=label,
        )
    return path


def environment(declared: Mapping[str, str | None], tty: bool) -> dict[str, str]:
    """The whole environment of a service; its PATH begins with the tests' virtual environment.

    :param declared: variables that are added to the inherited ones; None removes a variable.
    :param tty: whether the service gets a terminal.
    """
    env: dict[str, str] = Variables(os.environ)
    if tty:
        for key in COLOURING:
            env.pop(key, None)
        env.update(PLAIN)
        if any(
            key in COLOURING and value not in (None, "", "0") for key, value in declared.items()
        ):
            # most programs would follow NO_COLOR and not the variable that the user has set
            env.pop("NO_COLOR")
    if "PATH" not in declared:
        activate(env)
    # if the tests run as a unit of systemd, this is the socket of that unit
    env.pop("NOTIFY_SOCKET", None)
    for key, value in declared.items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value
    return env
