"""The same at the same time in another module, and for zope.testrunner in another layer."""

import sample_ports


class Layer:
    """Runs in a process of its own."""


class Four(sample_ports.One):
    layer = Layer


class Five(sample_ports.Three):
    layer = Layer
