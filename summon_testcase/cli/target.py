"""TARGET of the command line: where the services are declared that a command is about."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType

from ..errors import SummonError
from ..executors.declared import declared
from ..executors.executor import Executor
from ..foreign import let_through
from ..orchestration.orchestrator import Orchestrator, orchestrated
from ..tracebacks import hidden, raised
from ..unpatched import os

__tracebackhide__ = hidden

FORMS = "module:Class, file.py:Class, file.py or module:name"


class UsageError(SummonError):
    """The command line asks for what cannot be; its exit status is 2."""


class Target:
    """What TARGET means.

    :param text: as it was written.
    :param file: the full path of the file that declares the services.
    :param name: the name of the class, or of the orchestrator or mapping, in this file.
    :param orchestrator: all services, bound to each other as in a TestCase.
    """

    def __init__(self, text: str, file: str, name: str, orchestrator: Orchestrator) -> None:
        self.text = text
        self.file = file
        self.name = name
        self.orchestrator = orchestrator

    @property
    def executors(self) -> dict[str, Executor]:
        """The services by name; things that are no :class:`Executor` are left out."""
        members = self.orchestrator._members.items()
        return {name: member for name, member in members if isinstance(member, Executor)}


def load(text: str, names: Iterable[str] = ()) -> Target:
    """Import what TARGET names.

    The current directory, and that of the file, become importable.  Nothing is started, and no
    program is looked for.

    :param text: ``module:Class``, ``file.py:Class``, ``file.py`` for its only class with services,
        or ``module:name`` of an :class:`Orchestrator`, a mapping or a list of executors.
    :param names: the services that are wanted, with those that they need; default: all.
    :raises UsageError: in one sentence, if it names no services, or cannot be imported.
    :raises InvalidArgument: for references that do not fit.
    """
    place, name = split(text)
    _make_importable("")
    module = _file(place) if is_file(place) else _module(place)
    if name:
        orchestrator = _services(text, name, _attribute(text, module, name))
    else:
        name, orchestrator = _only_class(text, module)
    for member in orchestrator._everyone():
        # scope=, restart= and alive= have their meaning in a TestCase, for which they were written
        member._may_be_scoped = True
    orchestrator._bind({})
    file = os.path.realpath(getattr(module, "__file__", None) or place)
    return Target(text, file, name, _chosen(text, orchestrator, list(names)))


def split(text: str) -> tuple[str, str]:
    """The file or module that TARGET names, and the name in it, which may be empty."""
    place, _, name = text.rpartition(":") if ":" in text else (text, "", "")
    if not place:
        raise UsageError(f"{text!r} names no services: write {FORMS}")
    return place, name


def is_file(place: str) -> bool:
    """Whether the first part of TARGET is the path of a file, and no module."""
    return place.endswith(".py") or os.sep in place or os.path.exists(place)


def _make_importable(directory: str) -> None:
    if directory not in sys.path:
        sys.path.insert(0, directory)


def _module(name: str) -> ModuleType:
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        # one by one: to find a module runs the code of the packages around it
        part = ".".join(parts[:number])
        if not _is_found(part):
            raise UsageError(
                f"no module {name!r} is found from {os.getcwd()}: write {FORMS}, or go to the "
                "directory from which it can be imported"
            )
        module = _imported(part, name)
    return module


def _is_found(name: str) -> bool:
    """Whether there is a module, in a package that is imported already."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError) as error:  # what is around it is no package
        let_through(error)
        return False


def _file(path: str) -> ModuleType:
    """Import a file as a runner of tests does: by its name within its packages, if it has some."""
    if not os.path.isfile(path):
        is_there = "is a directory" if os.path.isdir(path) else "does not exist"
        raise UsageError(f"{path} {is_there}: write {FORMS}")
    full = os.path.abspath(path)
    directory, base = os.path.split(full)
    name = base.removesuffix(".py")
    while os.path.isfile(os.path.join(directory, "__init__.py")):
        directory, package = os.path.split(directory)
        name = f"{package}.{name}"
    _make_importable(directory)
    if all(part.isidentifier() for part in name.split(".")):
        known = sys.modules.get(name)
        if known is None or _is_file_of(known, full):
            module = _imported(name, path)
            if _is_file_of(module, full):
                return module
    # another module has its name already, or it has a name that import cannot say
    spec = importlib.util.spec_from_file_location(f"summon target {base}", full)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file: write {FORMS}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    execute = spec.loader.exec_module
    _run(path, lambda: execute(module))
    return module


def _is_file_of(module: ModuleType, path: str) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and os.path.realpath(str(file)) == os.path.realpath(path)


def _imported(name: str, said: str) -> ModuleType:
    _run(said, lambda: import_module(name))
    return sys.modules[name]


def _run(said: str, call: Callable[[], object]) -> None:
    """Run the code of a module; whatever it raises is one sentence.

    :param said: what the user calls the module.
    """
    try:
        call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit, and the exceptions of pytest.skip()
        if isinstance(error, Exception):
            let_through(error)
        raise UsageError(f"{said} cannot be imported: {raised(error)}") from error


def _attribute(text: str, module: ModuleType, name: str) -> object:
    found: object = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            offered = _offered(module)
            instead = f": it has {', '.join(offered)}" if offered else ""
            raise UsageError(f"{text}: there is no {name} in {module.__name__}{instead}") from None
    return found


def _services(text: str, name: str, thing: object) -> Orchestrator:
    """All services of a class, an orchestrator, a mapping or a list, as one orchestrator."""
    if isinstance(thing, type):
        services = declared(thing)
        if not services:
            raise UsageError(
                f"{text}: the class {name} has no services: name one whose attributes are executors"
            )
        return Orchestrator(services)
    if isinstance(thing, orchestrated):
        return thing._orchestrator
    if isinstance(thing, Orchestrator):
        return thing
    if isinstance(thing, Executor):
        return Orchestrator({thing.name or name: thing})
    if isinstance(thing, (Mapping, list, tuple)) and thing:
        return Orchestrator(thing)
    raise UsageError(
        f"{text}: {name} is {type(thing).__name__}, and no services: name a class, an Orchestrator "
        "or a mapping of executors"
    )


def _classes(module: ModuleType) -> dict[str, type]:
    """The classes with services that a module itself defines."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if isinstance(thing, type) and thing.__module__ == module.__name__ and declared(thing)
    }


def _offered(module: ModuleType) -> list[str]:
    others = (Orchestrator, orchestrated)
    return [*_classes(module), *(n for n, t in vars(module).items() if isinstance(t, others))]


def _only_class(text: str, module: ModuleType) -> tuple[str, Orchestrator]:
    found = _classes(module)
    if len(found) == 1:
        name, case = next(iter(found.items()))
        return name, Orchestrator(declared(case))
    offered = _offered(module)
    if not offered:
        raise UsageError(f"{text} has no class with services")
    said = "several classes with services" if len(found) > 1 else "no class with services"
    choice = " or ".join(f"{text}:{name}" for name in offered)
    raise UsageError(f"{text} has {said}: write {choice}")


def _chosen(text: str, orchestrator: Orchestrator, names: list[str]) -> Orchestrator:
    """The wanted services, and those that they need."""
    known = orchestrator._members
    for name in names:
        if name not in known:
            raise UsageError(f"{text} has no service {name!r}: it has {', '.join(known)}")
    return orchestrator._only(names) if names else orchestrator
