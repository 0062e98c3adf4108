"""Says LINES lines, then exits with STATUS, or by a signal if it is negative."""

import os
import sys

lines, status = int(sys.argv[1]), int(sys.argv[2])
for number in range(1, lines + 1):
    print("line", number)
sys.stdout.flush()
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
