"""Results on a terminal."""

from __future__ import annotations

from .results import Result
from .stats import Table


def show(result: Result) -> None:
    """Print tables, then verdicts."""
    for table in result.tables:
        _table(table)
    if result.verdicts:
        print("\nrequired")
    for verdict in result.verdicts:
        met = "met   " if verdict.met else "MISSED"
        print(f"  {met} {verdict.subject}: {verdict.required}: {verdict.measured}", flush=True)


def _table(table: Table) -> None:
    print(f"\n## {table.title} [{table.unit}]")
    if table.note:
        print(table.note)
    for group, rows in table.summary().items():
        print(f"\n{group:<32}{'n':>4}{'median':>10}{'p90':>10}{'max':>10}{'ratio':>9}  95 %")
        for row, told in sorted(rows.items(), key=lambda item: item[1].get("median", 1e99)):
            line = f"  {row:<30}{told['n']:>4}"
            if told["n"]:
                line += "".join(f"{number(told[key]):>10}" for key in ("median", "p90", "max"))
            if "ratio" in told:
                low, high = told["ratio95"]
                line += f"{told['ratio']:>9.3f}  {low:.3f}-{high:.3f}"
            print(line + (f"  {told['remark']}" if "remark" in told else ""))


def number(value: float) -> str:
    """Three figures that count."""
    if value != 0 and abs(value) < 0.0005:
        return f"{value:.1e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if value else "0"
