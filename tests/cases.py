"""Runs TestCases inside a test."""

from __future__ import annotations

import unittest


def run(*cases: type[unittest.TestCase]) -> unittest.TestResult:
    """Run classes as unittest does, in one suite."""
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    result = unittest.TestResult()
    unittest.TestSuite([load(case) for case in cases]).run(result)
    return result


def run_bare(case: type[unittest.TestCase], name: str = "test") -> unittest.TestResult:
    """Run one test as zope.testrunner and trial do: no hook of the class is called."""
    result = unittest.TestResult()
    test = case(name)
    test.run(result)
    assert "setUp" not in vars(test), "the test is left with a setUp of ours"
    return result
