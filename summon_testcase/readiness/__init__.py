"""Finds out when a service is ready: one loop, and a file for each kind of question."""
