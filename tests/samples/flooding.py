"""Says "ready", waits for a file GO, writes MEGABYTES of output, then a file DONE."""

import os
import sys
import time

megabytes, go, done = sys.argv[1:4]
print("ready", flush=True)
while not os.path.exists(go):
    time.sleep(0.005)
block = (b"x" * 79 + b"\n") * 12800
for _ in range(int(megabytes)):
    left = memoryview(block)
    while left:
        left = left[os.write(1, left) :]
with open(done, "w") as stream:
    stream.write("done")
time.sleep(1000)
