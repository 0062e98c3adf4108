"""Says TEXT after SECONDS, then stays: SECONDS TEXT MARKER."""

import signal
import sys
import time

time.sleep(float(sys.argv[1]))
print(sys.argv[2], flush=True)
signal.pause()
