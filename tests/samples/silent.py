"""Says nothing, ever: MARKER."""

import signal

while True:
    signal.pause()
