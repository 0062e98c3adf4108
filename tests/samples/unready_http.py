"""Answers 503 so many times, then 200, counting requests: PORT TIMES RECORD MARKER."""

import http.server
import sys

port, times, record = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
count = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global count
        count += 1
        status = 503 if count <= times else 200
        with open(record, "a") as stream:
            print(self.command, self.path, status, file=stream)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
