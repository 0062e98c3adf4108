"""A program of its own: it asks what may block, so that nobody in the test process waits.

It imports nothing of the package around it; nor does it share its process with the test, so
that what tests do to requests, to sockets or to the clock does not reach it.
"""
