"""A main process, a child, a grandchild and a setsid child that spin until told: MARKER."""

import os
import time

if os.fork() == 0:
    os.fork()
elif os.fork() == 0:
    os.setsid()
# each writes for itself: all four are there once four lines are
os.write(1, b"member %d\n" % os.getpid())
while True:
    time.sleep(0.01)
