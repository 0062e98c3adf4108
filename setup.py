"""For tools that still need a setup.py: everything is in setup.cfg."""

from setuptools import setup

setup()
