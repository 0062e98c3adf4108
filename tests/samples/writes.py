"""Ways to write, for services whose source a test has."""

import os
import time


def write(data):
    """All of it, as fast as it is taken."""
    data = memoryview(data)
    while data:
        data = data[os.write(1, data) :]


def dribble(data):
    """Byte by byte."""
    for byte in data:
        write(bytes([byte]))
        time.sleep(0.001)


def pour(seconds):
    """10 MB a second, then how long it took, and for how much of that a write was blocked."""
    block, blocked, began = b"y" * 79 + b"\n", 0.0, time.monotonic()
    for number in range(seconds * 100):
        time.sleep(max(0, began + number / 100 - time.monotonic()))
        at = time.monotonic()
        write(block * 1250)
        blocked += time.monotonic() - at
    write(b"took %f blocked %f end\n" % (time.monotonic() - began, blocked))
