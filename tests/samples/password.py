"""Asks for a password on /dev/tty, then says how long it was: MARKER."""

import getpass
import signal

secret = getpass.getpass("Password: ")
print("got", len(secret), "characters", flush=True)
signal.pause()
