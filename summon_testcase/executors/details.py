"""The output of services, as testtools and fixtures add it to the report of a test."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from ..foreign import let_through
from ..output.excerpt import shorten
from .executor import Executor


def of(executors: Iterable[Executor]) -> dict[str, Any]:
    """For each service that runs its output, which is read when it is asked for.

    :returns: testtools' Content by names such as ``output of web``; empty if testtools is not
        installed, since only it shows them.
    """
    try:
        from testtools.content import Content
        from testtools.content_type import UTF8_TEXT
    except ImportError as error:
        let_through(error)
        return {}
    return {
        f"output of {each._called}": Content(UTF8_TEXT, functools.partial(_output, each))
        for each in executors
        if each._instance is not None and each._instance.in_use
    }


def _output(executor: Executor) -> list[bytes]:
    instance = executor._instance
    if instance is None or not instance.in_use:
        return []
    instance.catch_up()
    return ["\n".join(shorten(instance.excerpt())).encode("utf-8", "replace")]
