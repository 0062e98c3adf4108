"""What the templates of a service stand for, and which other services they name."""

from __future__ import annotations

import functools
import sys
from collections import ChainMap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..declaration import command as commands
from ..declaration import templates, variables
from ..declaration.programs import activate
from ..errors import InvalidArgument, NotRunning, UnknownReference
from ..tracebacks import hidden
from ..unpatched import os

if TYPE_CHECKING:
    from .simple import SimpleExecutor

__tracebackhide__ = hidden


def own(executor: SimpleExecutor, field: str) -> str:
    """The value of a field of the service itself."""
    if field == "port":
        told = executor.match and executor.match.groupdict().get("port")
        return told or str(executor._port_now())
    if templates.is_port(field):
        return str(executor._leased("ports").lease(field.removeprefix(templates.PORT)))
    if field == "url":
        return executor._url_now()
    if field == "tmpdir":
        return executor.tmpdir
    if field == "python":
        if not sys.executable:
            raise InvalidArgument(
                f"{executor._called}: {{python}} is not known, since sys.executable is "
                f"{sys.executable!r}: write the path of an interpreter",
                executor=executor._called,
            )
        return sys.executable
    if field == "here":
        if executor._here is None:
            raise InvalidArgument(
                f"{executor._called}: {{here}} is the directory of the module that declares it, "
                "which has no file: write the directory",
                executor=executor._called,
            )
        return executor._here
    return executor._host if field == "host" else executor._called


def other(executor: SimpleExecutor, name: str, field: str) -> str | None:
    """The value of a field of another service; None for what is no reference."""
    check(executor, name, field)
    service = executor._services.get(name)
    if service is None:
        return None
    if service is executor and (field in templates.OWN_FIELDS or templates.is_port(field)):
        return own(executor, field)
    try:
        found = templates.value_of(service, field)
    except NotRunning:
        raise
    except AttributeError:
        offered = [known for known in templates.offered(service) if hasattr(service, known)]
        raise templates.unknown_field(executor._called, name, field, offered) from None
    if found is None:
        raise UnknownReference(
            f"{executor._called}: {{{name}.{field}}} cannot be filled in: {name} has none, since "
            "what told it was not in its banner, or it is None",
            executor=executor._called,
        )
    value = str(found)
    if executor._instance is not None:
        executor._instance.told.setdefault((name, field), value)
    return value


def check(executor: SimpleExecutor, name: str, field: str) -> None:
    """Refuse a template that names a service, or a field of one, that there is not.

    :raises UnknownReference: which suggests the nearest name.
    """
    from .simple import SimpleExecutor

    service = executor._services.get(name)
    if service is not None:
        fields = templates.offered(service)
        if isinstance(service, SimpleExecutor):
            fields += named_ports(service)
        elif field.startswith(templates.PORT) and hasattr(service, "ports"):
            return
        if field not in fields:
            raise templates.unknown_field(executor._called, name, field, fields)
    elif field in templates.OTHER_FIELDS or templates.is_port(field):
        raise templates.unknown_service(executor._called, name, field, executor._services)


def filled(executor: SimpleExecutor, words: Iterable[str]) -> tuple[str, ...]:
    """Words with their templates filled in."""
    own_value, of_other = functools.partial(own, executor), functools.partial(other, executor)
    found = []
    for word in words:
        found.append(templates.fill(word, own_value, of_other) if "{" in word else word)
    return tuple(found)


def own_fields(executor: SimpleExecutor, texts: Iterable[str]) -> set[str]:
    """The fields of the service itself that templates in some texts name."""
    services = executor._services
    return {f for n, f in templates.named(texts) if not n or services.get(n) is executor}


def named_ports(executor: SimpleExecutor) -> tuple[str, ...]:
    """The fields ``port:NAME`` of its own that its texts name."""
    fields = own_fields(executor, executor._texts())
    return tuple(sorted(field for field in fields if field.startswith(templates.PORT)))


def placed(executor: SimpleExecutor, text: str) -> str:
    """A text in which those templates are filled in that are known before the start."""

    def known(field: str) -> str:
        return own(executor, field) if field in templates.PLACES else f"{{{field}}}"

    return templates.fill(text, known, lambda name, field: None)


def in_advance(executor: SimpleExecutor, text: str) -> str | None:
    """A text with its templates filled in; None if only the start can fill them in."""
    if "{" in text:
        text = placed(executor, text)
        return None if templates.there_are(text) else text
    return text


def located(executor: SimpleExecutor, path: str) -> str | None:
    """The full path of a file, if it is known before the start."""
    base, known = in_advance(executor, executor._cwd or ""), in_advance(executor, path)
    if known is None or (base is None and not os.path.isabs(known)):
        return None
    return os.path.join(base or "", known)


def directory(executor: SimpleExecutor) -> str:
    """The directory that the service runs in."""
    cwd = executor._cwd
    return commands.directory(executor._fill(cwd) if cwd else None, executor._called)


def environment(executor: SimpleExecutor) -> dict[str, str]:
    """The variables of the service, filled in."""

    def told(layer: object) -> dict[str, str]:
        """What an executor in ``env=``, or a service with that name, tells its clients."""
        service = executor._services.get(layer) if isinstance(layer, str) else layer
        if service is None:
            raise templates.unknown_name(executor._called, "env", str(layer), executor._services)
        name = getattr(service, "name", "") or type(service).__name__
        found = variables.of_service(executor._called, name, service)
        removed.update(getattr(service, "_not_inherited", ()))
        if executor._instance is not None:
            executor._instance.told_env.setdefault(name, (service, found))
        return found

    removed: set[str] = set()
    declared = variables.merged(executor._env, executor._fill, told)
    for key in removed:
        declared.setdefault(key, None)
    return commands.environment(declared, executor._tty)


def search_path(executor: SimpleExecutor) -> str | None:
    """The PATH of the service, with templates that are not filled in; None if it has none."""
    declared = variables.merged(executor._env)
    if "PATH" in declared:
        return declared["PATH"]
    env: ChainMap[str, str] = ChainMap({}, os.environ)
    activate(env)
    return env.get("PATH")
