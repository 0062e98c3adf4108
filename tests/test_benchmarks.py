"""``make bench`` counts calls correctly, and does not measure its own cost."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from benchmarks.suites import calls, services
from benchmarks.worker import once

from .needs import needs

ROOT = Path(__file__).resolve().parent.parent
#: a package whose calls are known, and another one whose name begins like its own
KNOWN = """
def outer(through):
    through(inner)
    inner()
    try:
        refuse()
    except ValueError:
        inner()
    return list(numbers())

def inner():
    innermost()

def innermost():
    pass

def refuse():
    raise ValueError

def numbers():
    yield 1
    yield 2

def never():
    pass
"""
OTHER = """
def through(function):
    function()
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class TracerTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.known = self._imported("known", KNOWN)
        self.other = self._imported("known_other", OTHER)
        self.tracer = calls.Tracer(str(self.directory / "known"))

    def _imported(self, name: str, text: str) -> ModuleType:
        path = self.directory / name / "program.py"
        path.parent.mkdir()
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _trace(self, function: Callable[..., object], *arguments: object) -> None:
        with self.tracer:
            function(*arguments)

    def test_it_counts_what_a_known_program_calls(self) -> None:
        self._trace(self.known.outer, self.other.through)
        # outer and refuse once, inner and innermost three times each; numbers for its first number,
        # for its second, and to its end
        self.assertEqual(self.tracer.calls, 2 + 6 + 3)
        names = {function.co_name for function in self.tracer.functions}
        self.assertEqual(names, {"outer", "inner", "innermost", "refuse", "numbers"})
        self.assertEqual(self.tracer.deepest, 3)

    def test_what_was_left_by_an_error_is_no_longer_on_the_stack(self) -> None:
        def fail_and_go_on() -> None:
            for _ in range(3):
                with self.assertRaises(ValueError):
                    self.known.refuse()
            self.known.innermost()

        self._trace(fail_and_go_on)
        self.assertEqual((self.tracer.calls, self.tracer.deepest), (4, 1))

    def test_other_packages_do_not_count(self) -> None:
        self._trace(self.other.through, str)
        self.assertEqual((self.tracer.calls, self.tracer.deepest), (0, 0))
        self.assertEqual(self.tracer.functions, set())

    def test_nothing_is_counted_once_it_is_left(self) -> None:
        self._trace(self.known.innermost)
        self.known.innermost()
        self.assertEqual(self.tracer.calls, 1)


class WorkerTest(unittest.TestCase):
    @needs("redis-server")
    def test_a_test_case_with_redis_is_traced_in_a_process_of_its_own(self) -> None:
        said = once(calls.trace_redis, {})
        self.assertEqual(set(said), set(calls.LIMITS))
        self.assertGreater(said[calls.CALLS], said[calls.FUNCTIONS])
        self.assertGreater(said[calls.FUNCTIONS], said[calls.DEEPEST])
        self.assertGreater(said[calls.DEEPEST], 1)

    def test_a_suite_imports_nothing_that_would_be_measured_with_it(self) -> None:
        suites = ", ".join(f"benchmarks.suites.{name}" for name in ("graph", "output", "spawning"))
        ended = subprocess.run(
            [sys.executable, "-S", "-c", f"import {suites}, sys; print(*sys.modules)"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        heavy = {"dataclasses", "inspect", "mirakuru", "pexpect", "requests", "statistics"}
        self.assertEqual({*heavy, "summon_testcase"} & {*ended.stdout.split()}, set())


class ServicesTest(unittest.TestCase):
    @needs("redis-server")
    def test_a_server_by_hand_is_ready_once_it_answers(self) -> None:
        redis = services.SERVERS["Redis"]
        asked: list[bool] = []

        def ready(port: int) -> bool:
            asked.append(services.speaks("redis")(port))
            return asked[-1]

        with tempfile.TemporaryDirectory() as place:
            took = services.by_hand(redis._replace(ready=ready), place, "", free_port)
            self.assertEqual([*filter(None, asked)], asked[-1:])
            self.assertGreater(min(took), 0)
            broken = redis._replace(command="redis-server --port {port} --bind nowhere.invalid")
            with self.assertRaisesRegex(RuntimeError, "redis-server has ended with 1"):
                services.by_hand(broken, place, "", free_port)
            self.assertEqual(list(Path(place).iterdir()), [])


if __name__ == "__main__":
    unittest.main()
