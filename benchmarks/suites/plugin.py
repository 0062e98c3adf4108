"""13: what a plugin costs a run of pytest that uses nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points

from ..report.results import US, Result
from ..report.stats import Table
from ..rounds import Settings, shuffled

NONE = "no plugin"
PEERS = ("pytest-xprocess", "pytest-postgresql")
WHAT = "one empty test"
#: how often each is measured in a round: what is looked for is a hundredth of a run
TURNS = 5


def run(settings: Settings) -> Result:
    table = Table(
        "pytest with one empty test, from the start of the process to its end",
        "ms",
        base=(NONE,),
        note="In each row one plugin is loaded; pytest finds all of them in each.",
    )
    found = entry_points(group="pytest11")
    plugins = {plugin.dist.name: plugin.name for plugin in found if plugin.dist}
    differences: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "test_empty.py"), "w") as file:
            file.write("def test():\n    pass\n")
        rows = [NONE, *(name for name in plugins if name in (US, *PEERS))]
        for row in rows:
            _run(directory, plugins, row)  # writes the bytecode
        for _ in settings.rounds():
            for _ in range(TURNS):
                took = {row: _run(directory, plugins, row) for row in shuffled(rows)}
                for row, milliseconds in took.items():
                    table.add(WHAT, row, milliseconds)
                differences.append(took[US] - took[NONE])
    result = Result([table])
    result.at_most("the plugin in a run of pytest that does not use it", differences, 2, "ms")
    return result


def _run(directory: str, plugins: dict[str, str], row: str) -> float:
    """Run pytest with one of the plugins, or with none: milliseconds."""
    others = [f"no:{plugin}" for name, plugin in plugins.items() if name != row]
    began = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider"),
            *(word for other in others for word in ("-p", other)),
            "test_empty.py",
        ],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return (time.perf_counter() - began) * 1e3
