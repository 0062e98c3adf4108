"""Runs a measurement in a process of its own.

It is started as ``python -m benchmarks.worker MODULE FUNCTION PARAMETERS``.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: sends a value to the process that started a worker
Say = Callable[[object], None]
#: what runs in a worker: a function of a suite, which is called with its parameters and a Say
Work = Callable[[dict[str, Any], Say], None]


class Worker:
    """A process that runs ``work(parameters, say)``.

    What it writes to standard error is shown if BENCH_VERBOSE is set.

    :param work: a function at the top of a module, from which the process imports it.
    :param parameters: what it is called with; anything that JSON knows.
    :param prefix: the beginning of its command, to run it as somebody else.
    """

    def __init__(
        self,
        work: Work,
        parameters: dict[str, Any],
        *,
        python: str = sys.executable,
        prefix: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        command = [*prefix, python, "-m", "benchmarks.worker", work.__module__, work.__name__]
        self._process = subprocess.Popen(
            [*command, json.dumps(parameters)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        self.pid = self._process.pid

    def tell(self, text: str) -> None:
        """Write one line to the worker."""
        stream: IO[str] = self._process.stdin  # type: ignore[assignment]
        stream.write(text + "\n")
        stream.flush()

    def hear(self) -> Any:
        """The next value that the worker sends.

        :raises WorkerFailed: if it said that it failed, or ended.
        """
        stream: IO[str] = self._process.stdout  # type: ignore[assignment]
        line = stream.readline()
        if not line:
            raise WorkerFailed(f"the worker ended with status {self._process.wait()}")
        said = json.loads(line)
        if isinstance(said, dict) and "error" in said:
            raise WorkerFailed(said["error"])
        return said

    def close(self) -> None:
        """Wait for the end of the worker."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WorkerFailed(Exception):
    """The code that was to be measured has raised an error."""


def once(work: Work, parameters: dict[str, Any], **options: Any) -> Any:
    """Run a worker that sends one value; the value."""
    with Worker(work, parameters, **options) as worker:
        return worker.hear()


def say(thing: Any) -> None:
    """Send a value to the process that started this worker."""
    print(json.dumps(thing), flush=True)


if __name__ == "__main__":
    try:
        module = importlib.import_module(sys.argv[1])
        getattr(module, sys.argv[2])(json.loads(sys.argv[3]), say)
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"[:200]})
        traceback.print_exc()
        # at once, without running any __del__ of a contender
        os._exit(1)
