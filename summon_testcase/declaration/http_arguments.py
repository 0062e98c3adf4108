"""What an HTTP executor is declared to request: its arguments, and its URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from ..foreign import let_through
from ..tracebacks import hidden
from ..wording import bracketed
from . import templates
from .arguments import compile_patterns
from .concealed import kind_of

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__tracebackhide__ = hidden

#: brackets that are put around an IPv6 address anyhow
_BRACKETED = r"\[(\{(?:\w+\.)?host\})\]"
#: bytes of a body; with URL and headers it must be one message to the asker
_LONGEST = 100_000
_AUTHORITY = r"(?:[\w+]+://)?[^/?#]*"
#: what methods and names of headers consist of
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


def sample(url: str, number: int) -> SplitResult | None:
    """The parts of a URL with something in the place of its templates; None if it is none.

    :param number: what differs between two samples is not fixed by the URL.
    """
    from urllib.parse import urlsplit

    def own(field: str) -> str:
        return f"h{number}" if field == "host" else str(number)

    def other(name: str, field: str) -> str:
        return f"http://h{number}:{number}/" if field == "url" else own(field)

    try:
        parts = urlsplit(templates.fill(re.sub(_BRACKETED, r"\1", url), own, other))
        if parts.scheme == "http+unix":
            # a directory alone is no socket: its name was to follow, and its "/" quoted too
            directory = re.fullmatch(r"\{(\w+\.)?(tmpdir|here)\}", urlsplit(url).netloc)
            return parts if parts.netloc and not directory else None
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        let_through(error)
        return None
    return parts if usable else None


def elsewhere(url: str) -> set[str]:
    """The services whose host and port the URL has."""
    authority = re.match(_AUTHORITY, url)
    if authority is None or "port" in templates.fields([authority[0]]):
        # somebody else's host, perhaps, but its own port
        return set()
    return {name for name, _ in templates.references([authority[0]])}


def contradict(host: str, other: str) -> bool:
    """Whether one that listens on a host cannot be asked at another.

    Both must be addresses: what a name stands for is not known here.
    """
    numeric = [re.fullmatch(r"[0-9.]+|.*:.*", text) for text in (host, other)]
    return all(numeric) and host not in (other, "0.0.0.0", "::")


def fill(url: str, own: Callable[[str], str], other: Callable[[str, str], str | None]) -> str:
    """Fill in the templates of a URL: an IPv6 address in brackets, a path quoted for a host."""
    from urllib.parse import quote

    unix = url.startswith("http+unix:")

    def written(field: str, value: str) -> str:
        if field == "host":
            return bracketed(value)
        return quote(value, safe="") if unix and value.startswith("/") else value

    def others(name: str, field: str) -> str | None:
        value = other(name, field)
        return None if value is None else written(field, value)

    url = re.sub(_BRACKETED, r"\1", url)
    return templates.fill(url, lambda field: written(field, own(field)), others)


def statuses(label: str, value: Any) -> Any:
    """Refuse what says nothing about a status.

    :raises InvalidArgument: naming the argument.
    """
    several = isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping))
    if isinstance(value, bool) or not (
        isinstance(value, int) or callable(value) or (several and all_ints(value))
    ):
        raise InvalidArgument(
            f"{label}: status={value!r}: write a status such as 200, a range or a set of them, or "
            "a callable that is given the status",
            executor=label,
        )
    return value


def all_ints(values: Collection[Any]) -> bool:
    """Whether there is at least one value, and all are numbers."""
    numbers = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    return bool(values) and numbers


def method(label: str, value: Any) -> str:
    """Refuse what is no method.

    :raises InvalidArgument: naming the argument.
    """
    if not isinstance(value, str) or not re.fullmatch(_TOKEN, value):
        raise InvalidArgument(f'{label}: method={value!r}: write one such as "GET"', executor=label)
    return value


def headers(label: str, value: Any) -> dict[str, str]:
    """Refuse what cannot be sent as headers; values, which may be secrets, are not shown.

    :raises InvalidArgument: naming the argument.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgument(
            f'{label}: headers= is no mapping: write {{"Accept": "text/html"}}', executor=label
        )
    if not all(isinstance(name, str) and re.fullmatch(_TOKEN, name) for name in value):
        # it may have the value in it
        raise InvalidArgument(
            f"{label}: headers= has a name that cannot be sent: write one as text, without a "
            'colon, such as "Accept"',
            executor=label,
        )
    for name in value:
        if not isinstance(value[name], str):
            instead = f"is no text but {kind_of(value[name])}: write text"
        elif re.match(r"\s", value[name]) or re.search(r"[\0-\x08\n-\x1f\x7f]", value[name]):
            instead = "begins with a blank, or has a control character: write text on one line"
        elif not _in_latin_1(value[name]):
            instead = "has a character that is not in Latin-1: quote it, as urllib.parse does"
        else:
            continue
        raise InvalidArgument(
            f"{label}: headers= cannot send {name!r}, whose value {instead}", executor=label
        )
    return dict(value)


def auth(label: str, value: Any) -> tuple[str, str] | None:
    """Refuse what is no user and password, without showing them.

    :raises InvalidArgument: naming the argument.
    """
    if value is None:
        return None
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not pair or not all(isinstance(each, str) for each in value):
        raise InvalidArgument(
            f'{label}: auth= is no pair of texts: write auth=("user", "password")', executor=label
        )
    if not all(map(_in_latin_1, value)):
        raise InvalidArgument(
            f"{label}: auth= has a character that is not in Latin-1, in which it is sent: write "
            "headers= with an Authorization of your own",
            executor=label,
        )
    return value[0], value[1]


def body(label: str, value: Any) -> bytes | None:
    """Refuse what is neither text nor bytes.

    :raises InvalidArgument: naming the argument.
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        if len(value) > _LONGEST:
            raise InvalidArgument(
                f"{label}: body= has {len(value)} bytes: write {_LONGEST} at most",
                executor=label,
            )
        return bytes(value)
    if not isinstance(value, str):
        raise InvalidArgument(
            f"{label}: body= is no text but {kind_of(value)}: write text or bytes, such as "
            "json.dumps(…) or urllib.parse.urlencode(…)",
            executor=label,
        )
    try:
        return body(label, value.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(
            f"{label}: body= has a lone surrogate, which no encoding has: write bytes",
            executor=label,
        ) from None


def _in_latin_1(text: str) -> bool:
    return all(char < "\u0100" for char in text)


def answer(label: str, value: Any) -> Any:
    """A pattern, compiled, or a callable.

    :raises InvalidArgument: naming the argument.
    """
    if value is None or callable(value):
        return value
    if not isinstance(value, (str, re.Pattern)):
        raise InvalidArgument(
            f"{label}: answer={value!r}: write a pattern, or a callable that is given status, "
            "headers and body",
            executor=label,
        )
    return compile_patterns(value, label, "answer")[0]
