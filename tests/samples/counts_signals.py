"""A family that counts the SIGTERMs each member gets: RECORD HOW MARKER.

The main process forks a worker, in its own group or (HOW=setsid) session; the worker in
turn says "up".  At SIGTERM each writes a line to RECORD.  HOW=master: the main process
passes SIGTERM on and waits, as gunicorn does; otherwise it leaves the worker alone.
HOW=deaf: the worker writes its line, but stays.  HOW=slow: the main process does nothing
at SIGTERM, and ends once its worker has.  HOW=late: it ends two seconds after SIGTERM.
"""

import os
import signal
import sys
import time

record, how = sys.argv[1:3]
who = "main"
worker = 0


def note(line):
    fd = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, line.encode() + b"\n")
    os.close(fd)


def terminate(number, frame):
    note(who + " " + signal.Signals(number).name)
    if who == "main" and how == "slow":
        return
    if who == "main" and how == "late":
        time.sleep(2)
    if who == "main" and how == "master":
        os.kill(worker, number)
        os.waitpid(worker, 0)
        os._exit(0)
    if who == "main":
        os._exit(0)
    if how == "deaf":
        return
    # a second signal would still be counted
    time.sleep(0.2)
    os._exit(0)


signal.signal(signal.SIGTERM, terminate)
# either may be asked to end before it knows which of them it is
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
worker = os.fork()
who = "main" if worker else "worker"
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
if worker == 0:
    if how == "setsid":
        os.setsid()
    print("up", flush=True)
elif how == "slow":
    os.waitpid(worker, 0)
    time.sleep(0.3)
    os._exit(0)
while True:
    # a signal that comes just before a long sleep would be noticed after it only
    time.sleep(0.05)
