"""Every example in the documentation runs, and every docstring's.

What a code block of README.rst or docs/ is, its language and its surroundings say:

- ``console``: each line after ``$`` is run by a shell; what is printed must be as shown, and
  where nothing is shown it must exit with 0;
- ``python`` with ``>>>``: a session, as in a doctest;
- ``python`` otherwise: executed;
- with a file's name, by ``:caption:`` or by a comment ``.. file: NAME`` in front of it: written
  to that file; and run by unittest, if it is called ``test_*.py`` and no console block names it;
- with a comment ``.. not run: REASON`` in front of it: left alone;
- ``text``, ``ini`` and the like: no code.

A page is run from its top to its end in one empty directory, its Python in one namespace.
``.. with: FILE FILE`` copies files of the project there. In what is printed ``...`` stands for
anything, and runs of spaces and lines are equal.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import traceback
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import docutils.core
from docutils import nodes
from docutils.parsers.rst import Directive, directives, roles
from docutils.utils import unescape

import summon_testcase
from summon_testcase import events, services
from summon_testcase.events import Event

from .doubles import program_of_kind
from .needs import find
from .samples import processes_with
from .test_layering import ROWS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(summon_testcase.__file__).resolve().parent
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").glob("*.rst"))]
#: languages of blocks that are shown only
SHOWN = {"text", "ini", "rst"}
#: files that a page speaks of, and that are not there
PROPOSED = {"readiness/lines.py"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
#: seconds for one command of a page; the slowest takes three
TIMEOUT = 60


class Block(NamedTuple):
    """One code block of a page."""

    line: int
    language: str
    text: str
    #: the name of the file that it is
    file: str
    #: why it is not run
    excuse: str


class BadPage(Exception):
    """A page that cannot be run as it is marked up."""


# -- reading --


class CodeBlock(Directive):
    """Sphinx's: a literal block with a language and perhaps a caption."""

    optional_arguments = 1
    has_content = True
    option_spec = {"caption": directives.unchanged_required, "emphasize-lines": str}

    def run(self) -> list[nodes.Node]:
        text = "\n".join(self.content)
        block = nodes.literal_block(text, text, language=(self.arguments or [""])[0])
        block["caption"] = self.options.get("caption", "")
        block.line = self.lineno
        return [block]


class Ignored(Directive):
    """A directive that only Sphinx can handle."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = None

    def run(self) -> list[nodes.Node]:
        return []


def plain_role(
    name: str, rawtext: str, text: str, *rest: Any, **options: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """A reference of Sphinx's, as the text that it shows."""
    return [nodes.literal(rawtext, unescape(text))], []


def teach_docutils() -> None:
    """Have docutils understand the little of Sphinx that the pages use."""
    for name in ("code-block", "code", "sourcecode"):
        directives.register_directive(name, CodeBlock)
    for name in ("toctree", "currentmodule", "autoclass", "autoexception", "autofunction"):
        directives.register_directive(name, Ignored)
    for name in ("autodata", "include", "literalinclude"):
        directives.register_directive(name, Ignored)
    for name in ("class", "meth", "func", "attr", "exc", "data", "mod", "doc", "ref", "envvar"):
        roles.register_local_role(name, plain_role)


def blocks_of(source: str, name: str) -> tuple[list[Block], list[str]]:
    """The code blocks of a page in order, and the files of the project that they want."""
    teach_docutils()
    settings = {"report_level": 2, "halt_level": 2, "input_encoding": "unicode"}
    tree = docutils.core.publish_doctree(source, name, settings_overrides=settings)
    blocks: list[Block] = []
    wanted: list[str] = []
    marks: dict[str, str] = {}
    for node in tree.findall():
        if isinstance(node, nodes.comment):
            mark, _, value = node.astext().partition(":")
            if mark == "with":
                wanted += value.split()
            elif mark in ("file", "not run"):
                if not value.strip():
                    raise BadPage(f"{name}: a comment '.. {mark}:' says nothing more")
                marks[mark] = value.strip()
        elif isinstance(node, nodes.doctest_block):
            raise BadPage(f"{name}:{node.line}: put the session into a code-block:: python")
        elif isinstance(node, nodes.literal_block):
            language = node.get("language", "")
            if language not in {"python", "console", *SHOWN}:
                raise BadPage(f"{name}:{node.line}: {language or 'no'} language: cannot be run")
            file = node.get("caption") or marks.pop("file", "")
            excuse = marks.pop("not run", "")
            tests = "    def test_" in node.astext() and language == "python"
            if tests and not (excuse or Path(file).match("test_*.py")):
                raise BadPage(f"{name}:{node.line}: its tests do not run: name the file test_*.py")
            blocks.append(Block(node.line or 0, language, node.astext(), file, excuse))
        if marks and isinstance(node, (nodes.paragraph, nodes.section)):
            raise BadPage(f"{name}: the mark {marks} stands in front of no code block")
    return blocks, wanted


def console_steps(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, with the output shown for it."""
    command, shown = "", ""
    for line in [*text.splitlines(), "$ "]:
        if not line.startswith("$ "):
            shown += f"{line}\n"
            continue
        if command:
            yield command, shown
        elif shown:
            raise BadPage(f"a console block begins with output: {shown!r}")
        command, shown = line[2:], ""


# -- running --


def is_same(shown: str, printed: str) -> bool:
    """Whether what was printed is what the page shows."""
    # a line end that a "..." at the end of a page's line has swallowed is no difference
    return doctest.OutputChecker().check_output(shown, f"{printed.rstrip()}\n", FLAGS)


class Page:
    """Runs the blocks of one page, in the current directory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.commands = ""
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PACKAGE.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONDEVMODE": "1",
            "PYTHONWARNINGS": "error",
        }
        # with which pytest writes more than a page shows
        self.environment.pop("CI", None)

    def run(self, blocks: list[Block]) -> int:
        """Run all blocks; how many were run."""
        ran = 0
        self.commands = "\n".join(b.text for b in blocks if b.language == "console")
        for block in blocks:
            if block.excuse or (block.language in SHOWN and not block.file):
                continue
            ran += 1
            try:
                self.run_block(block)
            except Exception as error:
                said = "".join(traceback.format_exception(error))
                raise AssertionError(f"{self.name}:{block.line}: {said}") from None
        return ran

    def run_block(self, block: Block) -> None:
        if block.file:
            path = Path(block.file)
            path.write_text(f"{block.text}\n")
            if path.match("test_*.py") and path.stem not in self.commands:
                self.command(f"python -m unittest {path.name}", "")
        elif block.language == "console":
            for command, shown in console_steps(block.text):
                self.command(command, shown)
        elif ">>>" in block.text:
            self.session(block)
        else:
            code = compile("\n" * block.line + block.text, self.name, "exec")
            exec(code, self.namespace)

    def session(self, block: Block) -> None:
        parser = doctest.DocTestParser()
        test = parser.get_doctest(block.text, {}, self.name, self.name, block.line)
        test.globs = self.namespace
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
        if runner.run(test, out=said.append, clear_globs=False).failed:
            raise AssertionError("".join(said))

    def command(self, command: str, shown: str) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        fine = is_same(shown, done.stdout) if shown else done.returncode == 0
        if not fine:
            raise AssertionError(f"$ {command}\n{done.stdout}exit status {done.returncode}")


class PageTest(unittest.TestCase):
    """Runs pages in an empty directory, with ``python3`` meaning this Python."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory.name)
        bins = os.path.dirname(sys.executable)
        changed = {
            "PATH": os.pathsep.join([bins, os.environ.get("PATH", os.defpath)]),
            "SUMMON_DOCS": self.directory,
            # output and errors are shown in the order in which they are written, as in a terminal
            "PYTHONUNBUFFERED": "1",
            "XDG_RUNTIME_DIR": self.directory,
        }
        patch = mock.patch.dict(os.environ, changed)
        patch.start()
        self.addCleanup(patch.stop)
        # the output of a page's commands must not depend on the user's environment
        ours = ("SUMMON_FORBID_SKIPS", "SUMMON_REPORT", "SUMMON_LOGS")
        others = ("FORCE_COLOR", "PYTHON_COLORS", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY")
        for name in (*ours, *others, "PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID"):
            os.environ.pop(name, None)

    def run_page(self, source: str, page: str = "page.rst") -> int:
        blocks, wanted = blocks_of(source, page)
        for name in services.__all__:
            if any(not b.excuse and re.search(rf"\b{name}\(", b.text) for b in blocks):
                find(program_of_kind(getattr(services, name)))
        for file in wanted:
            shutil.copy(ROOT / file, self.directory)
        return Page(page).run(blocks)


class DocumentationTest(PageTest):
    """The pages themselves."""

    def check(self, page: Path) -> None:
        ran = self.run_page(page.read_text(), str(page.relative_to(ROOT)))
        self.assertGreater(ran, 0, "nothing of it was run")
        self.assertEqual(processes_with(self.directory), [])

    def test_readme(self) -> None:
        self.check(ROOT / "README.rst")

    def test_tutorial(self) -> None:
        self.check(ROOT / "docs" / "tutorial.rst")

    def test_gotchas(self) -> None:
        self.check(ROOT / "docs" / "gotchas.rst")

    def test_howto(self) -> None:
        self.check(ROOT / "docs" / "howto.rst")

    def test_pytest(self) -> None:
        # it would show fixtures of its own
        os.environ["PYTEST_ADDOPTS"] = "-p no:django"
        self.check(ROOT / "docs" / "pytest.rst")

    def test_django(self) -> None:
        self.check(ROOT / "docs" / "django.rst")

    def test_asyncio(self) -> None:
        self.check(ROOT / "docs" / "asyncio.rst")

    def test_services(self) -> None:
        self.check(ROOT / "docs" / "services.rst")

    def test_report(self) -> None:
        self.check(ROOT / "docs" / "report.rst")

    def test_command(self) -> None:
        self.check(ROOT / "docs" / "command.rst")

    def test_mirakuru(self) -> None:
        self.check(ROOT / "docs" / "mirakuru.rst")

    def test_architecture(self) -> None:
        self.check(ROOT / "docs" / "architecture.rst")

    def test_architecture_is_as_the_package_is(self) -> None:
        text = (ROOT / "docs" / "architecture.rst").read_text()
        floors = next(b.text for b in blocks_of(text, "page.rst")[0] if b.language == "text")
        self.assertEqual([set(floor.split()) for floor in floors.splitlines()], ROWS)
        rooms = re.findall(r"^   \* - ``(\w+)``$", text, re.MULTILINE)
        self.assertEqual(sorted(rooms), sorted(set().union(*ROWS)))
        text += (ROOT / "CONTRIBUTING.rst").read_text()
        named = set(re.findall(r"``([\w./]+\.(?:py|rst))``", text)) - PROPOSED
        self.assertGreater(len(named), 20)
        gone = [name for name in named if not any((p / name).exists() for p in (ROOT, PACKAGE))]
        self.assertEqual(sorted(gone), [])

    def test_the_picture_is_as_its_script_draws_it(self) -> None:
        life = runpy.run_path(str(ROOT / "docs" / "life.py"))
        self.assertEqual(life["PICTURE"].read_text(), life["picture"](), "run docs/life.py")

    def test_other_pages_have_no_code(self) -> None:
        own_test = {"README.rst", "tutorial.rst", "gotchas.rst", "howto.rst", "mirakuru.rst"}
        own_test |= {"architecture.rst", "asyncio.rst", "command.rst", "django.rst", "pytest.rst"}
        own_test |= {"report.rst", "services.rst"}
        not_run = {"performance.rst", "reliability.rst"}
        for page in PAGES:
            if page.name not in own_test | not_run:
                with self.subTest(page=page.name):
                    self.assertEqual(blocks_of(page.read_text(), page.name), ([], []))

    def test_pages_outside_docs_are_plain_restructuredtext(self) -> None:
        # as the package index and forges read them: without anything of Sphinx's
        code = """if True:
            import sys, docutils.core
            settings = {'halt_level': 2, 'syntax_highlight': 'none'}
            settings.update(file_insertion_enabled=False, raw_enabled=False)
            for page in sys.argv[1:]:
                docutils.core.publish_file(
                    source_path=page, destination_path='/dev/null', settings_overrides=settings
                )
        """
        names = ("README.rst", "CONTRIBUTING.rst", "CHANGES.rst")
        pages = [*map(ROOT.joinpath, names), *(ROOT / "examples").glob("*/README.rst")]
        self.assertGreater(len(pages), len(names))
        done = subprocess.run([sys.executable, "-c", code, *pages], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_reference_has_all_that_is_exported(self) -> None:
        text = (ROOT / "docs" / "reference.rst").read_text()
        described = set(re.findall(r"^\.\. auto\w+:: (\w+)$", text, re.MULTILINE))
        told = {n for n, e in vars(events).items() if isinstance(e, type) and issubclass(e, Event)}
        self.assertEqual(described, {*summon_testcase.__all__, *told})


class DocstringTest(PageTest):
    """The examples in the docstrings of the package."""

    def test_docstrings(self) -> None:
        attempted = 0
        for info in pkgutil.walk_packages([str(PACKAGE)], "summon_testcase."):
            with self.subTest(module=info.name):
                module = importlib.import_module(info.name)
                said: list[str] = []
                runner = doctest.DocTestRunner(verbose=False)
                for test in doctest.DocTestFinder().find(module):
                    runner.run(test, out=said.append)
                attempted += runner.tries
                self.assertFalse(said, "".join(said))
        self.assertGreater(attempted, 5)
        self.assertEqual(processes_with(self.directory), [])


class RunningPagesTest(PageTest):
    """Errors in a page are found."""

    def wrong(self, source: str, says: str) -> None:
        with self.assertRaisesRegex((AssertionError, BadPage), says):
            self.run_page(source)

    def test_runs_in_order_in_one_namespace(self) -> None:
        page = """
.. code-block:: python
   :caption: said.txt

   hello

.. code-block:: python

   import pathlib

.. code-block:: python

   >>> pathlib.Path("said.txt").read_text()
   'hello\\n'

.. code-block:: console

   $ cat said.txt
   hel...
   $ true
"""
        self.assertEqual(self.run_page(page), 4)

    def test_finds_what_is_wrong(self) -> None:
        self.wrong(".. code-block:: python\n\n   1 / 0\n", r"page.rst:1: .*\n(.*\n)*ZeroDiv")
        self.wrong(".. code-block:: python\n\n   >>> 1 + 1\n   3\n", "Got:\n +2")
        self.wrong(".. code-block:: console\n\n   $ echo a\n   b\n", r"\$ echo a\na\n")
        self.wrong(".. code-block:: console\n\n   $ exit 3\n", "exit status 3")
        self.wrong(".. code-block:: console\n\n   what\n   $ true\n", "begins with output")
        self.wrong(".. file: test_a.py\n\n.. code-block:: python\n\n   1 / 0\n", "ZeroDivision")
        self.wrong("Text::\n\n   what is it\n", "no language")
        self.wrong(">>> 1\n1\n", "into a code-block")
        self.wrong(".. not run:\n\n.. code-block:: python\n\n   1 / 0\n", "says nothing more")
        self.wrong(
            ".. code-block:: python\n\n   class A(B):\n       def test_a(self):\n           pass\n",
            "its tests do not run",
        )
        self.wrong(".. not run: because\n\nText\n", "in front of no code block")

    def test_leaves_alone_what_has_a_reason(self) -> None:
        page = ".. not run: divides by zero\n\n.. code-block:: python\n\n   1 / 0\n"
        self.assertEqual(self.run_page(page), 0)


if __name__ == "__main__":
    unittest.main()
