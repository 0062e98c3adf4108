"""Services write what the encoding of the runner's output may have no characters for."""

from __future__ import annotations

import sys
from typing import Any

from summon_testcase import OutputCoordinatedExecutor, SimpleExecutor, SummonTestCase

#: in its source, which runners print, there are only escapes
SAID = r"print('caf\xe9 \u2713 \U0001f600', line.strip(), flush=True)"
UTF_8 = {"PYTHONIOENCODING": "utf-8"}
TALKER = f"""
import sys
print("up", flush=True)
for line in sys.stdin:
    {SAID}
    if "die" in line:
        sys.exit(3)
"""


def talker() -> OutputCoordinatedExecutor:
    return OutputCoordinatedExecutor([sys.executable, "-c", TALKER], "up\n", env=UTF_8)


def ask(service: Any, word: str) -> None:
    service.sendline(word)
    service.wait_for_output(word, timeout=10)


class Talking(SummonTestCase):
    talks = talker()

    def test_1_fails(self) -> None:
        ask(self.talks, "one")
        self.fail("on purpose")

    def test_2_waits(self) -> None:
        ask(self.talks, "two")
        self.talks.wait_for_output("never", timeout=0.1)

    def test_3_asserts(self) -> None:
        ask(self.talks, "three")
        self.assertOutput(self.talks, "never", timeout=0.1)

    def test_4_asserts_none(self) -> None:
        ask(self.talks, "four")
        self.assertNoOutput(self.talks, "four")

    def test_5_in_part(self) -> None:
        with self.subTest("part"):
            ask(self.talks, "five")
            self.fail("on purpose")

    def test_6_of_its_own(self) -> None:
        ask(self.talks, "six")
        self.assertEqual(self.talks.tail(1), [])

    def test_7_dies(self) -> None:
        self.talks.sendline("die")
        self.talks.wait_for_output("never", timeout=10)


class CannotStart(SummonTestCase):
    broken = SimpleExecutor(
        [sys.executable, "-c", f"line = 'broken'; {SAID}; exit(3)"], one_shot=True, env=UTF_8
    )

    def test_1(self) -> None: ...

    def test_2(self) -> None: ...


class Raising(SummonTestCase):
    talks = talker()

    @classmethod
    def setUpClass(cls) -> None:
        cls.talks.sendline("die")
        cls.talks.wait_for_output("never", timeout=10)

    def test_it(self) -> None: ...


class LastOne(SummonTestCase):
    talks = talker()

    def test_it(self) -> None:
        ask(self.talks, "last")
