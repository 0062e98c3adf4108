"""Ignores SIGTERM, SIGINT and SIGHUP, then says "deaf": MARKER."""

import signal
import time

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    time.sleep(1000)
