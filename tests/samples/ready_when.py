"""Becomes ready in one of many ways, once a file is there: HOW GO WHERE DONE MARKER.

WHERE is the port or path that it is asked at. When it is ready, it makes the file DONE.
"""

import http.server
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

how, go, where, done = sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if go.exists() else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


if how == "http":
    server = http.server.HTTPServer(("127.0.0.1", int(where)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
while not go.exists():
    time.sleep(0.005)
if how == "output":
    print("it is ready", flush=True)
elif how == "flood":
    # far more than is searched at once
    for _ in range(2000):
        os.write(1, b"x" * 999 + b"\n")
    print("it is ready", flush=True)
elif how == "tcp":
    listening = socket.create_server(("127.0.0.1", int(where)))
elif how == "unix":
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(where)
    listening.listen()
elif how == "file":
    Path(where).write_text("ready")
elif how == "notify":
    name = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", "\0" + name[1:] if name[0] == "@" else name)
done.touch()
if how != "exit":
    signal.pause()
sys.exit(3)
