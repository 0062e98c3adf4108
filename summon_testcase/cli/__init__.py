"""The command ``summon``: brings up by hand what tests declare."""
