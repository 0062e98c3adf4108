"""A module that imports fixtures of another, with a class that uses them."""

import sample_fixtures
from sample_fixtures import areas, hubs, port, ports

__all__ = ["areas", "hubs", "port", "ports"]


class Elsewhere(sample_fixtures.Shared):
    pass
