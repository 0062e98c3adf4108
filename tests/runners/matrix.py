"""The sample under every runner there is: ``make runners``.

Each runner runs the sample for real, as a process of its own.  Prints a table; exits with 1 if
anything in it is a NO, and then says what, and shows the output of those runs.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import metadata
from pathlib import Path

from ..terminal import hear_signals
from . import matrix_facts
from .matrix_checks import CHECKS, SCENARIOS, Verdict, judge, load_all
from .matrix_rows import CASES, ROWS, Row

#: comments in the file with the tables, at which its parts begin
PARTS = [f".. part: {part}" for part in ("checks", "notes", "facts", "end")]
#: runs at a time; they wait more than they compute
AT_A_TIME = 6


def version_of(row: Row) -> str:
    return metadata.version(row.package) if row.package else platform.python_version()


def is_missing(row: Row) -> bool:
    try:
        version_of(row)
    except metadata.PackageNotFoundError:
        return True
    return False


def cells_of(row: Row, verdicts: list[Verdict]) -> list[str]:
    """One word for each check."""
    cells = []
    for check in CHECKS:
        shown = {
            "its own tests": bool(row.own_passing or row.own_failing),
            "death named": not row.stops_early,
        }
        word = "NO" if any(v.problems[check] for v in verdicts) else "ok"
        cells.append(word if shown.get(check, True) else "")
    return cells


def remarks_of(row: Row, verdicts: list[Verdict]) -> list[str]:
    return [*row.notes, *(remark for v in verdicts for remark in v.remarks)]


def as_text(head: list[str], lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rows = [head, ["-" * width for width in widths], *lines]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in padded)


def as_rst(head: list[str], lines: list[list[str]]) -> str:
    said = [".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", ""]
    for line in [head, *lines]:
        said += [f"   {'  -' if n else '* -'} {cell}".rstrip() for n, cell in enumerate(line)]
    return "\n".join(said)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make runners ARGS=...", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only runners with this in it")
    parser.add_argument("--table", type=Path, help="where to write the tables, as an rst file")
    parser.add_argument("--verbose", action="store_true", help="show the output of every run")
    options = parser.parse_args()
    hear_signals()
    rows = [r for r in ROWS if not options.names or any(n in r.name for n in options.names)]
    missing = [row for row in rows if is_missing(row)]
    rows = [row for row in rows if row not in missing]
    began = time.monotonic()
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    load_all(rows)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        # those that hang first, so that nobody waits for them alone
        jobs = sorted(
            ((row, scenario) for scenario in SCENARIOS for row in rows),
            key=lambda job: not (job[0].hangs and job[1] == "interrupted"),
        )
        futures = [pool.submit(judge, row, scenario) for row, scenario in jobs]
        for done, future in enumerate(as_completed(futures), 1):
            verdict = future.result()
            verdicts[verdict.row.name].append(verdict)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(futures)} runs", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        facts = {}
        if options.table:
            with_cases = [row for row in rows if row.sample is CASES]
            found_out = pool.map(matrix_facts.find, with_cases)
            facts = {row.name: facts for row, facts in zip(with_cases, found_out, strict=True)}
    for found in verdicts.values():
        found.sort(key=lambda v: list(SCENARIOS).index(v.scenario))

    head = ["runner", "version", *CHECKS]
    lines = [[r.name, version_of(r), *cells_of(r, verdicts[r.name])] for r in rows]
    lines += [[row.name, "not installed", *["NO"] * len(CHECKS)] for row in missing]
    notes = [(row.name, said) for row in rows if (said := remarks_of(row, verdicts[row.name]))]
    print(as_text(head, lines))
    print()
    for name, said in notes:
        print(f"{name}: {'; '.join(said)}")
    for row in rows:
        for verdict in verdicts[row.name]:
            wrong = {c: p for c, p in verdict.problems.items() if p}
            if wrong or options.verbose:
                print(f"\n== {row.name}, {verdict.scenario} ({verdict.ran.seconds:.1f} s)")
                print(*verdict.ran.outcome.log, sep="\n")
                print(verdict.ran.said)
                for check, problems in wrong.items():
                    print(f"NO: {row.name}, {verdict.scenario}: {check}: {'; '.join(problems)}")
    if options.table:
        options.table.write_text(page(head, lines, notes, facts))
    failed = sum("NO" in line for line in lines)
    seconds = time.monotonic() - began
    print(f"\nrunners on Python {platform.python_version()}, in {seconds:.0f} s:")
    print(f"{len(lines) - failed} passed, {failed} failed")
    return int(failed > 0)


def page(
    head: list[str],
    lines: list[list[str]],
    notes: list[tuple[str, list[str]]],
    facts: dict[str, dict[str, str]],
) -> str:
    """What ``docs/runners.rst`` includes, part by part."""
    python = f"Python {platform.python_version()}"
    said = [":orphan:", "", ".. written by make runners", "", PARTS[0], ""]
    said += [f"On {python}:", "", as_rst(head, lines), "", PARTS[1], ""]
    for name, remarks in notes:
        said += [f"**{name}**", *(f"   - {remark}" for remark in remarks), ""]
    said += [PARTS[2], "", f"On {python}:", ""]
    cells = [[name, *found.values()] for name, found in facts.items()]
    said += [as_rst(["runner", *matrix_facts.FACTS], cells), "", PARTS[3], ""]
    return "\n".join(said)


if __name__ == "__main__":
    sys.exit(main())
