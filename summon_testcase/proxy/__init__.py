"""A program of its own that passes TCP connections on to a target, with faults on the way.

The test process begins and ends the faults by orders on a unix socket.  The program imports nothing
of the package around it.
"""
