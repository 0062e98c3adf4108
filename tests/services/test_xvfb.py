"""The ready-made X server."""

from __future__ import annotations

import glob
import socket
import struct
import unittest

import pytest

from summon_testcase import InvalidArgument, NotRunning, SimpleExecutor, SummonMixin, services

from ..needs import needs
from ..places import linux
from ..samples import PATIENCE


def answer(display: str) -> bytes:
    """What a display answers to a client of version 11 that knows no password."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(f"\0/tmp/.X11-unix/X{display.removeprefix(':')}")
        client.sendall(b"l\0\x0b\0\0\0\0\0\0\0\0\0")
        reply = b""
        while len(reply) < 8 or len(reply) < 8 + 4 * int.from_bytes(reply[6:8], "little"):
            more = client.recv(4096)
            assert more
            reply += more
    return reply


def files(display: str) -> list[str]:
    """The files that X servers leave in /tmp, for one display."""
    number = display.removeprefix(":")
    return glob.glob(f"/tmp/.X11-unix/X{number}") + glob.glob(f"/tmp/.X{number}-lock")


@linux
@needs("Xvfb", package="xvfb")
class XvfbTest(SummonMixin, unittest.TestCase):
    """Serves programs that open windows."""

    screen = services.Xvfb("640x400x24")
    other = services.Xvfb()
    window = SimpleExecutor(
        "echo $DISPLAY at {other.display}", shell=True, env=[screen], one_shot=True
    )

    def test_answers(self) -> None:
        for each, size in ((self.screen, (640, 400)), (self.other, (1280, 800))):
            reply = answer(each.display)
            self.assertEqual(reply[0], 1, reply)
            self.assertIn(struct.pack("<HH", *size), reply)

    def test_each_has_its_own_display(self) -> None:
        self.assertNotEqual(self.screen.display, self.other.display)
        self.assertEqual(self.window.tail(), [f"{self.screen.display} at {self.other.display}"])

    def test_it_keeps_its_display(self) -> None:
        """Nobody else gets it while the server is stopped, and a restart takes it again."""
        display = self.other.display
        with self.other.stopped(), services.Xvfb() as third:
            self.assertNotIn(third.display, (display, self.screen.display))
        self.assertEqual(self.other.display, display)
        self.other.kill()
        self.other.start()
        self.assertEqual(self.other.display, display)
        answer(display)

    def test_it_leaves_no_files(self) -> None:
        with services.Xvfb() as it:
            display = it.display
            self.assertEqual(files(display), [])
            it.kill()
            self.assertEqual(files(display), [])
            with self.assertRaisesRegex(NotRunning, "has no display, since it is not running"):
                it.env()


def test_bad_input() -> None:
    """Before anything is spawned."""
    for screen in ("", "640x400", "640x400x24x1", 640, None):
        with pytest.raises(InvalidArgument, match=r"Xvfb\(\): screen=.*such as .1280x800x24"):
            services.Xvfb(screen)  # type: ignore[arg-type]
