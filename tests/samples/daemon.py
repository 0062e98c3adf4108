"""Becomes a daemon by forking twice, and writes a pid file: PIDFILE MARKER."""

import os
import signal
import sys
import time

if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
null = os.open("/dev/null", os.O_RDWR)
for fd in range(3):
    os.dup2(null, fd)
# seen while it is still empty
with open(sys.argv[1], "w") as stream:
    time.sleep(0.05)
    stream.write(f"{os.getpid()}\n")
signal.pause()
