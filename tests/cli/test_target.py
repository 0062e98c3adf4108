"""TARGET: where a command finds its services."""

from __future__ import annotations

from pathlib import Path

import pytest

from summon_testcase import SummonError
from summon_testcase.cli.target import Target, UsageError, load

from ..doubles import check_declared

SHOP = """
from unittest import TestCase
from summon_testcase import Defaults, Orchestrator, SimpleExecutor, SummonMixin, orchestrated

class Base(SummonMixin):
    db = SimpleExecutor("sleep {port}", scope="run", restart=True)

class ShopTest(Base, TestCase):
    summon = Defaults(cwd="{here}")
    web = SimpleExecutor("sleep 60", env={"DB": "{db.port}"})
    lone = SimpleExecutor("sleep 60")

class Plain:
    pass

first = SimpleExecutor("sleep 1", name="first")
group = Orchestrator([first, SimpleExecutor("sleep 2", name="then")])
mapping = {"one": SimpleExecutor("sleep 1"), "two": SimpleExecutor("sleep 2", after="one")}
block = orchestrated(a=SimpleExecutor("sleep 1"))
number = 3
"""


@pytest.fixture(autouse=True)
def _shop(here: Path) -> None:
    """A module with targets in the current directory."""
    (here / "test_shop.py").write_text(SHOP)


def names(target: Target) -> list[str]:
    return list(target.executors)


def said(text: str, *names: str) -> str:
    """What the user reads about a target that cannot be."""
    with pytest.raises(SummonError) as caught:
        load(text, names)
    assert isinstance(caught.value, UsageError)
    told = str(caught.value)
    assert "\n" not in told
    return told


@pytest.mark.parametrize("text", ["test_shop.py:ShopTest", "test_shop:ShopTest"])
def test_a_class_has_its_services_and_those_of_its_bases(text: str, here: Path) -> None:
    target = load(text)
    assert names(target) == ["db", "web", "lone"]
    assert (target.name, target.file) == ("ShopTest", str((here / "test_shop.py").resolve()))
    # bound to each other, so that they have their references
    check_declared(target.executors["web"])


def test_other_kinds_of_targets() -> None:
    assert names(load("test_shop:group")) == ["first", "then"]
    assert names(load("test_shop:mapping")) == ["one", "two"]
    assert names(load("test_shop:block")) == ["a"]
    assert names(load("test_shop:ShopTest.lone")) == ["lone"]


def test_a_file_stands_for_its_only_class(here: Path) -> None:
    (here / "own.py").write_text("import test_shop\nclass Own(test_shop.ShopTest): pass\n")
    assert load("own.py").name == "Own"
    assert "write test_shop.py:Base or test_shop.py:ShopTest or test_shop.py:group" in said(
        "test_shop.py"
    )


def test_only_some_services_and_those_that_they_need() -> None:
    assert names(load("test_shop:ShopTest", ["web"])) == ["db", "web"]
    assert names(load("test_shop:group", ["first"])) == ["first"]
    # a sequence is one, whichever of it is chosen
    assert names(load("test_shop:group", ["then"])) == ["first", "then"]
    assert said("test_shop:ShopTest", "wbe") == (
        "test_shop:ShopTest has no service 'wbe': it has db, web, lone"
    )


def test_a_file_in_a_package_may_import_its_siblings(here: Path) -> None:
    package = here / "below" / "pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "names.py").write_text("NAME = 'sleep 60'")
    (package / "test_it.py").write_text(
        "from summon_testcase import SimpleExecutor\nfrom .names import NAME\n"
        "class It:\n    nap = SimpleExecutor(NAME)\n"
    )
    assert names(load("below/pack/test_it.py")) == ["nap"]


def test_a_file_whose_name_is_taken_or_no_name(here: Path) -> None:
    """``json`` is imported already, and a hyphen cannot be imported."""
    import json  # noqa: F401

    text = "from summon_testcase import SimpleExecutor\nclass It:\n    nap = SimpleExecutor('x')\n"
    for file in ("json.py", "my-stack.py"):
        (here / file).write_text(text)
        assert names(load(file)) == ["nap"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nowhere:ShopTest", "no module 'nowhere' is found from"),
        ("test_shop.nowhere:It", "no module 'test_shop.nowhere' is found from"),
        ("nowhere.py", "nowhere.py does not exist: write module:Class, file.py:Class"),
        (".", ". is a directory: write"),
        (":ShopTest", "':ShopTest' names no services"),
        ("test_shop:Shop", "there is no Shop in test_shop: it has Base, ShopTest, group, block"),
        ("test_shop:Plain", "the class Plain has no services"),
        ("test_shop:number", "number is int, and no services"),
        ("empty.py", "empty.py has no class with services"),
        ("broken.py", "broken.py cannot be imported: ZeroDivisionError: division by zero"),
        ("broken.py", "broken.py, line 2)"),
        ("absent.py", "absent.py cannot be imported: ModuleNotFoundError: No module named 'nix'"),
        ("absent", "absent cannot be imported: ModuleNotFoundError: No module named 'nix'"),
        ("odd.py", "odd.py, line 1)"),
        ("exits.py", "exits.py cannot be imported: SystemExit: 3"),
        ("wrong.py", "wrong.py cannot be imported: InvalidArgument: SimpleExecutor('x'): timeout="),
        ("wrong.py", "wrong.py, line 2)"),
        ("bad.mod:It", "bad.mod cannot be imported: ZeroDivisionError: division by zero ("),
        ("bad.mod:It", "__init__.py, line 2)"),
        ("bad/mod.py", "bad/mod.py cannot be imported: ZeroDivisionError: division by zero"),
        ("ends.mod:It", "ends.mod cannot be imported: SystemExit: 0"),
        (
            "lacks.mod:It",
            "lacks.mod cannot be imported: ModuleNotFoundError: No module named 'nix'",
        ),
        ("whole.nowhere:It", "no module 'whole.nowhere' is found from"),
        ("whole.mod.nowhere:It", "no module 'whole.mod.nowhere' is found from"),
        ("nowhere.mod:It", "no module 'nowhere.mod' is found from"),
        (".mod:It", "no module '.mod' is found from"),
        ("whole..mod:It", "no module 'whole..mod' is found from"),
        ("__main__.mod:It", "no module '__main__.mod' is found from"),
    ],
)
def test_a_target_that_cannot_be(here: Path, text: str, expected: str) -> None:
    for name, source in {
        "empty": "",
        "broken": "\n1 / 0",
        "absent": "import nix",
        "odd": "def",
        "exits": "raise SystemExit(3)",
        "wrong": "from summon_testcase import *\nnap = SimpleExecutor('x', timeout='soon')",
    }.items():
        (here / f"{name}.py").write_text(source)
    for name, source in {
        "bad": "\n1 / 0",
        "ends": "import sys; sys.exit(0)",
        "lacks": "import nix",
        "whole": "",
    }.items():
        (here / name).mkdir()
        (here / name / "__init__.py").write_text(source)
        (here / name / "mod.py").write_text("")
    assert expected in said(text)
