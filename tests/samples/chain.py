"""Forks and ends, for ever, so that its pid is never the same for long: HOW ADDRESS MARKER.

HOW=setsid: each link has a session of its own.  All links hold a listener at ADDRESS (an
abstract unix socket): who cannot connect to it knows that the chain has ended, which a look
at the list of processes may miss.
"""

import os
import socket
import sys
import time

#: seconds that each link lives: less than a look at all processes takes, but long enough to
#: leave the machine its pids, which others that run beside this still hold, for a while
LIFE = 0.001

how, address = sys.argv[1:3]
listener = socket.socket(socket.AF_UNIX)
listener.bind("\0" + address)
listener.listen()
print("up", flush=True)
while True:
    time.sleep(LIFE)
    try:
        if os.fork():
            os._exit(0)
    except OSError:  # no process to be had, for now
        continue
    if how == "setsid":
        os.setsid()
