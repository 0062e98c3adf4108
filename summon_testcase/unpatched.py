"""The clock, files, sockets and processes as they are, whatever a test makes of its own.

Tests replace ``time.monotonic``, ``os.getpid``, ``open``, ``socket.socket``, ``subprocess.Popen``
by mocks, freeze the clock, and put a file system of their own in the place of the real one: for
the code under test, not for what keeps its services.  Tools do so by attributes of the modules of
the standard library, and of all modules that imported from them (freezegun, pyfakefs and
pytest-subprocess look through ``sys.modules``).  So these modules are loaded a second time, for
this package alone, when they are first needed; and what they import of each other too.

``os.environ`` is the one that the test has, which services inherit.
"""

from __future__ import annotations

import builtins
import errno
import functools
import stat
import sys
import threading
from collections.abc import Callable
from importlib._bootstrap import module_from_spec  # importlib.util takes long
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .foreign import let_through

if TYPE_CHECKING:
    import fcntl as fcntl
    import glob as glob
    import io as io
    import os as os
    import select as select
    import shutil as shutil
    import socket as socket
    import subprocess as subprocess
    import tempfile as tempfile
    import time as time
    from builtins import open as open

_OURS = {
    *("os", "posixpath", "genericpath", "io", "fcntl", "glob", "shutil", "tempfile"),
    *("time", "select", "selectors", "socket", "subprocess"),
}
#: those that have been loaded; before it is done each of them, since they import each other
_loaded: dict[str, ModuleType] = {}
_lock = threading.RLock()


#: not looked up later: a test may have emptied sys.modules
_of_the_test = sys.modules["os"]


class _Sys(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


class _Os(ModuleType):
    environ = property(lambda self: _of_the_test.environ)
    environb = property(lambda self: _of_the_test.environb)


def apart(name: str, path: list[str] | None = None) -> Any:
    """A module, loaded once more for this package alone.

    :param name: its full name.
    :param path: where its package has its modules, if it is in one.
    """
    with _lock:
        if name not in _loaded:
            try:
                _load(name, path)
            except BaseException:
                _loaded.pop(name, None)
                raise
        return _loaded[name]


def _load(name: str, path: list[str] | None) -> None:
    finders = (BuiltinImporter, FrozenImporter, PathFinder)
    spec = next(filter(None, (finder.find_spec(name, path) for finder in finders)), None)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = _loaded[name] = module_from_spec(spec)
    # pyfakefs replaces what has the name of such a module
    module.__name__ = f"{__name__}.{name}"
    code = getattr(spec.loader, "get_code", lambda name: None)(name)
    if code is None:
        spec.loader.exec_module(module)
        if name == "time":
            # time-machine reaches the functions of a second copy too, but not this clock
            names = vars(module)
            clock = functools.partial(names["clock_gettime"], names["CLOCK_MONOTONIC"])
            names["monotonic"] = clock
        return
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import, "open": _io.open}
    # os puts its path there; socket looks there for itself
    before = sys.modules.get("os.path")
    sys.modules[module.__name__] = module
    try:
        exec(code, vars(module))
    finally:
        del sys.modules[module.__name__]
        if name == "os" and before is not None:
            sys.modules["os.path"] = before
    if name == "os":
        # what changes the environment has to change the one that all others see
        module.__class__ = _Os
        vars(module).update(environ=module.environ, environb=module.environb)


def _import(name: str, *how: Any) -> Any:
    """In place of ``__import__`` in what is loaded here."""
    if name == "os.path":
        return apart("os").path if len(how) > 2 and how[2] else apart("os")
    if name in _OURS:
        return apart(name)
    return _known.get(name) or __import__(name, *how)


def _facts(call: Callable[..., os.stat_result], path: object) -> int:
    """The kind of a file; 0 if there is none."""
    try:
        return call(path).st_mode
    except (OSError, ValueError) as error:
        let_through(error)
        return 0


def stay_imported() -> None:
    """Put the modules of this package back that a test has removed.

    pyfakefs forgets what was imported while it was active; but there is one warden only.
    """
    packages = [sys.modules[str(__package__)]]
    for package in packages:
        for module in list(vars(package).values()):
            if isinstance(module, ModuleType) and module.__name__.startswith(
                f"{package.__name__}."
            ):
                sys.modules.setdefault(module.__name__, module)
                if "__path__" in vars(module):
                    packages.append(module)  # whose turn comes in this loop, too


def __getattr__(name: str) -> Any:
    if name in _OURS:
        return globals().setdefault(name, apart(name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _builtin(name: str) -> Any:
    """A module of the interpreter itself; made once more only where a test has replaced it."""
    module = sys.modules.get(name)
    if isinstance(module, ModuleType):
        return module
    spec = BuiltinImporter.find_spec(name)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_io = _builtin("_io")
_sys = _Sys("sys")
_known = {"_io": _io, "sys": _sys}

if not TYPE_CHECKING:
    os = apart("os")
    # those of the standard library take a TimeoutError of a signal handler for "no"
    os.path.exists = lambda path: _facts(os.stat, path) != 0
    os.path.isdir = lambda path: stat.S_ISDIR(_facts(os.stat, path))
    os.path.isfile = lambda path: stat.S_ISREG(_facts(os.stat, path))
    os.path.islink = lambda path: stat.S_ISLNK(_facts(os.lstat, path))
    time = apart("time")
    # no function of this name may be here, for pyfakefs would replace it
    open = functools.partial(_io.open)


def variable(name: str) -> str:
    """A variable of the environment; empty if it is not set."""
    # get() of the environment may be the test's own
    return str(os.environ[name]) if name in os.environ else ""


def switched_on(name: str) -> bool:
    """Whether a variable of the environment is set, and neither empty nor ``0``."""
    return variable(name) not in ("", "0")


def temporary_directory() -> str:
    """Where temporary files go: where the test's ``tempfile`` has them, if that is a directory."""
    told = getattr(sys.modules.get("tempfile"), "tempdir", None)
    variables = [variable(name) for name in ("TMPDIR", "TEMP", "TMP")]
    # as gettempdir() of the standard library looks, which may swallow what a handler raises
    for place in (told, *variables, "/tmp", "/var/tmp", "/usr/tmp", "."):
        if isinstance(place, str) and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return os.path.abspath(place)
    raise FileNotFoundError(errno.ENOENT, "no directory for temporary files can be written")


#: ``sys.platform`` may be the test's
LINUX = os.uname().sysname == "Linux"
MACOS = os.uname().sysname == "Darwin"
vars(_sys)["platform"] = os.uname().sysname.lower()
