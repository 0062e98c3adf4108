"""The plugin of pytest in real runs of pytest, each a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from importlib import metadata
from pathlib import Path

import pytest

from summon_testcase import Executor, InvalidArgument, SimpleExecutor, summon_fixture
from summon_testcase.testing.fixtures import Stack

from ..programs import assert_nothing_left
from ..samples import PATIENCE, ROOT, eventually, processes_with


class Project:
    """A directory with tests, for runs of pytest in it.

    :param path: the directory.
    :param place: where temporary files of the runs go.
    """

    def __init__(self, path: Path, place: Path) -> None:
        self._path, self._place = path, place

    def write(self, **files: str) -> None:
        """Write modules, by their names without ``.py``."""
        for name, text in files.items():
            (self._path / f"{name}.py").write_text(text)

    def run(self, *options: str, status: int = 0, types: str = "", plugin: str = "summon") -> str:
        """Run pytest with the plugin that is installed, and no other; what it prints.

        :param types: what somebody types meanwhile.
        :param plugin: ``no:summon`` for a run without it.
        """
        done = subprocess.run(
            [*PYTEST, "-p", plugin, f"--basetemp={self._path / 'base'}", *options],
            cwd=self._path,
            env={**environment(), "PYTHONPATH": ROOT, "TMPDIR": str(self._place)},
            input=types,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE * 6,
        )
        assert done.returncode == status, done.stdout
        if status == 0:
            assert_nothing_left(str(self._place), self._place)
        else:  # reports name logs, which stay
            eventually(lambda: not processes_with(str(self._place)), "nothing of it runs")
        return done.stdout


PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]


def environment() -> dict[str, str]:
    """Variables without those that change what pytest loads and prints."""
    kept = {name: text for name, text in os.environ.items() if "COLOR" not in name}
    kept = {name: text for name, text in kept.items() if not name.startswith(("PYTEST", "SUMMON"))}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture
def project(tmp_path: Path, place: Path) -> Project:
    """An empty directory."""
    return Project(tmp_path, place)


ASKS = """
import os

def test_asks():
    assert os.environ.get("SUMMON_REPORT", "") == {report!r}
    assert os.environ.get("SUMMON_ECHO", "") == {echo!r}
    assert os.environ.get("SUMMON_ATTACH", "") == {attach!r}
"""


def test_options_set_the_variables(project: Project, tmp_path: Path) -> None:
    """Also those of workers; a directory is meant as the user sees it."""
    project.write(test_asks=ASKS.format(report=str(tmp_path / "seen"), echo="1", attach="1"))
    project.run("-p", "xdist", "-n1", "--summon-report=seen", "--summon-echo", "--summon-attach")


IN_PROCESS = """
import os, pytest
assert pytest.main(["-p", "no:cacheprovider", "-p", "summon", "--summon-echo", "test_asks.py"]) == 0
assert "SUMMON_ECHO" not in os.environ
"""


def test_variables_end_with_the_run(project: Project) -> None:
    """What runs pytest in its own process has its variables as before."""
    project.write(
        test_asks=ASKS.format(report="", echo="1", attach=""),
        test_in_process=f"def test():\n    exec({IN_PROCESS!r})",
    )
    project.run("test_in_process.py")


UNUSED = """
import sys

def test_is_not_there():
    assert not [name for name in sys.modules if name.startswith("summon_testcase")]
"""


def test_a_run_that_uses_none_of_it_imports_none_of_it(project: Project) -> None:
    """Nothing but one module of functions."""
    project.write(test_unused=UNUSED)
    project.run()


UNTOUCHED = """
import json, sys
import summon_testcase

def test_is_as_it_is():
    ours = [module for name, module in sys.modules.items() if name.startswith("summon_testcase")]
    assert {type(module.__loader__) for module in ours} == {type(json.__loader__)}
"""


def test_pytest_does_not_compile_the_package_anew(project: Project) -> None:
    """As it does with all modules of a distribution that has a plugin, if it is no editable one."""
    marked = "import pytest\npytest.register_assert_rewrite('summon_testcase')"
    project.write(marks=marked, test_untouched=UNTOUCHED)
    project.run("-p", "marks")


def test_it_can_be_left_out(project: Project) -> None:
    """By the name that the entry point gives it; fixtures work without it."""
    (found,) = metadata.entry_points(group="pytest11", name="summon")
    assert found.value == "_summon_pytest"
    project.write(conftest=CONFTEST, test_shop="def test(web, fresh):\n    assert 0")
    said = project.run(status=1, plugin="no:summon")
    assert "assert 0" in said and "wrote during" not in said


# -- fixtures --

CONFTEST = """
from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor, summon_fixture

ANSWERS = 'echo up; echo up >>started; while read line; do echo got $line; done'


def answers(more="", **options):
    return OutputCoordinatedExecutor(f"{ANSWERS} # {more}", "up", shell=True, **options)


class ShopStack:
    db = answers()
    web = answers("{db.pid}")

    @property
    def both(self):
        return self.db.pid, self.web.pid


def say(service, line):
    service.sendline(line)
    service.wait_for_output(f"got {line}")


shop = summon_fixture(ShopStack, scope="session", each=True)
fresh = summon_fixture(ShopStack, scope="function")
lasting = summon_fixture(it=answers(restart=1, reset=lambda e: say(e, "reset")), scope="module")
"""

MISSING = """
from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor, summon_fixture

missing = summon_fixture(it=SimpleExecutor("not-installed"), scope="module")
optional = summon_fixture(it=SimpleExecutor("not-installed", optional=True), scope="function")
broken = summon_fixture(
    {"it": OutputCoordinatedExecutor("echo no >>tried; exit 3", "up", shell=True)}, scope="module"
)

def test_missing(missing):
    pass

def test_optional(optional):
    pass

def test_broken(broken):
    pass

def test_broken_too(broken):
    pass
"""

SHOP = """
import os, signal, pytest
from conftest import say
from tests.samples import eventually


def test_passes(shop):
    say(shop.db, "plums")


def test_fails(shop, web):
    assert shop.both == (shop.db.pid, web.pid)
    say(shop.db, "apples")
    raise AssertionError("on purpose")


def test_has_its_own(fresh, shop):
    assert not {*fresh.both} & {*shop.both}
    say(fresh.db, "pears")
    fresh.db.kill()
    raise AssertionError("on purpose")


@pytest.fixture
def broken(lasting):
    say(lasting.it, "grapes")
    yield
    raise ValueError("in a teardown")


def test_teardown_fails(broken):
    pass


def test_is_reset(lasting):
    assert lasting.it.tail() == ["up", "got grapes", "got reset"]
    lasting.it.kill()


def end(service):
    os.kill(service.pid, signal.SIGKILL)
    eventually(lambda: not service.running(), "it has ended")


def test_is_up_again(lasting):
    assert lasting.it.running()
    end(lasting.it)


def test_is_up_once_more(lasting):
    assert lasting.it.running()


@pytest.fixture
def web(web):  # one that takes the place of ours, and uses it
    return web


def test_kills(shop):
    end(shop.web)


def test_finds_it_dead(web):
    raise AssertionError("is not called")


def test_does_not_need_it(fresh, lasting):
    pass
"""


OWN = """
from conftest import answers, say
from summon_testcase import summon_fixture

shop = summon_fixture(web=answers())


def test_does_not_need_that_of_the_conftest(shop):
    say(shop.web, "figs")
"""


def part(text: str, name: str) -> str:
    """What pytest prints about one test that has failed."""
    found = re.search(
        rf"^_+ (?:ERROR at \w+ of )?{name} _+\n(.*?)(?=^[_=]{{9}})", text, re.M | re.S
    )
    assert found, text
    return found[1]


def test_the_report_tells_of_services(project: Project, tmp_path: Path) -> None:
    """What each wrote is a section of pytest's, also in JUnit's XML; a death is an error."""
    project.write(conftest=CONFTEST, test_shop=SHOP, test_shop_of_its_own=OWN)
    said = project.run("--junitxml=junit.xml", "--summon-report=seen", status=1)
    assert "3 failed, 7 passed, 2 errors" in said, said
    fails = part(said, "test_fails")
    assert re.search(r"^-+ db wrote during this test -+\ngot apples\n +full log: /", fails, re.M)
    assert "plums" not in said and fails.count("wrote during") == 1
    assert "got pears" in part(said, "test_has_its_own")
    assert "got grapes" in part(said, "test_teardown_fails")
    assert "web: was killed by SIGKILL during test_shop.py::test_kills" in part(said, "test_kills")
    dead = part(said, "test_finds_it_dead")
    assert "web: was killed by SIGKILL during test_shop.py::test_kills" in dead
    assert dead.count("\n>") == 1, "frames of ours are shown"
    junit = (tmp_path / "junit.xml").read_text()
    assert "db wrote during this test" in junit
    assert f"[[ATTACHMENT|{tmp_path}/seen/logs/ShopStack/db-1.log]]" in junit


def test_services_that_cannot_start(project: Project, tmp_path: Path) -> None:
    """The reason is the error of each test, tried once; only what is optional skips."""
    project.write(test_shop=MISSING)
    said = project.run("-rs", status=1)
    assert "1 skipped, 3 errors" in said
    missing = "it: command not found: 'not-installed' is not on the PATH: install it"
    assert f"CommandNotFound: {missing}" in part(said, "test_missing")
    assert re.search(rf"^SKIPPED \[1\] test_shop.py:\d+: {missing}", said, re.M)
    assert part(said, "test_missing").count("\n>") == 1, "frames of ours are shown"
    assert "it: exited with status 3 before it was ready" in part(said, "test_broken_too")
    assert (tmp_path / "tried").read_text() == "no\n"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--setup-plan"], "SETUP    S shop (services: db, web)"),
        (["--collect-only"], "test_shop.py::test_passes"),
        (["--fixtures"], "db (OutputCoordinatedExecutor), web (OutputCoordinatedExecutor)"),
    ],
)
def test_what_only_shows_starts_nothing(
    options: list[str], shown: str, project: Project, tmp_path: Path
) -> None:
    """Services are among what is shown, at the line of the user's that has them."""
    project.write(conftest=CONFTEST, test_shop=SHOP)
    said = project.run(*options)
    assert shown in said
    line = CONFTEST[: CONFTEST.index("shop = ")].count("\n") + 1
    assert "--fixtures" not in options or f"shop [session scope] -- conftest.py:{line}" in said
    assert not (tmp_path / "started").exists()


def test_setup_only_runs_fixtures_with_services(project: Project, tmp_path: Path) -> None:
    """pytest leaves out the tests then, not their fixtures; those of a TestCase speak to it."""
    project.write(conftest=CONFTEST, test_shop=CASE)
    options = ("--setup-only", "-k", "first or second")
    assert "SETUP    F opened" in project.run(*options)
    assert len((tmp_path / "started").read_text().splitlines()) == 3
    (tmp_path / "started").unlink()
    assert "SETUP    F opened" in project.run("--setup-plan")
    assert not (tmp_path / "started").exists()


def test_a_fixture_of_one_service(project: Project, tmp_path: Path) -> None:
    """It starts this one and those to which it refers, and no others."""
    project.write(conftest=CONFTEST, test_db="def test(db):\n    assert db.running()")
    assert "1 passed" in project.run()
    assert (tmp_path / "started").read_text() == "up\n"
    project.write(test_db="def test(web):\n    assert web.running()")
    assert "1 passed" in project.run()
    assert (tmp_path / "started").read_text() == "up\n" * 3


LOST = """
from conftest import answers
from summon_testcase import summon_fixture

db = summon_fixture(db=answers(), other=answers(), each=True)

def test_whole(db):
    pass

def test_single(other):
    pass
"""


def test_a_fixture_in_the_place_of_that_of_a_service(project: Project, tmp_path: Path) -> None:
    """It is refused with what to write instead, since the service's own one is lost."""
    project.write(conftest=CONFTEST, test_lost=LOST)
    said = project.run(status=1)
    for name in ("test_whole", "test_single"):
        assert "a fixture db, and db = … has taken its place" in part(said, name)
    assert "assign to another name, stack = summon_fixture(db=…, each=True)" in said
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_a_text_file_with_doctests(scope: str, project: Project, tmp_path: Path) -> None:
    """It is no module, and its services are up all the same."""
    fixture = f"it = summon_fixture(one=answers(), scope={scope!r}, autouse=True)"
    project.write(conftest=f"{CONFTEST}\n{fixture}")
    (tmp_path / "test_it.txt").write_text(
        ">>> getfixture('it').one.sendline('figs')\n"
        ">>> bool(getfixture('it').one.wait_for_output('got figs', timeout=30))\nTrue\n"
    )
    assert "1 passed" in project.run("--doctest-glob=*.txt")


IMPORTING = """
from fixtures import db, shop

def test_has_both(db, shop):
    assert shop.db is db and db.running()
"""


def test_modules_may_import_a_fixture(project: Project, tmp_path: Path) -> None:
    """Each module that does so has one more fixture, of the same services."""
    project.write(fixtures=CONFTEST, test_here=IMPORTING, test_there=IMPORTING)
    assert "2 passed" in project.run()
    assert (tmp_path / "started").read_text() == "up\nup\n"  # db and web


PASSING = """
import pytest
from conftest import say

@pytest.fixture
async def sold(shop, fresh):
    for service in (shop.db, fresh.db):
        service.sendline("kiwis")
        await service.wait_for_output_async("got kiwis")
    yield shop.db.pid

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_in_a_loop(sold, shop):
    assert shop.db.pid == sold

class TestShop:
    @pytest.mark.parametrize("number", range(4))
    def test_answers(self, shop, lasting, number):
        say(lasting.it, f"{number}")
        assert shop.db.running()
"""


def test_each_worker_has_its_own(project: Project, tmp_path: Path) -> None:
    """Wherever a test goes; coroutines beside them. The report has all tests."""
    project.write(conftest=CONFTEST, test_shop=PASSING)
    workers = ["-p", "xdist", "-n2", "--dist=worksteal", "-p", "anyio"]
    assert "5 passed" in project.run(*workers, "--summon-report=seen")
    seen = json.loads((tmp_path / "seen" / "report.json").read_text())
    tests = {test["name"]: test for test in seen["tests"]}
    assert len(tests) == 5 and {test["outcome"] for test in tests.values()} == {"passed"}
    assert len(tests["test_shop.py::TestShop::test_answers[0]"]["services"]) == 3
    assert {service["scope"] for service in seen["services"]} == {"run", "test", "module"}


def test_services_run_while_one_debugs(project: Project) -> None:
    """Also those of a single test."""
    project.write(conftest=CONFTEST, test_shop="def test(shop, fresh):\n    assert 0")
    lines = "p [it.db.running() for it in (shop, fresh)]\nc\n"
    assert "[True, True]" in project.run("--pdb", status=1, types=lines)


MADE = """
import dataclasses
from typing import Any

import pytest
from conftest import ShopStack, answers
from summon_testcase import summon_fixture


class Greeted(ShopStack):
    def __init__(self):
        self.seen = self.both
        if self.web.tail(1) != ["up"]:
            raise ValueError("it is not up")


@dataclasses.dataclass(frozen=True)
class Frozen:
    db: Any = answers()


class Refusing(ShopStack):
    def __init__(self):
        raise ValueError(f"on purpose, {self.db.running()}")


greeted = summon_fixture(Greeted, scope="module")
apart = summon_fixture(Greeted, scope="function", each=True)
frozen = summon_fixture(Frozen, scope="module")
refusing = summon_fixture(Refusing, scope="module")


def test_sees_its_services(greeted):
    assert greeted.seen == greeted.both


def test_single(db):  # the class is not made, since web is not up
    assert db.running()


def test_single_and_whole(db, apart):
    assert apart.seen == apart.both == (db.pid, apart.web.pid)


def test_frozen(frozen):
    assert frozen.db.running()


def test_refuses(refusing):
    raise AssertionError("is not called")
"""


def test_an_instance_of_the_class_is_made_when_services_are_up(project: Project) -> None:
    """Its ``__init__`` has the services that run."""
    project.write(conftest=CONFTEST, test_made=MADE)
    said = project.run(status=1)
    assert "4 passed, 1 error" in said, said
    assert "ValueError: on purpose, True" in part(said, "test_refuses")


class Needing:
    """One that needs an argument."""

    db = SimpleExecutor("sleep 60")

    def __init__(self, place: str) -> None:
        self.place = place


class Abstract(ABC):
    """One that is only inherited."""

    db = SimpleExecutor("sleep 60")

    @abstractmethod
    def place(self) -> str:
        """Where it is."""


class Slotted:
    """One whose instances take no services."""

    __slots__ = ()
    db = SimpleExecutor("sleep 60")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("Needing", "an instance of Needing, and that has a required argument: 'place': write"),
        ("Needing", r"or services by name, summon_fixture\(db=Needing.db\)"),
        ("Abstract", "an instance of Abstract, and that is abstract: write"),
        (
            "Slotted",
            "an instance of Slotted, and that takes no attributes, by its __slots__: write",
        ),
        ("", r"write a class or a mapping, summon_fixture\(ShopStack\), or services by name"),
        ("object", "<class 'object'> has no services"),
        ("{}", r"\{\} has no services"),
        ("[]", r"\[\] is no class and no mapping: write the class"),
        ("db=3", r"db is 3, which is no executor: write db=SimpleExecutor\(…\), or db=summoned"),
        ("db=Executor(), scope='run'", "scope='run': write one of 'function', 'class', 'module'"),
        ("db=Executor(), each=True", "makes a fixture db, and this name is taken here"),
    ],
)
def test_arguments_that_do_not_fit(call: str, says: str) -> None:
    """Each is refused with what to write instead."""
    module = {**globals(), "db": 1}
    with pytest.raises(InvalidArgument, match=says):
        exec(f"shop = summon_fixture({call})", module)


class Locked(Executor):
    """One that cannot be copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Declared:
    """Services that refer to each other."""

    db = SimpleExecutor("sleep 60")
    locked = Locked()
    web = SimpleExecutor("sleep 60", after=[db, locked])


def test_a_fixture_has_copies_of_what_a_class_declares() -> None:
    """They refer to each other; what cannot be copied is itself."""
    services = Stack(Declared, {}, "module").services
    assert list(services) == ["db", "locked", "web"]
    assert services["db"] is not Declared.db and services["locked"] is Declared.locked
    assert services["web"].after == (services["db"], Declared.locked)


OF_A_TESTCASE_TOO = """
import unittest
from conftest import answers
from summon_testcase import Executor, SummonMixin, summon_fixture


class Locked(Executor):
    def start(self):
        return self

    def stop(self):
        pass

    def __deepcopy__(self, memo):
        raise TypeError("it has no copies")


class Declared:
    db = answers()
    locked = Locked()


given = answers()
by_name = summon_fixture(given=given, scope="function")
of_class = summon_fixture(Declared, scope="module")


def scopes(*services):
    return [service.scope for service in services]


def test_fixtures(by_name, of_class):
    assert by_name.given is given and of_class.locked is Declared.locked
    assert scopes(given, of_class.db, Declared.locked) == ["test", "module", "module"]
    assert Declared.db.scope == "class"


class ShopTest(SummonMixin, unittest.TestCase):
    given = given
    pids = set()

    def test_one(self):
        self.pids.add(self.given.pid)
        assert len(self.pids) == 1
    test_two = test_one
"""


def test_services_of_a_fixture_and_of_a_testcase(project: Project) -> None:
    """The scope of the fixture holds while it has them up, and afterwards that which they say."""
    after = """
from test_shop import Declared, given, scopes

def test_after():
    assert scopes(given, Declared.locked) == ["class", "class"]
"""
    project.write(conftest=CONFTEST, test_shop=OF_A_TESTCASE_TOO, test_then=after)
    project.run()


def test_pytest_is_no_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the name can be imported, and its call says what to install."""
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ImportError, match="python -m pip install pytest"):
        names = {"summon_fixture": summon_fixture, "Executor": Executor}
        exec("shop = summon_fixture(db=Executor())", names)


def test_pytest_finds_fixtures_in_modules_only() -> None:
    """Elsewhere the fixture would be lost."""
    with pytest.raises(InvalidArgument, match="write it at the top level of conftest"):
        summon_fixture(db=Executor())


# -- a TestCase --

CASE = """
import unittest, pytest
from conftest import answers, say
from summon_testcase import SummonMixin


class ShopTest(SummonMixin, unittest.TestCase):
    db = answers()
    web = answers("{db.pid}", scope="test")
    pids = []

    @pytest.fixture(autouse=True)
    def opened(self):
        say(self.web, "opened")
        self.pids.append(self.web.pid)
        yield
        say(self.web, "closed")

    def test_first(self):
        assert self.web.pid == self.pids[-1]
        say(self.db, "apples")
        self.fail("on purpose")

    def test_second(self):
        for number in "12":
            with self.subTest(number):
                say(self.db, f"pears {number}")
                self.fail("on purpose")
        assert len(set(self.pids)) == 2

    @pytest.fixture
    def fails(self):
        raise ValueError("in a fixture")

    @pytest.mark.usefixtures("fails")
    def test_third(self):
        raise AssertionError("is not called")
"""


@pytest.mark.parametrize("plugin", ["summon", "no:summon"])
def test_a_testcase_and_its_fixtures(plugin: str, project: Project) -> None:
    """With the plugin its fixtures find the services of the test, and output has sections."""
    on = plugin == "summon"
    case = CASE if on else CASE.replace("autouse=True", "").replace("assert", "# assert")
    project.write(conftest=CONFTEST, test_shop=case)
    said = project.run(status=1, plugin=plugin)
    for name, wrote in (("first", "apples"), ("second .1.", "pears 1"), ("second .2.", "2")):
        failed = part(said, rf"ShopTest\.test_{name}")
        assert f"{wrote}\n" in failed
        assert failed.count("wrote during this test:") == (0 if on else 1)
        assert ("-- db wrote during this test --" in failed) == on
    assert "in a fixture" in part(said, r"ShopTest\.test_third")


#: services of both scopes; they end with status 4 when they are told to
FIXTURES = """
import unittest, pytest
from conftest import say
from summon_testcase import OutputCoordinatedExecutor, SummonMixin
from tests.samples import eventually

ENDS = 'echo up; while read line; do echo got $line; [ $line != end ] || exit 4; done'


def ends(**options):
    return OutputCoordinatedExecutor(ENDS, "up", shell=True, **options)


class Base(SummonMixin):
    one = ends(scope="test")
    all = ends(reset=lambda service: say(service, "reset"))

    @pytest.fixture(autouse=True)
    def around(self):
        for service in (self.one, self.all):
            say(service, "before")
        yield
        for service in (self.one, self.all):
            if service.running():
                say(service, "after")

    def end(self, service):
        service.sendline("end")
        eventually(lambda: not service.running(), "it has ended")


class SetupTest(Base, unittest.TestCase):
    @pytest.fixture(autouse=True)
    def fails(self, around):
        raise ValueError("in a fixture")

    def test_in_setup(self):
        raise AssertionError("is not called")
    test_in_setup_too = test_in_setup


class BodyTest(Base, unittest.TestCase):
    def test_in_body(self):
        say(self.one, "meanwhile")
        self.fail("on purpose")

    def test_is_not_reset(self):
        assert self.all.tail(1) == ["got before"]


class TeardownTest(Base, unittest.TestCase):
    @pytest.fixture(autouse=True)
    def fails(self, around):
        yield
        say(self.one, "failing")
        raise ValueError("in a teardown")

    def test_in_teardown(self):
        pass
    test_in_teardown_too = test_in_teardown


class DeathTest(Base, unittest.TestCase):
    @pytest.fixture
    def ended(self):
        self.end(self.one)

    @pytest.fixture
    def ended_and_used(self, ended):
        raise ValueError("nobody answers")

    @pytest.mark.usefixtures("ended")
    def test_1_dies(self):
        pass

    @pytest.mark.usefixtures("ended_and_used")
    def test_2_uses_it(self):
        pass

    def test_3_has_another(self):
        pass

    @pytest.fixture
    def all_ended(self):
        self.end(self.all)

    @pytest.mark.usefixtures("all_ended")
    def test_4_dies_for_all(self):
        pass

    def test_5_finds_it_dead(self):
        raise AssertionError("is not called")


class SkippedTest(SummonMixin, unittest.TestCase):
    all = OutputCoordinatedExecutor("echo up; touch unneeded", "up", shell=True)

    @pytest.fixture(autouse=True)
    def around(self):
        yield

    @unittest.skip("on purpose")
    def test_skips(self):
        pass


class BrokenTest(SummonMixin, unittest.TestCase):
    all = OutputCoordinatedExecutor("exit 3", "up", shell=True)

    @pytest.fixture(autouse=True)
    def around(self):
        say(self.all, "before")

    def test_not_up(self):
        raise AssertionError("is not called")


class BrokenAndUnusedTest(SummonMixin, unittest.TestCase):
    all = OutputCoordinatedExecutor("exit 3", "up", shell=True)

    @pytest.fixture(autouse=True)
    def around(self):
        pass

    @unittest.skip("on purpose")
    def test_skips(self):
        pass

    def test_not_up(self):
        raise AssertionError("is not called")
"""


def test_what_services_do_in_fixtures_of_a_testcase(project: Project, tmp_path: Path) -> None:
    """It belongs to the test for which pytest makes the fixture, as what they do in the test."""
    project.write(conftest=CONFTEST, test_shop=FIXTURES)
    said = project.run("-rp", "--summon-report=seen", status=1)

    def wrote(name: str) -> list[str]:
        """What the report says that services have written, in the order of their names."""
        found = re.findall(
            r"^-+ (?:all|one) wrote during this test -+\n((?:got .*\n)*)", part(said, name), re.M
        )
        return [lines.replace("got ", "").replace("\n", " ").strip() for lines in sorted(found)]

    assert wrote(r"SetupTest\.test_in_setup") == ["before", "before"]
    assert wrote(r"SetupTest\.test_in_setup_too") == ["before", "reset before"]
    assert wrote(r"BodyTest\.test_in_body") == ["before", "before meanwhile"]
    assert "PASSED test_shop.py::BodyTest::test_is_not_reset" in said
    assert wrote(r"TeardownTest\.test_in_teardown") == ["before after", "before failing after"]
    again = ["before failing after", "reset before after"]
    assert wrote(r"TeardownTest\.test_in_teardown_too") == again
    died = "one: exited with status 4 during DeathTest.{}"
    assert died.format("test_1_dies") in part(said, r"DeathTest\.test_1_dies")
    assert died.format("test_2_uses_it") in part(said, r"DeathTest\.test_2_uses_it")
    assert "PASSED test_shop.py::DeathTest::test_3_has_another" in said
    died = "all: exited with status 4 during DeathTest.test_4_dies_for_all"
    for name in ("4_dies_for_all", "5_finds_it_dead"):
        assert died in part(said, rf"DeathTest\.test_{name}")
    for name in ("BrokenTest", "BrokenAndUnusedTest"):
        assert "all: exited with status 3 before it was" in part(said, rf"{name}\.test_not_up")
    seen = json.loads((tmp_path / "seen" / "report.json").read_text())
    tests = {re.split(r"::|\.", test["name"])[-2]: test for test in seen["tests"]}
    for name in ("SetupTest", "BrokenTest"):
        assert tests[name]["outcome"] == "error"
        assert len(tests[name]["services"]) == (2 if name == "SetupTest" else 1)
    assert len({test["name"] for test in seen["tests"]}) == len(seen["tests"]) == 13
    assert "2 skipped" in said and not (tmp_path / "unneeded").exists()


NOT_UP = """
import unittest, pytest
from conftest import answers
from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor, SummonMixin


class BrokenTest(SummonMixin, unittest.TestCase):
    web = OutputCoordinatedExecutor("echo no >>tried; exit 3", "up", shell=True, scope="test")

    def test_one(self):
        raise AssertionError("is not called")
    test_two = test_one


class OptionalTest(SummonMixin, unittest.TestCase):
    web = SimpleExecutor("not-installed", scope="test", optional=True)

    def test_one(self):
        raise AssertionError("is not called")


def test_here():
    pass
"""


def test_a_testcase_whose_services_cannot_start_before_its_fixtures(
    project: Project, tmp_path: Path
) -> None:
    """The reason is the error of its tests; others use the same fixtures."""
    fixture = "import pytest\n@pytest.fixture(autouse=True)\ndef theirs(tmp_path): yield\n"
    project.write(
        conftest=CONFTEST + fixture, test_shop=NOT_UP, test_there="def test_there():\n    pass"
    )
    said = project.run("-rs", status=1)
    assert "2 passed, 1 skipped, 2 errors" in said, said
    for name in ("one", "two"):
        failed = part(said, rf"BrokenTest\.test_{name}")
        assert "web: exited with status 3 before it was ready" in failed
        assert failed.count("\n>") == 1, "frames of ours are shown"
    assert "web: command not found: 'not-installed' is not on the PATH" in said
    assert (tmp_path / "tried").read_text() == "no\n"


def test_a_death_in_the_last_moment_of_a_test(project: Project) -> None:
    """Is an error of this test, and not of the next one."""
    project.write(
        test_last="""
import os
import pytest
from summon_testcase import OutputCoordinatedExecutor, summon_fixture

it = OutputCoordinatedExecutor("echo up; cat", "up", shell=True)
stack = summon_fixture(it=it, scope="class")

class Base:
    def test_dies(self, stack):
        os.kill(stack.it.pid, 9)

    def test_later(self, stack):
        pass
"""
        + "".join(f"\nclass Test{number}(Base):\n    pass\n" for number in range(8))
    )
    printed = project.run(status=1)
    assert "8 failed, 8 errors" in printed, printed
    assert "during test_last.py" in printed and "before test_last.py" not in printed, printed


def test_ctrl_c_is_what_the_run_ends_with(project: Project) -> None:
    """Also if a service does not stop then, which is a warning; of a fixture and of a TestCase."""
    declared = """
import os, signal
from unittest import TestCase
from summon_testcase import OutputCoordinatedExecutor, SummonMixin, summon_fixture

script = "trap '' TERM; echo up; while :; do sleep 0.1; done"

def stubborn():
    return OutputCoordinatedExecutor(["sh", "-c", script], "up", stop_timeout=0.1)

def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
"""
    tests = {
        "test_a_fixture": """
stack = summon_fixture(it=stubborn())

def test(stack):
    interrupted()
""",
        "test_a_case": """
class ItTest(SummonMixin, TestCase):
    it = stubborn()

    def test(self):
        interrupted()
""",
        "test_a_block": """
def test():
    with stubborn():
        interrupted()

def test_later():
    assert False
""",
    }
    project.write(**{name: declared + text for name, text in tests.items()})
    for name in tests:
        printed = project.run("-W", "default", f"{name}.py", status=pytest.ExitCode.INTERRUPTED)
        assert "Traceback" not in printed, printed
        assert "KeyboardInterrupt" in printed, printed
        # up to Python 3.10 exceptions have no notes, and pytest shows no causes of Ctrl-C
        if name != "test_a_block" or sys.version_info >= (3, 11):
            assert "did not end within 0.1 s" in printed, printed
