"""A service that speaks the sd_notify protocol: notifier.py FILE, written before READY=1."""

import os
import signal
import socket
import sys

address = os.environ["NOTIFY_SOCKET"]
if address.startswith("@"):
    address = "\0" + address[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"STATUS=warming up", address)
    with open(sys.argv[1], "w") as file:
        file.write("warm\n")
    notify.sendto(b"STATUS=warm\nREADY=1\nMAINPID=%d" % os.getpid(), address)
while True:
    signal.pause()
