"""Accepts at once, but answers only SECONDS after its start: PORT SECONDS STATE MARKER."""

import http.server
import sys
import time

port, seconds, state = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
begin = time.monotonic()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(max(0, begin + seconds - time.monotonic()))
        with open(state, "a") as stream:
            stream.write("answering")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
