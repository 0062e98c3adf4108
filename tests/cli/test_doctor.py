"""``summon doctor``: what is there is found, what is not is told, and nothing makes it fail."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

import summon_testcase
from summon_testcase.cli import examination

from ..places import linux
from .commands import summon

Findings = dict[str, dict[str, object]]


def findings(capsys: pytest.CaptureFixture[str]) -> Findings:
    """What it finds, by name."""
    assert summon("doctor", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["format"] == 1
    return {each["name"]: each for each in told["findings"]}


def install(directory: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Make this the PATH, with some programs in it."""
    for name, script in scripts.items():
        path = directory / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))


def test_what_is_found_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Ourselves, all ready-made services that are programs of others, engines, the system."""
    found = findings(capsys)
    assert found["version"]["found"] == summon_testcase.__version__
    services = {name for name, each in found.items() if each["group"] == "services"}
    assert services == {*summon_testcase.services.__all__} - {"TCPProxy"}
    for each in found.values():
        if each["group"] == "services":
            assert each["good"] == bool(each["where"]), each
            assert each["good"] or str(each["means"]).startswith("install "), each
            if each["where"]:
                assert os.access(str(each["where"]), os.X_OK)


@linux
def test_what_linux_allows(capsys: pytest.CaptureFixture[str]) -> None:
    """The suite could not run without most of it."""
    found = findings(capsys)
    assert found["sub-reaper"]["good"] and found["terminals"]["good"]
    assert found["pidfd"]["good"] == hasattr(os, "pidfd_open")
    assert int(str(found["descriptors"]["found"]).split()[0].replace("no", "1")) > 0


def test_programs_are_found_with_their_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those that print them to standard error, or only when asked for help."""
    install(
        tmp_path,
        monkeypatch,
        redis_server="[ $1 = --version ] && echo Redis server v=9.8.7 bits=64",
        nginx='[ $1 = -v ] && echo "nginx version: nginx/1.2.3" >&2',
        memcached="echo no number here",
    )
    found = findings(capsys)
    assert found["Redis"]["found"] == "9.8.7"
    assert found["Redis"]["where"] == str(tmp_path / "redis-server")
    assert found["Nginx"]["found"] == "1.2.3"
    assert (found["Memcached"]["good"], found["Memcached"]["found"]) == (True, "")


def test_a_program_that_hangs_is_not_waited_for(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docker does when its daemon is on a machine that does not answer."""
    hangs = f'[ $1 = version ] && exec sh -c "/bin/sleep 1000; :" {mark}\necho Docker version 7.6.5'
    install(tmp_path, monkeypatch, docker=hangs)
    began = time.monotonic()
    for patience in (0.2, 2, 20):  # a busy machine may need more for the answer that is there
        monkeypatch.setattr(examination, "_PATIENCE", patience)
        docker = findings(capsys)["docker"]
        if docker["found"]:
            break
    assert time.monotonic() - began < 100
    assert (docker["good"], docker["found"]) == (False, "7.6.5")
    assert "its daemon does not answer" in str(docker["means"])


def test_an_engine_whose_daemon_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address in the message of a failure is no version."""
    install(
        tmp_path, monkeypatch, docker="echo 1.2.3", nerdctl="echo no daemon at 127.0.0.1; exit 1"
    )
    found = findings(capsys)
    assert (found["docker"]["good"], found["docker"]["means"]) == (True, "")
    assert not found["nerdctl"]["good"]
    assert found["podman"]["means"] == "not installed"


def test_nothing_makes_it_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a look fails, its line says why."""

    def broken() -> object:
        raise PermissionError(13, "not in this sandbox")

    monkeypatch.setattr(examination, "_terminals", broken)
    monkeypatch.setattr(examination, "MEMORY", "/no/such/place")
    monkeypatch.setenv("PATH", "")
    assert summon("doctor") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(re.match(r"  no  terminals .*not in this sandbox", line) for line in lines)
    assert any(re.match(r"  no  /dev/shm .* to a disk", line) for line in lines)
    assert all(line == line.rstrip() for line in lines)
