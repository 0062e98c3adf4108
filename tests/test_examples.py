"""The projects in ``examples/``, each in a process of its own, run as a reader runs it."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
from pathlib import Path

import pytest

from .needs import find, give_up
from .programs import run_module
from .samples import BARE

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
#: what each of them needs beside its requirements: programs, and the Debian packages that have them
PROGRAMS = {
    "django_site": {"postgres": "postgresql"},
    "fastapi_rabbitmq": {"rabbitmq-server": "rabbitmq-server"},
    "flask_celery": {
        "postgres": "postgresql",
        "redis-server": "redis-server",
        "nginx": "nginx-light",
    },
    "outages": {"redis-server": "redis-server"},
    "repl": {},
    "selenium_chromium": {"chromium": "chromium", "chromedriver": "chromium-driver"},
}
#: the module that runs the tests, if it is another one
RUNNERS = {"django_site": ["django", "test", "--settings", "settings_test"]}


def requirements(example: str) -> list[str]:
    """The packages of PyPI that an example needs."""
    listed = EXAMPLES / example / "requirements.txt"
    return listed.read_text().split() if listed.exists() else []


def find_all(example: str) -> None:
    """Skip a test, or fail it, unless all is there that an example needs."""
    for program, package in PROGRAMS[example].items():
        find(program, package)
    for requirement in requirements(example):
        try:
            importlib.metadata.distribution(requirement)
        except importlib.metadata.PackageNotFoundError:
            give_up(f"{requirement} is not installed (from PyPI, for examples/{example})")


@pytest.mark.parametrize("example", sorted(PROGRAMS))
def test_it_passes(example: str, place: Path) -> None:
    find_all(example)
    runner = RUNNERS.get(example, ["unittest"])
    said = run_module(place, *runner, cwd=EXAMPLES / example)
    assert re.search(r"^Ran [1-9]\d* tests in .*\n\nOK$", said, re.MULTILINE), said


def test_one_under_pytest(place: Path) -> None:
    """From the directory of the project, as people run pytest."""
    command = ["pytest", "-q", "-p", "no:cacheprovider", "examples/repl"]
    said = run_module(place, *command, cwd=ROOT, **BARE)
    assert re.search(r"^4 passed in ", said, re.MULTILINE), said


def test_all_are_here() -> None:
    """A new example is run, has a page, is in the gallery, and CI installs what it needs."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    of_tests = set(config["options.extras_require"]["test"].split())
    of_us = set(re.findall(r"^\w+", config["options"]["install_requires"], re.MULTILINE))
    of_ci = set((ROOT / ".ci" / "run").read_text().split("packages=(")[1].split(")")[0].split())
    gallery = (ROOT / "docs" / "gallery.rst").read_text()
    found = {path.parent.name for path in EXAMPLES.glob("*/test_*.py")}
    assert found == set(PROGRAMS)
    for example, programs in PROGRAMS.items():
        page = (EXAMPLES / example / "README.rst").read_text()
        assert set(requirements(example)) <= of_tests | of_us
        assert f"$ cd examples/{example}\n" in page
        assert ("-r requirements.txt" in page) == bool(requirements(example))
        assert set(programs.values()) <= of_ci
        assert all(f"``{package}``" in page for package in programs.values())
        assert f"examples/{example}/README.rst" in gallery
