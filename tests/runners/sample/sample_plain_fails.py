"""Nothing of ours: an error that has a note."""

import unittest


class Fails(unittest.TestCase):
    def test_it(self):
        error = ValueError("the message")
        error.__notes__ = ["the note of an exception"]
        raise error
