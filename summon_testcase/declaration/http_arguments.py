"""Checks the arguments of an HTTP executor, and fills in the templates of its URL."""

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

#: ``[{host}]``: :func:`fill` adds brackets to an IPv6 address by itself
_BRACKETED = r"\[(\{(?:\w+\.)?host\})\]"
#: bytes of a body: together with URL and headers it must fit into one message to the asker
_LONGEST = 100_000
_AUTHORITY = r"(?:[\w+]+://)?[^/?#]*"
#: the characters that methods and names of headers may have
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


def sample(url: str, number: int) -> SplitResult | None:
    """The parts of a URL with sample values in the place of its templates; None if it is no URL.

    :param number: selects the sample values: parts that differ between the samples of two numbers
        are not fixed by the URL.
    """
    from urllib.parse import urlsplit

    def own(field: str) -> str:
        return f"h{number}" if field == "host" else str(number)

    def other(name: str, field: str) -> str:
        return f"http://h{number}:{number}/" if field == "url" else own(field)

    try:
        parts = urlsplit(templates.fill(re.sub(_BRACKETED, r"\1", url), own, other))
        if parts.scheme == "http+unix":
            # A directory alone is no socket: the user has not quoted the "/" before the name.
            directory = re.fullmatch(r"\{(\w+\.)?(tmpdir|here)\}", urlsplit(url).netloc)
            return parts if parts.netloc and not directory else None
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        let_through(error)
        return None
    return parts if usable else None


def elsewhere(url: str) -> set[str]:
    """The names of other services that the URL addresses."""
    authority = re.match(_AUTHORITY, url)
    named = templates.named([authority[0]] if authority else [])
    if any(not name and templates.is_port(field) for name, field in named):
        # "{port}" is the executor's own, even if the host is another service's
        return set()
    return {name for name, _ in named if name}


def contradict(host: str, other: str) -> bool:
    """Whether a service that listens on one address cannot be reached at the other.

    False if one of them is a name, which cannot be resolved here.
    """
    numeric = [re.fullmatch(r"[0-9.]+|.*:.*", text) for text in (host, other)]
    return all(numeric) and host not in (other, "0.0.0.0", "::")


def fill(url: str, own: Callable[[str], str], other: Callable[[str, str], str | None]) -> str:
    """Fill in the templates of a URL.

    An IPv6 address gets brackets; the path of a unix socket is quoted, as a host must be.
    """
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
    """Refuse what is no status, no collection of them and no callable.

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
        # the name is not shown: the value, which may be secret, may be a part of it
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
