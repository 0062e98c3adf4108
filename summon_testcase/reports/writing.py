"""Writes the files of a report, anew from all parts."""

from __future__ import annotations

import json

from . import github, model, trace
from .directory import Directory


def write(directory: Directory) -> list[str]:
    """Write ``report.json``, ``trace.json`` and ``report.html``, and tell GitHub Actions.

    :returns: what could not be written, in words.
    """
    from .page import page

    report = model.report(directory)
    problems = [
        directory.replace("report.json", json.dumps(report)),
        directory.replace("trace.json", json.dumps(trace.trace(report))),
        directory.replace("report.html", page(report)),
        github.summarize(report, directory.path),
    ]
    github.annotate(report)
    return list(filter(None, problems))
