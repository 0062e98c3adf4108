"""A program of its own that asks servers and resolvers, which may take long to answer.

The test process sends questions to it and does not wait.  The asker imports nothing of the
package around it.  Since it is a process of its own, tests may patch requests, sockets or the
clock in their process without effect on the asker.
"""
