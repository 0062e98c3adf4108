"""Says TEXT byte by byte, each in a write of its own, then stays: TEXT MARKER."""

import os
import signal
import sys
import time

for byte in sys.argv[1].encode() + b"\n":
    os.write(1, bytes([byte]))
    time.sleep(0.002)
signal.pause()
