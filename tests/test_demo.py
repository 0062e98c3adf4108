"""The demo shows the shop with what the machine has, and needs none of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .needs import needs
from .programs import run_module
from .samples import ROOT


def demo(place: Path, **environment: str) -> tuple[str, dict[str, Any]]:
    """What it prints, once all is well, and what its report shows."""
    report = place.parent / "report"
    said = run_module(place, "demo", str(report), cwd=Path(ROOT), **environment)
    assert said.endswith(f"\nReport: {report}/report.html\n")
    assert "\nStill alive: none\n" in said
    return said, json.loads((report / "report.json").read_text())


@needs("postgres", package="postgresql")
@needs("redis-server")
def test_with_postgresql_and_redis(place: Path) -> None:
    said, report = demo(place)
    assert "db: ready" in said and "cache: ready" in said
    assert {service["name"] for service in report["services"]} >= {"db", "cache", "store", "web"}
    assert "\nTests: 4 run, all is well\n" in said


def test_without(place: Path) -> None:
    """It says what is missing, and shows the rest; also where skips are forbidden."""
    said, report = demo(place, PATH="/nowhere", SUMMON_FORBID_SKIPS="1")
    # which of the two is told first depends on what the machine has
    assert re.search(r"skipped .*: install the Debian package (redis-server|postgresql)", said)
    assert "db: ready" not in said
    assert {service["name"] for service in report["services"]} == {"store", "web"}
    assert "\nTests: 3 run, all is well\n" in said
