"""A stranger that claims READY=1 for the service whose NOTIFY_SOCKET is in FILE.

FILE DONE MARKER
"""

import os
import signal
import socket
import sys
import time

path, done = sys.argv[1:3]
address = ""
while not address.endswith("\n"):
    time.sleep(0.005)
    if os.path.exists(path):
        with open(path) as stream:
            address = stream.read()
address = address.strip()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"READY=1", "\0" + address[1:] if address[0] == "@" else address)
with open(done, "w") as stream:
    stream.write("sent")
signal.pause()
