"""Checks ``files=``, and writes these files when a service starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import InvalidArgument
from ..foreign import let_through, suppress
from ..tracebacks import hidden
from ..unpatched import open, os
from . import arguments, templates
from .concealed import Text, kind_of

__tracebackhide__ = hidden


class Origin(str):
    """The path of a file whose text is meant."""

    __slots__ = ()


#: by the path in ``{tmpdir}``: a text, or the path of a file that has it
Files = dict[str, Text | Origin]

_NAMES = 'a relative path such as "conf/nginx.conf", which starts from {tmpdir}'


def files(label: str, given: object) -> Files:
    """Check a ``files=``.

    :param label: how errors name the executor.
    :raises InvalidArgument: naming the file; never showing its text, which may have secrets.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidArgument(
            f'{label}: files= is no mapping: write {{"nginx.conf": "listen {{port}};"}}',
            executor=label,
        )
    found: Files = {}
    for key in given:
        name = _name(label, key)
        around = [
            other for other in found if _is_at_or_in(name, other) or _is_at_or_in(other, name)
        ]
        if around:
            raise InvalidArgument(
                f"{label}: files= has {around[0]!r} and {name!r}, and both cannot be there: give "
                "one of them another name",
                executor=label,
            )
        found[name] = _source(label, name, given[key])
    return found


def _name(label: str, key: object) -> str:
    name = arguments.plain(key, os.PathLike)
    if isinstance(name, str) and name and "\0" not in name and not name.endswith(os.sep):
        parts = name.split(os.sep)
        plain = not (os.path.isabs(name) or ".." in parts or parts[0].startswith("~"))
        if plain and os.path.normpath(name) != "." and not templates.there_are(name):
            return os.path.normpath(arguments.encodable(label, "files= has a name that", name))
    raise InvalidArgument(f"{label}: files= has {key!r} for a name: write {_NAMES}", executor=label)


def _is_at_or_in(name: str, other: str) -> bool:
    return name == other or name.startswith(other + os.sep)


def _source(label: str, name: str, value: object) -> Text | Origin:
    if isinstance(value, os.PathLike):
        return Origin(arguments.path(label, f"files= for {name!r}", value, "a path"))
    said = f"has {kind_of(value)}"
    if isinstance(value, str):
        try:
            value.encode()
            return Text(str.__str__(value))
        except UnicodeEncodeError as error:
            let_through(error)
            said = "has a lone surrogate, which is no character,"
    raise InvalidArgument(
        f"{label}: files= {said} for {name!r}: write text, or a pathlib.Path of a file that has it",
        executor=label,
    )


def texts(files: Files, locate: Callable[[str], str | None]) -> list[str]:
    """All texts in which templates are filled in, as far as they are known before the start.

    :param locate: gives the full path of a file, or None if only the start will tell it.
    """
    found: list[str] = []
    for source in files.values():
        found.append(source)
        if isinstance(source, Origin) and (path := locate(source)):
            with suppress(InvalidArgument, OSError):  # check() will say so
                found.append(_read("", "", path))
    return found


def check(label: str, files: Files, locate: Callable[[str], str | None], may_appear: bool) -> None:
    """Refuse files that cannot be read.

    :param may_appear: whether those that are missing may be made by another service.
    """
    for name, source in files.items():
        path = locate(source) if isinstance(source, Origin) else None
        if path is not None and not (may_appear and not os.path.lexists(path)):
            _read(label, name, path)


def write(
    label: str,
    files: Files,
    directory: str,
    fill: Callable[[str], str],
    base: Callable[[], str],
) -> None:
    """Write all files, with their templates filled in, in place of what is there.

    :param directory: where their names start.
    :param fill: fills in the templates of a text.
    :param base: gives the directory from which relative paths of the service start.
    :raises InvalidArgument: if a file that has the text cannot be read.
    :raises OSError: if one cannot be written.
    """
    for name, source in files.items():
        text: str = source
        if isinstance(source, Origin):
            path = fill(source)
            text = _read(label, name, path if os.path.isabs(path) else os.path.join(base(), path))
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # not written through a link that the service has left there
        with suppress(FileNotFoundError):
            os.unlink(path)
        # the bytes of a path that is no text are written as they are
        with open(path, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(fill(text))


def _read(label: str, name: str, path: str) -> str:
    """The text of a file.

    :raises InvalidArgument: if it is none, or cannot be read.
    """
    said = f"there is no file {path}: create it, or write another path"
    if os.path.isfile(path):  # opening a pipe would block
        try:
            with open(path, encoding="utf-8", newline="") as file:
                return Text(file.read())
        except UnicodeDecodeError as error:
            let_through(error)
            said = f"{path} is no text in UTF-8: copy it in prepare() of a subclass"
        except OSError as error:
            let_through(error)
            said = f"{path} cannot be read ({error.strerror}): allow it, or write another path"
    elif os.path.exists(path):
        said = f"{path} is no file: write the path of one"
    raise InvalidArgument(f"{label}: files= for {name!r}: {said}", executor=label)
