"""An HTTP server that answers in its own way.

Arguments: where it listens, PORT or HOST:PORT or a path; how, as words KEY=VALUE:

- ``busy=N``: the first N requests get a 503;
- ``delay=SECONDS``: each answer comes that late;
- ``dribble=SECONDS``: so late comes each byte of the headers after the first line;
- ``body=TEXT``, with ``{n}`` for how many requests there were; ``endless=SECONDS``: it is
  written again after each pause, for ever;
- ``halves=SECONDS``: the second half of the body comes that late;
- ``user=NAME:PASSWORD``: all others get a 401; ``echo=1``: the body is that of the request;
- ``header=TEXT``: a header; ``type=TEXT``: that of the content;
- ``moved=URL``: it is a redirect;
- ``line=BEGINNING``: the answer begins with that and 60,000 letters more of two bytes each;
- ``pem=CERTIFICATE,KEY``: TLS.

It writes a line for each request, which ends with the seconds of the monotonic clock.
"""

import base64
import http.server
import itertools
import socket
import socketserver
import ssl
import sys
import threading
import time

where, how = sys.argv[1], dict(word.split("=", 1) for word in sys.argv[2:] if "=" in word)
#: of the requests, each of which has a thread
numbers = itertools.count(1)
#: held while a request is counted and told, so that whoever has a number was told of those before
counting = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    def setup(self) -> None:
        if isinstance(self.client_address, str):
            self.client_address = ("unix", 0)
        super().setup()

    def do_GET(self) -> None:
        with counting:
            asked = next(numbers)
            told = self.command, self.path, self.headers["Host"], time.monotonic()
            print(f"request {asked}", *told, flush=True)
        time.sleep(float(how.get("delay", 0)))
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "dribble" in how:
            while True:
                self.wfile.write(b"HTTP/1.0 200 OK\r\n")
                for byte in b"X-A: b\r\n" * 1000:
                    self.wfile.write(bytes([byte]))
                    time.sleep(float(how["dribble"]))
        if "line" in how:
            self.wfile.write(how["line"].encode() + b"\xe9" * 60_000 + b"\r\n\r\n")
            return
        status = 503 if asked <= int(how.get("busy", 0)) else 200
        said = "Basic " + base64.b64encode(how.get("user", "").encode()).decode()
        if "user" in how and self.headers["Authorization"] != said:
            status = 401
        body = sent if "echo" in how else how.get("body", "").replace("{n}", str(asked)).encode()
        self.send_response(302 if "moved" in how else status)
        if "moved" in how:
            self.send_header("Location", how["moved"])
        if "type" in how:
            self.send_header("Content-Type", how["type"])
        self.send_header("X-Asked", str(asked))
        self.send_header("X-Header", how.get("header", ""))
        if "endless" not in how:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2 if "halves" in how else 0
        self.wfile.write(body[:half])
        time.sleep(float(how.get("halves", 0)))
        self.wfile.write(body[half:])
        while "endless" in how:
            time.sleep(float(how["endless"]))
            self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # HTTPServer asks for the name of the host, which may take long
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *arguments: object) -> None:
        pass


address: object = where
if "/" in where:
    Server.address_family = socket.AF_UNIX
else:
    host, _, port = where.rpartition(":")
    Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = (host.strip("[]") or "127.0.0.1", int(port))
server = Server(address, Handler)  # type: ignore[arg-type]
if "pem" in how:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*how["pem"].split(","))
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
