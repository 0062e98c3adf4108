"""Real servers that tests need: skip without them, or fail where skips are forbidden.

On a class or a test::

    @needs("redis-server")
    class RedisTest(SummonMixin, TestCase):
        redis = TCPCoordinatedExecutor([binary("redis-server"), "--port", "{port}"])

For a whole module, at its top::

    POSTGRES = find("postgres", package="postgresql")

``SUMMON_FORBID_SKIPS=1`` in the environment turns each skip into a failure.
"""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from summon_testcase.declaration.programs import package_of

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _places() -> str:
    """Where servers are that a user's PATH leaves out: Debian's and those beside this Python."""
    postgres = glob.glob("/usr/lib/postgresql/*/bin")
    postgres.sort(key=lambda place: [int(n) for n in re.findall(r"\d+", place)], reverse=True)
    beside = os.path.dirname(sys.executable)
    return os.pathsep.join(["/usr/sbin", "/usr/local/sbin", *postgres, beside])


def locate(name: str) -> str | None:
    """The full path of a program, or None."""
    return shutil.which(name) or shutil.which(name, path=_places())


def binary(name: str) -> str:
    """The full path of a program, or its bare name: for declarations under ``@needs``."""
    return locate(name) or name


def find(name: str, package: str | None = None) -> str:
    """The full path of a program; without it, skip the test or module that asks."""
    path = locate(name)
    if path is None:
        give_up(_reason(name, package))
    return path


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key, made by openssl; without that, skip the test."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [find("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", made],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return made, key


def needs(name: str, package: str | None = None) -> Callable[[Decorated], Decorated]:
    """Decorate a class or test that cannot run without this program."""

    def decorate(decorated: Decorated) -> Decorated:
        if locate(name) is not None:
            return decorated
        reason = _reason(name, package)
        if not skips_are_forbidden():
            return unittest.skip(reason)(decorated)
        if isinstance(decorated, type):
            # not at import, so that other tests of the module still run
            decorated.setUpClass = classmethod(lambda cls: give_up(reason))  # type: ignore[attr-defined]
            return decorated

        @functools.wraps(decorated)
        def fail(*args: object, **kwargs: object) -> NoReturn:
            give_up(reason)

        return fail  # type: ignore[return-value]

    return decorate


def _reason(name: str, package: str | None) -> str:
    return f"{name} is not installed (Debian package: {package or package_of(name) or name})"


def skips_are_forbidden() -> bool:
    return os.environ.get("SUMMON_FORBID_SKIPS", "") not in ("", "0")


def give_up(reason: str) -> NoReturn:
    """Skip the test that cannot run, or fail it where skips are forbidden."""
    if skips_are_forbidden():
        raise AssertionError(f"{reason}, and SUMMON_FORBID_SKIPS forbids to skip")
    raise unittest.SkipTest(reason)
