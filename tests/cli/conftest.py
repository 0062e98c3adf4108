"""Where tests of commands take place: in this process, or on a stage."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .stage import Stage


@pytest.fixture
def stage(place: Path) -> Iterator[Stage]:
    """A directory with a stack; nothing may be left of what runs there."""
    stage = Stage(place)
    try:
        yield stage
        stage.nothing_is_left()
    finally:
        stage.kill_what_is_left()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory; what is imported from it is forgotten again."""
    before = set(sys.modules)
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    monkeypatch.syspath_prepend("not there")  # so that sys.path is put back
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)
