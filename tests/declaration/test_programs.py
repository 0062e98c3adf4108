"""Which programs a service finds: those of the tests' own virtual environment first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from summon_testcase.declaration.programs import activate, find_program, is_program

from ..samples import ROOT

#: a service that prints which Python its ``python3`` is, and its variables for environments
ASKED = """
import json, os, sys
sys.path[:0] = json.loads(sys.argv[1])
from summon_testcase import OutputCoordinatedExecutor
code = ("import json, os, sys; "
        "print(json.dumps([sys.prefix, os.environ.get('VIRTUAL_ENV'), os.environ.get('PATH')]))")
with OutputCoordinatedExecutor(
    ["python3", "-c", code], r"\\[.*\\]\\n", one_shot=True, env=json.loads(sys.argv[2])
) as python:
    print(python.match[0])
"""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A virtual environment."""
    place = str(tmp_path_factory.mktemp("venv"))
    command = [sys.executable, "-m", "venv", "--without-pip", place]
    subprocess.run(command, check=True, timeout=120)
    return place


def ask(prefix: str, env: dict[str, str] | None = None, **environ: str) -> Any:
    """The output of such a service, declared in a process with the Python of an environment."""
    known = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONHOME")}
    done = subprocess.run(
        [f"{prefix}/bin/python", "-c", ASKED, json.dumps([ROOT, *sys.path]), json.dumps(env)],
        env={**known, "PATH": "/usr/local/bin:/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestVirtualEnvironment:
    def test_not_activated(self, prefix: str) -> None:
        """Services run as if it were activated, though only its Python was named."""
        found, told, path = ask(prefix)
        assert (found, told) == (prefix, prefix)
        assert path.split(":")[:2] == [f"{prefix}/bin", "/usr/local/bin"]

    def test_another_one_is_activated(self, prefix: str) -> None:
        """The tests' own environment comes before one that the shell has activated."""
        found, told, _ = ask(prefix, VIRTUAL_ENV="/no/such", PATH="/no/such/bin:/usr/bin:/bin")
        assert (found, told) == (prefix, prefix)

    def test_activated(self, prefix: str, tmp_path: Path) -> None:
        """Where it is activated the order of the PATH is the user's."""
        path = f"{tmp_path}:{prefix}/bin:/usr/bin:/bin"
        assert ask(prefix, VIRTUAL_ENV=prefix, PATH=path) == [prefix, prefix, path]

    def test_a_path_of_ones_own(self, prefix: str) -> None:
        """A PATH in env= is taken as it is."""
        found, told, path = ask(prefix, env={"PATH": "/usr/bin:/bin"})
        assert found != prefix and (told, path) == (None, "/usr/bin:/bin")

    def test_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """PYTHONHOME is removed, as activate does, since it belongs to another Python."""
        monkeypatch.setattr(sys, "prefix", "/v")
        env = {"PATH": "/bin", "PYTHONHOME": "/h"}
        activate(env)
        assert env == {"PATH": "/v/bin:/bin", "VIRTUAL_ENV": "/v"}

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a virtual environment nothing changes."""
        monkeypatch.setattr(sys, "prefix", sys.base_prefix)
        env = {"PATH": "/bin", "PYTHONHOME": "/h"}
        activate(env)
        assert env == {"PATH": "/bin", "PYTHONHOME": "/h"}


class TestPlaces:
    """Where programs are looked for: on the PATH, beside Python, and where servers are."""

    def find(self, word: str, path: str) -> str:
        return find_program(word, path, "/", "it")

    def test_in_their_order(self, tmp_path: Path) -> None:
        program = tmp_path / os.path.basename(sys.executable)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        assert self.find(program.name, f"/no/such:{tmp_path}") == str(program)
        assert self.find(program.name, "/no/such") == sys.executable

    def test_servers(self) -> None:
        """A PATH of a user leaves out what the system's administrator runs."""
        names = sorted(name for name in os.listdir("/usr/sbin") if is_program(f"/usr/sbin/{name}"))
        beside = os.listdir(os.path.dirname(sys.executable))
        name = next(name for name in names if name not in beside)
        assert self.find(name, "/no/such") == f"/usr/sbin/{name}"
