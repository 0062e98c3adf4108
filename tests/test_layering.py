"""The package has one way down: its modules import only from rows below their own.

Checked by reading the source, so also what is imported in functions or for types counts.
"""

import ast
import configparser
import inspect
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

from summon_testcase import errors

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "summon_testcase"

#: from top to bottom: rooms, which are folders, and leaves; those in one row are siblings and do
#: not know each other
ROWS = [
    {"__main__", "django"},
    {"cli", "testing"},
    {"stacks"},
    {"orchestration", "services"},
    {"executors"},
    {"supervision"},
    {"readiness"},
    {"declaration", "output", "reports", "system"},
    {"tracebacks"},
    {"errors", "events", "scheduling"},
    {"unpatched", "wording"},
    {"asker", "clean", "foreign", "keeper", "proxy"},
]
LEAVES = {"__main__", "clean", "errors", "events", "foreign", "tracebacks", "unpatched", "wording"}
#: programs of their own: beside the standard library they import only these packages
PROGRAMS: dict[str, set[str]] = {
    "keeper": set(),
    "asker": {"requests", "urllib3"},
    "proxy": set(),
}
#: modules that only one file or room may import, or two
ONLY: dict[str, str | tuple[str, ...]] = {
    "unittest": ("testing/testcase", "testing/class_services"),
    "requests": "asker/",
    "urllib3": "asker/",
    "pexpect": "readiness/output",
    "pytest": ("testing/", "django/pytest_hooks"),
    "django": "django/",
}
#: names that tests replace, which the package imports from this module instead
UNPATCHED = "unpatched"
REPLACED = {
    *("fcntl", "io", "os", "select", "shutil", "socket", "subprocess", "tempfile", "time"),
    *("glob", "pathlib"),
}
#: the module that recognises exceptions of signal handlers, which may be of any of these types
FOREIGN = "foreign"
WIDE = {
    *("OSError", "Exception", "TimeoutError", "ValueError"),
    # a handler may stop another service, and raise the error of that
    *(name for name, kind in vars(errors).items() if isinstance(kind, type)),
}
#: the test process starts no thread and forks nothing: only keeper and asker do
FORBIDDEN_NAMES = {"Thread", "Timer", "ThreadPoolExecutor", "start_new_thread", "fork", "forkpty"}
FORBIDDEN_MODULES = {"pty", "concurrent.futures"}
#: the one module that registers functions for a fork and for the end of the process
SHUTDOWN = "supervision/shutdown.py"
#: modules that take long to import, and are not needed to declare a service
HEAVY = {
    *("requests", "urllib3", "pexpect", "ssl", "http", "asyncio", "concurrent", "multiprocessing"),
    *("socket", "subprocess", "logging", "tempfile", "random", "hashlib", "shutil"),
    *("urllib.parse", "urllib.request", "ipaddress", "ctypes", "json"),
    *(f"{PACKAGE}.{room}" for room in ("asker", "events", "keeper", "proxy", "reports")),
    *(f"{PACKAGE}.readiness.{module}" for module in ("asking", "http", "output", "tcp", "wait")),
    *(f"{PACKAGE}.readiness.{module}" for module in ("protocols", "server")),
    *(f"{PACKAGE}.supervision.{module}" for module in ("instance", "process", "run", "warden")),
    *(f"{PACKAGE}.system.{module}" for module in ("netlink", "ports", "procfs")),
    *(f"{PACKAGE}.testing.{module}" for module in ("pool", "result_hooks", "turns", "unstarted")),
    *(f"{PACKAGE}.testing.{module}" for module in ("farewells", "fixtures", "watch")),
    *(f"{PACKAGE}.output.log", f"{PACKAGE}.orchestration.decorated"),
    *(f"{PACKAGE}.declaration.http_arguments", f"{PACKAGE}.scheduling.greenlets"),
    f"{PACKAGE}.scheduling.asynchronous",
}


class Source:
    """One file of the package, read and parsed.

    :param path: the file.
    :param folder: the folder of the package that it is in.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.text = path.read_text()
        self.tree = ast.parse(self.text)
        self.where = str(path.relative_to(folder))
        parts = path.relative_to(folder).with_suffix("").parts
        #: the module in the table: a sub-package counts as one
        self.module = parts[0]
        #: the package that relative imports start from
        self.package = [PACKAGE, *parts[:-1]]

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """Every import in the file, with the full name of what is imported."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name
            elif isinstance(node, ast.ImportFrom):
                base = self.package[: len(self.package) + 1 - node.level] if node.level else []
                origin = [*base, *(node.module or "").split(".")] if node.module else base
                for alias in node.names:
                    yield node, ".".join([*origin, alias.name])


def is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def check(folder: Path) -> list[str]:
    """All complaints about the package in this folder."""
    sources = [Source(path, folder) for path in sorted(folder.rglob("*.py"))]
    complaints = list(check_table({source.module for source in sources}))
    for source in sources:
        if source.where == "__init__.py":
            complaints += check_init(source)
        else:
            complaints += check_directions(source)
            complaints += check_exclusive_imports(source)
            complaints += check_replaced(source)
            complaints += check_foreign(source)
            complaints += check_forbidden(source)
            complaints += check_hooks(source)
    return complaints


def check_table(found: set[str]) -> Iterator[str]:
    known = {"__init__"}.union(*ROWS)
    for module in sorted(found - known):
        yield f"{module}: is not in the table of rows"
    for module in sorted(known - found):
        yield f"{module}: is in the table of rows, but not in the package"


def is_platform_check(node: ast.If) -> bool:
    asks = ast.unparse(node.test).startswith(("sys.platform", "os.name"))
    return asks and all(isinstance(inner, ast.Raise) for inner in [*node.body, *node.orelse])


def is_for_types(node: ast.If) -> bool:
    only_imports = all(isinstance(inner, ast.ImportFrom) for inner in node.body)
    return ast.unparse(node.test) == "TYPE_CHECKING" and only_imports and not node.orelse


def check_init(source: Source) -> Iterator[str]:
    """Re-exports, also late ones, and the refusal of a platform: nothing else."""
    for node in source.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if all(ast.unparse(target) in ("__all__", "__version__") for target in targets):
                continue
        if isinstance(node, ast.If) and (is_platform_check(node) or is_for_types(node)):
            continue
        if isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__"):
            continue
        yield f"{source.where}:{node.lineno}: only re-exports, this is more"


def row_of(module: str) -> int | None:
    return next((number for number, row in enumerate(ROWS) if module in row), None)


def check_directions(source: Source) -> Iterator[str]:
    own_row = row_of(source.module)
    if own_row is None:
        return
    for node, name in source.imports():
        where = f"{source.where}:{node.lineno}"
        if not is_within(name, PACKAGE):
            top = name.partition(".")[0]
            own = PROGRAMS.get(source.module)
            if own is not None and top not in sys.stdlib_module_names and top not in own:
                yield f"{where}: {source.module} imports {name}, not in the standard library"
            continue
        other = name.split(".")[1] if "." in name else "__init__"
        if other == source.module:
            continue
        other_row = row_of(other)
        if source.module in PROGRAMS:
            yield f"{where}: {source.module} imports {other}, of the package around it"
        elif other_row is None:
            yield f"{where}: {source.module} imports {name}, which is no module in the table"
        elif other_row == own_row:
            yield f"{where}: {source.module} imports {other} sideways"
        elif other_row < own_row:
            yield f"{where}: {source.module} imports {other} upward"


def check_exclusive_imports(source: Source) -> Iterator[str]:
    for node, name in source.imports():
        where = f"{source.where}:{node.lineno}"
        for outside, owner in ONLY.items():
            if is_within(name, outside) and not source.where.startswith(owner):
                owners = owner if isinstance(owner, str) else " and ".join(owner)
                yield f"{where}: {source.module} imports {outside}, only {owners} may"


def check_replaced(source: Source) -> Iterator[str]:
    """No name is used that a test may have replaced."""
    if source.module in {*PROGRAMS, UNPATCHED}:
        return
    opens = False
    for node, name in source.imports():
        opens = opens or name == f"{PACKAGE}.{UNPATCHED}.open"
        if name.partition(".")[0] in REPLACED:
            yield f"{source.where}:{node.lineno}: write from ..{UNPATCHED} import {name}"
    for use in ast.walk(source.tree):
        if isinstance(use, ast.Call) and ast.unparse(use.func) == "open" and not opens:
            yield f"{source.where}:{use.lineno}: write from ..{UNPATCHED} import open"
        if isinstance(use, ast.Attribute) and ast.unparse(use) == "sys.platform":
            yield f"{source.where}:{use.lineno}: write from ..{UNPATCHED} import LINUX"


def check_foreign(source: Source) -> Iterator[str]:
    """No exception of a signal handler is taken for one of ours (TimeoutError is an OSError)."""
    if source.module in PROGRAMS or source.module == FOREIGN:
        return
    for node, name in source.imports():
        if name == "contextlib.suppress" and WIDE & set(_suppressed(source.tree)):
            yield f"{source.where}:{node.lineno}: write from ..{FOREIGN} import suppress"
    for node in ast.walk(source.tree):
        plain = isinstance(node, ast.Call) and ast.unparse(node.func) == "contextlib.suppress"
        if plain and WIDE & set(map(ast.unparse, node.args)):  # type: ignore[attr-defined]
            yield f"{source.where}:{node.lineno}: write suppress, from ..{FOREIGN}"
        if not isinstance(node, ast.ExceptHandler) or node.type is None:
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        body = "\n".join(map(ast.unparse, node.body))
        told = ("let_through(", "is_foreign(", "trimmed(", f".append({node.name})")
        seen = ast.unparse(node.body[-1]) == "raise" or any(call in body for call in told)
        if WIDE & set(map(ast.unparse, kinds)) and not seen:
            said = f"let_through({node.name or 'error'})"
            yield f"{source.where}:{node.lineno}: begin with {said}, from ..{FOREIGN}"


def _suppressed(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "suppress":
            yield from map(ast.unparse, node.args)


def check_forbidden(source: Source) -> Iterator[str]:
    if source.module in PROGRAMS:
        return
    for node, name in source.imports():
        where = f"{source.where}:{node.lineno}"
        forbidden = any(is_within(name, module) for module in FORBIDDEN_MODULES)
        if forbidden or name.rpartition(".")[2] in FORBIDDEN_NAMES:
            yield f"{where}: imports {name}"
    for use in ast.walk(source.tree):
        used = use.attr if isinstance(use, ast.Attribute) else getattr(use, "id", None)
        if used in FORBIDDEN_NAMES:
            yield f"{source.where}:{use.lineno}: uses {ast.unparse(use)}"  # type: ignore[attr-defined]


def check_hooks(source: Source) -> Iterator[str]:
    if source.module in PROGRAMS or source.where == SHUTDOWN:
        return
    for node, name in source.imports():
        if is_within(name, "atexit"):
            yield f"{source.where}:{node.lineno}: imports atexit, only {SHUTDOWN} may"
    for use in ast.walk(source.tree):
        if isinstance(use, ast.Attribute) and use.attr in ("register_at_fork", "Finalize"):
            yield f"{source.where}:{use.lineno}: uses {use.attr}, only {SHUTDOWN} may"


def private_names(room: Path) -> set[str]:
    """The names in a room, or a leaf, that begin with one underscore."""
    found = set()
    for path in [room, *room.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())) if path.suffix == ".py" else ():
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(getattr(node, "ctx", None), ast.Store):
                found.add(getattr(node, "attr", None) or getattr(node, "id", ""))
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


class LayeringTest(unittest.TestCase):
    """The package as it is."""

    def test_the_package_keeps_its_layers(self):
        complaints = check(ROOT / PACKAGE)
        self.assertEqual(complaints, [], "\n" + "\n".join(complaints))

    def test_what_is_heavy_is_not_imported_before_a_service_starts(self):
        # without site, whose .pth files may import anything
        program = (
            "import sys; sys.path = sys.argv[1:]; import unittest; before = set(sys.modules)\n"
            f"import {PACKAGE}; print(*sorted(set(sys.modules) - before))"
        )
        command = [sys.executable, "-I", "-S", "-c", program, str(ROOT), *filter(None, sys.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        imported = set(done.stdout.split())
        self.assertIn(f"{PACKAGE}.testing.testcase", imported)
        self.assertEqual(sorted(imported & HEAVY), [])

    def test_every_public_name_has_a_docstring(self):
        import summon_testcase

        bare = []
        for name in summon_testcase.__all__:
            thing = getattr(summon_testcase, name)
            if not inspect.isclass(thing) and not inspect.isroutine(thing):
                continue
            text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
            # the docstring that a dataclass gets by itself only repeats its signature
            if not text or text.startswith(f"{name}("):
                bare.append(name)
        self.assertEqual(bare, [])

    def test_each_room_has_tests(self):
        for room in set().union(*ROWS) - LEAVES:
            with self.subTest(room):
                self.assertTrue(list((ROOT / "tests" / room).glob("test_*.py")))

    def test_what_is_private_is_asked_by_the_doubles_of_tests_only(self):
        """Except in tests of the module itself, or of its room."""
        names = {room.stem: private_names(room) for room in (ROOT / PACKAGE).iterdir()}
        reaches = []
        for path in (ROOT / "tests").rglob("*.py"):
            if path.name == "doubles.py":
                continue
            forbidden = set().union(*names.values()) - names.get(path.parent.name, set())
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Attribute) or node.attr not in forbidden:
                    continue
                if ast.unparse(node.value) not in ("self", "cls", "os"):
                    reach = f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
                    reaches.append(reach)
        self.assertEqual(reaches, [], "\n" + "\n".join(reaches))

    def test_the_version_is_the_one_in_setup_cfg(self):
        import summon_testcase

        config = configparser.ConfigParser()
        config.read(ROOT / "setup.cfg")
        self.assertEqual(summon_testcase.__version__, config["metadata"]["version"])


class CheckerTest(unittest.TestCase):
    """The checker itself, on small trees with one mistake each."""

    def complaints(self, files: dict[str, str]) -> list[str]:
        """The complaints about a package with every module of the table, these among them."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for module in {"__init__"} | LEAVES:
                (folder / f"{module}.py").write_text("")
            for room in set().union(*ROWS) - LEAVES:
                (folder / room).mkdir()
                (folder / room / "__init__.py").write_text("")
            for module, text in files.items():
                (folder / f"{module}.py").write_text(text)
            return check(folder)

    def assert_complains(self, expected: str, module: str, text: str) -> None:
        (complaint,) = self.complaints({module: text})
        self.assertIn(expected, complaint)

    def test_nothing_is_said_of_what_is_allowed(self):
        files = {
            "__init__": (
                '"""Doc."""\n'
                "import sys\n"
                "from .errors import SummonError\n"
                'if sys.platform == "win32":\n    raise ImportError("POSIX only")\n'
                '__all__ = ["SummonError"]\n'
            ),
            "testing/testcase": (
                "import unittest\nfrom .. import executors\nfrom ..errors import SummonError\n"
                "from . import pool"
            ),
            "asker/requesting": "import requests",
            "readiness/output": "from pexpect.spawnbase import SpawnBase",
            "supervision/warden": "from ..keeper import messages",
            "supervision/shutdown": (
                "import atexit\nfrom ..unpatched import os\nos.register_at_fork()"
            ),
            "keeper/warden": "import atexit, os\nfrom .messages import pack\nos.fork()",
            "keeper/messages": "import struct",
        }
        self.assertEqual(self.complaints(files), [])

    def test_an_upward_import_is_reported(self):
        for text in (
            "from ..executors.executor import Executor",
            "from ..executors import executor",
            "import summon_testcase.executors.executor",
            "from summon_testcase import executors",
            "from summon_testcase.executors.executor import Executor",
            "def late():\n    from ..executors.executor import Executor",
        ):
            with self.subTest(text):
                self.assert_complains("system imports executors upward", "system/ports", text)

    def test_a_sideways_import_is_reported(self):
        text = "from ..orchestration.orchestrator import Orchestrator"
        complaint = "services imports orchestration sideways"
        self.assert_complains(complaint, "services/postgresql", text)

    def test_an_import_through_the_front_door_is_reported(self):
        text = "from summon_testcase import SummonError"
        self.assert_complains("no module in the table", "system/ports", text)

    def test_a_module_outside_the_table_is_reported(self):
        self.assert_complains("utils: is not in the table", "utils", "")

    def test_a_dependent_program_is_reported(self):
        text = "from ..errors import SummonError"
        for program in PROGRAMS:
            self.assert_complains("of the package around it", f"{program}/program", text)
            text_of_other = "import psutil"
            self.assert_complains("not in the standard", f"{program}/program", text_of_other)

    def test_imports_that_one_module_owns_are_reported(self):
        self.assert_complains(
            "only testing/testcase and testing/class_services may",
            "executors/executor",
            "import unittest.mock",
        )
        self.assert_complains(
            "only readiness/output may", "executors/executor", "from pexpect import EOF"
        )
        self.assert_complains("only asker/ may", "readiness/http", "def f():\n    import requests")

    def test_threads_and_forks_are_reported(self):
        for text in (
            "import threading\nthreading.Thread(target=print)",
            "from ..unpatched import os\nos.fork()",
            "from ..unpatched import os\nos.forkpty()",
            "import pty",
            "from pty import spawn",
        ):
            with self.subTest(text):
                self.assert_complains("system/ports.py:", "system/ports", text)

    def test_hooks_elsewhere_are_reported(self):
        for text in (
            "import atexit",
            "from atexit import register",
            "from ..unpatched import os\nos.register_at_fork()",
            "from multiprocessing import util\nutil.Finalize(None, print)",
        ):
            with self.subTest(text):
                self.assert_complains("only supervision/shutdown.py may", "system/ports", text)

    def test_what_tests_replace_is_reported(self):
        for text, instead in (
            ("import os.path", "os.path"),
            ("from time import sleep", "time.sleep"),
            ("def f():\n    open('/etc/passwd')", "open"),
            ("import sys\nLINUX = sys.platform == 'linux'", "LINUX"),
        ):
            with self.subTest(text):
                self.assert_complains(f"from ..unpatched import {instead}", "system/ports", text)
        self.assertEqual(
            self.complaints({"system/ports": "from ..unpatched import open\nopen('/')"}), []
        )

    def test_errors_that_may_be_a_handlers_are_reported(self):
        for kind in ("OSError", "(KeyError, TimeoutError)", "ValueError", "Exception as error"):
            text = f"try:\n    print()\nexcept {kind}:\n    pass"
            with self.subTest(kind):
                self.assert_complains("begin with let_through(error)", "system/ports", text)
        text = "import contextlib\nwith contextlib.suppress(OSError): print()"
        self.assert_complains("write suppress, from ..foreign", "system/ports", text)
        text = "from contextlib import suppress\nwith suppress(OSError): print()"
        self.assert_complains("write from ..foreign import suppress", "system/ports", text)

    def test_code_in_init_is_reported(self):
        self.assert_complains("only re-exports", "__init__", "def helper(): ...\n")


if __name__ == "__main__":
    unittest.main()
