"""Many processes that start real servers on ``{port}``, while others make connections.

``python -m tests.reliability.port_races --workers 8 --starts 1000`` prints, as JSON, how many
starts there were, how many servers found their port taken (collisions), how often a server was
reported ready while another process answered at its port (strangers: each server answers with
a token of its own), and how many other starts failed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

from summon_testcase import PortInUse, ProcessExited, SummonError, TCPCoordinatedExecutor

from ..samples import service

ROOT = Path(__file__).resolve().parent.parent.parent

SERVER_C = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at)) { perror("bind"); return 98; }
    usleep(atoi(argv[3]));
    if (listen(listener, 16)) { perror("listen"); return 98; }
    for (;;) {
        int connection = accept(listener, 0, 0);
        if (connection < 0) return 1;
        if (write(connection, argv[2], strlen(argv[2])) < 0) return 1;
        close(connection);
    }
}
"""


def server(directory: str) -> list[str]:
    """The command of a server that takes PORT TOKEN MICROSECONDS; compiled where possible."""
    source, program = Path(directory, "server.c"), Path(directory, "server")
    source.write_text(SERVER_C)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler and not subprocess.run([compiler, "-o", program, source]).returncode:
        return [str(program)]
    return service("says_token.py")


def work(command: list[str], starts: int) -> None:
    """Start servers one after the other, now and then several at once; print the results."""
    seen: Counter[str] = Counter()
    examples: list[str] = []
    waiting: list[tuple[TCPCoordinatedExecutor, str]] = []
    times = []
    for _ in range(starts):
        token = uuid.uuid4().hex
        delay = str(random.choice([0, 0, 100, 2000]))
        it = TCPCoordinatedExecutor([*command, "{port}", token, delay], timeout=30)
        began = time.monotonic()
        try:
            it.start()
        except PortInUse as error:
            seen["collisions"] += 1
            examples.append(str(error))
            continue
        except SummonError as error:
            taken = isinstance(error, ProcessExited) and error.exit_code == 98
            seen["collisions" if taken else "other failures"] += 1
            examples.append(str(error))
            continue
        times.append(time.monotonic() - began)
        seen["ready"] += 1
        waiting.append((it, token))
        if len(waiting) > random.randrange(4):
            for each, its_token in waiting:
                if answer(each.port) != its_token:
                    seen["strangers"] += 1
                each.stop()
            waiting.clear()
    for each, its_token in waiting:
        if answer(each.port) != its_token:
            seen["strangers"] += 1
        each.stop()
    print(json.dumps({"seen": seen, "times": sorted(times), "examples": examples[:3]}))


def answer(port: int) -> str:
    """The words of the server at a port."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        received = b""
        while data := connection.recv(4096):
            received += data
    return received.decode()


def disturb() -> None:
    """Make connections, and hold some, until killed: each takes a port of the kernel's choice."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    held: list[socket.socket] = []
    count = 0
    while True:
        out = socket.create_connection(listener.getsockname())
        held += [out, listener.accept()[0]]
        count += 1
        while len(held) > 200:
            held.pop(random.randrange(len(held))).close()
        if count % 1000 == 0:
            print(count, flush=True)


def races(workers: int, starts: int, disturbers: int) -> dict[str, object]:
    """Run workers and disturbers; the sums of the workers' results."""
    module = [sys.executable, "-m", "tests.reliability.port_races"]
    began = time.monotonic()
    noise: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory() as directory:
        command = json.dumps(server(directory))
        try:
            for _ in range(disturbers):
                noise.append(
                    subprocess.Popen(
                        [*module, "--disturb"], cwd=ROOT, stdout=subprocess.PIPE, text=True
                    )
                )
            crowd = [
                subprocess.Popen(
                    [*module, "--work", command, "--starts", str(starts)],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for _ in range(workers)
            ]
            results = [json.loads(worker.communicate()[0]) for worker in crowd]
        finally:
            for disturber in noise:
                disturber.kill()
    connections = 0
    for disturber in noise:
        lines = disturber.communicate()[0].split()
        connections += int(lines[-1]) if lines else 0
    sums: Counter[str] = Counter()
    for result in results:
        sums.update(result["seen"])
    times = sorted(t for result in results for t in result["times"])
    return {
        "workers": workers,
        "starts": workers * starts,
        **{key: sums[key] for key in ("ready", "collisions", "strangers", "other failures")},
        "outgoing connections": connections,
        "median start, ms": round(times[len(times) // 2] * 1000, 1) if times else None,
        "seconds": round(time.monotonic() - began, 1),
        "examples": [example for result in results for example in result["examples"]][:3],
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--starts", type=int, default=1000)
    parser.add_argument("--disturbers", type=int, default=2)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--disturb", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.disturb:
        disturb()
    elif given.work:
        work(json.loads(given.work), given.starts)
    else:
        print(json.dumps(races(given.workers, given.starts, given.disturbers), indent=2))


if __name__ == "__main__":
    main()
