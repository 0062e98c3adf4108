"""Says what it knows of its standard streams and its terminal, then stays: MARKER."""

import os
import signal

print("isatty", *(int(os.isatty(fd)) for fd in range(3)))
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
    print("controlling terminal")
except OSError:
    print("no controlling terminal")
print("told", flush=True)
signal.pause()
