"""Listens on PORT as soon as the file GO exists: PORT GO MARKER."""

import os
import signal
import socket
import sys
import time

print("up", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.001)
with socket.socket() as listener:
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
    signal.pause()
