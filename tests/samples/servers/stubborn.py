"""A daemon that ignores SIGTERM, always or so many times: stubborn.py PID-FILE [TIMES]."""

import os
import signal
import sys

if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
times = float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")


def ignore(*_: object) -> None:
    """Ignore it, unless it came often enough."""
    global times
    if not times:
        os._exit(0)
    times -= 1


signal.signal(signal.SIGTERM, ignore)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()}\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    signal.pause()
