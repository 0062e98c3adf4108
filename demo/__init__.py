"""A small shop, the store it depends on, and a TestCase that summons both."""
