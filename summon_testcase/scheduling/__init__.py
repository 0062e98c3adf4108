"""Runs many starts and stops at once: deadlines, steps, and the graph of services."""
