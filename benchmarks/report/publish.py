"""Results for the documentation: JSON with all samples, tables in reST, charts in SVG."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from typing import Any

from ..worker import ROOT
from . import svg
from .results import Result
from .stats import Table
from .text import number

PEERS = (
    *("mirakuru", "pytest-xprocess", "pexpect", "testing.postgresql", "pytest-postgresql"),
    "summon_testcase",
)


def save(directory: str, suite: str, result: Result, run: dict[str, Any]) -> None:
    """Write one suite's results; those of other suites stay as they are."""
    os.makedirs(directory, exist_ok=True)
    told = {
        "run": {"when": time.strftime("%Y-%m-%d %H:%M"), **run, **_machine()},
        "verdicts": [verdict._asdict() for verdict in result.verdicts],
        "tables": [_as_json(table) for table in result.tables],
        "charts": [],
    }
    for chart in result.charts:
        with open(os.path.join(directory, f"{chart.name}.svg"), "w") as stream:
            stream.write(svg.bars(chart.table, chart.logarithmic))
        told["charts"].append({"name": chart.name, "title": chart.table.title})
    with open(os.path.join(directory, f"{suite}.json"), "w") as stream:
        json.dump(told, stream, separators=(",", ":"))
        stream.write("\n")


def _as_json(table: Table) -> dict[str, Any]:
    samples = {
        group: {row: [float(f"{value:.5g}") for value in values] for row, values in rows.items()}
        for group, rows in table.cells.items()
    }
    return {
        "title": table.title,
        "unit": table.unit,
        "base": table.base,
        "note": table.note,
        "summary": table.summary(),
        "samples": samples,
    }


def _machine() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = []
    for peer in PEERS:
        try:
            versions.append(f"{peer} {version(peer)}")
        except PackageNotFoundError:
            continue
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}",
        "versions": ", ".join(versions),
        "commit": described.stdout.strip(),
    }


def _processor() -> str:
    with open("/proc/cpuinfo") as stream:
        for line in stream:
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.machine()


# -- reST --


def pages(directory: str, suites: Iterable[str]) -> None:
    """Write the files that docs/performance.rst includes, from all results that exist."""
    found = {}
    for suite in suites:
        path = os.path.join(directory, f"{suite}.json")
        if os.path.exists(path):
            with open(path) as stream:
                found[suite] = json.load(stream)
    with open(os.path.join(directory, "requirements.txt"), "w") as stream:
        stream.write("\n".join(_requirements(found)))
    with open(os.path.join(directory, "machine.txt"), "w") as stream:
        stream.write("\n".join(_runs(found)))
    for suite, told in found.items():
        with open(os.path.join(directory, f"{suite}.txt"), "w") as stream:
            stream.write("\n".join(_tables(told)))


def _listed(header: list[str], rows: list[list[str]], widths: str = "auto") -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for cells in [header, *rows]:
        for at, cell in enumerate(cells):
            lines.append(f"   {'* -' if at == 0 else '  -'} {_escaped(cell)}".rstrip())
    return [*lines, ""]


def _escaped(cell: str) -> str:
    for character in "*`|_":
        cell = cell.replace(character, "\\" + character)
    return cell


def _requirements(found: dict[str, Any]) -> list[str]:
    rows = [
        [v["subject"], v["required"], v["measured"], "met" if v["met"] else "**missed**"]
        for told in found.values()
        for v in told["verdicts"]
    ]
    lines = _listed(["what", "required", "measured", ""], rows, "30 25 38 7")
    return [line.replace("\\*\\*missed\\*\\*", "**missed**") for line in lines]


def _runs(found: dict[str, Any]) -> list[str]:
    rows = [
        [suite, run["when"], str(run["runs"]), f"{run['seconds']} s", run["commit"]]
        for suite, told in found.items()
        for run in [told["run"]]
    ]
    said = sorted({f"{t['run']['machine']}; {t['run']['versions']}." for t in found.values()})
    lines = [line for text in said for line in (_escaped(text), "")]
    return lines + _listed(["suite", "begun", "runs", "took", "commit"], rows)


def _tables(told: dict[str, Any]) -> list[str]:
    lines = []
    for chart in told["charts"]:
        lines += [f".. image:: performance/{chart['name']}.svg", f"   :alt: {chart['title']}", ""]
    for table in told["tables"]:
        lines += [f"**{_escaped(table['title'])}** [{table['unit']}]", ""]
        if table["note"]:
            lines += [_escaped(table["note"]), ""]
        base = next(
            (b for b in table["base"] for rows in table["summary"].values() if b in rows), ""
        )
        header = ["", "", "n", "median", "p90", "max", f"of {base}" if base else "", ""]
        rows = []
        for group, cells in table["summary"].items():
            ordered = sorted(cells.items(), key=lambda item: item[1].get("median", 1e99))
            for row, cell in ordered:
                rows.append([group, row, str(cell["n"]), *_figures(cell)])
                group = ""
        lines += _listed(header, rows)
    return lines


def _figures(cell: dict[str, Any]) -> list[str]:
    figures = [number(cell[key]) if key in cell else "" for key in ("median", "p90", "max")]
    figures.append(f"{cell['ratio']:.3f}" if "ratio" in cell else "")
    return [*figures, cell.get("remark", "")]
