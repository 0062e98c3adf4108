"""The application that gunicorn serves: it asks redis."""

import os
import socket


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [ping(int(os.environ["REDIS_PORT"]))]


def ping(port):
    """Answer with the answer of redis to PING."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)
