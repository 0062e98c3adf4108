"""Says TOKEN to all, and listens a while after it has bound: PORT TOKEN MICROSECONDS."""

import socket
import sys
import time

with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(sys.argv[1])))
        time.sleep(int(sys.argv[3]) / 1e6)
        listener.listen(16)
    except OSError as error:
        print("bind:", error)
        sys.exit(98)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(sys.argv[2].encode())
