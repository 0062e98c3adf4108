"""A daemon that runs servers for others, as dockerd does, and the client that asks it to.

serve SOCKET MARKER: the daemon.  up SOCKET PORT SECONDS: have it listen on a port after some
seconds, and exit with 0 at once.  down SOCKET PORT [SECONDS]: have it listen no more; wait for
that, or have it done after some seconds.
"""

import os
import socket
import sys
import threading
import time

verb, path = sys.argv[1:3]
servers = {}


def listen(port, seconds):
    time.sleep(seconds)
    server = socket.create_server(("127.0.0.1", port))
    servers[port] = server
    while True:
        try:
            server.accept()[0].sendall(b"hello\n")
        except OSError:
            return


def obey(words):
    port = int(words[1])
    if words[0] == "up":
        threading.Thread(target=listen, args=(port, float(words[2])), daemon=True).start()
        return "starting"
    server = servers.pop(port, None)
    if server is None:
        return "no such server"

    def stop():
        server.shutdown(socket.SHUT_RDWR)
        server.close()

    if len(words) > 2:
        threading.Timer(float(words[2]), stop).start()
        return "stopping"
    stop()
    return "stopped"


if verb == "serve":
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(path + ".new")
        control.listen()
        os.rename(path + ".new", path)
        while True:
            connection = control.accept()[0]
            with connection:
                connection.sendall(obey(connection.recv(100).decode().split()).encode())
else:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(" ".join([verb, *sys.argv[3:]]).encode())
        said = client.recv(100).decode()
    print(said, flush=True)
    sys.exit(said == "no such server")
