"""A small shop, the store it depends on, and TestCases that summon all of it: ``make demo``."""
