"""The runners: how each is called, and what is known of it that is not ours to mend."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple


class Sample(NamedTuple):
    """The modules that a runner runs in each scenario, beside some of its own."""

    passing: tuple[str, ...]
    cannot_start: tuple[str, ...]
    failing: tuple[str, ...]
    interrupted: tuple[str, ...]


CASES = Sample(
    passing=(
        "sample_first",
        "sample_second",
        "sample_scopes",
        "sample_scopes_elsewhere",
        "sample_ports",
        "sample_ports_elsewhere",
    ),
    cannot_start=("sample_cannot_start",),
    failing=("sample_broken", "sample_reports"),
    interrupted=("sample_ctrl_c",),
)
#: the same with fixtures of pytest
FIXTURES = Sample(
    passing=("sample_fixtures", "sample_fixtures_elsewhere"),
    cannot_start=("sample_fixtures_cannot_start",),
    failing=("sample_fixtures_failing",),
    interrupted=("sample_fixtures_ctrl_c",),
)


class Row(NamedTuple):
    """A runner with some options."""

    name: str
    #: arguments for Python; ``{modules}``, ``{files}`` and ``{pattern}`` name what is to run,
    #: ``{tmpdir}`` a directory that is the run's own, with a ``test_all.py`` that loads it
    command: tuple[str, ...]
    #: the distribution that it comes from
    package: str = ""
    sample: Sample = CASES
    #: how many processes run tests
    workers: int = 1
    #: how often each test runs
    copies: int = 1
    #: the tests of a class may run in several processes
    splits: bool = False
    #: the tests of different classes, or of one, come in any order
    shuffles: bool = False
    #: it ends at the first test that fails
    stops_early: bool = False
    calls_set_up_class: bool = True
    #: modules for its own kind of tests, in the scenarios "passing" and "failing"
    own_passing: tuple[str, ...] = ()
    own_failing: tuple[str, ...] = ()
    #: Ctrl-C may leave it waiting for its workers for ever
    hangs: bool = False
    #: it may end its workers by SIGTERM, so that nobody stops their services of scope "run"
    ends_workers: bool = False
    #: it takes a failed subTest of the standard library's for a success
    drops_subtests: bool = False
    #: how often it prints a failure
    prints: int = 1
    #: the copies of a test run at once, with the same fixtures, and have one report
    copies_share: bool = False
    #: under ``-X dev`` it complains of itself
    untidy: bool = False
    #: it runs an IsolatedAsyncioTestCase
    takes_async: bool = True
    #: it may exit with 0 after Ctrl-C
    ignores_ctrl_c: bool = False
    #: its own bugs and peculiarities, which the table names
    notes: tuple[str, ...] = ()


#: plugins that pytest finds, each for the rows that name it: some shuffle whatever runs
_PLUGINS = (
    *("randomly", "random_order", "asyncio", "anyio", "rerunfailures", "run-parallel"),
    "django",
)


def _pytest(name: str, *options: str, package: str = "pytest", **more: object) -> Row:
    others = [word for word in _PLUGINS if word not in options]
    chosen = [option for option in options if option not in _PLUGINS]
    without = [word for other in others for word in ("-p", f"no:{other}")]
    command = ("-m", "pytest", "-c", os.devnull, "-p", "no:cacheprovider", *without, *chosen)
    return Row(name, (*command, "{files}"), package, **more)  # type: ignore[arg-type]


def _fixtures(name: str, *options: str, **more: object) -> Row:
    # the classes of the sample have the names of its TestCases
    return _pytest(name, "-o", "python_classes=*", *options, sample=FIXTURES, **more)  # type: ignore[arg-type]


def _unittest(name: str, *options: str, **more: object) -> Row:
    return Row(name, ("-m", "unittest", *options, "{modules}"), **more)  # type: ignore[arg-type]


def _django(name: str, *words: str, **more: object) -> Row:
    if "--parallel" in words:
        more |= {"workers": 2, "hangs": True, "takes_async": sys.version_info < (3, 11)}
    more |= {"ignores_ctrl_c": True, **_DJANGOS_OWN}
    return Row(name, (*words, "{modules}"), "Django", **more)  # type: ignore[arg-type]


_ZOPE = ("-m", "zope.testrunner", "--test-path", ".", "--tests-pattern", "{pattern}")
_TRIAL = ("-m", "twisted.trial", "--temp-directory", "{tmpdir}/trial")
_TRIALS_OWN = ("sample_trial", "sample_trial_failing")
_STESTR = (
    *("-m", "stestr", "--test-path", "{tmpdir}", "--top-dir", "{tmpdir}"),
    *("--repo-url", "{tmpdir}"),
)
_DJANGO = ("-m", "django", "test", "--settings", "sample_settings", "--noinput", "-v", "2")
#: with settings that name services, and so with our Runner
_DJANGO_RUNNER = tuple(w.replace("sample_settings", "sample_settings_services") for w in _DJANGO)
_DJANGOS_OWN = {"own_passing": ("sample_django",), "own_failing": ("sample_django_broken",)}

_NO_SET_UP_CLASS = (
    "never calls setUpClass, tearDownClass or clean-ups of classes and modules: services start "
    "with the first test of a class, and stop when another class needs room or at the end"
)
_DROPS = (
    "drops an error of setUpClass, and says OK, if another class of the module ran: a service "
    "that cannot start is therefore the error of each test"
)
_NO_CLEAN_UPS = "never runs clean-ups of modules"
_SERVER = "its settings name a PostgreSQL server"
_LOST_WORKER = "waits for ever for a worker that ended, as by SIGINT to the worker alone"
_NO_COROUTINES = "cannot send an IsolatedAsyncioTestCase to a worker from Python 3.11 on"

ROWS = [
    _unittest("unittest"),
    _unittest("unittest -b", "-b"),
    _unittest("unittest -f", "-f", stops_early=True),
    _unittest(
        "unittest -c",
        "-c",
        ignores_ctrl_c=True,
        notes=("lets the test that Ctrl-C interrupts go on to its end",),
    ),
    _pytest("pytest", notes=(_NO_CLEAN_UPS,)),
    _pytest(
        "pytest-xdist load",
        *("-n", "2", "--dist", "load"),
        package="pytest-xdist",
        workers=2,
        splits=True,
        notes=("the tests of one class run in several workers, each with services of its own",),
    ),
    _pytest(
        "pytest-xdist loadscope",
        *("-n", "2", "--dist", "loadscope"),
        package="pytest-xdist",
        workers=2,
    ),
    _pytest(
        "pytest-xdist each",
        *("--tx", "2*popen", "--dist", "each"),
        package="pytest-xdist",
        workers=2,
        copies=2,
    ),
    _pytest("pytest-randomly", "randomly", package="pytest-randomly", shuffles=True),
    _pytest(
        "pytest-randomly -n 2",
        "randomly",
        *("-n", "2"),
        package="pytest-randomly",
        workers=2,
        splits=True,
        shuffles=True,
        notes=("seeds random alike in all workers, which ports do not depend on",),
    ),
    _pytest(
        "pytest-random-order",
        "random_order",
        "--random-order-bucket=global",
        package="pytest-random-order",
        shuffles=True,
        notes=(
            "with bucket=global the tests of different classes alternate: services whose classes "
            "have been torn down start again",
        ),
    ),
    _fixtures("pytest fixtures"),
    _fixtures(
        "pytest fixtures -n 2",
        *("-n", "2", "--dist", "worksteal"),
        package="pytest-xdist",
        workers=2,
        splits=True,
    ),
    _fixtures(
        "pytest-asyncio",
        "asyncio",
        *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
        package="pytest-asyncio",
        own_passing=("sample_coroutines",),
        own_failing=("sample_coroutines_failing",),
    ),
    _fixtures(
        "anyio",
        "anyio",
        *("-o", "anyio_mode=auto"),
        package="anyio",
        own_passing=("sample_coroutines", "sample_trio"),
        own_failing=("sample_coroutines_failing",),
        notes=("on trio, services are started and stopped in a thread",),
    ),
    _fixtures(
        "pytest-rerunfailures",
        "rerunfailures",
        *("--reruns", "1", "--rerun-except", "ProcessExited"),
        package="pytest-rerunfailures",
        own_passing=("sample_reruns",),
        notes=(
            "a test that is run again finds its services up, and reset",
            "to run a test again is of no use where its service has died: "
            "--rerun-except=ProcessExited leaves that out",
        ),
    ),
    _fixtures(
        "pytest-run-parallel",
        "run-parallel",
        *("--parallel-threads", "2"),
        package="pytest-run-parallel",
        copies=2,
        copies_share=True,
        notes=("runs each test in several threads at once, which share the services",),
    ),
    Row(
        "unittest-parallel",
        (
            *("-m", "unittest_parallel", "-j", "2", "--level", "class"),
            *("-s", "{tmpdir}", "-t", "{tmpdir}", "-p", "test_all.py"),
        ),
        "unittest-parallel",
        workers=2,
        hangs=True,
        ends_workers=True,
        takes_async=sys.version_info < (3, 11),
        notes=(
            _NO_COROUTINES,
            "may end its workers by SIGTERM: the keepers then kill services of scope run",
            _LOST_WORKER,
        ),
    ),
    Row("nose2", ("-m", "nose2", "{modules}"), "nose2"),
    Row(
        "nose2 mp",
        ("-m", "nose2", "--plugin", "nose2.plugins.mp", "-N", "2", "{modules}"),
        "nose2",
        workers=2,
        hangs=True,
        notes=(
            "may call tearDownClass a second time, after the clean-ups of the class",
            _LOST_WORKER,
        ),
    ),
    Row(
        "pynose",
        ("-m", "nose", "{files}"),
        "pynose",
        ignores_ctrl_c=True,
        notes=("never runs clean-ups of classes or modules",),
    ),
    Row(
        "zope.testrunner",
        (*_ZOPE, "-v"),
        "zope.testrunner",
        calls_set_up_class=False,
        notes=(_NO_SET_UP_CLASS,),
    ),
    Row(
        "zope.testrunner -j2",
        (*_ZOPE, "-j2", "-v"),
        "zope.testrunner",
        workers=2,
        calls_set_up_class=False,
        notes=("puts a layer, not a class, into a process of its own",),
    ),
    Row(
        "trial",
        (*_TRIAL, "{modules}"),
        "twisted",
        calls_set_up_class=False,
        own_failing=_TRIALS_OWN,
        notes=(_NO_SET_UP_CLASS,),
    ),
    Row(
        "trial -j2",
        (*_TRIAL, "-j2", "{modules}"),
        "twisted",
        workers=2,
        splits=True,
        calls_set_up_class=False,
        own_failing=_TRIALS_OWN,
        drops_subtests=True,
        notes=("takes a failed subTest of a unittest.TestCase for a success",),
    ),
    Row(
        "stestr",
        (*_STESTR, "run", "--concurrency", "2"),
        "stestr",
        workers=2,
        splits=True,
        prints=2,
        untidy=True,
        notes=(
            "the tests of one class run in several workers, unless with --parallel-class",
            "prints each failure twice",
            "leaves its pipes to its workers unclosed, which -X dev shows",
        ),
    ),
    Row(
        "green -s 2",
        ("-m", "green", "-s", "2", "{modules}"),
        "green",
        workers=2,
        ignores_ctrl_c=True,
        notes=(
            _DROPS,
            "crashes under CPython 3.12.1, and no other, where a test is skipped without having "
            "been started (also plain unittest code)",
        ),
    ),
    _django("Django", *_DJANGO),
    _django(
        "Django --parallel 2",
        *(*_DJANGO, "--parallel", "2"),
        notes=(
            _NO_COROUTINES,
            "needs tblib, or any failure in a worker ends the run",
        ),
    ),
    _django(
        "Django, our Runner",
        *_DJANGO_RUNNER,
        notes=(_SERVER,),
    ),
    _django(
        "Django, our Runner --parallel 2",
        *(*_DJANGO_RUNNER, "--parallel", "2"),
        notes=(_NO_COROUTINES, _SERVER),
    ),
    _pytest(
        "pytest-django",
        *("django", "--ds", "sample_settings_services"),
        package="pytest-django",
        **_DJANGOS_OWN,
        notes=(_NO_CLEAN_UPS, _SERVER),
    ),
    _pytest(
        "pytest-django -n 2",
        *("django", "--ds", "sample_settings_services", "-n", "2", "--dist", "loadscope"),
        package="pytest-django",
        workers=2,
        **_DJANGOS_OWN,
        notes=(f"{_SERVER}, and each worker has one",),
    ),
    Row("testtools.run", ("-m", "testtools.run", "{modules}"), "testtools"),
]
