"""A key-value server over TCP: one request a line, one answer a line.

``PUT key value`` answers ``OK``; ``GET key`` answers ``VALUE value`` or ``NONE``; ``COUNT``
answers the number of keys. Run it as ``python store.py PORT``.
"""

import random
import socketserver
import sys
import time
from typing import Any


class Store(socketserver.ThreadingTCPServer):
    """Keeps what is stored in a mapping: a dictionary lives as long as the server."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, values: Any) -> None:
        super().__init__(("127.0.0.1", port), Session)
        self.values = values

    def answer(self, request: str) -> str:
        match request.split(maxsplit=2):
            case ["PUT", key, value]:
                self.values[key] = value
                return "OK"
            case ["GET", key]:
                value = self.values.get(key)
                return "NONE" if value is None else f"VALUE {value}"
            case ["COUNT"]:
                return str(len(self.values))
        return "WHAT?"


class Session(socketserver.StreamRequestHandler):
    """One client, until it hangs up."""

    server: Store

    def handle(self) -> None:
        for line in self.rfile:
            answer = self.server.answer(line.decode().strip())
            self.wfile.write(f"{answer}\n".encode())


def main() -> None:
    port = int(sys.argv[1])
    # Real servers take a moment too, and never the same one.
    time.sleep(random.uniform(0.2, 0.8))
    with Store(port, {}) as store:
        print(f"store listens on port {port}", flush=True)
        store.serve_forever()


if __name__ == "__main__":
    main()
