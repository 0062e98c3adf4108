"""Prompts, answers each line in capitals, ends at "quit": MARKER."""

import sys

while True:
    sys.stdout.write("> ")
    sys.stdout.flush()
    line = sys.stdin.readline()
    if line.strip() in ("", "quit"):
        print("bye", flush=True)
        break
    print(line.strip().upper(), flush=True)
