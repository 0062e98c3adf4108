"""One test suite, written in several ways; see ``suites/real.py``."""
