"""Reports of real runs: under several runners, by several processes, and of one that was killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from summon_testcase.reports.page import page

from ..places import linux, unshare
from ..samples import BARE, ROOT, eventually
from .test_trace import complaints

SHOP = """
import os, sys, unittest, warnings
from summon_testcase import OutputCoordinatedExecutor, SummonTestCase

WEB = "echo ready; while read word; do echo $word $word; done"

class ShopTest(SummonTestCase):
    web = OutputCoordinatedExecutor(["sh", "-c", WEB], "ready")

    def test_passes(self):
        self.web.sendline("one")
        self.assertOutput(self.web, "one one")

    def test_fails(self):
        self.web.sendline("two")
        self.assertOutput(self.web, "two two")
        self.fail("as it should")

class OtherTest(ShopTest):
    "Tests of its own, with a web of its own."

class DiesTest(SummonTestCase):
    web = OutputCoordinatedExecutor(["sh", "-c", WEB], "ready")

    def test_dies(self):
        self.web.sendline("last")
        self.assertOutput(self.web, "last last")
        if "KILL_RUNNER" in os.environ:
            os.kill(os.getpid(), 9)
        os.kill(self.web.pid, 9)
        self.assertOutput(self.web, "never")
"""


class Runs:
    """A directory with the tests above, in which runners are run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "shop.py").write_text(SHOP)

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        others = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "GITHUB"))}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env={**others, "PYTHONPATH": ROOT, "SUMMON_REPORT": "report", **BARE, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def unittest(self, *names: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "unittest", *(f"shop.{name}" for name in names), **env)

    def report(self) -> dict[str, Any]:
        folder = self.path / "report"
        made = json.loads((folder / "report.json").read_text())
        assert complaints(json.loads((folder / "trace.json").read_text())) == []
        assert (folder / "report.html").read_text() == page(made)
        for service in made["services"]:
            for life in service["lives"]:
                assert (folder / life["log"]).read_bytes().startswith(b"ready\n")
        return dict(made)

    def files(self, folder: str = "report") -> list[str]:
        found = (self.path / folder).rglob("*")
        return sorted(str(path.relative_to(self.path / folder)) for path in found if path.is_file())


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_a_report_and_the_next_one(runs: Runs) -> None:
    """The second report takes the place of the first, and of nothing else."""
    done = runs.unittest("ShopTest", "DiesTest")
    assert "Ran 3 tests" in done.stderr and done.returncode == 1, done.stderr
    made = runs.report()
    ((process,), services) = made["processes"], made["services"]
    assert (process["label"], process["argv"][1:3]) == ("main", ["-m", "unittest"])
    assert process["ended"] is not None
    assert sorted(service["owner"] for service in services) == ["DiesTest", "ShopTest"]
    outcomes = {test["name"]: test["outcome"] for test in made["tests"]}
    assert outcomes.keys() == {
        *("shop.ShopTest.test_passes", "shop.ShopTest.test_fails", "shop.DiesTest.test_dies"),
    }
    assert outcomes["shop.ShopTest.test_passes"] == "passed"
    assert outcomes["shop.ShopTest.test_fails"] == "failed"
    assert outcomes["shop.DiesTest.test_dies"] != "passed"
    for test in made["tests"]:
        (used,) = (s for s in services if s["id"] in test["services"])
        assert used["owner"] in test["name"]
    died = next(life for s in services if s["owner"] == "DiesTest" for life in s["lives"])
    assert died["died"]["how"] == "was killed by SIGKILL"
    kept = runs.path / "report" / "logs" / "DiesTest" / "notes.txt"
    kept.write_text("of the user")
    runs.unittest("ShopTest.test_passes")
    assert [service["owner"] for service in runs.report()["services"]] == ["ShopTest"]
    part = next((runs.path / "report" / "parts").glob("*.jsonl"))
    assert runs.files() == sorted(
        [
            *("logs/DiesTest/notes.txt", "logs/ShopTest/web-1.log"),
            *(f"parts/{part.name}", "parts/files", "parts/lock"),
            *("report.html", "report.json", "trace.json"),
        ]
    )
    log = (runs.path / "report" / "logs" / "ShopTest" / "web-1.log").read_text()
    assert log == "ready\none one\n"


def test_files_of_others_stay(runs: Runs) -> None:
    (runs.path / "report").mkdir()
    (runs.path / "report" / "report.html").write_text("of pytest-html")
    done = runs.unittest("ShopTest.test_passes")
    assert "report.html is not of summon_testcase, and stays as it is" in done.stderr
    assert (runs.path / "report" / "report.html").read_text() == "of pytest-html"
    assert (runs.path / "report" / "trace.json").exists()


def test_all_workers_write_one_report(runs: Runs) -> None:
    """pytest-xdist: four processes, one page, one table for GitHub, one annotation."""
    arguments = ("-m", "pytest", "-p", "xdist", "-n", "4", "shop.py", "-p", "no:cacheprovider")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(runs.path / "summary")}
    (runs.path / "summary").write_text("# of another step\n")
    done = runs.run(*arguments, **github)
    assert "3 failed, 2 passed" in done.stdout, done.stdout
    made = runs.report()
    labels = {process["label"] for process in made["processes"]}
    assert {"gw0", "gw1", "gw2", "gw3"} == labels
    assert len(made["services"]) == 5
    summary = (runs.path / "summary").read_text()
    assert summary.startswith("# of another step\n")
    assert summary.count("| DiesTest.web |") == summary.count("| ShopTest.web |") == 1
    assert summary.count("| shop.OtherTest.test&#95;fails | failed |") == 1
    assert "shop.OtherTest.test&#95;passes" not in summary
    assert len(re.findall("^::error", done.stdout + done.stderr, re.MULTILINE)) == 1
    assert "::error title=DiesTest.web::web: was killed by SIGKILL" in done.stdout + done.stderr


def test_junit_xml_names_the_logs(runs: Runs) -> None:
    """The line that Jenkins and GitLab read; of tests that fail only."""
    line = f"[[ATTACHMENT|{runs.path}/report/logs/ShopTest/web-1.log]]"
    pytest_xml = ("-p", "no:cacheprovider", "--junitxml=out.xml", "shop.py::ShopTest")
    runs.run("-m", "pytest", *pytest_xml, "-o", "junit_logging=system-out")
    runs.run("-m", "xmlrunner", "shop.ShopTest", "--output-file", "other.xml")
    for name in ("out.xml", "other.xml"):
        cases = ElementTree.parse(runs.path / name).iter("testcase")
        said = {case.get("name"): case.findtext("system-out") or "" for case in cases}
        assert line in said["test_fails"].splitlines()
        assert line not in said["test_passes"]


@linux
def test_a_killed_run_leaves_a_report(runs: Runs) -> None:
    """kill -9 of the runner: what was known is in the report a moment later, and all of the log."""
    done = runs.unittest("ShopTest.test_passes", "DiesTest", KILL_RUNNER="1")
    assert done.returncode == -9, done.stderr
    eventually((runs.path / "report" / "report.html").exists, "the report")
    made = runs.report()
    (process,) = made["processes"]
    assert process["ended"] is None
    ended = {test["name"]: test["ended"] for test in made["tests"]}
    assert ended["shop.ShopTest.test_passes"] is not None
    assert ended["shop.DiesTest.test_dies"] is None
    of_dies = next(service for service in made["services"] if service["owner"] == "DiesTest")
    (life,) = of_dies["lives"]
    assert life["ready"] is not None and life["stopped"] is None
    assert (runs.path / "report" / life["log"]).read_text() == "ready\nlast last\n"
    assert "".join(text for _, text in life["excerpt"]) == "ready\nlast last\n"


#: programs that do not begin with the start of a single service
KILLED = {
    "services that start at the same time": """
import os
from summon_testcase import OutputCoordinatedExecutor, orchestrated

def service():
    return OutputCoordinatedExecutor(["sh", "-c", "echo ready; exec sleep 600"], "ready")

with orchestrated(a=service(), b=service()):
    os.kill(os.getpid(), 9)
""",
    "none that it has spawned": """
import os
from summon_testcase import Executor, Orchestrator
from summon_testcase.supervision import warden

class Own(Executor):
    def start(self):
        return self

    def stop(self):
        pass

with Orchestrator({"a": Own(), "b": Own()}):
    warden.sync(0)  # once it has answered it has booted
    os.kill(os.getpid(), 9)
""",
}


@linux
@pytest.mark.parametrize("program", KILLED.values(), ids=KILLED)
def test_a_killed_program_leaves_a_report(runs: Runs, program: str) -> None:
    """Of whatever kind its services are."""
    done = runs.run("-c", program)
    assert done.returncode == -9, done.stderr
    eventually((runs.path / "report" / "report.html").exists, "the report")
    made = json.loads((runs.path / "report" / "report.json").read_text())
    assert made["processes"][0]["ended"] is None
    assert {service["name"] for service in made["services"]} == {"a", "b"}


def test_a_run_without_a_report_does_not_even_import_what_makes_one(runs: Runs) -> None:
    program = "import sys, unittest; unittest.main('shop', argv=['', 'ShopTest'], exit=False); "
    program += (
        "print(*(name for name in sys.modules if name.startswith('summon_testcase.reports')))"
    )
    done = runs.run("-c", program, SUMMON_REPORT="")
    assert done.stdout.split() == ["summon_testcase.reports", "summon_testcase.reports.terminal"]


def test_logs_alone(runs: Runs) -> None:
    """SUMMON_LOGS keeps the logs, also of tests that pass, and makes no report."""
    for _ in range(2):  # the second run replaces the logs of the first
        runs.unittest("ShopTest.test_passes", SUMMON_REPORT="", SUMMON_LOGS="kept")
        logs = [name for name in runs.files("kept") if not name.startswith(".")]
        assert logs == ["ShopTest/web-1.log"]
    assert (runs.path / "kept" / "ShopTest" / "web-1.log").read_text() == "ready\none one\n"
    assert not (runs.path / "report").exists()


def test_logs_in_another_place_than_the_report(runs: Runs) -> None:
    runs.unittest("ShopTest.test_passes", SUMMON_LOGS="kept")
    (service,) = runs.report()["services"]
    assert service["lives"][0]["log"] == "../kept/ShopTest/web-1.log"


@pytest.mark.parametrize("why", ["it is a file", "No such file or directory"])
def test_a_directory_that_cannot_be_made(runs: Runs, why: str) -> None:
    (runs.path / "file").write_text("")
    place = {"it is a file": "file"}.get(why, "/proc/none")
    done = runs.unittest("ShopTest.test_passes", SUMMON_REPORT=place)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("RuntimeWarning: SUMMON_REPORT: .* cannot be written", done.stderr)) == 1
    assert f"({why}), and the tests go on without: write SUMMON_REPORT=DIR" in done.stderr


@linux
def test_a_full_disk(runs: Runs) -> None:
    (runs.path / "report").mkdir()
    fill = "mount -t tmpfs -o size=16k none report; cat /dev/zero >report/zeros 2>/dev/null; "
    shell = f'{fill} exec "$0" -m unittest shop.ShopTest.test_passes'
    done = subprocess.run(
        [*unshare("--user", "--map-root-user", "--mount"), "sh", "-c", shell, sys.executable],
        cwd=runs.path,
        env={**os.environ, "PYTHONPATH": ROOT, "SUMMON_REPORT": "report"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device), and the tests go on" in done.stderr
    assert done.stderr.count("RuntimeWarning: SUMMON_REPORT") == 1


LOUD = """
import os, time, unittest
from summon_testcase import OutputCoordinatedExecutor, SummonTestCase

LOUD = "echo ready; while read word; do head -c 300000 /dev/zero | tr '\\\\0' x; touch $word; done"

class LoudTest(SummonTestCase):
    web = OutputCoordinatedExecutor(["sh", "-c", LOUD], "ready")

    def tearDown(self):
        while not os.path.exists(self.id()):
            time.sleep(0.01)

    def test_passes(self):
        self.web.sendline(self.id())

    def test_fails(self):
        self.test_passes()
        self.tearDown()
        self.fail("as it should")
"""


@linux
@pytest.mark.parametrize("test", ["test_passes", "test_fails"])
def test_a_full_disk_for_the_logs(runs: Runs, test: str) -> None:
    """A warning says so, and a test that fails how much it lacks."""
    (runs.path / "loud.py").write_text(LOUD)
    (runs.path / "kept").mkdir()
    mount = "mount -t tmpfs -o size=64k none kept; "
    shell = f'{mount} exec "$0" -m unittest loud.LoudTest.{test}'
    done = subprocess.run(
        [*unshare("--user", "--map-root-user", "--mount"), "sh", "-c", shell, sys.executable],
        cwd=runs.path,
        env={**os.environ, "PYTHONPATH": ROOT, "SUMMON_LOGS": "kept", "SUMMON_REPORT": "report"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == (test == "test_fails"), done.stderr
    warning = "web: part of its log could not be written: No space left on device"
    assert done.stderr.count(warning) == 1
    lacks = re.findall(r"\[(\d+) KiB of output could not be stored: No space .*\]", done.stderr)
    assert len(lacks) == (test == "test_fails")
    assert all(200 < int(number) < 300 for number in lacks)
    made = json.loads((runs.path / "report" / "report.json").read_text())
    assert [each["text"] for each in made["warnings"]] == [warning]


BOTH = """
import pytest
from summon_testcase import OutputCoordinatedExecutor, summon_fixture
from shop import ShopTest, WEB

around = summon_fixture(till=OutputCoordinatedExecutor(["sh", "-c", WEB], "ready"), autouse=True)

class BothTest(ShopTest):
    @pytest.fixture(autouse=True)
    def fails(self, request, around):
        if "skips" in request.node.name:
            pytest.skip("not now")
        assert "errs" not in request.node.name
        yield
        assert "late" not in request.node.name

    def test_skips(self):
        pass
    def test_errs(self):
        pass
    def test_ends_late(self):
        pass

del ShopTest
"""


def test_services_of_a_class_and_of_a_fixture(runs: Runs) -> None:
    """A test that has both is in the report once, with all of its services."""
    (runs.path / "test_both.py").write_text(BOTH)
    done = runs.run("-m", "pytest", "-q", "-p", "_summon_pytest", "test_both.py")
    assert "1 failed, 2 passed, 1 skipped, 2 errors" in done.stdout
    made = runs.report()
    names = {service["id"]: service["name"] for service in made["services"]}
    told = sorted(
        (test["name"].rpartition("test_")[2], test["outcome"], *map(names.get, test["services"]))
        for test in made["tests"]
    )
    both = ("till", "web")
    assert told == [
        ("ends_late", "error", *both),
        ("errs", "error", *both),
        ("fails", "failed", *both),
        ("passes", "passed", *both),
        ("skips", "skipped", *both),
    ]


def test_django_in_parallel(runs: Runs) -> None:
    (runs.path / "settings.py").write_text("SECRET_KEY = 'x'\nDATABASES = {}\n")
    (runs.path / "test_shop.py").write_text("from shop import ShopTest, OtherTest\n")
    # Django would need a library to send the traceback of a failure
    django = ("-m", "django", "test", "--parallel", "2", "--settings", "settings")
    done = runs.run(*django, "-k", "passes")
    assert "Ran 2 tests" in done.stderr and done.returncode == 0, done.stderr
    eventually((runs.path / "report" / "report.html").exists, "the report")
    made = runs.report()
    assert len({process["pid"] for process in made["processes"]}) == 2
    assert sorted(service["owner"] for service in made["services"]) == ["ShopTest", "ShopTest"]
