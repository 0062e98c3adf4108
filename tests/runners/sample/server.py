"""A tiny server for the sample: ``server.py NAME PORT [PORT OF ANOTHER]``.

It answers every HTTP request with its name, and what the other one says, and prints it. It writes
``start NAME PID`` and ``stop NAME PID`` to the file that SAMPLE_LOG names.
"""

import os
import select
import signal
import socket
import sys


def note(line):
    file = os.open(os.environ["SAMPLE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def ask(port, path="/"):
    with socket.create_connection(("127.0.0.1", int(port)), 5) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    return answer.partition(b"\r\n\r\n")[2].decode()


def main(name, port, *others):
    def stop(*_):
        note(f"stop {name} {os.getpid()}")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    # a signal that comes just before accept() would not be noticed until the next request
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    note(f"start {name} {os.getpid()}")
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        while True:
            select.select([listener, woken], [], [])
            connection = listener.accept()[0]
            with connection:
                if request := connection.recv(4096):
                    print(
                        f"{name} was asked: {request.partition(b' HTTP')[0].decode()}", flush=True
                    )
                    body = "<".join([name, *map(ask, others)])
                    connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{body}".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
