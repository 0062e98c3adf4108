"""A module whose classes inherit from those of another."""

import sample_scopes


class Elsewhere(sample_scopes.SharedAgain):
    pass
