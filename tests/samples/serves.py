"""Becomes ready in one of many ways, soon: KIND ADDRESS STATE-FILE MARKER.

The state file is written just before, so that a test can tell whether ready was true.
"""

import os
import signal
import socket
import sys
import time

kind, address, state = sys.argv[1:4]


def be_ready_soon():
    time.sleep(0.05)
    with open(state, "w") as stream:
        stream.write("ready")


def accept_for_ever(listener, answer=b""):
    while True:
        connection, _ = listener.accept()
        with connection:
            if answer:
                connection.recv(65536)
                connection.sendall(answer)


if kind == "plain":
    be_ready_soon()
elif kind == "banner":
    be_ready_soon()
    print("serving at", address, flush=True)
elif kind in ("tcp", "http"):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        be_ready_soon()
        listener.bind(("127.0.0.1", int(address)))
        listener.listen()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        accept_for_ever(listener, answer if kind == "http" else b"")
elif kind == "unix":
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        be_ready_soon()
        listener.listen()
        accept_for_ever(listener)
elif kind == "file":
    be_ready_soon()
    # with its content at once: ready means that it exists
    with open(address + ".new", "w") as stream:
        stream.write("here")
    os.rename(address + ".new", address)
elif kind == "pidfile":
    with open(address, "w"):
        pass
    be_ready_soon()
    with open(address, "w") as stream:
        stream.write(f"{os.getpid()}\n")
elif kind == "notify":
    name = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"STATUS=loading", "\0" + name[1:] if name[0] == "@" else name)
        be_ready_soon()
        sender.sendto(b"READY=1\nSTATUS=up", "\0" + name[1:] if name[0] == "@" else name)
while True:
    signal.pause()
