"""Templates in arguments: ``{port}`` of the service itself, ``{redis.port}`` of another.

A service may have more ports, with names: ``{port:admin}``, and ``{redis.port:admin}`` in others.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from ..errors import UnknownReference
from ..tracebacks import hidden

__tracebackhide__ = hidden

#: fields of the executor itself that ``{field}`` may name
OWN_FIELDS = ("port", "host", "url", "tmpdir", "name")
#: further names for ``{field}``, known before the start: the tests' Python, the module's directory
PLACES = ("python", "here")
#: fields of another service that ``{service.field}`` may name, beside the groups of its banner
OTHER_FIELDS = (*OWN_FIELDS, "pid", "log_path")

#: what stands in front of a port's name: the field of ``{port:admin}`` is ``port:admin``
PORT = "port:"

# a single letter behind the colon is a format of Python's: "{port:d}"
_NAME = r"[A-Za-z_]\w*"
# double braces are for others, such as Jinja: "{{name}}"
_OTHERS = r"(?<=\{)\{[\w.:-]+\}\}"
_TEMPLATE = rf"(?<!\$)(?!{_OTHERS})\{{(?:({_NAME})\.)?({PORT}[A-Za-z_][\w-]+|{_NAME})\}}"


def offered(service: object) -> tuple[str, ...]:
    """The fields of a service that ``{service.field}`` may name.

    Its classes, and the service itself, may add some in ``template_fields``.
    """
    places = [vars(kind) for kind in reversed(type(service).__mro__)]
    added = [place.get("template_fields", ()) for place in places]
    added.append(getattr(service, "template_fields", ()))
    found = [(more,) if isinstance(more, str) else more for more in added]
    return tuple(dict.fromkeys([*OTHER_FIELDS, *(field for more in found for field in more)]))


def named(texts: Iterable[str]) -> set[tuple[str, str]]:
    """The ``(service, field)`` pairs that templates in some texts name; no service is empty."""
    found: set[tuple[str, str]] = set()
    for text in texts:
        found.update(re.findall(_TEMPLATE, text) if "{" in text else ())
    return found


def there_are(text: str) -> bool:
    """Whether a text contains templates."""
    return any(name or _is_own(field) for name, field in re.findall(_TEMPLATE, text))


def is_port(field: str) -> bool:
    """Whether a field is a port, with a name or without."""
    return field == "port" or field.startswith(PORT)


def _is_own(field: str) -> bool:
    return field in OWN_FIELDS or field in PLACES or field.startswith(PORT)


def fill(text: str, own: Callable[[str], str], other: Callable[[str, str], str | None]) -> str:
    """Fill in the templates of a text; anything else in braces stays as it is.

    :param own: gives the value of one of :data:`OWN_FIELDS` or :data:`PLACES`, or of a port.
    :param other: gives the value of another service's field, or None to leave the template as it
        is.
    """

    def value(match: re.Match[str]) -> str:
        name, field = match[1], match[2]
        if name:
            found = other(name, field)
            return match[0] if found is None else found
        return own(field) if _is_own(field) else match[0]

    return re.sub(_TEMPLATE, value, text)


def value_of(service: object, field: str) -> object:
    """The value of a service's field.

    :raises AttributeError: if it has none, now.
    """
    if not field.startswith(PORT):
        return getattr(service, field)
    ports: Mapping[str, object] = service.ports  # type: ignore[attr-defined]
    try:
        return ports[field[len(PORT) :]]
    except KeyError:
        raise AttributeError(field) from None


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The declared name that the user has probably meant; None if none is similar."""
    found = difflib.get_close_matches(name, list(names), 1, 0.6)
    return found[0] if found else None


def unknown_service(label: str, name: str, field: str, declared: Iterable[str]) -> UnknownReference:
    """The error for a template that names a service which is not declared."""
    hint = _hint(name, declared, lambda meant: f"{{{meant}.{field}}}")
    return UnknownReference(
        f"{label}: {{{name}.{field}}} names no declared service: {hint}", executor=label
    )


def unknown_name(label: str, argument: str, name: str, declared: Iterable[str]) -> UnknownReference:
    """The error for an argument that names a service which is not declared."""
    return UnknownReference(
        f"{label}: {argument}= names {name!r}, which is no declared service: "
        f"{_hint(name, declared, repr)}",
        executor=label,
    )


def _hint(name: str, declared: Iterable[str], write: Callable[[str], str]) -> str:
    """What to write instead of the name of a service that is not declared."""
    declared = sorted(declared)
    meant = nearest(name, declared)
    if meant:
        return f"did you mean {write(meant)}?"
    return (
        f"declared here: {', '.join(declared)}" if declared else "no other service is declared here"
    )


def unknown_field(label: str, name: str, field: str, fields: Iterable[str]) -> UnknownReference:
    """The error for a template that names a field which a service does not offer."""
    fields = list(fields)
    meant = nearest(field, fields)
    offers = ", ".join(fields) or "no attribute that a template could name"
    hint = f"did you mean {{{name}.{meant}}}?" if meant else f"it offers {offers}"
    return UnknownReference(
        f"{label}: {{{name}.{field}}} cannot be filled in: {hint}", executor=label
    )
