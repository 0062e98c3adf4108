"""Finds shell syntax in texts that no shell reads, and says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Container

from ..errors import InvalidArgument
from ..tracebacks import hidden
from ..unpatched import os

__tracebackhide__ = hidden

#: quotes and backslashes, which take the special meaning from characters
_QUOTED = r"""'[^']*'|"(?:\\(?s:.)|[^"\\])*"|\\(?s:.)"""
_ASSIGNMENT = r"([A-Za-z_]\w*)\+?="
_BLANKS = " \t\r\n"

#: words of the shell that are never names of programs, and what to write instead
_BUILTINS = {
    **dict.fromkeys(("cd", "pushd", "popd"), "cwd="),
    **dict.fromkeys(("export", "declare", "readonly", "unset", "source", ".", "set"), "env="),
    "exec": "the command without it, since no shell is there to be replaced",
    **dict.fromkeys(
        ("alias", "unalias", "eval", "trap", "ulimit", "umask", "shopt", "{", "!", "[[", "if")
        + ("for", "while", "until", "case", "function"),
        "",
    ),
}
_OPERATOR = r"&&|\|\|?|\|&|;;?|&|(?:\d*|&)(?:>>?\|?|<<?<?|<>)(?!=)(?:&?[^&<>]*)"


#: operators that may stand inside a word, too
_INSIDE = ("$(", "<(", ">(", "`", "&&")


def _unquoted(command: str) -> list[str]:
    """The words of a command, with ``\\0`` in the place of each quoted part."""
    return [word for word in re.split(f"[{_BLANKS}]+", re.sub(_QUOTED, "\0", command)) if word]


def in_one_line(command: str) -> str:
    """A command without its line ends after a backslash, except those in quotes."""
    if "\\\n" not in command:
        return command
    return re.sub(_QUOTED, lambda quoted: "" if quoted[0] == "\\\n" else quoted[0], command)


def without_values(command: str) -> str:
    """A command as messages may show it: without the values of ``NAME=value`` in front."""
    found = re.match(rf"(?:\s*{_ASSIGNMENT}(?:{_QUOTED}|[^\s'\"\\])*)+", command)
    if found is None:
        return command
    names = [match[1] for word in _unquoted(found[0]) if (match := re.match(_ASSIGNMENT, word))]
    return " ".join(f"{name}=…" for name in names) + command[found.end() :]


def words_without_values(words: list[str]) -> list[str]:
    """The words of a list as messages may show them: see :func:`without_values`."""
    shown = list(words)
    for number, word in enumerate(words):
        found = re.match(_ASSIGNMENT, word)
        if found is None:
            break
        shown[number] = f"{found[1]}=…"
    return shown


def variable(text: str, known: Container[str], command: bool = False) -> str | None:
    """The first ``$NAME`` or ``${NAME}`` that the user surely expects a shell to fill in.

    That is the name of a known variable, or a name in capitals that stands alone or as a part
    of a path.  Hashes of passwords, awk's ``$1`` and JSON's ``$ref`` are none.

    :param known: the names of variables that exist.
    :param command: whether the text is a word of a command, in which a name in capitals need
        not stand alone.
    """
    for match in re.finditer(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", text):
        name = match[1] or match[2]
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        around = (before, after)
        if command:
            alone = "$" not in around
        else:
            alone = all(not beside or beside in "/:=,\"'" + _BLANKS for beside in around)
        meant = name in known or (alone and re.fullmatch("[A-Z_]+[A-Z0-9_]*", name))
        if meant and len(name) > 1 and before != "\\":
            return match[0]
    return None


def refuse_in_command(command: str, label: str, argument: str) -> None:
    """Refuse the text of a command that was written for a shell.

    Parts in quotes are never refused.

    :raises InvalidArgument: naming what to write instead.
    """
    words = _unquoted(command)
    refuse_first(words[0], label, argument)
    shell = _instead(argument)
    for word in words:
        last = word is words[-1]
        found: str | None = None
        if re.fullmatch(_OPERATOR, word) or (last and word.endswith("&")):
            found = word if re.fullmatch(_OPERATOR, word) else "&"
        elif word.endswith(";"):
            found = ";"
        elif any(part in word for part in _INSIDE):
            found = next(part for part in _INSIDE if part in word)
        if found is not None:
            shown = found.replace("\0", "…")
            why = ", and output() has what it writes" if ">" in found else ""
            why = ", and it runs in the background anyway" if found == "&" else why
            raise InvalidArgument(
                f"{label}: {argument}= has {shown!r}, which only a shell understands{why}: write "
                f"{shell}, or put it in quotes to pass it on",
                executor=label,
            )
        name = variable(word, os.environ, command=True)
        if name is not None:
            raise InvalidArgument(
                f"{label}: {argument}= has {name}, which only a shell fills in: write its value, "
                f"or {shell}, or put it in single quotes to pass it on",
                executor=label,
            )


def refuse_first(word: str, label: str, argument: str) -> None:
    """Refuse a first word that is no program but a word of a shell.

    :raises InvalidArgument: naming what to write instead.
    """
    assigned = re.match(_ASSIGNMENT, word)
    shell = _instead(argument)
    if assigned and os.sep not in assigned[0]:
        name = assigned[1]
        raise InvalidArgument(
            f"{label}: {argument}= begins with {name}=…, which only a shell understands: write "
            f'env={{"{name}": …}}, or {shell}',
            executor=label,
        )
    begins = "(" if word.startswith("(") else word
    instead = _BUILTINS.get(begins, "" if begins == "(" else None)
    if instead is not None:
        raise InvalidArgument(
            f"{label}: {argument}= begins with {begins!r}, which is no program but a word of the "
            f"shell: write {f'{instead}, or {shell}' if instead else shell}",
            executor=label,
        )


def _instead(argument: str) -> str:
    return "shell=True" if argument == "command" else f'{argument}=["sh", "-c", "…"]'


def refuse_in_variable(label: str, key: str, value: str, known: Container[str]) -> None:
    """Refuse a value of ``env=`` that was written for a shell, without showing it.

    :raises InvalidArgument: naming the variable in the value, and what to write.
    """
    found = variable(value, known)
    if found is not None:
        name = found.strip("${}")
        raise InvalidArgument(
            f"{label}: env= has {found} in {key!r}, and no shell fills it in: write the value of "
            f'os.environ["{name}"] there, or set it in the command with shell=True',
            executor=label,
        )
