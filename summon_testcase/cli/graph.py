"""``summon graph TARGET``: which service refers to which, and how long each took to be ready."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping

from ..foreign import let_through
from ..stacks import registry
from ..stacks.description import references
from ..unpatched import open, os, variable
from .commands import Parsers
from .screen import say
from .target import FORMS, UsageError, load

#: each service, and those that must be ready before it
Graph = dict[str, list[str]]

#: the branches of a tree, where standard output has no such characters
_ASCII = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-"})


EXAMPLES = """examples:
  summon graph test_shop.py                     a tree
  summon graph test_shop.py --report=report     with the times of the run that wrote that report
  summon graph test_shop.py --mermaid           for Markdown on GitHub and GitLab
  summon graph test_shop.py --dot | dot -Tsvg >services.svg
"""


def add(parsers: Parsers) -> None:
    """Add the command."""
    parser = parsers.add(
        "graph",
        "show which service refers to which",
        "Prints a tree: below each service those that must be ready before it. Behind a service "
        "stand the seconds that it took to be ready, if its stack is up, or if a run has written a "
        "report. Nothing is started.",
        EXAMPLES,
        call,
    )
    parser.add_argument("target", metavar="TARGET", help=FORMS)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--mermaid", action="store_true", help="a flowchart in Mermaid's language")
    form.add_argument("--dot", action="store_true", help="a graph in the language of Graphviz")
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="the directory of the report; default: the one that SUMMON_REPORT names",
    )


def call(options: argparse.Namespace) -> int:
    """Print the graph."""
    found = load(options.target)
    times = _times_of_report(options.report, found.name)
    if not options.report:
        times |= _times_of_stack(options.target)
    graph = references(found.orchestrator)
    for name in graph:
        # a report knows the member of a group by its own name
        short = name.rpartition(".")[2]
        if name not in times and short in times and short not in graph:
            times[name] = times[short]
    if options.mermaid:
        lines = _mermaid(graph, times)
    elif options.dot:
        lines = _dot(graph, times)
    else:
        lines = _tree(graph, times)
    for line in lines:
        say(line)
    return 0


def _times_of_stack(text: str) -> dict[str, float]:
    """The seconds that the services of a stack that runs took to be ready."""
    stacks = registry.meant(text)
    services = stacks[-1].services.items() if stacks else ()
    return {name: facts["took"] for name, facts in services if "took" in facts}


def _times_of_report(directory: str | None, owner: str) -> dict[str, float]:
    """The seconds that services took to be ready, as the last report of them tells.

    :param directory: where it is; None for the one that ``SUMMON_REPORT`` names, if there is one.
    :param owner: the name of the class.
    """
    place = directory or variable("SUMMON_REPORT")
    if not place:
        return {}
    path = os.path.join(place, "report.json")
    try:
        with open(path, encoding="utf-8") as file:
            services = json.load(file)["services"]
        times: dict[tuple[bool, str], float] = {}
        for service in services:
            for life in service["lives"]:
                if life.get("ready") is not None:
                    # a class of the same name may not be there: a base declares the service
                    key = service["owner"] == owner, service["name"]
                    times[key] = float(life["ready"]) - float(life["starting"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        let_through(error)
        if directory is None:
            return {}
        said = getattr(error, "strerror", None) or "it is no report of this version"
        raise UsageError(f"--report {directory}: {path} cannot be read: {said}") from None
    return {name: seconds for (_, name), seconds in sorted(times.items())}


def _tree(graph: Graph, times: Mapping[str, float]) -> Iterator[str]:
    lines = [*_branches(graph)]
    width = max((len(front) + len(name) for front, name, _ in lines), default=0)
    for front, name, first in lines:
        told = f"ready after {times[name]:.2f} s" if first and name in times else ""
        if not first and graph[name]:
            told = "(see above)"
        line = f"{front}{name}{' ' * (width - len(front) - len(name))}  {told}".rstrip()
        try:
            line.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:
            line = line.translate(_ASCII)
        yield line


def _branches(graph: Graph) -> Iterator[tuple[str, str, bool]]:
    """The lines of the tree: the branch, the name, and whether it is named for the first time."""
    needed = {name for names in graph.values() for name in names}
    shown: set[str] = set()
    #: what is still to be shown, the next at the end: the name, and the branch before it and below
    left = [(name, "", "") for name in list(graph)[::-1] if name not in needed]
    while left:
        name, front, below = left.pop()
        first = name not in shown
        shown.add(name)
        yield front, name, first
        for number, other in enumerate(graph[name][::-1] if first else ()):
            ends = ("└── ", "    ") if number == 0 else ("├── ", "│   ")
            left.append((other, below + ends[0], below + ends[1]))


def _mermaid(graph: Graph, times: Mapping[str, float]) -> Iterator[str]:
    numbers = {name: number for number, name in enumerate(graph)}
    yield "flowchart LR"
    for name, number in numbers.items():
        label = _label(name, times, "<br>").replace("#", "#35;").replace('"', "#quot;")
        yield f'    s{number}["{label}"]'
    for name, needed in graph.items():
        for other in needed:
            yield f"    s{numbers[name]} --> s{numbers[other]}"


def _dot(graph: Graph, times: Mapping[str, float]) -> Iterator[str]:
    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    yield "digraph services {"
    yield "    rankdir=LR"
    for name in graph:
        yield f"    {quoted(name)} [label={quoted(_label(name, times, chr(10)))}]"
    for name, needed in graph.items():
        for other in needed:
            yield f"    {quoted(name)} -> {quoted(other)}"
    yield "}"


def _label(name: str, times: Mapping[str, float], between: str) -> str:
    return f"{name}{between}{times[name]:.2f} s" if name in times else name
