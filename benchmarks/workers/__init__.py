"""What is measured in a process of its own.

These modules import little: the memory and the imports of such a process are measured.
"""
