"""The real clock, files, sockets and processes, also when a test has replaced them.

Tests replace ``time.monotonic``, ``os.getpid``, ``open``, ``socket.socket`` and
``subprocess.Popen`` by mocks, freeze the clock, or use a fake file system.  That is meant for the
code under test, and must not reach the code that runs its services.  Tools such as freezegun,
pyfakefs and pytest-subprocess replace attributes of the standard library's modules, and of all
modules in ``sys.modules`` that have imported these.  So this package loads the modules that it
needs a second time, for itself alone, when it first needs them, and with them the modules that
they import of each other.

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
#: modules loaded here; each is entered before its code runs, since some import each other
_loaded: dict[str, ModuleType] = {}
_lock = threading.RLock()


#: kept from the beginning: a test may empty sys.modules later
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
    :param path: the directories of its package; None if it is in none.
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
    # pyfakefs replaces modules by their name
    module.__name__ = f"{__name__}.{name}"
    code = getattr(spec.loader, "get_code", lambda name: None)(name)
    if code is None:
        spec.loader.exec_module(module)
        if name == "time":
            # time-machine also changes the functions of a second copy, but not this clock
            names = vars(module)
            clock = functools.partial(names["clock_gettime"], names["CLOCK_MONOTONIC"])
            names["monotonic"] = clock
        return
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import, "open": _io.open}
    # the code of os sets sys.modules["os.path"], which is put back below
    before = sys.modules.get("os.path")
    sys.modules[module.__name__] = module
    try:
        exec(code, vars(module))
    finally:
        del sys.modules[module.__name__]
        if name == "os" and before is not None:
            sys.modules["os.path"] = before
    if name == "os":
        # a change of the environment must reach the one that the test sees
        module.__class__ = _Os
        vars(module).update(environ=module.environ, environb=module.environb)


def _import(name: str, *how: Any) -> Any:
    """Takes the place of ``__import__`` in the modules that are loaded here."""
    if name == "os.path":
        return apart("os").path if len(how) > 2 and how[2] else apart("os")
    if name in _OURS:
        return apart(name)
    return _known.get(name) or __import__(name, *how)


def _is(kind: int, look: Callable[..., os.stat_result], path: object) -> bool:
    """Whether there is a file, of some kind unless that is 0."""
    try:
        return kind in (0, stat.S_IFMT(look(path).st_mode))
    except (OSError, ValueError) as error:
        let_through(error)
        return False


def stay_imported() -> None:
    """Put modules of this package back into ``sys.modules`` that a test has removed.

    pyfakefs removes modules that were imported while it was active.  Imported anew they would
    know nothing of the warden that runs.
    """
    packages = [sys.modules[str(__package__)]]
    for package in packages:
        for module in list(vars(package).values()):
            if isinstance(module, ModuleType) and module.__name__.startswith(
                f"{package.__name__}."
            ):
                sys.modules.setdefault(module.__name__, module)
                if "__path__" in vars(module):
                    packages.append(module)  # this loop then comes to it


def __getattr__(name: str) -> Any:
    if name in _OURS:
        return globals().setdefault(name, apart(name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _builtin(name: str) -> Any:
    """A built-in module; loaded once more only if a test has replaced it."""
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
    # the standard library's functions take a TimeoutError of a signal handler for "no"
    os.path.exists = functools.partial(_is, 0, os.stat)
    os.path.isdir = functools.partial(_is, stat.S_IFDIR, os.stat)
    os.path.isfile = functools.partial(_is, stat.S_IFREG, os.stat)
    os.path.islink = functools.partial(_is, stat.S_IFLNK, os.lstat)
    time = apart("time")
    # a partial, since pyfakefs replaces functions of the name "open" in all modules
    open = functools.partial(_io.open)


def variable(name: str) -> str:
    """A variable of the environment; empty if it is not set."""
    # not os.environ.get(), which a test may have replaced
    return str(os.environ[name]) if name in os.environ else ""


def switched_on(name: str) -> bool:
    """Whether a variable of the environment is set, and neither empty nor ``0``."""
    return variable(name) not in ("", "0")


def temporary_directory() -> str:
    """The directory for temporary files: that of the test's ``tempfile``, if it exists."""
    told = getattr(sys.modules.get("tempfile"), "tempdir", None)
    variables = [variable(name) for name in ("TMPDIR", "TEMP", "TMP")]
    # as tempfile.gettempdir() does, which may swallow exceptions of a signal handler
    for place in (told, *variables, "/tmp", "/var/tmp", "/usr/tmp", "."):
        if isinstance(place, str) and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return os.path.abspath(place)
    raise FileNotFoundError(errno.ENOENT, "no directory for temporary files can be written")


#: not by ``sys.platform``, which a test may have replaced
LINUX = os.uname().sysname == "Linux"
vars(_sys)["platform"] = os.uname().sysname.lower()
