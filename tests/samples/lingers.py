"""Says "up"; at SIGTERM ends with STATUS, once the file GO is there: GO STATUS [PORT] … MARKER.

If the word after the status is a number, it listens at that port until it ends.
"""

import os
import signal
import socket
import sys
import time

go, status = sys.argv[1], int(sys.argv[2])


def end(*_):
    # not print(), which the signal may have interrupted
    os.write(1, b"asked to end\n")
    while not os.path.exists(go):
        time.sleep(0.005)
    sys.exit(status)


signal.signal(signal.SIGTERM, end)
if sys.argv[3].isdigit():
    server = socket.create_server(("127.0.0.1", int(sys.argv[3])))
os.write(1, b"up\n")
while True:
    time.sleep(1000)
