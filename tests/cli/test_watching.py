"""Which services a changed file concerns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from summon_testcase import Orchestrator, SimpleExecutor
from summon_testcase.cli.watching import _concerned, _pattern

from ..doubles import members_of


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Orchestrator]:
    """Services that name files in many ways, in a project."""
    for file in ("shop/web.py", "tools.py", "etc/db.conf", "pages/index.html", "other/a.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")

    def nap(*words: str, **options: object) -> SimpleExecutor:
        return SimpleExecutor(["sh", "-c", "exec sleep 60", *words], **options)

    services = {
        "web": nap("shop.web:app", "/", ".."),
        "tool": nap("--module=tools"),
        "db": nap("--config", "etc/db.conf"),
        "pages": nap("pages/"),
        "conf": nap(files={"a.conf": tmp_path / "etc" / "db.conf"}),
        "placed": nap(cwd=str(tmp_path / "other")),
        "alone": nap(),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with Orchestrator(services) as running:
            yield running


def test_what_a_file_concerns(stack: Orchestrator, tmp_path: Path) -> None:
    services = members_of(stack)
    for file, expected in {
        "shop/web.py": ["web"],
        "shop/new/more.py": ["web"],
        "shopping.py": [],
        "tools.py": ["tool"],
        "etc/db.conf": ["db", "conf"],
        "etc/other.conf": [],
        "pages/css/a.css": ["pages"],
        "other/a.txt": ["placed"],
    }.items():
        assert _concerned(services, str(tmp_path / file)) == expected, file


@pytest.mark.parametrize(
    ("glob", "fits", "does_not"),
    [
        ("/a/*.py", ["/a/b.py"], ["/a/b/c.py", "/a/b.pyc", "/b.py"]),
        ("/a/**/*.py", ["/a/b.py", "/a/b/c.py", "/a/b/c/d.py"], ["/b/a/b.py", "/a/b.txt"]),
        ("/a/**", ["/a/b/c.txt"], ["/ab"]),
        ("/a/[bc]?.+", ["/a/bx.+"], ["/a/dx.+", "/a/bx.y"]),
        ("/a/[!b]*.py", ["/a/c.py", "/a/!.py"], ["/a/b.py", "/a/bc.py", "/a/c/d.py"]),
        ("/a[!b]c", ["/axc"], ["/abc", "/a/c"]),
        ("/a/[^b]", ["/a/^", "/a/b"], ["/a/c"]),
        ("/a/[]b]", ["/a/]", "/a/b"], ["/a/c", "/a/]b]"]),
        ("/a/[!]b]", ["/a/c"], ["/a/]", "/a/b"]),
        ("/a/[z-a]", [], ["/a/z", "/a/a", "/a/b", "/a/[z-a]"]),
        ("/a/[!z-a]", ["/a/b"], []),
        ("/a/[b-d\\]", ["/a/c", "/a/\\"], ["/a/e"]),
        ("/[!]/[]/[a/b]", ["/[!]/[]/[a/b]"], ["/x/[]/[a/b]"]),
    ],
)
def test_globs(glob: str, fits: list[str], does_not: list[str]) -> None:
    pattern = _pattern(glob)
    assert [path for path in fits if not pattern.fullmatch(path)] == []
    assert [path for path in does_not if pattern.fullmatch(path)] == []
