"""The demo shows the shop with what the machine has, and needs none of it."""

from __future__ import annotations

from pathlib import Path

from .needs import needs
from .programs import run_module
from .samples import ROOT


def demo(place: Path, **environment: str) -> str:
    """What it prints, once all is well; its report has the same."""
    report = place.parent / "report"
    said = run_module(place, "demo", str(report), cwd=Path(ROOT), **environment)
    assert said == f"{report.read_text()}Report: {report}\n"
    assert "\nStill alive: none\n" in said
    return said


@needs("postgres", package="postgresql")
@needs("redis-server")
def test_with_postgresql_and_redis(place: Path) -> None:
    said = demo(place)
    assert "db: ready" in said and "cache: ready" in said
    assert "\nTests: 4 run, all is well\n" in said


def test_without(place: Path) -> None:
    """It says what is missing, and shows the rest; also where skips are forbidden."""
    said = demo(place, PATH="/nowhere", SUMMON_FORBID_SKIPS="1")
    assert "is not installed: install the Debian package redis-server" in said
    assert "db: " not in said
    assert "\nTests: 3 run, all is well\n" in said
