"""Run suites, print their tables, and write them for the documentation."""

from __future__ import annotations

import argparse
import importlib
import os
import time
import traceback
from collections.abc import Sequence

from .report import publish, text
from .rounds import Settings
from .services import Ground
from .worker import ROOT

SUITES = (
    *("readiness", "waiting", "spawning", "stopping", "graph", "output", "importing"),
    *("calls", "real", "postgresql", "classes", "services", "report", "page"),
    *("attach", "plugin"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    parser.add_argument("-n", "--runs", type=int, default=30, help="how often (default: 30)")
    parser.add_argument(
        "--budget",
        type=float,
        default=300,
        help="seconds after which a slow peer is not measured again (default: 300)",
    )
    parser.add_argument(
        "--into",
        default=os.path.join(ROOT, "docs", "performance"),
        help="where results go (default: docs/performance)",
    )
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.suites) - set(SUITES))
    if unknown:
        parser.error(f"there is no suite {', '.join(unknown)}")
    # otherwise every process would compile this package anew, but not its peers
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    ground = Ground()
    settings = Settings(chosen.runs, ground, chosen.budget)
    missed, failed = 0, []
    try:
        for name in chosen.suites or SUITES:
            began = time.time()
            load = os.getloadavg()[0]
            try:
                result = importlib.import_module(f"benchmarks.suites.{name}").run(settings)
            except Exception:
                # published now, since the other suites take hours, too
                traceback.print_exc()
                failed.append(name)
                continue
            text.show(result)
            missed += sum(not verdict.met for verdict in result.verdicts)
            run = {"runs": chosen.runs, "seconds": round(time.time() - began), "load": load}
            publish.save(chosen.into, name, result, run)
    finally:
        ground.close()
    publish.pages(chosen.into, SUITES)
    print(f"\n{missed or 'no'} requirement{'' if missed == 1 else 's'} missed; see {chosen.into}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
